//! Predicates: `has.file(path:RE content:RE)` and its siblings, in the place of a value of `repo:` or `file:`.

use crate::error::{Error, ErrorKind, Span, shown};
use crate::lex::{self, Name};
use crate::syntax::{Field, Predicate};

/// A predicate's name and the parenthesis after it.
pub(crate) struct Call<'a> {
    name: &'a str,
    pub open: usize,
}

/// The predicate at the start of a value. A name nobody knows is an expression.
pub(crate) fn call(text: &str, field: Name, at: usize) -> Option<Call<'_>> {
    const LONGEST: usize = "contains.commit.after".len() + 1;
    let bytes = text.as_bytes()[at..].iter().take(LONGEST);
    let length = bytes.take_while(|b| b.is_ascii_alphabetic() || **b == b'.').count();
    let (name, open) = (&text[at..at + length], at + length);
    let known = match field {
        Name::Field(Field::Repo) => matches!(
            name,
            "has.file"
                | "has.path"
                | "has.content"
                | "has.topic"
                | "contains"
                | "contains.file"
                | "contains.path"
                | "contains.content"
                | "has.meta"
                | "has.tag"
                | "has.key"
                | "has.description"
                | "has.commit.after"
                | "contains.commit.after"
        ),
        Name::Field(Field::File) => matches!(
            name,
            "has.content" | "contains" | "contains.content" | "has.owner" | "has.contributor"
        ),
        _ => false,
    };
    (known && text.as_bytes().get(open) == Some(&b'(')).then_some(Call { name, open })
}

impl Call<'_> {
    /// Reads what stands between the parentheses.
    pub(crate) fn read(&self, text: &str, field: Field, close: usize) -> Result<Predicate, Error> {
        let argument = Argument { text, start: self.open + 1, end: close };
        let predicate = match (field, self.name) {
            (Field::Repo, "has.file" | "contains.file" | "contains") => argument.has_file()?,
            (Field::Repo, "has.path" | "contains.path") => {
                Predicate::HasFile { path: Some(argument.whole()?), content: None }
            }
            (Field::Repo, "has.content" | "contains.content") => {
                Predicate::HasFile { path: None, content: Some(argument.whole()?) }
            }
            (Field::Repo, "has.topic") => Predicate::HasTopic(argument.whole()?),
            (Field::File, "has.content" | "contains.content" | "contains") => {
                Predicate::HasContent(argument.whole()?)
            }
            (_, name) => {
                let span = Span::new(self.open - name.len(), close + 1);
                let known = match field {
                    Field::File => "has.content",
                    _ => "has.file, has.path, has.content and has.topic",
                };
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    span,
                    format!(
                        "`{}:{name}(…)` is not supported here: use {known}, or remove it",
                        field.name()
                    ),
                ));
            }
        };
        Ok(predicate)
    }
}

/// The text between the parentheses.
struct Argument<'a> {
    text: &'a str,
    start: usize,
    end: usize,
}

impl Argument<'_> {
    fn inside(&self) -> &str {
        &self.text[self.start..self.end]
    }

    fn fault(&self, what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Value, Span::new(self.start, self.end), what)
    }

    /// All of it is one value.
    fn whole(&self) -> Result<String, Error> {
        let value = self.inside().trim();
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) if lex::delimited(value, 0) == Some(value.len()) => {
                lex::unquoted(&value[1..value.len() - 1], quote)
            }
            _ => value.to_owned(),
        };
        if value.is_empty() {
            return Err(self.fault("the parentheses are empty: put a value between them"));
        }
        Ok(value)
    }

    /// `path:RE content:RE`, either of them alone, or an expression for the path without a name.
    fn has_file(&self) -> Result<Predicate, Error> {
        let (mut path, mut content) = (None, None);
        let mut at = self.start;
        loop {
            let rest = &self.text[at..self.end];
            at += rest.len() - rest.trim_start().len();
            if at == self.end {
                break;
            }
            let name = ["path:", "file:", "content:"]
                .into_iter()
                .find(|name| self.text[at..self.end].starts_with(name));
            let start = at + name.map_or(0, str::len);
            let (value, end) = self.value(start)?;
            let slot = if name == Some("content:") { &mut content } else { &mut path };
            if value.is_empty() {
                return Err(self.fault(format!(
                    "{} has no value: write an expression after the colon",
                    shown(&self.text[at..start])
                )));
            }
            if slot.replace(value).is_some() {
                return Err(self.fault(format!(
                    "{} says the same thing twice: keep one, or put the value between quotes",
                    shown(self.inside())
                )));
            }
            at = end;
        }
        if path.is_none() && content.is_none() {
            return Err(self.fault("the parentheses are empty: write `path:` or `content:`"));
        }
        Ok(Predicate::HasFile { path, content })
    }

    /// One value and where it ends: at white space that neither quotes nor parentheses enclose.
    fn value(&self, start: usize) -> Result<(String, usize), Error> {
        let inside = &self.text[start..self.end];
        if let Some(quote @ ('"' | '\'')) = inside.chars().next() {
            let Some(length) = lex::delimited(inside, 0) else {
                return Err(self.fault("a quote is never closed: close it"));
            };
            return Ok((lex::unquoted(&inside[1..length - 1], quote), start + length));
        }
        let mut depth = 0_usize;
        let mut escaped = false;
        for (offset, c) in inside.char_indices() {
            match c {
                _ if escaped => {}
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                c if c.is_whitespace() && depth == 0 => {
                    return Ok((inside[..offset].to_owned(), start + offset));
                }
                _ => {}
            }
            escaped = c == '\\' && !escaped;
        }
        Ok((inside.to_owned(), self.end))
    }
}
