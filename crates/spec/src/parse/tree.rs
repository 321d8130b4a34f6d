//! A YAML document as a tree in which everything knows where it stands. Bounded: a document that would unfold into more than it
//! looks like (an alias bomb) is refused before it does.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use model::limit;

use crate::Position;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub at: Position,
    pub content: Content,
    /// How many nodes it consists of, how many bytes of text they have, and how deep they are nested.
    nodes: usize,
    bytes: usize,
    depth: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Text {
    pub value: String,
    pub style: ScalarStyle,
    /// Where it stands in the source, in bytes, quotes included.
    pub span: std::ops::Range<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Position,
    pub value: Node,
}

/// Why there is no tree.
#[derive(Clone, Debug)]
pub(super) struct TreeError {
    pub at: Position,
    pub message: String,
    pub hint: Option<&'static str>,
}

/// Reads one document; an empty text is a document without content. `duplicates` gets the keys that stand twice in a map, with
/// both places.
pub(super) fn read(
    text: &str,
    duplicates: &mut Vec<(String, Position, Position)>,
) -> Result<Node, TreeError> {
    let mut options = granit_parser::options! { block_nesting_limit: 255, flow_nesting_limit: 255 };
    options.set_emit_comments(false);
    let mut builder = Builder {
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        bytes: 0,
        most_bytes: 2 * text.len().max(limit::SPEC_BYTES),
        done: None,
        duplicates,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax_error(text, &error))?;
        builder.event(event, span)?;
    }
    Ok(builder.done.unwrap_or_else(|| Node::leaf(Position { line: 1, column: 1 }, Content::Null)))
}

/// Says in other words what the parser says, where it is known what usually is behind it.
fn syntax_error(text: &str, error: &ScanError) -> TreeError {
    let at = position(&Span::empty(*error.marker()));
    let line = text.split('\n').nth(at.line as usize - 1).unwrap_or_default();
    let said = error.info();
    let is = |part: &str| said.contains(part);
    let in_braces = line
        .contains("${{")
        .then_some("a template inside of `{…}` or `[…]` needs quotes: \"${{ … }}\"");
    let (message, hint) = if is("mapping values are not allowed") {
        let hint = "the line is indented too far, or its value has `: ` in it and needs quotes";
        ("a `:` must not stand here", Some(hint))
    } else if is("tabs disallowed") {
        ("a tab must not stand in the indentation", Some("indent with spaces"))
    } else if is("expected ',' or") {
        ("a `,` or the closing bracket is missing here", in_braces)
    } else if is("unclosed bracket") {
        ("this bracket is never closed", in_braces)
    } else if is("unexpected character") {
        ("a value must not begin with this character", Some("put the value into quotes"))
    } else if is("invalid trailing content") {
        ("a value must not go on behind its closing quote", Some("is a `,` missing?"))
    } else if is("unknown anchor") {
        ("no `&name` before this alias has its name", None)
    } else if is("did not find expected key") {
        ("this line does not belong to the lines above", Some("indent it like its neighbours"))
    } else if is("expected <document start>") {
        ("the document has ended, and there is more text", None)
    } else {
        return TreeError { at, message: format!("this is not YAML: {said}"), hint: None };
    };
    TreeError { at, message: message.to_owned(), hint }
}

fn position(span: &Span) -> Position {
    Position { line: span.start.line().max(1) as u32, column: span.start.col() as u32 + 1 }
}

impl Node {
    fn leaf(at: Position, content: Content) -> Self {
        let bytes = match &content {
            Content::Text(text) => text.value.len(),
            _ => 0,
        };
        Self { at, content, nodes: 1, bytes, depth: 1 }
    }
}

/// A list or a map whose end has not been met.
struct Open {
    at: Position,
    anchor: usize,
    content: Content,
    /// The key whose value comes next.
    key: Option<(String, Position)>,
    keys: HashMap<String, Position>,
    /// Maps to take keys from that the map does not have: `<<`.
    merged: Vec<Node>,
    nodes: usize,
    bytes: usize,
    depth: usize,
}

