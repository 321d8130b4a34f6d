//! Reads the values of filters.

use super::filters::RepoValue;
use super::{Flag, Revision, Select, Types, Visibility};
use crate::error::{Error, ErrorKind, Span, shown};
use crate::language::Language;
use crate::syntax::{Field, Filter};

/// Whether an expression is `^name$` and stands for that one name.
pub(super) fn is_exact(expression: &str) -> bool {
    let Some(inside) = expression.strip_prefix('^').and_then(|it| it.strip_suffix('$')) else {
        return false;
    };
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        let is_literal = match c {
            // An escaped letter is a class or an assertion.
            '\\' => chars.next().is_some_and(|c| c.is_ascii_punctuation()),
            c => !".+*?()|[]{}^$".contains(c),
        };
        if !is_literal {
            return false;
        }
    }
    !inside.is_empty()
}

/// Cuts a value at its first `@` that is not escaped.
pub(super) fn repo_value<'a>(filter: &Filter, text: &'a str) -> Result<RepoValue<'a>, Error> {
    let mut is_escaped = false;
    let at = text.char_indices().find(|(_, c)| {
        let is_cut = *c == '@' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_cut
    });
    let Some((at, _)) = at else {
        return Ok(RepoValue::Name { expression: text, revisions: None });
    };
    let (expression, list) = (&text[..at], &text[at + 1..]);
    if expression.is_empty() {
        return Err(Error::new(
            ErrorKind::Value,
            filter.span,
            "there is no repository in front of `@`: write `repo:name@revision`",
        ));
    }
    if filter.negated {
        return Err(Error::new(
            ErrorKind::Value,
            filter.span,
            "a negated `repo:` cannot have a revision: remove `@` and what follows",
        ));
    }
    // A lone `@` stands for the default branch, as without it.
    let revisions = if list.is_empty() { None } else { Some(revisions(list, filter.span)?) };
    Ok(RepoValue::Name { expression, revisions })
}

pub(super) fn revisions(list: &str, span: Span) -> Result<Vec<Revision>, Error> {
    let mut all = Vec::new();
    for text in list.split(':') {
        let (make, name): (fn(String) -> Revision, _) =
            match (text.strip_prefix("*!"), text.strip_prefix('*'), text.strip_prefix('^')) {
                (Some(glob), _, _) => (Revision::Exclude, glob),
                (None, Some(glob), _) => (Revision::Glob, glob),
                (None, None, Some(name)) => (Revision::Exclude, name),
                (None, None, None) => (Revision::Named, text),
            };
        // SECURITY: a revision may become an argument of git, which must not take it for an option.
        if name.is_empty() || name.starts_with('-') || name.contains(char::is_control) {
            return Err(Error::new(
                ErrorKind::Value,
                span,
                format!(
                    "{} is no revision: write branches, tags or commits with `:` between them, \
                     and `*` in front of a glob",
                    shown(text)
                ),
            ));
        }
        let revision = make(name.to_owned());
        if !all.contains(&revision) {
            all.push(revision);
        }
    }
    if all.iter().all(|revision| matches!(revision, Revision::Exclude(_))) {
        return Err(Error::new(
            ErrorKind::Value,
            span,
            "all revisions are excluded: name at least one that is wanted, such as `*refs/heads/*`",
        ));
    }
    Ok(all)
}

pub(super) fn language(name: &str, span: Span) -> Result<&'static Language, Error> {
    Language::named(name).ok_or_else(|| {
        Error::new(
            ErrorKind::Value,
            span,
            format!(
                "{} is no language that is known here: write for example `file:\\.go$` in its place",
                shown(name)
            ),
        )
    })
}

fn is_yes(text: &str) -> bool {
    ["yes", "y", "true", "t", "1"].iter().any(|it| it.eq_ignore_ascii_case(text))
}

fn is_no(text: &str) -> bool {
    ["no", "n", "false", "f", "0"].iter().any(|it| it.eq_ignore_ascii_case(text))
}

pub(super) fn flag(text: &str, field: Field, span: Span) -> Result<Flag, Error> {
    match text {
        _ if is_yes(text) => Ok(Flag::Yes),
        _ if is_no(text) => Ok(Flag::No),
        _ if text.eq_ignore_ascii_case("only") || text.eq_ignore_ascii_case("o") => Ok(Flag::Only),
        _ => Err(one_of(text, field, "yes, no or only", span)),
    }
}

pub(super) fn case(text: &str, span: Span) -> Result<bool, Error> {
    match text {
        _ if is_yes(text) => Ok(true),
        _ if is_no(text) => Ok(false),
        _ => Err(one_of(text, Field::Case, "yes or no", span)),
    }
}

pub(super) fn visibility(text: &str, span: Span) -> Result<Option<Visibility>, Error> {
    match text.to_ascii_lowercase().as_str() {
        "any" => Ok(None),
        "public" => Ok(Some(Visibility::Public)),
        "private" => Ok(Some(Visibility::Private)),
        _ => Err(one_of(text, Field::Visibility, "any, public or private", span)),
    }
}

pub(super) fn count(text: &str, span: Span) -> Result<Option<u64>, Error> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(None);
    }
    match text.parse::<u64>() {
        Ok(count) if count > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(count)),
        _ => Err(one_of(text, Field::Count, "all or a number from 1", span)),
    }
}

pub(super) fn select(text: &str, span: Span) -> Result<Select, Error> {
    let name = text.to_ascii_lowercase();
    match name.as_str() {
        "repo" => Ok(Select::Repo),
        "file" | "file.path" => Ok(Select::File),
        "content" => Ok(Select::Content),
        _ if ["file.", "symbol", "commit"].iter().any(|it| name.starts_with(it)) => {
            Err(unsupported(text, Field::Select, "repo, file or content", span))
        }
        _ => Err(one_of(text, Field::Select, "repo, file or content", span)),
    }
}

impl Types {
    pub(super) fn add(&mut self, text: &str, span: Span) -> Result<(), Error> {
        match text.to_ascii_lowercase().as_str() {
            "repo" => self.repo = true,
            "path" => self.path = true,
            "file" => self.file = true,
            "symbol" | "commit" | "diff" => {
                return Err(unsupported(text, Field::Type, "repo, path or file", span));
            }
            _ => return Err(one_of(text, Field::Type, "repo, path or file", span)),
        }
        Ok(())
    }
}

fn one_of(text: &str, field: Field, values: &str, span: Span) -> Error {
    let field = field.name();
    Error::new(
        ErrorKind::Value,
        span,
        format!("`{field}:` cannot be {}: use {values}", shown(text)),
    )
}

fn unsupported(text: &str, field: Field, values: &str, span: Span) -> Error {
    let field = field.name();
    Error::new(
        ErrorKind::Unsupported,
        span,
        format!("`{field}:` with {} is not supported here: use {values}", shown(text)),
    )
}
