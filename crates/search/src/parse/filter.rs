//! Filters: a field, a colon, and a value, a predicate or a quoted text.

use super::Parser;
use crate::error::{Error, ErrorKind, Span, shown};
use crate::lex::{self, FieldToken, Name};
use crate::predicate;
use crate::syntax::{
    Field, Filter, Node, Pattern, PatternSyntax, PatternType, Place, Predicate, Value,
};

impl Parser<'_> {
    pub(super) fn filter(&mut self, token: FieldToken) -> Result<Option<Node>, Error> {
        let start = self.at;
        let field = match token.name {
            Name::Field(field) => field,
            Name::RepoHasFile => Field::Repo,
            Name::Content => return self.content(token).map(Some),
            Name::PatternType => return self.pattern_type_filter(token).map(|()| None),
            Name::Context => return self.context(token).map(|()| None),
            Name::Unsupported => {
                self.at = self.layout.plain_end(self.text, token.end);
                let name = &self.text[start..token.end];
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    Span::new(start, self.at),
                    format!(
                        "`{name}` is a filter that is not supported here: remove it, or write \
                         content:\"{name}…\" to look for the text"
                    ),
                ));
            }
        };
        let value = match predicate::call(self.text, token.name, token.end) {
            Some(call) => {
                let Some(close) = self.layout.partner(call.open) else {
                    return Err(self.fault(
                        start,
                        call.open + 1,
                        format!(
                            "the `(` of {} is never closed: add `)`, and close the quotes in it",
                            shown(&self.text[start..call.open])
                        ),
                    ));
                };
                let predicate = call.read(self.text, field, close)?;
                self.at = close + 1;
                if !lex::is_boundary(self.text, self.at) {
                    return Err(self.clings(start));
                }
                Value::Predicate(predicate)
            }
            None => Value::Text(self.value(token)?),
        };
        let value = match (token.name, value) {
            (Name::RepoHasFile, Value::Text(path)) => {
                Value::Predicate(Predicate::HasFile { path: Some(path), content: None })
            }
            (_, value) => value,
        };
        let span = Span::new(start, self.at);
        let filter = Filter { field, negated: token.negated, value, span };
        self.check_negation(&filter)?;
        Ok(Some(Node::Filter(filter)))
    }

    pub(super) fn check_negation(&self, filter: &Filter) -> Result<(), Error> {
        let can = matches!(filter.field, Field::Repo | Field::File | Field::Lang);
        if filter.negated && !can {
            let name = filter.field.name();
            return Err(Error::new(
                ErrorKind::Value,
                filter.span,
                format!("`{name}:` cannot be negated: remove the negation or the filter"),
            ));
        }
        Ok(())
    }

    /// The value after a field, without its quotes.
    fn value(&mut self, token: FieldToken) -> Result<String, Error> {
        let start = self.at;
        let quote = self.text[token.end..].chars().next().filter(|c| matches!(c, '"' | '\''));
        let value = match quote {
            Some(quote) => {
                let Some(end) = lex::delimited(self.text, token.end) else {
                    return Err(self.fault(
                        start,
                        self.text.len(),
                        format!(
                            "the quote in {} is never closed: add {quote} at its end",
                            shown(&self.text[start..])
                        ),
                    ));
                };
                self.at = end;
                if !lex::is_boundary(self.text, end) {
                    return Err(self.clings(start));
                }
                lex::unquoted(&self.text[token.end + 1..end - 1], quote)
            }
            None => {
                self.at = self.layout.plain_end(self.text, token.end);
                self.text[token.end..self.at].to_owned()
            }
        };
        if value.is_empty() {
            let name = &self.text[start..token.end];
            return Err(self.fault(
                start,
                self.at,
                format!(
                    "`{name}` has no value: write one right after the colon, or \
                     content:\"{name}\" to look for the text"
                ),
            ));
        }
        Ok(value)
    }

    fn content(&mut self, token: FieldToken) -> Result<Node, Error> {
        let start = self.at;
        let slashed = self.text[token.end..].starts_with('/');
        let end = slashed
            .then(|| lex::delimited_pattern(self.text, token.end, self.pattern_type))
            .flatten();
        let (text, syntax) = match end {
            Some(end) => {
                self.at = end;
                (self.text[token.end + 1..end - 1].to_owned(), PatternSyntax::Regexp)
            }
            None => {
                let syntax = match self.pattern_type {
                    PatternType::Regexp => PatternSyntax::Regexp,
                    PatternType::Literal | PatternType::Standard | PatternType::Keyword => {
                        PatternSyntax::Literal
                    }
                };
                (self.value(token)?, syntax)
            }
        };
        let span = Span::new(start, self.at);
        let text = self.checked(text, syntax, span)?;
        let pattern = Node::Pattern(Pattern { text, syntax, place: Place::Content, span });
        Ok(if token.negated { Node::Not(Box::new(pattern)) } else { pattern })
    }

    fn pattern_type_filter(&mut self, token: FieldToken) -> Result<(), Error> {
        let start = self.at;
        let value = self.value(token)?;
        let span = Span::new(start, self.at);
        if token.negated {
            return Err(Error::new(
                ErrorKind::Value,
                span,
                "`patternType:` cannot be negated: remove the `-`",
            ));
        }
        let Some(found) = PatternType::named(&value) else {
            let structural = value.eq_ignore_ascii_case("structural");
            let kind = if structural { ErrorKind::Unsupported } else { ErrorKind::Value };
            return Err(Error::new(
                kind,
                span,
                format!(
                    "{} is no pattern type that is known here: use literal, standard, regexp or \
                     keyword",
                    shown(&value)
                ),
            ));
        };
        if let Some((_, first)) = self.found_type.replace((found, span)) {
            return Err(Error::new(
                ErrorKind::Value,
                span,
                format!(
                    "`patternType:` is there twice, first as {}: keep one",
                    shown(&self.text[first.range()])
                ),
            ));
        }
        Ok(())
    }

    /// Queries are copied from a search page, which adds `context:global`; it says nothing.
    fn context(&mut self, token: FieldToken) -> Result<(), Error> {
        let start = self.at;
        let value = self.value(token)?;
        if token.negated || value != "global" {
            return Err(Error::new(
                ErrorKind::Unsupported,
                Span::new(start, self.at),
                "search contexts are not supported here, except `context:global`: name the \
                 repositories with `repo:`",
            ));
        }
        Ok(())
    }

    fn clings(&self, start: usize) -> Error {
        let end = self.layout.plain_end(self.text, self.at);
        self.fault(
            start,
            end,
            format!(
                "{} goes on after its end: put a space before {}",
                shown(&self.text[start..self.at]),
                shown(&self.text[self.at..end])
            ),
        )
    }
}
