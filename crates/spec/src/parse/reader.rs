//! Takes typed values out of the tree and collects everything that is wrong with them.

use std::collections::BTreeSet;

use super::source::Source;
use super::tree::{Content, Entry, Node, Text};
use crate::suggest;
use crate::template::{Scope, Template};
use crate::{Diagnostic, Position, TemplateError};

/// Most diagnostics of one file; nobody reads more.
const MOST: usize = 100;

/// What only the newer, server-side format knows.
const VERSION_3: [&str; 6] =
    ["buildImage", "changesetHooks", "codingAgent", "image", "maxAttempts", "hooks"];

pub(super) struct Reader<'a> {
    pub file: &'a str,
    pub source: Source<'a>,
    pub errors: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
    /// The outputs that the steps read so far set.
    pub outputs: BTreeSet<String>,
}

/// A map of which the keys are known.
#[derive(Clone, Debug)]
pub(super) struct Object<'t> {
    entries: &'t [Entry],
    pub at: Position,
    pub path: String,
}

/// A text that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'t> {
    pub node: &'t Node,
    pub text: &'t Text,
}

impl Found<'_> {
    pub(super) fn value(&self) -> String {
        self.text.value.clone()
    }
}

impl<'t> Object<'t> {
    /// The value; `null` is as good as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'t Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!matches!(entry.value.content, Content::Null)).then_some(&entry.value)
    }

    pub(super) fn entries(&self) -> &'t [Entry] {
        self.entries
    }

    /// Where a key stands, or the object when it does not.
    pub(super) fn key_at(&self, key: &str) -> Position {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.map_or(self.at, |entry| entry.key_at)
    }

    pub(super) fn field(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    let key: String = key.chars().take(80).collect();
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        let source = Source::new(text);
        let outputs = BTreeSet::new();
        Self { file, source, errors: Vec::new(), warnings: Vec::new(), outputs }
    }

    pub(super) fn error(&mut self, at: Position, field: &str, message: impl Into<String>) {
        self.hinted(at, field, message, None);
    }

    pub(super) fn hinted(
        &mut self,
        at: Position,
        field: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let diagnostic = self.diagnostic(at, field, message.into(), hint);
        match self.errors.len() {
            0..MOST => self.errors.push(diagnostic),
            MOST => {
                let message = "there is more; only the first mistakes are shown".to_owned();
                let last = self.diagnostic(Position::default(), "", message, None);
                self.errors.push(last);
            }
            _ => {}
        }
    }

    pub(super) fn warning(&mut self, at: Position, field: &str, message: &str, hint: Option<&str>) {
        if self.warnings.len() < MOST {
            let hint = hint.map(str::to_owned);
            let diagnostic = self.diagnostic(at, field, message.to_owned(), hint);
            self.warnings.push(diagnostic);
        }
    }

    fn diagnostic(
        &self,
        at: Position,
        field: &str,
        message: String,
        hint: Option<String>,
    ) -> Diagnostic {
        Diagnostic { file: self.file.to_owned(), at, field: field.to_owned(), message, hint }
    }

    /// The value is of another type than it should be.
    pub(super) fn wrong(&mut self, node: &Node, field: &str, wanted: &str) {
        let hint = match (&node.content, wanted) {
            (Content::Bool(_) | Content::Integer(_) | Content::Float(_), "text") => {
                Some("put it into quotes".to_owned())
            }
            (Content::Null, "text") => Some("write `\"\"` for a text without letters".to_owned()),
            (Content::Text(text), wanted) if wanted.starts_with("`true`") => {
                match text.value.as_str() {
                    "yes" | "on" | "Yes" | "On" => Some("write `true`".to_owned()),
                    "no" | "off" | "No" | "Off" => Some("write `false`".to_owned()),
                    "true" | "false" => Some("take the quotes off".to_owned()),
                    _ => None,
                }
            }
            (Content::Map(_) | Content::Text(_), "a list") => {
                Some("begin each item with `- `".to_owned())
            }
            _ => None,
        };
        self.hinted(node.at, field, format!("this is {}; it must be {wanted}", found(node)), hint);
    }

    /// A map that has no other keys than these.
    pub(super) fn object<'t>(
        &mut self,
        node: &'t Node,
        path: &str,
        known: &[&str],
    ) -> Option<Object<'t>> {
        let object = self.map(node, path)?;
        for entry in object.entries {
            if self.errors.len() > MOST {
                break;
            }
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let field = object.field(&entry.key);
            let shown: String = entry.key.chars().take(80).collect();
            let message = format!("there is no `{shown}`");
            if VERSION_3.contains(&entry.key.as_str()) {
                let message = format!("{message}: it belongs to version 3, which is not supported");
                self.error(entry.key_at, &field, message);
                continue;
            }
            let hint = match suggest::nearest(&entry.key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                    format!("there is {}", names.join(", "))
                }
            };
            self.hinted(entry.key_at, &field, message, Some(hint));
        }
        Some(object)
    }

    /// A map with keys of the author's own.
    pub(super) fn map<'t>(&mut self, node: &'t Node, path: &str) -> Option<Object<'t>> {
        let Content::Map(entries) = &node.content else {
            self.wrong(node, path, "a map of keys and values");
            return None;
        };
        Some(Object { entries, at: node.at, path: path.to_owned() })
    }

    pub(super) fn list<'t>(&mut self, node: &'t Node, path: &str) -> &'t [Node] {
        if let Content::List(items) = &node.content {
            return items;
        }
        self.wrong(node, path, "a list");
        &[]
    }

    pub(super) fn missing(&mut self, object: &Object<'_>, key: &str, hint: Option<&str>) {
        let message = format!("`{key}` is missing");
        self.hinted(object.at, &object.path, message, hint.map(str::to_owned));
    }

    pub(super) fn text_of<'t>(&mut self, node: &'t Node, field: &str) -> Option<Found<'t>> {
        if let Content::Text(text) = &node.content {
            return Some(Found { node, text });
        }
        self.wrong(node, field, "text");
        None
    }

    /// Text that may be absent.
    pub(super) fn text<'t>(&mut self, object: &Object<'t>, key: &str) -> Option<Found<'t>> {
        let node = object.get(key)?;
        self.text_of(node, &object.field(key))
    }

    /// Text that must be there, and must not be empty.
    pub(super) fn needed<'t>(&mut self, object: &Object<'t>, key: &str) -> Option<Found<'t>> {
        let Some(node) = object.get(key) else {
            self.missing(object, key, None);
            return None;
        };
        let found = self.text_of(node, &object.field(key))?;
        self.not_empty(found, &object.field(key)).then_some(found)
    }

    pub(super) fn not_empty(&mut self, found: Found<'_>, field: &str) -> bool {
        let is_empty = found.text.value.trim().is_empty();
        if is_empty {
            self.error(found.node.at, field, "this must not be empty");
        }
        !is_empty
    }

    pub(super) fn bool(&mut self, object: &Object<'_>, key: &str) -> Option<bool> {
        let node = object.get(key)?;
        if let Content::Bool(value) = node.content {
            return Some(value);
        }
        self.wrong(node, &object.field(key), "`true` or `false`");
        None
    }

    /// Checks that the text is a template whose variables exist.
    pub(super) fn template(
        &mut self,
        found: Found<'_>,
        field: &str,
        scope: Scope,
    ) -> Option<Template> {
        let checked = Template::parse(&found.text.value).and_then(|template| {
            template.check(scope)?;
            Ok(template)
        });
        match checked {
            Ok(template) => {
                self.check_outputs(found, field, &template);
                Some(template)
            }
            Err(error) => {
                self.template_error(found, field, error);
                None
            }
        }
    }

    /// Warns of outputs that nothing has set, which end in an error when they are evaluated.
    fn check_outputs(&mut self, found: Found<'_>, field: &str, template: &Template) {
        for (name, place) in template.outputs() {
            if !self.outputs.contains(name) {
                let at = self.source.locate(found.node, found.text, &place);
                let message = format!("no step before this sets the output `{name}`");
                self.warning(at, field, &message, None);
            }
        }
    }

    pub(super) fn template_error(&mut self, found: Found<'_>, field: &str, error: TemplateError) {
        let at = self.source.locate(found.node, found.text, &error);
        self.error(at, field, error.message);
    }
}

/// What a value is, for people.
fn found(node: &Node) -> String {
    match &node.content {
        Content::Null => "empty".to_owned(),
        Content::Bool(value) => format!("`{value}`"),
        Content::Integer(value) => format!("the number {value}"),
        Content::Float(value) => format!("the number {value}"),
        Content::Text(_) => "text".to_owned(),
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a map".to_owned(),
    }
}
