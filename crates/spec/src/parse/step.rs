//! Reads the steps of a batch spec.

use std::collections::BTreeMap;

use super::duration;
use super::reader::{Found, Object, Reader, join};
use super::tree::{Content, Node};
use crate::template::{Scope, static_error};
use crate::{
    BatchChangeContext, Condition, EnvVar, Mount, OutputFormat, OutputRule, Position, Run, Step,
};

const KEYS: [&str; 8] = ["run", "container", "env", "files", "outputs", "if", "mount", "timeout"];

pub(super) fn steps(
    reader: &mut Reader<'_>,
    node: &Node,
    batch_change: &BatchChangeContext,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, item) in reader.list(node, "steps").iter().enumerate() {
        steps.extend(step(reader, item, &format!("steps[{index}]"), batch_change));
    }
    steps
}

fn step(
    reader: &mut Reader<'_>,
    node: &Node,
    path: &str,
    batch_change: &BatchChangeContext,
) -> Option<Step> {
    let object = reader.object(node, path, &KEYS)?;
    let run = reader.needed(&object, "run");
    if let Some(run) = run {
        reader.template(run, &object.field("run"), Scope::Step);
    }
    let container = match object.get("container") {
        None => None,
        Some(_) => reader.needed(&object, "container"),
    };
    if let Some(container) = container {
        reader.template(container, &object.field("container"), Scope::Step);
    }
    let env = object.get("env").map(|node| env(reader, node, &object.field("env")));
    let files = object.get("files").map(|node| files(reader, node, &object.field("files")));
    let condition = condition(reader, &object, batch_change);
    let outputs = object.get("outputs").map(|node| outputs(reader, node, &object.field("outputs")));
    let mount = object.get("mount").map(|node| mounts(reader, node, &object.field("mount")));
    let timeout_ms = timeout(reader, &object);
    Some(Step {
        run: Run::Shell(run?.value()),
        container: container.map(|found| found.value()),
        env: env.unwrap_or_default(),
        files: files.unwrap_or_default(),
        mount: mount.unwrap_or_default(),
        outputs: outputs.unwrap_or_default(),
        r#if: condition,
        timeout_ms,
        at: node.at,
    })
}

/// An object, or a list of names and objects of one key.
fn env(reader: &mut Reader<'_>, node: &Node, path: &str) -> Vec<EnvVar> {
    let mut variables = Vec::new();
    match &node.content {
        Content::Map(_) => {
            if let Some(object) = reader.map(node, path) {
                env_object(reader, &object, &mut variables);
            }
        }
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                match &item.content {
                    Content::Text(text) => {
                        if env_name(reader, &text.value, item.at, &path)
                            && may_pass(reader, &text.value, item.at, &path)
                        {
                            variables.push(EnvVar { name: text.value.clone(), value: None });
                        }
                    }
                    Content::Map(entries) if entries.len() == 1 => {
                        if let Some(object) = reader.map(item, &path) {
                            env_object(reader, &object, &mut variables);
                        }
                    }
                    Content::Map(_) => {
                        let hint = "begin a new item with `- ` for each variable".to_owned();
                        let message = "an item must have exactly one key, the variable's name";
                        reader.hinted(item.at, &path, message, Some(hint));
                    }
                    _ => reader.wrong(item, &path, "a name, or a name and its value"),
                }
            }
        }
        _ => reader.wrong(node, path, "a map, or a list of names and one-key maps"),
    }
    variables
}

fn env_object(reader: &mut Reader<'_>, object: &Object<'_>, variables: &mut Vec<EnvVar>) {
    for entry in object.entries() {
        let field = object.field(&entry.key);
        env_name(reader, &entry.key, entry.key_at, &field);
        let Some(found) = reader.text_of(&entry.value, &field) else { continue };
        reader.template(found, &field, Scope::Step);
        variables.push(EnvVar { name: entry.key.clone(), value: Some(found.value()) });
    }
}

fn env_name(reader: &mut Reader<'_>, name: &str, at: Position, field: &str) -> bool {
    let is_good = !name.is_empty() && !name.contains(['=', '\0']);
    if !is_good {
        let hint = name
            .contains('=')
            .then(|| "write `- NAME: value` instead of `- NAME=value`".to_owned());
        let message = "the name of a variable must not be empty, and has no `=`";
        reader.hinted(at, field, message, hint);
    }
    is_good
}

/// SECURITY: our own variables carry tokens; a spec that asks for them would read them in its steps.
fn may_pass(reader: &mut Reader<'_>, name: &str, at: Position, field: &str) -> bool {
    let is_ours = name.starts_with("PHALANX_");
    if is_ours {
        let message = format!("`{name}` is Phalanx's own and is given to no step");
        reader.hinted(at, field, message, None);
    }
    !is_ours
}

fn files(reader: &mut Reader<'_>, node: &Node, path: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let Some(object) = reader.map(node, path) else { return files };
    for entry in object.entries() {
        let field = object.field(&entry.key);
        inner_path(reader, &entry.key, entry.key_at, &field);
        let Some(found) = reader.text_of(&entry.value, &field) else { continue };
        reader.template(found, &field, Scope::Step);
        files.insert(entry.key.clone(), found.value());
    }
    files
}

