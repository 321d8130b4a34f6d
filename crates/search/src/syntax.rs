//! The syntax tree of a query, and how it is written.
//!
//! The tree no longer knows the pattern type it was parsed with: a pattern says itself whether it is a literal or a regular
//! expression. It is therefore written as a `patternType:keyword` query, which can say everything the other types can.
//!
//! Invariant: there is no `And` in an `And`, no `Or` in an `Or`, none of either with fewer than two members, and `Not` holds
//! patterns only (a negated filter says so itself).

use std::fmt;

use crate::error::Span;

/// How bare words are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternType {
    /// Words side by side are one exact text, and quotes belong to it.
    Literal,
    /// As `Literal`, but `/…/` is a regular expression.
    Standard,
    /// Words side by side follow each other on one line; each is a regular expression unless it is quoted.
    Regexp,
    /// Words side by side must all occur; `"…"` is an exact text and `/…/` a regular expression.
    Keyword,
}

impl PatternType {
    /// The type of that name, in any case of letters.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "literal" => Some(Self::Literal),
            "standard" => Some(Self::Standard),
            "regexp" | "regex" => Some(Self::Regexp),
            "keyword" => Some(Self::Keyword),
            _ => None,
        }
    }
}

/// A parsed query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub root: Node,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Filter(Filter),
    Pattern(Pattern),
}

/// What a filter looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    Repo,
    Rev,
    File,
    Lang,
    Fork,
    Archived,
    Visibility,
    Case,
    Count,
    Type,
    Select,
}

impl Field {
    /// As it is written, without the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Repo => "repo",
            Self::Rev => "rev",
            Self::File => "file",
            Self::Lang => "lang",
            Self::Fork => "fork",
            Self::Archived => "archived",
            Self::Visibility => "visibility",
            Self::Case => "case",
            Self::Count => "count",
            Self::Type => "type",
            Self::Select => "select",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    pub field: Field,
    pub negated: bool,
    pub value: Value,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Without its quotes.
    Text(String),
    Predicate(Predicate),
}

/// A question in the place of a value. Expressions are regular, as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// Of `repo:`: there is a file of such a path and such a content; at least one of the two is there. `repohasfile:`,
    /// `has.path` and `has.content` are this too.
    HasFile { path: Option<String>, content: Option<String> },
    /// Of `repo:`.
    HasTopic(String),
    /// Of `file:`.
    HasContent(String),
}

/// A text to look for.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    pub text: String,
    pub syntax: PatternSyntax,
    pub place: Place,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatternSyntax {
    Literal,
    Regexp,
}

/// Where a pattern may be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the content of a file, its path, or the name of the repository.
    Anywhere,
    /// It came from `content:`.
    Content,
}

impl Node {
    pub(crate) fn and(nodes: Vec<Self>) -> Option<Self> {
        let flat = nodes.into_iter().flat_map(|node| match node {
            Self::And(nodes) => nodes,
            node => vec![node],
        });
        one_or(flat.collect(), Self::And)
    }

    pub(crate) fn or(nodes: Vec<Self>) -> Option<Self> {
        let flat = nodes.into_iter().flat_map(|node| match node {
            Self::Or(nodes) => nodes,
            node => vec![node],
        });
        one_or(flat.collect(), Self::Or)
    }

    /// Whether a leaf of it fits.
    pub(crate) fn any_leaf(&self, test: &impl Fn(&Self) -> bool) -> bool {
        match self {
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().any(|node| node.any_leaf(test)),
            Self::Not(node) => node.any_leaf(test),
            Self::Filter(_) | Self::Pattern(_) => test(self),
        }
    }

    /// From its first leaf to its last.
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::And(nodes) | Self::Or(nodes) => {
                nodes.iter().map(Self::span).reduce(Span::to).unwrap_or_default()
            }
            Self::Not(node) => node.span(),
            Self::Filter(filter) => filter.span,
            Self::Pattern(pattern) => pattern.span,
        }
    }

    pub(crate) fn has_filter(&self) -> bool {
        self.any_leaf(&|leaf| matches!(leaf, Self::Filter(_)))
    }

    pub(crate) fn has_pattern(&self) -> bool {
        self.any_leaf(&|leaf| matches!(leaf, Self::Pattern(_)))
    }
}

fn one_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Option<Node> {
    match nodes.len() {
        0 | 1 => nodes.pop(),
        _ => Some(many(nodes)),
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.root.has_pattern() {
            return write!(f, "{}", self.root);
        }
        match &self.root {
            Node::Or(_) => write!(f, "({}) patternType:keyword", self.root),
            root => write!(f, "{root} patternType:keyword"),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(nodes) => joined(f, nodes, " "),
            Self::Or(nodes) => joined(f, nodes, " or "),
            Self::Not(node) => {
                f.write_str("not ")?;
                member(f, node)
            }
            Self::Filter(filter) => write!(f, "{filter}"),
            Self::Pattern(pattern) => write!(f, "{pattern}"),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, nodes: &[Node], separator: &str) -> fmt::Result {
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        member(f, node)?;
    }
    Ok(())
}

fn member(f: &mut fmt::Formatter<'_>, node: &Node) -> fmt::Result {
    match node {
        // An `And` would not need them in an `Or`, but parentheses also say that its filters are its own.
        Node::And(_) | Node::Or(_) => write!(f, "({node})"),
        Node::Not(_) | Node::Filter(_) | Node::Pattern(_) => write!(f, "{node}"),
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negated { "-" } else { "" };
        write!(f, "{sign}{}:", self.field.name())?;
        match &self.value {
            Value::Text(text) if is_plain(text) => f.write_str(text),
            Value::Text(text) => quoted(f, text),
            Value::Predicate(predicate) => write!(f, "{predicate}"),
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HasFile { path, content } => {
                f.write_str("has.file(")?;
                let fields = [("path:", path), ("content:", content)];
                let fields = fields.iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
                for (index, (name, text)) in fields.enumerate() {
                    f.write_str(if index > 0 { " " } else { "" })?;
                    f.write_str(name)?;
                    quoted(f, text)?;
                }
            }
            Self::HasTopic(topic) => {
                f.write_str("has.topic(")?;
                quoted(f, topic)?;
            }
            Self::HasContent(content) => {
                f.write_str("has.content(")?;
                quoted(f, content)?;
            }
        }
        f.write_str(")")
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Anywhere => {}
            Place::Content => f.write_str("content:")?,
        }
        match self.syntax {
            PatternSyntax::Literal => quoted(f, &self.text),
            PatternSyntax::Regexp => {
                f.write_str("/")?;
                let mut escaped = false;
                for c in self.text.chars() {
                    if c == '/' && !escaped {
                        f.write_str("\\")?;
                    }
                    escaped = c == '\\' && !escaped;
                    write!(f, "{c}")?;
                }
                f.write_str("/")
            }
        }
    }
}

/// Whether a value means itself without quotes.
fn is_plain(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "^$.-_/+*?|@:~=%#[]{}!,<>&;\\".contains(c);
    !text.is_empty() && !text.ends_with('\\') && text.chars().all(fits)
}

/// Invariant: the exact reverse of `lex::unquoted`.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}
