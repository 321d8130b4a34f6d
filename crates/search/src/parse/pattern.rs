//! Patterns: words, and what words side by side mean in each pattern type.

use super::{Item, Parser, Piece};
use crate::error::{Error, ErrorKind, Span, shown};
use crate::lex;
use crate::syntax::{Node, Pattern, PatternSyntax, PatternType, Place};

impl Parser<'_> {
    pub(super) fn piece(&mut self) -> Result<Piece, Error> {
        let start = self.at;
        let first = self.text.as_bytes()[start];
        let (inside, syntax) = match first {
            b'"' | b'\'' | b'/' => {
                match lex::delimited_pattern(self.text, start, self.pattern_type) {
                    Some(end) => {
                        self.at = end;
                        let inside = &self.text[start + 1..end - 1];
                        match first {
                            b'/' => (inside.to_owned(), PatternSyntax::Regexp),
                            quote => {
                                (lex::unquoted(inside, char::from(quote)), PatternSyntax::Literal)
                            }
                        }
                    }
                    None => self.plain()?,
                }
            }
            _ => self.plain()?,
        };
        let span = Span::new(start, self.at);
        Ok(Piece { text: self.checked(inside, syntax, span)?, syntax, span })
    }

    fn plain(&mut self) -> Result<(String, PatternSyntax), Error> {
        let start = self.at;
        let quotes = matches!(self.pattern_type, PatternType::Regexp | PatternType::Keyword);
        if quotes
            && self.text[start..].starts_with(['"', '\''])
            && lex::delimited(self.text, start).is_none()
        {
            let token = shown(&self.text[start..]);
            return Err(self.fault(
                start,
                self.text.len(),
                format!("the quote in {token} is never closed: close it, or put `\\` before it"),
            ));
        }
        self.at = self.layout.plain_end(self.text, start);
        let text = self.text[start..self.at].to_owned();
        Ok(match self.pattern_type {
            PatternType::Regexp => (text, PatternSyntax::Regexp),
            PatternType::Keyword if text.starts_with("\\\"") || text.starts_with("\\'") => {
                (text[1..].to_owned(), PatternSyntax::Literal)
            }
            PatternType::Literal | PatternType::Standard | PatternType::Keyword => {
                (text, PatternSyntax::Literal)
            }
        })
    }

    /// A pattern that can be looked for and written down again.
    pub(super) fn checked(
        &self,
        text: String,
        syntax: PatternSyntax,
        span: Span,
    ) -> Result<String, Error> {
        if text.is_empty() {
            return Err(Error::new(
                ErrorKind::Syntax,
                span,
                "the pattern is empty: write what to look for, or remove it",
            ));
        }
        match syntax {
            PatternSyntax::Literal => Ok(text),
            PatternSyntax::Regexp => without_escaped_slashes(&text).ok_or_else(|| {
                Error::new(
                    ErrorKind::Syntax,
                    span,
                    format!("{} ends in a lone `\\`: write `\\\\`", shown(&text)),
                )
            }),
        }
    }

    /// Joins the words of a pattern, over the filters between them.
    pub(super) fn combined(&self, items: Vec<Item>) -> Vec<Node> {
        let mut nodes: Vec<Option<Node>> = Vec::new();
        let mut pieces = Vec::new();
        // The pattern takes the place of its first word.
        let mut place = 0;
        for item in items {
            match item {
                Item::Piece(piece) => {
                    let apart = self.pattern_type == PatternType::Keyword;
                    if pieces.is_empty() || apart {
                        if !pieces.is_empty() {
                            nodes[place] = Some(self.pattern_node(&mut pieces));
                        }
                        place = nodes.len();
                        nodes.push(None);
                    }
                    pieces.push(piece);
                }
                Item::Term(node) => {
                    let is_filter = matches!(node, Node::Filter(_));
                    if !is_filter && !pieces.is_empty() {
                        nodes[place] = Some(self.pattern_node(&mut pieces));
                    }
                    nodes.push(Some(node));
                }
            }
        }
        if !pieces.is_empty() {
            nodes[place] = Some(self.pattern_node(&mut pieces));
        }
        nodes.into_iter().flatten().collect()
    }

    fn pattern_node(&self, pieces: &mut Vec<Piece>) -> Node {
        Node::Pattern(self.pattern(std::mem::take(pieces)))
    }

    /// Literals side by side are one text with the spaces between them. With an expression among them they follow each
    /// other on one line.
    pub(super) fn pattern(&self, pieces: Vec<Piece>) -> Pattern {
        let span = pieces.iter().map(|piece| piece.span).reduce(Span::to).unwrap_or_default();
        let all_literal = pieces.iter().all(|piece| piece.syntax == PatternSyntax::Literal);
        let spaces_count =
            matches!(self.pattern_type, PatternType::Literal | PatternType::Standard);
        let (text, syntax) = if pieces.len() == 1 {
            let piece = pieces.into_iter().next().expect("there is one");
            (piece.text, piece.syntax)
        } else if all_literal && spaces_count {
            (self.spaced(&pieces), PatternSyntax::Literal)
        } else {
            let parts = pieces.iter().map(|piece| match piece.syntax {
                PatternSyntax::Literal => format!("(?:{})", regex::escape(&piece.text)),
                PatternSyntax::Regexp => format!("(?:{})", piece.text),
            });
            (parts.collect::<Vec<_>>().join(".*?"), PatternSyntax::Regexp)
        };
        Pattern { text, syntax, place: Place::Anywhere, span }
    }

    fn spaced(&self, pieces: &[Piece]) -> String {
        let mut text = String::new();
        let mut end = None;
        for piece in pieces {
            if let Some(end) = end {
                // Between words of one line the spaces are the writer's; a line break only folds a long query.
                let between = &self.text[end..piece.span.start];
                let is_kept = between.chars().all(|c| c == ' ' || c == '\t');
                text.push_str(if is_kept { between } else { " " });
            }
            text.push_str(&piece.text);
            end = Some(piece.span.end);
        }
        text
    }
}

/// An expression in which a slash is written one way only; nothing when it ends in the middle of an escape.
fn without_escaped_slashes(text: &str) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        match chars.next()? {
            '/' => result.push('/'),
            c => result.extend(['\\', c]),
        }
    }
    Some(result)
}
