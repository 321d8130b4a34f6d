//! From text to a [`Query`].
//!
//! Terms side by side bind tightest, then `and`, then `or`; `not` holds for the one term after it. Parentheses are a group
//! when they hold a keyword or a filter (in `patternType:keyword` always), else they belong to the pattern.

mod filter;
mod hoist;
mod pattern;

use crate::error::{Error, ErrorKind, Span};
use crate::lex::{self, Keyword, Layout, Name};
use crate::limit;
use crate::syntax::{Filter, Node, PatternSyntax, PatternType, Query};

/// Parses a query. The pattern type is the query's own when it has `patternType:`, else the one given.
pub fn parse(text: &str, default: PatternType) -> Result<Query, Error> {
    if text.len() > limit::QUERY_BYTES {
        return Err(Error::new(
            ErrorKind::Limit,
            Span::new(0, 0),
            format!(
                "the query has {} bytes, more than the {} allowed: split it into several",
                text.len(),
                limit::QUERY_BYTES
            ),
        ));
    }
    // The type must be known before a single pattern can be read, and may itself stand in what one type quotes and another
    // does not. A reading counts when the type it finds is the type it was read with.
    let mut fault = None;
    for pattern_type in std::iter::once(default).chain(pattern_types_named(text)) {
        match Parser::new(text, pattern_type).query() {
            Ok((root, None)) if pattern_type == default => return Ok(Query { root }),
            Ok((root, Some((found, _)))) if found == pattern_type => return Ok(Query { root }),
            Ok((_, Some((_, span)))) if fault.is_none() => {
                fault = Some(Error::new(
                    ErrorKind::Syntax,
                    span,
                    "`patternType:` is part of a quoted pattern when the query is read as it says: \
                     put it at the start of the query",
                ));
            }
            Ok(_) => {}
            // The reading that the query asks for knows best what is wrong with it.
            Err(error) => fault = Some(error),
        }
    }
    Err(fault.expect("the first reading failed"))
}

/// What may be the query's own pattern type, each once.
fn pattern_types_named(text: &str) -> Vec<PatternType> {
    let mut all = Vec::new();
    for word in text.split(char::is_whitespace) {
        let word = word.trim_start_matches('(');
        let token = lex::field(word, 0).filter(|token| token.name == Name::PatternType);
        let value = token.map(|token| word[token.end..].trim_end_matches(')'));
        let named = value.and_then(|value| PatternType::named(value.trim_matches(['"', '\''])));
        all.extend(named.filter(|named| !all.contains(named)));
    }
    all
}

/// One of the things that stand side by side.
enum Item {
    Term(Node),
    Piece(Piece),
}

/// A word of a pattern, before it is known what stands next to it.
struct Piece {
    text: String,
    syntax: PatternSyntax,
    span: Span,
}

