//! Reads how changes are proposed: `changesetTemplate` and `transformChanges`.

use super::reader::{Object, Reader};
use super::tree::{Content, Node};
use crate::glob::Glob;
use crate::template::Scope;
use crate::{Author, ChangesetTemplate, Published, PublishedState, TransformGroup};

pub(super) fn template(reader: &mut Reader<'_>, node: &Node) -> Option<ChangesetTemplate> {
    let known = ["title", "body", "branch", "fork", "commit", "published", "labels", "reviewers"];
    let object = reader.object(node, "changesetTemplate", &known)?;
    let title = templated(reader, &object, "title");
    let branch = templated(reader, &object, "branch");
    let body = reader.text(&object, "body");
    if let Some(body) = body {
        reader.template(body, &object.field("body"), Scope::ChangesetBody);
    }
    let fork = reader.bool(&object, "fork");
    let commit = match object.get("commit") {
        Some(node) => commit(reader, node, &object.field("commit")),
        None => {
            reader.missing(&object, "commit", Some("write `commit:` and below it `message: …`"));
            None
        }
    };
    let published = object.get("published");
    let published = published.map(|node| published_of(reader, node, &object.field("published")));
    let labels = texts(reader, &object, "labels");
    let reviewers = texts(reader, &object, "reviewers");
    let (commit_message, author) = commit?;
    Some(ChangesetTemplate {
        title: title?,
        body: body.map(|found| found.value()).unwrap_or_default(),
        branch: branch?,
        commit_message,
        author,
        fork,
        published: published.unwrap_or_default(),
        labels,
        reviewers,
    })
}

/// A list of templates.
fn texts(reader: &mut Reader<'_>, object: &Object<'_>, key: &str) -> Vec<String> {
    let Some(node) = object.get(key) else { return Vec::new() };
    let field = object.field(key);
    let mut texts = Vec::new();
    for (index, item) in reader.list(node, &field).iter().enumerate() {
        let field = format!("{field}[{index}]");
        if let Some(found) = reader.text_of(item, &field)
            && reader.not_empty(found, &field)
        {
            reader.template(found, &field, Scope::Changeset);
            texts.push(found.value());
        }
    }
    texts
}

/// A template that must be there.
fn templated(reader: &mut Reader<'_>, object: &Object<'_>, key: &str) -> Option<String> {
    let found = reader.needed(object, key)?;
    reader.template(found, &object.field(key), Scope::Changeset);
    Some(found.value())
}

fn commit(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<(String, Option<Author>)> {
    let object = reader.object(node, path, &["message", "author"])?;
    let message = templated(reader, &object, "message");
    let author =
        object.get("author").and_then(|node| author(reader, node, &object.field("author")));
    Some((message?, author))
}

fn author(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Author> {
    let object = reader.object(node, path, &["name", "email"])?;
    let name = templated(reader, &object, "name");
    let email = templated(reader, &object, "email");
    let (name, email) = (name?, email?);
    // What a template renders to is not known yet.
    if !email.contains("${{") && !is_email(&email) {
        let at = object.get("email").map_or(node.at, |node| node.at);
        let hint =
            email.contains('<').then(|| "write only what stands between `<` and `>`".to_owned());
        reader.hinted(at, &object.field("email"), "this is not an email address", hint);
    }
    Some(Author { name, email })
}

/// Something before and behind one `@`, without spaces or brackets.
fn is_email(text: &str) -> bool {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | '@');
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let good_domain = domain.split('.').all(|part| !part.is_empty()) && !domain.contains(bad);
    !local.is_empty() && !local.contains(bad) && good_domain
}

fn published_of(reader: &mut Reader<'_>, node: &Node, path: &str) -> Published {
    let Content::List(items) = &node.content else {
        let state = state(reader, node, path);
        return Published(state.map(|state| ("*".to_owned(), state)).into_iter().collect());
    };
    let mut rules = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(object) = reader.map(item, &path) else { continue };
        let [entry] = object.entries() else {
            let message = "an item must have exactly one key, a glob over repositories";
            reader.error(item.at, &path, message);
            continue;
        };
        let field = object.field(&entry.key);
        let name = entry.key.split_once('@').map_or(&*entry.key, |(name, _)| name);
        match Glob::parse(name) {
            Err(message) => reader.error(entry.key_at, &field, message),
            Ok(_) if name.is_empty() => {
                reader.error(entry.key_at, &field, "the glob must not be empty");
            }
            Ok(_) => {}
        }
        rules.extend(state(reader, &entry.value, &field).map(|state| (entry.key.clone(), state)));
    }
    Published(rules)
}

fn state(reader: &mut Reader<'_>, node: &Node, field: &str) -> Option<PublishedState> {
    match &node.content {
        Content::Bool(true) => return Some(PublishedState::Yes),
        Content::Bool(false) => return Some(PublishedState::No),
        Content::Text(text) if text.value == "draft" => return Some(PublishedState::Draft),
        Content::Text(text) if text.value == "pushed-only" => {
            return Some(PublishedState::PushedOnly);
        }
        _ => reader.wrong(node, field, "`true`, `false`, `draft` or `pushed-only`"),
    }
    None
}

/// `branch` is that of the template, as it is written.
pub(super) fn groups(
    reader: &mut Reader<'_>,
    node: &Node,
    branch: Option<&str>,
) -> Vec<TransformGroup> {
    let mut groups: Vec<TransformGroup> = Vec::new();
    let Some(object) = reader.object(node, "transformChanges", &["group"]) else { return groups };
    let Some(node) = object.get("group") else { return groups };
    let field = object.field("group");
    for (index, item) in reader.list(node, &field).iter().enumerate() {
        let path = format!("{field}[{index}]");
        let known = ["directory", "branch", "repository"];
        let Some(object) = reader.object(item, &path, &known) else { continue };
        let directory = reader.needed(&object, "directory");
        let own_branch = reader.needed(&object, "branch");
        let repository = reader.text(&object, "repository").map(|found| found.value());
        let repository = repository.filter(|name| !name.is_empty());
        let (Some(directory), Some(own_branch)) = (directory, own_branch) else { continue };
        let (at, name) = (own_branch.node.at, own_branch.text.value.as_str());
        let both = |other: &TransformGroup| match (&other.repository, &repository) {
            (Some(other), Some(own)) => other == own,
            // A group without a repository is for all of them.
            _ => true,
        };
        if branch.is_some_and(|branch| branch.trim() == name.trim()) {
            let message =
                "this is also the branch of `changesetTemplate`; each changeset needs its own";
            reader.error(at, &object.field("branch"), message);
        } else if groups.iter().any(|other| other.branch == name && both(other)) {
            let message =
                format!("two groups have the branch `{name}`; each changeset needs its own");
            reader.error(at, &object.field("branch"), message);
        }
        groups.push(TransformGroup {
            directory: directory.value(),
            branch: own_branch.value(),
            repository,
        });
    }
    groups
}