struct Builder<'a> {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    /// Of the whole document, with aliases unfolded.
    nodes: usize,
    bytes: usize,
    most_bytes: usize,
    done: Option<Node>,
    duplicates: &'a mut Vec<(String, Position, Position)>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), TreeError> {
        let at = position(&span);
        let refuse = |message: &str| TreeError { at, message: message.to_owned(), hint: None };
        match event {
            Event::DocumentStart(..) if self.done.is_some() => {
                Err(refuse("the file holds more than one document"))
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(refuse("the alias stands inside of what it names"));
                };
                // Before the copy is made: that is what the budget is for.
                let (nodes, bytes) = (node.nodes, node.bytes);
                self.spend(at, nodes, bytes)?;
                let node = self.anchors[&anchor].clone();
                self.place(node, None)
            }
            Event::Scalar(value, style, anchor, tag) => {
                self.spend(at, 1, value.len())?;
                let is_key = self.open.last().is_some_and(|open| open.is_waiting_for_key());
                let span = span.byte_range().unwrap_or_default();
                let text = Text { value: value.into_owned(), style, span };
                let content = match is_key {
                    true => Content::Text(text),
                    false => resolve(text, tag.as_deref()).map_err(|message| refuse(&message))?,
                };
                self.place(Node::leaf(at, content), Some(anchor))
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "seq").map_err(|message| refuse(&message))?;
                self.begin(at, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "map").map_err(|message| refuse(&message))?;
                self.begin(at, anchor, Content::Map(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop().ok_or_else(|| refuse("there is nothing to end here"))?;
                let anchor = open.anchor;
                self.place(open.close(), Some(anchor))
            }
            _ => Ok(()),
        }
    }

    fn spend(&mut self, at: Position, nodes: usize, bytes: usize) -> Result<(), TreeError> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes <= limit::SPEC_NODES && self.bytes <= self.most_bytes {
            return Ok(());
        }
        let (most, megabytes) = (limit::SPEC_NODES, self.most_bytes >> 20);
        let message = format!(
            "with its aliases, the document unfolds into more than {most} values or {megabytes} MiB"
        );
        Err(TreeError { at, message, hint: Some("use fewer aliases (`*name`), or split the file") })
    }

    fn begin(&mut self, at: Position, anchor: usize, content: Content) -> Result<(), TreeError> {
        self.spend(at, 1, 0)?;
        if self.open.last().is_some_and(Open::is_waiting_for_key) {
            let message = "a key must be text, not a list or a map".to_owned();
            return Err(TreeError { at, message, hint: None });
        }
        if self.open.len() >= limit::SPEC_DEPTH {
            return Err(too_deep(at));
        }
        self.open.push(Open {
            at,
            anchor,
            content,
            key: None,
            keys: HashMap::new(),
            merged: Vec::new(),
            nodes: 1,
            bytes: 0,
            depth: 1,
        });
        Ok(())
    }

    /// Puts a finished node where it belongs. `anchor` is none for an alias, which names something itself.
    fn place(&mut self, node: Node, anchor: Option<usize>) -> Result<(), TreeError> {
        if self.open.len() + node.depth > limit::SPEC_DEPTH + 1 {
            return Err(too_deep(node.at));
        }
        if let Some(anchor) = anchor.filter(|anchor| *anchor > 0) {
            self.spend(node.at, node.nodes, node.bytes)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.done = Some(node);
            return Ok(());
        };
        open.nodes += node.nodes;
        open.bytes += node.bytes;
        open.depth = open.depth.max(node.depth + 1);
        let entries = match &mut open.content {
            Content::List(items) => {
                items.push(node);
                return Ok(());
            }
            Content::Map(entries) => entries,
            _ => return Ok(()),
        };
        let Some((key, key_at)) = open.key.take() else {
            let Content::Text(Text { value, .. }) = node.content else {
                let message = "a key must be text".to_owned();
                return Err(TreeError { at: node.at, message, hint: None });
            };
            open.key = Some((value, node.at));
            return Ok(());
        };
        if key == "<<" && matches!(node.content, Content::Map(_) | Content::List(_)) {
            open.merged.push(node);
            return Ok(());
        }
        match open.keys.get(&key) {
            Some(first) => self.duplicates.push((key, *first, key_at)),
            None => {
                open.keys.insert(key.clone(), key_at);
                entries.push(Entry { key, key_at, value: node });
            }
        }
        Ok(())
    }
}

