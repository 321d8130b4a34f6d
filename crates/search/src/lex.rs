//! Where tokens end: quotes, escapes, parentheses and keywords, found in one pass before the parser starts.
//!
//! Every question the parser asks is answered from that pass or by looking at the token itself, so that a hostile query costs
//! time in proportion to its length.

use crate::predicate;
use crate::syntax::{Field, PatternType};

/// What a field name in front of a colon means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Field(Field),
    RepoHasFile,
    Content,
    PatternType,
    Context,
    /// Sourcegraph has it, this language does not.
    Unsupported,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    And,
    Or,
    Not,
}

/// A field name with its sign and its colon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldToken {
    pub name: Name,
    pub negated: bool,
    /// Where the value starts.
    pub end: usize,
}

/// The result of the pass.
pub(crate) struct Layout {
    /// For the offset of a parenthesis, the offset of its partner.
    partners: Vec<Option<u32>>,
    /// Offsets of keywords and fields, in order: what makes parentheses a group.
    markers: Vec<usize>,
}

impl Layout {
    pub(crate) fn new(text: &str, pattern_type: PatternType) -> Self {
        let mut layout = Self { partners: vec![None; text.len()], markers: Vec::new() };
        let mut open = Vec::new();
        let mut at = 0;
        // Whether a token may start here.
        let mut fresh = true;
        while let Some(c) = text[at..].chars().next() {
            let mut next = at + c.len_utf8();
            let was_fresh =
                std::mem::replace(&mut fresh, c.is_whitespace() || c == '(' || c == ')');
            match c {
                '\\' => next = after_escape(text, at),
                '(' => open.push(at),
                ')' => {
                    if let Some(start) = open.pop() {
                        layout.pair(start, at);
                    }
                }
                _ if !was_fresh => {}
                '"' | '\'' | '/' => {
                    if let Some(end) = delimited_pattern(text, at, pattern_type) {
                        next = end;
                    }
                }
                _ => {
                    if keyword(text, at).is_some() {
                        layout.markers.push(at);
                    } else if let Some(field) = field(text, at) {
                        layout.markers.push(at);
                        next = layout.value(text, field, pattern_type);
                    }
                }
            }
            at = next;
        }
        layout
    }

    /// Steps over what a value quotes, or over a predicate; anything else is looked at as usual.
    fn value(&mut self, text: &str, field: FieldToken, pattern_type: PatternType) -> usize {
        let at = field.end;
        match text.as_bytes().get(at) {
            Some(b'"' | b'\'') => delimited(text, at).unwrap_or(at),
            Some(b'/') if field.name == Name::Content => {
                delimited_pattern(text, at, pattern_type).unwrap_or(at)
            }
            _ => match predicate::call(text, field.name, at) {
                Some(call) => match call_end(text, call.open) {
                    Some(close) => {
                        self.pair(call.open, close);
                        close + 1
                    }
                    // The parser refuses an open call, so that what follows is never looked at. Stopping here keeps a
                    // query of nothing but open calls from being read once for each.
                    None => text.len(),
                },
                None => at,
            },
        }
    }

    fn pair(&mut self, open: usize, close: usize) {
        let offset = |at: usize| Some(u32::try_from(at).expect("a query is shorter than 4 GiB"));
        self.partners[open] = offset(close);
        self.partners[close] = offset(open);
    }

    /// The other parenthesis, when there is one.
    pub(crate) fn partner(&self, at: usize) -> Option<usize> {
        self.partners[at].map(|at| at as usize)
    }

    /// Whether a keyword or a field stands between two places.
    pub(crate) fn has_marker(&self, start: usize, end: usize) -> bool {
        let next = self.markers.partition_point(|marker| *marker < start);
        self.markers.get(next).is_some_and(|marker| *marker < end)
    }

    /// Where a token without quotes ends: at white space that no parentheses enclose, or at the end of its group.
    pub(crate) fn plain_end(&self, text: &str, start: usize) -> usize {
        let mut at = start;
        while let Some(c) = text[at..].chars().next() {
            match c {
                '\\' => at = after_escape(text, at),
                '(' => at = self.partner(at).unwrap_or(at) + 1,
                ')' if self.partner(at).is_some_and(|open| open < start) => return at,
                c if c.is_whitespace() => return at,
                c => at += c.len_utf8(),
            }
        }
        at
    }
}

/// The keyword at the start of a token.
pub(crate) fn keyword(text: &str, at: usize) -> Option<Keyword> {
    let word = letters(text, at);
    let keyword = match word.len() {
        2 if word.eq_ignore_ascii_case("or") => Keyword::Or,
        3 if word.eq_ignore_ascii_case("and") => Keyword::And,
        3 if word.eq_ignore_ascii_case("not") => Keyword::Not,
        _ => return None,
    };
    let end = at + word.len();
    (is_boundary(text, end) || text.as_bytes()[end] == b'(').then_some(keyword)
}

