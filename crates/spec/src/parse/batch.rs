//! Reads a batch spec, but for its steps and its changesets.

use std::collections::BTreeSet;

use globset::GlobBuilder;

use super::reader::Reader;
use super::tree::{Content, Node};
use super::{changeset, step};
use crate::{BatchChangeContext, Format, ImportChangeset, On, Spec, WorkspaceRule};

const KEYS: [&str; 10] = [
    "$schema",
    "version",
    "name",
    "description",
    "on",
    "workspaces",
    "steps",
    "importChangesets",
    "transformChanges",
    "changesetTemplate",
];

pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Option<Spec> {
    let object = reader.object(root, "", &KEYS)?;
    reader.text(&object, "$schema");
    let version = object.get("version").map_or(Some(1), |node| version(reader, node));
    let name = reader.needed(&object, "name");
    let name = name.map(|found| {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !found.text.value.chars().all(good) {
            let message = "a name has only letters, digits, `_`, `.` and `-`";
            reader.error(found.node.at, "name", message);
        }
        found.value()
    });
    let description = reader.text(&object, "description");
    let description = description.map(|found| found.value()).unwrap_or_default();
    let batch_change = BatchChangeContext {
        name: name.clone().unwrap_or_default(),
        description: description.clone(),
    };
    let on = object.get("on").map(|node| ons(reader, node)).unwrap_or_default();
    let workspaces = object.get("workspaces").map(|node| workspaces(reader, node));
    let steps = object.get("steps").map(|node| step::steps(reader, node, &batch_change));
    let imports = object.get("importChangesets").map(|node| imports(reader, node));
    let template = match object.get("changesetTemplate") {
        Some(node) => changeset::template(reader, node),
        None => {
            let has_steps = match object.get("steps").map(|node| &node.content) {
                Some(Content::List(steps)) => !steps.is_empty(),
                _ => false,
            };
            if has_steps {
                let hint =
                    "it says how the changes are proposed: `title`, `branch` and `commit.message`";
                let at = object.key_at("steps");
                let message = "`changesetTemplate` is missing, and there are steps";
                reader.hinted(at, "changesetTemplate", message, Some(hint.to_owned()));
            }
            None
        }
    };
    let branch = template.as_ref().map(|template| template.branch.as_str());
    let transform = object.get("transformChanges");
    let transform = transform.map(|node| changeset::groups(reader, node, branch));
    Some(Spec {
        format: Format::Batch,
        version: version?,
        name: name?,
        description,
        on,
        workspaces: workspaces.unwrap_or_default(),
        steps: steps.unwrap_or_default(),
        import_changesets: imports.unwrap_or_default(),
        transform_changes: transform.unwrap_or_default(),
        changeset_template: template,
    })
}

fn version(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    match node.content {
        Content::Integer(version @ (1 | 2)) => return Some(version as u32),
        Content::Integer(version) => {
            let message = format!("version {version} is not supported; there is 1 and 2");
            reader.error(node.at, "version", message);
        }
        _ => reader.wrong(node, "version", "the number 1 or 2"),
    }
    None
}

fn ons(reader: &mut Reader<'_>, node: &Node) -> Vec<On> {
    let mut ons = Vec::new();
    for (index, item) in reader.list(node, "on").iter().enumerate() {
        ons.extend(on(reader, item, &format!("on[{index}]")));
    }
    ons
}

