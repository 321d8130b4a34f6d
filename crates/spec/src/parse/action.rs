//! Reads an action definition: `scopeQuery`, and steps that are a command or a container. It has no templates and no name.

use std::collections::BTreeMap;

use super::reader::{Object, Reader, join};
use super::tree::{Content, Node};
use crate::{Condition, Format, On, Run, Spec, Step};

pub(super) fn read(reader: &mut Reader<'_>, root: &Node, name: &str) -> Option<Spec> {
    let object = reader.object(root, "", &["$schema", "scopeQuery", "steps"])?;
    reader.text(&object, "$schema");
    let query = reader.needed(&object, "scopeQuery");
    let mut steps = Vec::new();
    match object.get("steps") {
        None => reader.missing(&object, "steps", None),
        Some(node) => {
            let items = reader.list(node, "steps");
            if items.is_empty() && matches!(node.content, Content::List(_)) {
                reader.error(node.at, "steps", "there must be at least one step");
            }
            for (index, item) in items.iter().enumerate() {
                steps.extend(step(reader, item, &format!("steps[{index}]")));
            }
        }
    }
    let query = query?;
    Some(Spec {
        format: Format::Action,
        version: 0,
        name: name.to_owned(),
        description: String::new(),
        on: vec![On::Query { query: query.value(), at: query.node.at }],
        workspaces: Vec::new(),
        steps,
        import_changesets: Vec::new(),
        transform_changes: Vec::new(),
        changeset_template: None,
    })
}

fn step(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Step> {
    let known = ["type", "args", "image", "cacheDirs"];
    if let Content::Map(entries) = &node.content
        && let Some(entry) = entries.iter().find(|entry| entry.key == "dockerfile")
    {
        let hint = "build the image before, and name it with `image`".to_owned();
        let field = join(path, "dockerfile");
        reader.hinted(entry.key_at, &field, "inline Dockerfiles are not supported", Some(hint));
    }
    let mut known_here = known.to_vec();
    known_here.push("dockerfile");
    let object = reader.object(node, path, &known_here)?;
    let arguments = arguments(reader, &object);
    let image = reader.text(&object, "image");
    cache_dirs(reader, &object);
    let kind = reader.needed(&object, "type")?;
    let container = match kind.text.value.as_str() {
        "command" => {
            if let Some(image) = image {
                let hint = "write `type: docker` to run it in the image".to_owned();
                let field = object.field("image");
                reader.hinted(image.node.at, &field, "a command has no image", Some(hint));
            }
            match &arguments {
                None if object.get("args").is_none() => reader.missing(&object, "args", None),
                Some(arguments) if arguments.is_empty() => {
                    let at = object.key_at("args");
                    reader.error(at, &object.field("args"), "there must be at least one argument");
                }
                _ => {}
            }
            None
        }
        "docker" => {
            let image = reader.needed(&object, "image")?;
            Some(image.value())
        }
        other => {
            let shown: String = other.chars().take(80).collect();
            let message = format!("there is no type `{shown}`; there is `command` and `docker`");
            reader.error(kind.node.at, &object.field("type"), message);
            return None;
        }
    };
    Some(Step {
        run: Run::Argv(arguments.unwrap_or_default()),
        container,
        env: Vec::new(),
        files: BTreeMap::new(),
        mount: Vec::new(),
        outputs: BTreeMap::new(),
        r#if: Condition::Always,
        timeout_ms: None,
        at: node.at,
    })
}

fn arguments(reader: &mut Reader<'_>, object: &Object<'_>) -> Option<Vec<String>> {
    let node = object.get("args")?;
    let field = object.field("args");
    if !matches!(node.content, Content::List(_)) {
        reader.wrong(node, &field, "a list");
        return None;
    }
    Some(texts(reader, node, &field))
}

fn texts(reader: &mut Reader<'_>, node: &Node, field: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for (index, item) in reader.list(node, field).iter().enumerate() {
        texts.extend(reader.text_of(item, &format!("{field}[{index}]")).map(|found| found.value()));
    }
    texts
}

fn cache_dirs(reader: &mut Reader<'_>, object: &Object<'_>) {
    let Some(node) = object.get("cacheDirs") else { return };
    let field = object.field("cacheDirs");
    texts(reader, node, &field);
    let hint = Some("put what is worth keeping into the image");
    reader.warning(object.key_at("cacheDirs"), &field, "`cacheDirs` is ignored", hint);
}
