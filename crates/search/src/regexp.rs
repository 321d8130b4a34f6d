//! Compiles regular expressions. People write them as for RE2; where the `regex` crate reads a sign otherwise, it is
//! rewritten first.
//!
//! Time is bounded by the crate, which never backtracks; memory by [`crate::limit`].

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use crate::error::{Error, ErrorKind, Span, shown};
use crate::limit;
use crate::syntax::PatternSyntax;

/// A compiled expression that knows how it was written.
#[derive(Clone)]
pub struct Matcher {
    source: Arc<str>,
    regex: Arc<Regex>,
}

impl Matcher {
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// As the query has it.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn regex(&self) -> &Regex {
        &self.regex
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.source)
    }
}

/// What is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// A name or a path: `^` and `$` are its ends.
    Name,
    /// The content of a file: `^` and `$` are the ends of a line.
    Content,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: Arc<str>,
    syntax: PatternSyntax,
    is_case_sensitive: bool,
    subject: Subject,
}

/// Compiles each expression once and shares the memory out among them.
pub(crate) struct Compiler {
    share_bytes: usize,
    known: HashMap<Key, Matcher>,
}

impl Compiler {
    /// For a query of so many expressions.
    pub(crate) fn new(expressions: usize) -> Self {
        let share = limit::REGEXP_TOTAL_BYTES / expressions.max(1);
        Self { share_bytes: share.min(limit::REGEXP_BYTES), known: HashMap::new() }
    }

    pub(crate) fn compile(
        &mut self,
        source: &str,
        syntax: PatternSyntax,
        is_case_sensitive: bool,
        subject: Subject,
        span: Span,
    ) -> Result<Matcher, Error> {
        let key = Key { source: Arc::from(source), syntax, is_case_sensitive, subject };
        if let Some(matcher) = self.known.get(&key) {
            return Ok(matcher.clone());
        }
        let expression = match syntax {
            PatternSyntax::Literal => regex::escape(source),
            PatternSyntax::Regexp => from_re2(source),
        };
        let regex = RegexBuilder::new(&expression)
            .case_insensitive(!is_case_sensitive)
            .multi_line(subject == Subject::Content)
            .size_limit(self.share_bytes)
            // The cache a search fills as it runs; the crate falls back to a slower way when it is small.
            .dfa_size_limit(self.share_bytes.min(2 * 1024 * 1024))
            .nest_limit(limit::REGEXP_DEPTH)
            .build()
            .map_err(|error| fault(source, span, &error))?;
        let matcher = Matcher { source: Arc::clone(&key.source), regex: Arc::new(regex) };
        self.known.insert(key, matcher.clone());
        Ok(matcher)
    }
}

fn fault(source: &str, span: Span, error: &regex::Error) -> Error {
    if let regex::Error::CompiledTooBig(_) = error {
        return Error::new(
            ErrorKind::Limit,
            span,
            format!("{} takes too much memory: repeat less, or use fewer terms", shown(source)),
        );
    }
    let text = error.to_string();
    // The crate draws the expression over several lines; its sentence is the last one.
    let last = text.lines().last().unwrap_or_default();
    let why = last.strip_prefix("error: ").unwrap_or(last);
    let advice = if source.starts_with(['*', '?', '+']) {
        "it is no glob: write `.*` for anything"
    } else if source.contains("(?=") || source.contains("(?!") || source.contains("(?<") {
        "use `not` or a second filter in place of look-around"
    } else {
        "correct it, or put `\\` before a sign that is meant as itself"
    };
    Error::new(
        ErrorKind::Value,
        span,
        format!("{} is no regular expression: {why}; {advice}", shown(source)),
    )
}

