//! Reads a spec file, either format, and says everything that is wrong with it at once.
//!
//! The text becomes a tree that knows its places (`tree`), and the tree a [`Spec`] (`batch`, `action`). The parser does not stop
//! at a mistake unless the file has no structure without it.

mod action;
mod batch;
mod changeset;
mod duration;
mod jsonc;
mod reader;
mod source;
mod step;
mod tree;

use model::limit;

use self::reader::Reader;
use self::tree::{Content, Node, TreeError};
use crate::{Diagnostic, Position, Spec};

/// A spec without errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    pub spec: Spec,
    pub warnings: Vec<Diagnostic>,
}

/// Reads a spec. `file` is its name as it appears in diagnostics; an action is called `action`.
pub fn parse(file: &str, text: &[u8]) -> Result<Parsed, Vec<Diagnostic>> {
    parse_named(file, text, "action")
}

/// As [`parse`], with the name that an action definition gets, which has none of its own.
pub fn parse_named(file: &str, text: &[u8], action_name: &str) -> Result<Parsed, Vec<Diagnostic>> {
    let whole = |message: String, hint: Option<&str>| {
        let (file, hint) = (file.to_owned(), hint.map(str::to_owned));
        vec![Diagnostic { file, at: Position::default(), field: String::new(), message, hint }]
    };
    if text.len() > limit::SPEC_BYTES {
        let most = limit::SPEC_BYTES >> 20;
        return Err(whole(format!("the file is larger than {most} MiB"), None));
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text.trim_start_matches('\u{feff}'),
        Err(error) => {
            let line = text[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            let message = format!("the file is not UTF-8 text: line {line} has bytes that are not");
            return Err(whole(message, Some("save it as UTF-8")));
        }
    };
    let plain;
    let text = if jsonc::is_json(text) {
        plain = jsonc::without_comments(text);
        &*plain
    } else {
        text
    };
    let mut duplicates = Vec::new();
    let root = match tree::read(text, &mut duplicates) {
        Ok(root) => root,
        Err(TreeError { at, message, hint }) => {
            let diagnostics = whole(message, hint);
            return Err(diagnostics.into_iter().map(|d| Diagnostic { at, ..d }).collect());
        }
    };
    let mut reader = Reader::new(file, text);
    for (key, first, second) in duplicates {
        let shown: String = key.chars().take(80).collect();
        let message =
            format!("the key `{shown}` stands here twice; it is also on line {}", first.line);
        reader.error(second, &shown, message);
    }
    let spec = read(&mut reader, &root, action_name);
    let Reader { mut errors, warnings, .. } = reader;
    match spec {
        Some(spec) if errors.is_empty() => Ok(Parsed { spec, warnings }),
        _ => {
            // In the order of the file; what has no place comes last.
            errors.sort_by_key(|error| (error.at == Position::default(), error.at));
            Err(errors)
        }
    }
}

fn read(reader: &mut Reader<'_>, root: &Node, action_name: &str) -> Option<Spec> {
    match &root.content {
        Content::Null => {
            reader.hinted(
                Position::default(),
                "",
                "the file is empty",
                Some(
                    "a batch spec begins with `name: …`, an action with `scopeQuery: …`".to_owned(),
                ),
            );
            None
        }
        Content::Map(entries) if entries.iter().any(|entry| entry.key == "scopeQuery") => {
            action::read(reader, root, action_name)
        }
        _ => batch::read(reader, root),
    }
}

/// One YAML document as JSON, bounded as a spec is.
pub(crate) fn yaml_value(text: &str) -> Result<serde_json::Value, String> {
    let mut duplicates = Vec::new();
    let root = tree::read(text, &mut duplicates).map_err(|error| {
        format!("line {}, column {}: {}", error.at.line, error.at.column, error.message)
    })?;
    match duplicates.first() {
        Some((key, _, at)) => Err(format!("line {}: the key `{key}` stands there twice", at.line)),
        None => Ok(tree::to_json(&root)),
    }
}

#[cfg(test)]
mod tests;