/// How long a keyword is.
pub(crate) fn keyword_length(keyword: Keyword) -> usize {
    match keyword {
        Keyword::Or => 2,
        Keyword::And | Keyword::Not => 3,
    }
}

/// The field at the start of a token; a name nobody knows is no field.
pub(crate) fn field(text: &str, at: usize) -> Option<FieldToken> {
    let negated = text[at..].starts_with('-');
    let start = at + usize::from(negated);
    let word = letters(text, start);
    let end = start + word.len();
    if text.as_bytes().get(end) != Some(&b':') {
        return None;
    }
    let name = match word.to_ascii_lowercase().as_str() {
        "repo" | "r" => Name::Field(Field::Repo),
        "rev" | "revision" => Name::Field(Field::Rev),
        "file" | "f" | "path" => Name::Field(Field::File),
        "lang" | "l" | "language" => Name::Field(Field::Lang),
        "fork" => Name::Field(Field::Fork),
        "archived" => Name::Field(Field::Archived),
        "visibility" => Name::Field(Field::Visibility),
        "case" => Name::Field(Field::Case),
        "count" => Name::Field(Field::Count),
        "type" => Name::Field(Field::Type),
        "select" => Name::Field(Field::Select),
        "repohasfile" => Name::RepoHasFile,
        "content" => Name::Content,
        "patterntype" => Name::PatternType,
        "context" => Name::Context,
        "author" | "committer" | "before" | "until" | "after" | "since" | "message" | "msg"
        | "m" | "repohascommitafter" | "index" | "rule" | "timeout" => Name::Unsupported,
        _ => return None,
    };
    Some(FieldToken { name, negated, end: end + 1 })
}

/// The letters at a place, no more of them than the longest name has.
fn letters(text: &str, at: usize) -> &str {
    const LONGEST: usize = "repohascommitafter".len() + 1;
    let count = text.as_bytes()[at..].iter().take(LONGEST).take_while(|b| b.is_ascii_alphabetic());
    &text[at..at + count.count()]
}

/// The end of a quoted pattern, or of one between slashes, when the pattern type knows it and nothing clings to it.
pub(crate) fn delimited_pattern(text: &str, at: usize, pattern_type: PatternType) -> Option<usize> {
    let known = match (text.as_bytes()[at], pattern_type) {
        (b'/', PatternType::Literal) => false,
        // Nothing between two slashes: the start of a comment, and no expression.
        (b'/', _) => text.as_bytes().get(at + 1) != Some(&b'/'),
        (b'"' | b'\'', PatternType::Regexp | PatternType::Keyword) => true,
        _ => false,
    };
    if !known {
        return None;
    }
    delimited(text, at).filter(|end| is_boundary(text, *end))
}

/// The end of what starts with a delimiter, the second delimiter included.
pub(crate) fn delimited(text: &str, start: usize) -> Option<usize> {
    let delimiter = char::from(text.as_bytes()[start]);
    let mut at = start + 1;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '\\' => at = after_escape(text, at),
            c if c == delimiter => return Some(at + 1),
            c => at += c.len_utf8(),
        }
    }
    None
}

/// The closing parenthesis of a predicate. Quotes hide parentheses where an argument starts.
fn call_end(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = open;
    let mut fresh = false;
    while let Some(c) = text[at..].chars().next() {
        let was_fresh = std::mem::replace(&mut fresh, c.is_whitespace() || c == '(' || c == ':');
        match c {
            '\\' => {
                at = after_escape(text, at);
                continue;
            }
            '(' => depth += 1,
            ')' => depth -= 1,
            '"' | '\'' if was_fresh => {
                // A quote that is never closed leaves the whole call open.
                at = delimited(text, at)?;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        at += c.len_utf8();
    }
    None
}

/// Whether a token ends here.
pub(crate) fn is_boundary(text: &str, at: usize) -> bool {
    text[at..].chars().next().is_none_or(|c| c.is_whitespace() || c == ')')
}

/// The place after a backslash and what it escapes.
fn after_escape(text: &str, at: usize) -> usize {
    let escaped = text[at + 1..].chars().next();
    at + 1 + escaped.map_or(0, char::len_utf8)
}

/// What stands between quotes. An escape that is none of ours keeps its backslash: it is the expression's.
pub(crate) fn unquoted(inside: &str, quote: char) -> String {
    let mut result = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => result.push('\n'),
            Some('r') => result.push('\r'),
            Some('t') => result.push('\t'),
            Some(c) if c == '\\' || c == quote => result.push(c),
            Some(c) => result.extend(['\\', c]),
            None => result.push('\\'),
        }
    }
    result
}