/// Rewrites what RE2 takes for itself and the `regex` crate does not: a `{` that starts no repetition, `[`, `&&`, `--` and
/// `~~` in a class, `\<` and `\>`, and `\Q…\E`.
fn from_re2(source: &str) -> String {
    let mut result = String::with_capacity(source.len() + 8);
    let mut rest = source;
    let mut class = Class::Outside;
    while let Some(c) = rest.chars().next() {
        let (token, after) = rest.split_at(token_length(rest));
        rest = after;
        match (c, class) {
            ('\\', _) => match token.as_bytes().get(1) {
                Some(b'Q') if class == Class::Outside => {
                    let (literal, after) = rest.split_once("\\E").unwrap_or((rest, ""));
                    result.push_str(&regex::escape(literal));
                    rest = after;
                }
                Some(b'<' | b'>') => result.push_str(&token[1..]),
                _ => result.push_str(token),
            },
            ('{', Class::Outside) if !is_repetition(rest) => result.push_str("\\{"),
            ('[', Class::Outside) => {
                result.push('[');
                class = Class::Start;
                continue;
            }
            ('^', Class::Start) => {
                result.push('^');
                // A `]` right after it is still a member.
                continue;
            }
            (']', Class::Start) => result.push_str("\\]"),
            (']', Class::Inside) => {
                result.push(']');
                class = Class::Outside;
                continue;
            }
            ('[', Class::Start | Class::Inside) if token.len() > 1 => result.push_str(token),
            ('[', Class::Start | Class::Inside) => result.push_str("\\["),
            ('&' | '~', Class::Start | Class::Inside) => result.extend(['\\', c]),
            ('-', Class::Start) if rest.starts_with('-') => result.push_str("\\-"),
            ('-', Class::Inside) if rest.starts_with('-') => {
                result.push_str("-\\-");
                rest = &rest[1..];
            }
            _ => result.push_str(token),
        }
        if class == Class::Start {
            class = Class::Inside;
        }
    }
    result
}

/// Where in a `[…]` the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Outside,
    Start,
    Inside,
}

/// How long the first thing is that must not be cut: an escape with its braces, a named class, or one character.
fn token_length(rest: &str) -> usize {
    if rest.starts_with("[:") {
        // No name of a class is longer.
        const LONGEST: usize = "[:^xdigit:]".len();
        let end = rest.as_bytes().iter().take(LONGEST).skip(2).position(|b| *b == b']');
        if let Some(end) = end.filter(|end| rest.as_bytes()[end + 1] == b':') {
            return end + 3;
        }
    }
    let mut chars = rest.chars();
    let first = chars.next().map_or(0, char::len_utf8);
    if !rest.starts_with('\\') {
        return first;
    }
    let escaped = chars.next();
    let length = first + escaped.map_or(0, char::len_utf8);
    match escaped {
        Some('x' | 'p' | 'P') if rest[length..].starts_with('{') => {
            rest[length..].find('}').map_or(length, |end| length + end + 1)
        }
        _ => length,
    }
}

/// Whether what follows a `{` makes it a repetition: `3}`, `3,}` or `3,5}`.
fn is_repetition(rest: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let first = digits(rest);
    if first == 0 {
        return false;
    }
    let rest = &rest[first..];
    match rest.strip_prefix(',') {
        Some(rest) => rest[digits(rest)..].starts_with('}'),
        None => rest.starts_with('}'),
    }
}

#[cfg(test)]
mod tests {
    use super::from_re2;

    #[test]
    fn signs_that_differ_are_rewritten() {
        let cases = [
            (r"func \w+\(\) {", r"func \w+\(\) \{"),
            ("a{2}b{3,}c{4,5}", "a{2}b{3,}c{4,5}"),
            ("a{b}", r"a\{b}"),
            ("{{.Name}}", r"\{\{.Name}}"),
            (r"\x{41}\p{Greek}\pL", r"\x{41}\p{Greek}\pL"),
            ("[[]", r"[\[]"),
            ("[]a]", r"[\]a]"),
            ("[^]a]", r"[^\]a]"),
            ("[[:alpha:]_{]", "[[:alpha:]_{]"),
            ("[a&&b]", r"[a\&\&b]"),
            ("[+--]", r"[+-\-]"),
            ("[--/]", r"[\--/]"),
            (r"\<a\>", "<a>"),
            (r"\Qa.b\E.c", r"a\.b.c"),
            (r"\Qa.b", r"a\.b"),
            (r"\\{", r"\\\{"),
        ];
        for (source, wanted) in cases {
            assert_eq!(from_re2(source), wanted, "{source}");
            regex::Regex::new(wanted).unwrap_or_else(|error| panic!("{source}: {error}"));
        }
    }
}