/// A path inside the step, as a container engine takes it.
fn inner_path(reader: &mut Reader<'_>, path: &str, at: Position, field: &str) {
    if path.contains(',') {
        reader.error(at, field, "a path must not have a `,`");
    }
    if path.contains('\0') || path.split('/').any(|part| part == "..") {
        reader.error(at, field, "a path must not have `..` in it");
    }
    if !path.starts_with('/') || path == "/" {
        let message = "a path inside of the step begins with `/`, and names something in it";
        reader.error(at, field, message);
    }
}

fn mounts(reader: &mut Reader<'_>, node: &Node, path: &str) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for (index, item) in reader.list(node, path).iter().enumerate() {
        mounts.extend(mount(reader, item, &format!("{path}[{index}]")));
    }
    mounts
}

fn mount(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Mount> {
    let object = reader.object(node, path, &["path", "mountpoint"])?;
    let source = reader.needed(&object, "path");
    let target = reader.needed(&object, "mountpoint");
    let (source, target) = (source?, target?);
    let field = object.field("path");
    let name = &source.text.value;
    if name.contains(',') {
        reader.error(source.node.at, &field, "a path must not have a `,`");
    }
    if name.starts_with('/') || name.contains('\0') || name.split('/').any(|part| part == "..") {
        let message = "the path must lie in the folder of this file";
        let hint = "write it relative to that folder, without `..`".to_owned();
        reader.hinted(source.node.at, &field, message, Some(hint));
    }
    inner_path(reader, &target.text.value, target.node.at, &object.field("mountpoint"));
    Some(Mount { path: source.value(), mountpoint: target.value(), at: node.at })
}

fn outputs(reader: &mut Reader<'_>, node: &Node, path: &str) -> BTreeMap<String, OutputRule> {
    let mut outputs = BTreeMap::new();
    let Some(object) = reader.map(node, path) else { return outputs };
    for entry in object.entries() {
        let path = join(path, &entry.key);
        if entry.key.is_empty() {
            reader.error(entry.key_at, &path, "the name of an output must not be empty");
        }
        let Some(object) = reader.object(&entry.value, &path, &["value", "format"]) else {
            continue;
        };
        let format = reader.text(&object, "format");
        let format = match format.map(|found| (found, found.text.value.as_str())) {
            None | Some((_, "text")) => OutputFormat::Text,
            Some((_, "json")) => OutputFormat::Json,
            Some((_, "yaml")) => OutputFormat::Yaml,
            Some((found, other)) => {
                let shown: String = other.chars().take(80).collect();
                let message =
                    format!("there is no format `{shown}`; there is `text`, `json` and `yaml`");
                reader.error(found.node.at, &object.field("format"), message);
                OutputFormat::Text
            }
        };
        reader.outputs.insert(entry.key.clone());
        if object.get("value").is_none() {
            reader.missing(&object, "value", None);
        }
        let Some(value) = reader.text(&object, "value") else { continue };
        reader.template(value, &object.field("value"), Scope::Output);
        outputs.insert(entry.key.clone(), OutputRule { value: value.value(), format });
    }
    outputs
}

fn condition(
    reader: &mut Reader<'_>,
    object: &Object<'_>,
    batch_change: &BatchChangeContext,
) -> Condition {
    let Some(node) = object.get("if") else { return Condition::Always };
    let field = object.field("if");
    let text = match &node.content {
        Content::Bool(true) => return Condition::Always,
        Content::Bool(false) => return Condition::Never,
        Content::Text(text) => text,
        _ => {
            reader.wrong(node, &field, "`true`, `false` or a template");
            return Condition::Never;
        }
    };
    // As upstream: an empty condition is none.
    if text.value.is_empty() {
        return Condition::Always;
    }
    let found = Found { node, text };
    if let Some(template) = reader.template(found, &field, Scope::Step) {
        if let Some(error) = static_error(&template, batch_change) {
            reader.template_error(found, &field, error);
        } else if !text.value.contains("${{") && !matches!(text.value.trim(), "true" | "false") {
            let hint = Some("a template stands between `${{` and `}}`");
            reader.warning(node.at, &field, "this is never `true`, so the step never runs", hint);
        }
    }
    Condition::Template(text.value.clone())
}

fn timeout(reader: &mut Reader<'_>, object: &Object<'_>) -> Option<u64> {
    let node = object.get("timeout")?;
    let field = object.field("timeout");
    let hint = || Some("write it as `90s`, `10m` or `1h30m`".to_owned());
    let Content::Text(text) = &node.content else {
        reader.hinted(node.at, &field, "this must be a duration with its unit", hint());
        return None;
    };
    match duration::milliseconds(&text.value) {
        Ok(milliseconds) => Some(milliseconds),
        Err(message) => {
            reader.hinted(node.at, &field, message, hint());
            None
        }
    }
}
