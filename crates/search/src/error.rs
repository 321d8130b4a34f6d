//! What is wrong with a query, where, and what to do about it.

use std::ops::Range;

/// A range of bytes of the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end, "a span ends before it starts");
        Self { start, end }
    }

    pub(crate) fn to(self, end: Self) -> Self {
        Self { start: self.start.min(end.start), end: self.end.max(end.end) }
    }

    /// As a range, to cut the token out of the query.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// A place for people: both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// What sort of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text is no query.
    Syntax,
    /// A filter has a value it cannot have.
    Value,
    /// Sourcegraph knows it, this language does not.
    Unsupported,
    /// No repository could ever match.
    Contradiction,
    /// One of [`crate::limit`].
    Limit,
}

/// A mistake in a query: its sentence names the token and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: ErrorKind,
    /// The token at fault.
    pub span: Span,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, span: Span, message: impl Into<String>) -> Self {
        Self { kind, span, message: message.into() }
    }

    /// Where the token starts in the query it came from.
    pub fn position(&self, query: &str) -> Position {
        let before = query.get(..self.span.start).unwrap_or(query);
        let line = before.rsplit('\n').next().unwrap_or(before);
        Position { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
    }
}

/// A token as errors show it: the start of a long one is enough to find it.
pub(crate) fn shown(token: &str) -> String {
    const CHARACTERS: usize = 60;
    match token.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("`{}…`", token[..end].escape_debug()),
        None if token.contains(char::is_control) => format!("`{}`", token.escape_debug()),
        None => format!("`{token}`"),
    }
}
