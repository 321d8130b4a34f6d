//! The filters that hold together: which may be there twice, and which cannot hold beside each other.

use super::{
    FileFilter, Flag, RepositoryFilter, Revision, Scope, Select, SimpleQuery, Types, Visibility,
    values,
};
use crate::error::{Error, ErrorKind, Span, shown};
use crate::language::Language;
use crate::regexp::{Compiler, Subject};
use crate::syntax::{Field, Filter, Node, PatternSyntax, Place, Predicate, Value};

/// The filters of a conjunction by what they are about.
#[derive(Default)]
pub(super) struct Filters<'a> {
    repo: Vec<(&'a Filter, RepoValue<'a>)>,
    rev: Option<(Vec<Revision>, Span)>,
    file: Vec<&'a Filter>,
    lang: Vec<(&'static Language, &'a Filter)>,
    fork: Option<(Flag, Span)>,
    archived: Option<(Flag, Span)>,
    visibility: Option<(Option<Visibility>, Span)>,
    case: Option<(bool, Span)>,
    pub(super) count: Option<(Option<u64>, Span)>,
    types: Option<(Types, Span)>,
    pub(super) select: Option<(Select, Span)>,
}

/// A `repo:` taken apart.
pub(super) enum RepoValue<'a> {
    Name { expression: &'a str, revisions: Option<Vec<Revision>> },
    Predicate(&'a Predicate),
}

impl<'a> Filters<'a> {
    pub(super) fn collect(filters: &[&'a Filter]) -> Result<Self, Error> {
        let mut all = Self::default();
        for filter in filters {
            let (span, field) = (filter.span, filter.field);
            let text = match &filter.value {
                Value::Text(text) => text.as_str(),
                Value::Predicate(predicate) => {
                    match field {
                        Field::Repo => all.repo.push((filter, RepoValue::Predicate(predicate))),
                        _ => all.file.push(filter),
                    }
                    continue;
                }
            };
            match field {
                Field::Repo => all.repo.push((filter, values::repo_value(filter, text)?)),
                Field::File => all.file.push(filter),
                Field::Lang => all.lang.push((values::language(text, span)?, filter)),
                Field::Rev => once(&mut all.rev, values::revisions(text, span)?, field, span)?,
                Field::Fork => once(&mut all.fork, values::flag(text, field, span)?, field, span)?,
                Field::Archived => {
                    once(&mut all.archived, values::flag(text, field, span)?, field, span)?
                }
                Field::Visibility => {
                    once(&mut all.visibility, values::visibility(text, span)?, field, span)?;
                }
                Field::Case => once(&mut all.case, values::case(text, span)?, field, span)?,
                Field::Count => once(&mut all.count, values::count(text, span)?, field, span)?,
                Field::Select => once(&mut all.select, values::select(text, span)?, field, span)?,
                Field::Type => {
                    let (types, _) = all.types.get_or_insert((Types::default(), span));
                    types.add(text, span)?;
                }
            }
        }
        Ok(all)
    }

    pub(super) fn simple(
        &self,
        patterns: &[&Node],
        compiler: &mut Compiler,
    ) -> Result<SimpleQuery, Error> {
        let is_case_sensitive = self.case.is_some_and(|(case, _)| case);
        // Mistakes in values are told before contradictions, which may come from them.
        let repositories = self.repositories(is_case_sensitive, compiler)?;
        let files = self.files(is_case_sensitive, compiler)?;
        let pattern = super::pattern_tree(patterns, is_case_sensitive, compiler)?;
        let revisions = self.revisions()?;
        self.check_opposites()?;
        self.check_types(patterns)?;
        let default = if self.names_one_repository() { Flag::Yes } else { Flag::No };
        let scope = Scope {
            repositories,
            revisions,
            files,
            fork: self.fork.map_or(default, |(flag, _)| flag),
            archived: self.archived.map_or(default, |(flag, _)| flag),
            visibility: self.visibility.and_then(|(visibility, _)| visibility),
            types: self.types.map(|(types, _)| types),
        };
        Ok(SimpleQuery { scope, pattern })
    }

    fn repositories(
        &self,
        is_case_sensitive: bool,
        compiler: &mut Compiler,
    ) -> Result<Vec<RepositoryFilter>, Error> {
        let compile = |(filter, value): &(&Filter, RepoValue<'_>)| {
            let (span, negated) = (filter.span, filter.negated);
            let mut regexp = |source: &str, is_case_sensitive, subject| {
                let syntax = PatternSyntax::Regexp;
                compiler.compile(source, syntax, is_case_sensitive, subject, span)
            };
            match value {
                RepoValue::Name { expression, .. } => {
                    let matcher = regexp(expression, false, Subject::Name)?;
                    Ok(RepositoryFilter::Name { matcher, negated })
                }
                RepoValue::Predicate(Predicate::HasFile { path, content }) => {
                    let mut path_of = |path: &String| regexp(path, false, Subject::Name);
                    let path = path.as_ref().map(&mut path_of).transpose()?;
                    let content = content
                        .as_ref()
                        .map(|content| regexp(content, is_case_sensitive, Subject::Content))
                        .transpose()?;
                    Ok(RepositoryFilter::HasFile { path, content, negated })
                }
                RepoValue::Predicate(Predicate::HasTopic(topic)) => {
                    Ok(RepositoryFilter::Topic { topic: topic.clone(), negated })
                }
                RepoValue::Predicate(Predicate::HasContent(_)) => {
                    unreachable!("the parser gives it to `file:` only")
                }
            }
        };
        self.repo.iter().map(compile).collect()
    }

    fn files(
        &self,
        is_case_sensitive: bool,
        compiler: &mut Compiler,
    ) -> Result<Vec<FileFilter>, Error> {
        let mut all = Vec::new();
        for filter in &self.file {
            let negated = filter.negated;
            let (source, subject) = match &filter.value {
                Value::Text(path) => (path, Subject::Name),
                Value::Predicate(Predicate::HasContent(content)) => (content, Subject::Content),
                Value::Predicate(Predicate::HasFile { .. } | Predicate::HasTopic(_)) => {
                    unreachable!("the parser gives it to `repo:` only")
                }
            };
            let syntax = PatternSyntax::Regexp;
            let matcher =
                compiler.compile(source, syntax, is_case_sensitive, subject, filter.span)?;
            all.push(match subject {
                Subject::Name => FileFilter::Path { matcher, negated },
                Subject::Content => FileFilter::Content { matcher, negated },
            });
        }
        let languages = self
            .lang
            .iter()
            .map(|(language, filter)| FileFilter::Language { language, negated: filter.negated });
        all.extend(languages);
        Ok(all)
    }

    /// What `@` and `rev:` say together.
    fn revisions(&self) -> Result<Vec<Revision>, Error> {
        let mut names = false;
        let mut wanted: Option<Vec<Revision>> = None;
        for (filter, value) in &self.repo {
            let RepoValue::Name { revisions, .. } = value else { continue };
            names |= !filter.negated;
            let Some(revisions) = revisions else { continue };
            if let Some((_, span)) = &self.rev {
                return Err(Error::new(
                    ErrorKind::Value,
                    *span,
                    "the query has both `rev:` and `@`: keep one of them",
                ));
            }
            let Some(wanted) = &mut wanted else {
                wanted = Some(revisions.clone());
                continue;
            };
            wanted.retain(|revision| revisions.contains(revision));
            if wanted.is_empty() {
                return Err(contradiction(
                    filter,
                    "has no revision in common with the other `repo:`: name the same one in both",
                ));
            }
        }
        match &self.rev {
            Some((_, span)) if !names => Err(Error::new(
                ErrorKind::Value,
                *span,
                "`rev:` needs a `repo:` beside it: say of which repositories",
            )),
            Some((revisions, _)) => Ok(revisions.clone()),
            None => Ok(wanted.unwrap_or_default()),
        }
    }

    /// The same thing wanted and not wanted.
    fn check_opposites(&self) -> Result<(), Error> {
        let repo = self.repo.iter().map(|(filter, _)| *filter);
        let lang = self.lang.iter().map(|(_, filter)| *filter);
        let all: Vec<_> = repo.chain(self.file.iter().copied()).chain(lang).collect();
        for filter in all.iter().filter(|filter| filter.negated) {
            let same = |other: &&&Filter| {
                !other.negated && other.field == filter.field && other.value == filter.value
            };
            if all.iter().any(|other| same(&other)) {
                return Err(contradiction(
                    filter,
                    "takes away all that the same filter without negation wants: remove one",
                ));
            }
        }
        for (index, (language, filter)) in self.lang.iter().enumerate() {
            for (other, earlier) in &self.lang[..index] {
                let differ = match (earlier.negated, filter.negated) {
                    (false, false) => !language.overlaps(other),
                    (true, true) => false,
                    (true, false) | (false, true) => language == other,
                };
                if differ {
                    return Err(contradiction(
                        filter,
                        &format!(
                            "can hold for no file that `lang:{}` is about: write \
                             `(lang:a or lang:b)` for either",
                            other.name
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// What a type cannot find.
    fn check_types(&self, patterns: &[&Node]) -> Result<(), Error> {
        let Some((types, span)) = self.types else { return Ok(()) };
        let has_files = types.path || types.file;
        let file = self.file.first().copied().or(self.lang.first().map(|(_, filter)| *filter));
        match file {
            Some(filter) if !has_files => {
                return Err(contradiction(
                    filter,
                    "is about files, and `type:repo` looks at repositories only: use \
                     `repo:has.path(…)`, or remove `type:repo`",
                ));
            }
            _ => {}
        }
        let is_content =
            |node: &Node| matches!(node, Node::Pattern(pattern) if pattern.place == Place::Content);
        if !types.file && patterns.iter().any(|node| node.any_leaf(&is_content)) {
            return Err(Error::new(
                ErrorKind::Contradiction,
                span,
                "`content:` looks into files, and this `type:` does not: add `type:file`",
            ));
        }
        Ok(())
    }

    /// Whoever names one repository wants it, fork or not.
    fn names_one_repository(&self) -> bool {
        let wanted: Vec<_> = self.repo.iter().filter(|(filter, _)| !filter.negated).collect();
        match wanted.as_slice() {
            [(_, RepoValue::Name { expression, .. })] => values::is_exact(expression),
            _ => false,
        }
    }
}

fn contradiction(filter: &Filter, why: &str) -> Error {
    let message = format!("{} {why}", shown(&filter.to_string()));
    Error::new(ErrorKind::Contradiction, filter.span, message)
}

/// Fills a place that can be filled only once.
fn once<T>(slot: &mut Option<(T, Span)>, value: T, field: Field, span: Span) -> Result<(), Error> {
    if slot.replace((value, span)).is_some() {
        let name = field.name();
        return Err(Error::new(
            ErrorKind::Value,
            span,
            format!("`{name}:` is there twice: keep one"),
        ));
    }
    Ok(())
}