fn too_deep(at: Position) -> TreeError {
    let message = format!("the nesting is deeper than {}", limit::SPEC_DEPTH);
    TreeError { at, message, hint: None }
}

impl Open {
    fn is_waiting_for_key(&self) -> bool {
        matches!(self.content, Content::Map(_)) && self.key.is_none()
    }

    fn close(mut self) -> Node {
        if let Content::Map(entries) = &mut self.content {
            let mut sources = Vec::new();
            for node in self.merged {
                match node.content {
                    Content::List(items) => sources.extend(items),
                    _ => sources.push(node),
                }
            }
            // The map's own keys come first, then those of earlier sources.
            for source in sources {
                let Content::Map(more) = source.content else { continue };
                for entry in more {
                    if self.keys.insert(entry.key.clone(), entry.key_at).is_none() {
                        entries.push(entry);
                    }
                }
            }
        }
        let Self { at, content, nodes, bytes, depth, .. } = self;
        Node { at, content, nodes, bytes, depth }
    }
}

fn check_tag(tag: Option<&Tag>, expected: &str) -> Result<(), String> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(expected) && tag.suffix() != "" => {
            Err(format!("the tag `{}` has no meaning here", tag.original()))
        }
        _ => Ok(()),
    }
}

/// Finds the type of a scalar, by YAML's core schema.
fn resolve(text: Text, tag: Option<&Tag>) -> Result<Content, String> {
    let kind = match tag {
        None => None,
        Some(tag) => match tag.core_suffix() {
            Some(kind @ ("str" | "int" | "float" | "bool" | "null")) => Some(kind),
            _ if tag.original() == "!" => Some("str"),
            _ => return Err(format!("the tag `{}` has no meaning here", tag.original())),
        },
    };
    if kind == Some("str") || (kind.is_none() && text.style != ScalarStyle::Plain) {
        return Ok(Content::Text(text));
    }
    let content = match text.value.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        value => match number(value) {
            Some(number) => number,
            None if kind.is_some() => return Err(format!("`{value}` is not what its tag says")),
            None => Content::Text(text),
        },
    };
    Ok(content)
}

fn number(value: &str) -> Option<Content> {
    let first = value.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) || value.len() > 64 {
        return None;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = value.strip_prefix(prefix) {
            let is_number = digits.bytes().all(|b| char::from(b).is_digit(radix));
            let number = i64::from_str_radix(digits, radix).ok().filter(|_| is_number);
            return number.map(Content::Integer);
        }
    }
    let unsigned = value.strip_prefix(['+', '-']).unwrap_or(value);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let sign = if first == b'-' { -1.0 } else { 1.0 };
        return Some(Content::Float(sign * f64::INFINITY));
    }
    if matches!(value, ".nan" | ".NaN" | ".NAN") {
        return Some(Content::Float(f64::NAN));
    }
    let starts = unsigned.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if !starts || !unsigned.chars().all(allowed) {
        return None;
    }
    if let Ok(integer) = value.parse() {
        return Some(Content::Integer(integer));
    }
    value.parse().ok().map(Content::Float)
}

/// The tree as JSON; what JSON has no number for is null.
pub(super) fn to_json(node: &Node) -> serde_json::Value {
    match &node.content {
        Content::Null => serde_json::Value::Null,
        Content::Bool(value) => (*value).into(),
        Content::Integer(value) => (*value).into(),
        Content::Float(value) => (*value).into(),
        Content::Text(text) => text.value.clone().into(),
        Content::List(items) => items.iter().map(to_json).collect(),
        Content::Map(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), to_json(&entry.value))).collect()
        }
    }
}