struct Parser<'a> {
    text: &'a str,
    pattern_type: PatternType,
    layout: Layout,
    at: usize,
    /// Where the groups around end, the innermost last.
    closes: Vec<usize>,
    terms: usize,
    has_groups: bool,
    found_type: Option<(PatternType, Span)>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, pattern_type: PatternType) -> Self {
        Self {
            text,
            pattern_type,
            layout: Layout::new(text, pattern_type),
            at: 0,
            closes: Vec::new(),
            terms: 0,
            has_groups: false,
            found_type: None,
        }
    }

    fn query(mut self) -> Result<(Node, Option<(PatternType, Span)>), Error> {
        let empty = Error::new(
            ErrorKind::Syntax,
            Span::new(0, self.text.len()),
            "the query names nothing to look for: write for example `repo:^github\\.com/org/`",
        );
        self.skip_space();
        if self.at == self.text.len() {
            return Err(empty);
        }
        let root = self.or()?;
        debug_assert_eq!(self.at, self.text.len(), "only a parenthesis ends an `or` early");
        let root = root.ok_or(empty)?;
        let root = if self.has_groups { root } else { hoist::hoisted(root) };
        Ok((root, self.found_type))
    }

    /// Nothing is left of a branch that has but `patternType:`.
    fn or(&mut self) -> Result<Option<Node>, Error> {
        let start = self.at;
        let first = self.and()?;
        if self.keyword() != Some(Keyword::Or) {
            return Ok(first);
        }
        let mut branches = vec![first];
        while self.keyword() == Some(Keyword::Or) {
            self.at += lex::keyword_length(Keyword::Or);
            branches.push(self.and()?);
        }
        let Some(branches) = branches.into_iter().collect::<Option<Vec<_>>>() else {
            return Err(self.fault(
                start,
                self.at,
                "a branch of `or` has nothing to look for: `patternType:` and `context:` hold for \
                 all of the query, put them in front",
            ));
        };
        Ok(Node::or(branches))
    }

    fn and(&mut self) -> Result<Option<Node>, Error> {
        let mut members = vec![self.sequence()?];
        while self.keyword() == Some(Keyword::And) {
            self.at += lex::keyword_length(Keyword::And);
            members.push(self.sequence()?);
        }
        Ok(Node::and(members.into_iter().flatten().collect()))
    }

    /// Terms side by side.
    fn sequence(&mut self) -> Result<Option<Node>, Error> {
        let mut items = Vec::new();
        let mut is_empty = true;
        loop {
            self.skip_space();
            if self.ends_here()? || matches!(self.keyword(), Some(Keyword::And | Keyword::Or)) {
                break;
            }
            items.extend(self.item()?);
            is_empty = false;
        }
        if is_empty {
            return Err(self.nothing_here());
        }
        Ok(Node::and(self.combined(items)))
    }

    /// Whether the query ends here, or the group around.
    fn ends_here(&self) -> Result<bool, Error> {
        match self.text[self.at..].chars().next() {
            None => Ok(true),
            Some(')') if self.closes.last() == Some(&self.at) => Ok(true),
            Some(')') => Err(self.fault(
                self.at,
                self.at + 1,
                "`)` closes nothing: remove it, or write the pattern as content:\"…\"",
            )),
            Some(_) => Ok(false),
        }
    }

    fn nothing_here(&self) -> Error {
        let rest = &self.text[self.at..];
        match lex::keyword(self.text, self.at).map(lex::keyword_length) {
            Some(length) => {
                let word = &rest[..length];
                self.fault(
                    self.at,
                    self.at + length,
                    format!(
                        "`{word}` has nothing on its left: put a term in front of it, or write it \
                         as content:\"{word}\" to look for the word"
                    ),
                )
            }
            None if self.text[..self.at].trim_end().ends_with('(') => self.fault(
                self.text[..self.at].trim_end().len() - 1,
                self.at + 1,
                "the parentheses are empty: put a term between them, or write content:\"()\"",
            ),
            None => {
                let before = self.text[..self.at].trim_end();
                let start = before.rfind(|c: char| !c.is_ascii_alphabetic()).map_or(0, |at| at + 1);
                // Anything but a letter in front is at most four bytes long, and may not be one.
                let start = (start..=before.len()).find(|at| before.is_char_boundary(*at));
                let start = start.unwrap_or(before.len());
                let word = &before[start..];
                self.fault(
                    start,
                    before.len(),
                    format!(
                        "`{word}` has nothing on its right: put a term after it, or write it as \
                         content:\"{word}\" to look for the word"
                    ),
                )
            }
        }
    }

    fn item(&mut self) -> Result<Option<Item>, Error> {
        if self.keyword() == Some(Keyword::Not) {
            return self.not().map(Some);
        }
        if self.text[self.at..].starts_with('(')
            && let Some(group) = self.group()?
        {
            return Ok(group.map(Item::Term));
        }
        self.terms += 1;
        if self.terms > limit::TERMS {
            return Err(Error::new(
                ErrorKind::Limit,
                Span::new(self.at, self.at),
                format!(
                    "the query has more than {} filters and patterns: join names into one \
                     expression such as `repo:^(a|b|c)$`",
                    limit::TERMS
                ),
            ));
        }
        if let Some(token) = lex::field(self.text, self.at) {
            return Ok(self.filter(token)?.map(Item::Term));
        }
        self.piece().map(|piece| Some(Item::Piece(piece)))
    }

    fn not(&mut self) -> Result<Item, Error> {
        let start = self.at;
        self.at += lex::keyword_length(Keyword::Not);
        self.skip_space();
        let nothing = |parser: &Self| {
            parser.fault(
                start,
                parser.at.max(start + 3),
                "`not` needs one pattern or filter after it: add it, or write content:\"not\" to \
                 look for the word",
            )
        };
        if self.ends_here()? || self.keyword().is_some() {
            return Err(nothing(self));
        }
        let node = match self.item()? {
            Some(Item::Term(node)) => node,
            Some(Item::Piece(piece)) => Node::Pattern(self.pattern(vec![piece])),
            None => return Err(nothing(self)),
        };
        let span = Span::new(start, self.at);
        match node {
            Node::Filter(filter) if filter.negated => Err(self.fault(
                start,
                self.at,
                format!(
                    "`not` and `-` cancel each other in `{}`: write `{}` without either",
                    self.text[start..self.at].trim(),
                    filter.field.name()
                ),
            )),
            Node::Filter(filter) => {
                let filter = Filter { negated: true, span, ..filter };
                self.check_negation(&filter)?;
                Ok(Item::Term(Node::Filter(filter)))
            }
            Node::Not(_) => Err(self.fault(
                start,
                self.at,
                "`not` of something that is negated already: remove both",
            )),
            node if node.has_filter() => Err(self.fault(
                start,
                self.at,
                "`not` cannot be in front of parentheses that hold filters: negate each filter \
                 with `-`",
            )),
            node => Ok(Item::Term(Node::Not(Box::new(node)))),
        }
    }

    /// What the parentheses here enclose, unless they belong to a pattern.
    #[expect(clippy::option_option, reason = "a group may be there and hold nothing of its own")]
    fn group(&mut self) -> Result<Option<Option<Node>>, Error> {
        let open = self.at;
        let Some(close) = self.layout.partner(open) else {
            return Err(self.fault(
                open,
                open + 1,
                "`(` is never closed: add `)`, or write the pattern as content:\"…\"",
            ));
        };
        if self.pattern_type != PatternType::Keyword && !self.layout.has_marker(open + 1, close) {
            return Ok(None);
        }
        if self.closes.len() == limit::DEPTH {
            return Err(Error::new(
                ErrorKind::Limit,
                Span::new(open, open + 1),
                format!(
                    "parentheses are nested deeper than {}: write the query flatter",
                    limit::DEPTH
                ),
            ));
        }
        self.has_groups = true;
        self.closes.push(close);
        self.at += 1;
        let node = self.or()?;
        self.closes.pop();
        if self.at != close {
            // A quote that clings to a parenthesis can be read in two ways.
            return Err(self.fault(
                open,
                close + 1,
                "it is not clear where these parentheses end: put spaces around them, or write \
                 the pattern as content:\"…\"",
            ));
        }
        self.at = close + 1;
        Ok(Some(node))
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The keyword here. In front of a parenthesis it is one only if that opens a group.
    fn keyword(&self) -> Option<Keyword> {
        let keyword = lex::keyword(self.text, self.at)?;
        let end = self.at + lex::keyword_length(keyword);
        if !self.text[end..].starts_with('(') {
            return Some(keyword);
        }
        let is_group = self.layout.partner(end).is_some_and(|close| {
            self.pattern_type == PatternType::Keyword || self.layout.has_marker(end + 1, close)
        });
        is_group.then_some(keyword)
    }

    fn fault(&self, start: usize, end: usize, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Syntax, Span::new(start, end.min(self.text.len())), message)
    }
}