fn on(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<On> {
    let known = ["repositoriesMatchingQuery", "repository", "branch", "branches"];
    let object = reader.object(node, path, &known)?;
    let at = node.at;
    let has = |key: &str| object.get(key).is_some();
    if has("repositoriesMatchingQuery") {
        for other in ["repository", "branch", "branches"] {
            if has(other) {
                let message =
                    format!("`{other}` must not stand beside `repositoriesMatchingQuery`");
                reader.error(object.key_at(other), &object.field(other), message);
            }
        }
        let query = reader.needed(&object, "repositoriesMatchingQuery")?;
        return Some(On::Query { query: query.value(), at });
    }
    if !has("repository") {
        let hint = "write `repository: NAME` or `repositoriesMatchingQuery: QUERY`".to_owned();
        reader.hinted(at, path, "this names no repository", Some(hint));
        return None;
    }
    if has("branch") && has("branches") {
        let message = "both `branch` and `branches` are there";
        let hint = "put all of them into `branches`".to_owned();
        reader.hinted(object.key_at("branches"), &object.field("branches"), message, Some(hint));
    }
    let mut branches = Vec::new();
    if has("branch") {
        branches.extend(reader.needed(&object, "branch").map(|found| found.value()));
    }
    if let Some(node) = object.get("branches") {
        let field = object.field("branches");
        for (index, item) in reader.list(node, &field).iter().enumerate() {
            let field = format!("{field}[{index}]");
            let Some(found) = reader.text_of(item, &field) else { continue };
            if !reader.not_empty(found, &field) {
                continue;
            }
            if branches.contains(&found.text.value) {
                reader.error(item.at, &field, "this branch stands here twice");
            } else {
                branches.push(found.value());
            }
        }
    }
    let name = reader.needed(&object, "repository")?.value();
    Some(On::Repository { name, branches, at })
}

fn workspaces(reader: &mut Reader<'_>, node: &Node) -> Vec<WorkspaceRule> {
    let mut rules = Vec::new();
    for (index, item) in reader.list(node, "workspaces").iter().enumerate() {
        rules.extend(workspace(reader, item, &format!("workspaces[{index}]")));
    }
    rules
}

fn workspace(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<WorkspaceRule> {
    let object = reader.object(node, path, &["rootAtLocationOf", "in", "onlyFetchWorkspace"])?;
    let glob = match object.get("in") {
        None => "*".to_owned(),
        Some(_) => {
            let found = reader.needed(&object, "in");
            if let Some(found) = found {
                let glob = GlobBuilder::new(&found.text.value).literal_separator(false).build();
                if let Err(error) = glob {
                    let message = format!("this is not a glob: {}", error.kind());
                    reader.error(found.node.at, &object.field("in"), message);
                }
            }
            found.map(|found| found.value()).unwrap_or_default()
        }
    };
    let only_fetch_workspace = reader.bool(&object, "onlyFetchWorkspace").unwrap_or(false);
    let root = reader.needed(&object, "rootAtLocationOf")?;
    Some(WorkspaceRule {
        root_at_location_of: root.value(),
        r#in: glob,
        only_fetch_workspace,
        at: node.at,
    })
}

fn imports(reader: &mut Reader<'_>, node: &Node) -> Vec<ImportChangeset> {
    let mut imports = Vec::new();
    for (index, item) in reader.list(node, "importChangesets").iter().enumerate() {
        imports.extend(import(reader, item, &format!("importChangesets[{index}]")));
    }
    imports
}

fn import(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<ImportChangeset> {
    let object = reader.object(node, path, &["repository", "externalIDs"])?;
    let repository = reader.needed(&object, "repository");
    let mut external_ids = Vec::new();
    let field = object.field("externalIDs");
    match object.get("externalIDs") {
        None => reader.missing(&object, "externalIDs", None),
        Some(node) => {
            let mut seen = BTreeSet::new();
            for (index, item) in reader.list(node, &field).iter().enumerate() {
                let field = format!("{field}[{index}]");
                let id = match &item.content {
                    Content::Integer(number) => number.to_string(),
                    Content::Text(text) if !text.value.trim().is_empty() => text.value.clone(),
                    Content::Text(_) => {
                        reader.error(item.at, &field, "this must not be empty");
                        continue;
                    }
                    _ => {
                        reader.wrong(item, &field, "text or a number");
                        continue;
                    }
                };
                if seen.insert(id.clone()) {
                    external_ids.push(id);
                } else {
                    reader.error(item.at, &field, format!("`{id}` stands here twice"));
                }
            }
        }
    }
    Some(ImportChangeset { repository: repository?.value(), external_ids })
}
