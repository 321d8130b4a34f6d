//! What a plan finds in a repository. Exact and simple: it reads every file it must, and knows no index.
//!
//! Results, and what decides them:
//! - Filters of repositories alone find the repository itself; with `file:` or `lang:`, or with `type:path` or `type:file`,
//!   they find the files.
//! - A pattern is looked for in contents and paths, and in the names of repositories when no filter is about files.
//! - `and` and `not` hold within one file. A pattern with `not` finds files only, unless `type:repo` says otherwise: else
//!   every repository would be found whose name lacks a word.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::plan::{
    FileFilter, Leaf, PatternTree, Plan, RepositoryFilter, Revision, Scope, Select, SimpleQuery,
    Types, Visibility,
};
use crate::regexp::Matcher;

/// A repository as a search sees it.
pub trait Repository {
    /// Why it could not be read.
    type Error;

    /// The full name, such as `github.com/org/name`.
    fn name(&self) -> &str;
    fn is_fork(&self) -> bool;
    fn is_archived(&self) -> bool;
    fn visibility(&self) -> Visibility;
    fn topics(&self) -> &[String];

    /// The revisions that a query's stand for here, each once; for none named, the default branch. A revision that is not
    /// there is left out.
    fn revisions(&self, wanted: &[Revision]) -> Result<Vec<String>, Self::Error>;

    /// Paths of all files from the root, without a leading slash.
    fn paths(&self, revision: &str) -> Result<Vec<String>, Self::Error>;

    /// What is in a file; nothing when it has no text to search, as a submodule or a picture.
    fn contents(&self, revision: &str, path: &str) -> Result<Option<Cow<'_, [u8]>>, Self::Error>;
}

/// What was found in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryMatch {
    pub repository: String,
    /// The repository itself is a result: by its name, or because the query asks for repositories.
    pub is_result: bool,
    /// In order of revision and path.
    pub files: Vec<FileMatch>,
}

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMatch {
    pub revision: String,
    pub path: String,
    /// Where patterns were found in its content, in order and apart; none when only its path fits.
    pub lines: Vec<LineRange>,
}

/// Lines from the first to the last, both counted from 1 and both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRange {
    pub first: u64,
    pub last: u64,
}

/// What a plan finds in one repository. `count:` is for all of them together: see [`evaluate_all`].
pub fn evaluate<R: Repository>(
    plan: &Plan,
    repository: &R,
) -> Result<Option<RepositoryMatch>, R::Error> {
    let mut found = Found::default();
    for query in &plan.queries {
        found.add(query, repository)?;
    }
    Ok(found.selected(plan.select, repository.name()))
}

/// What a plan finds in repositories, in their order, until `count:` results are there. Each file is a result, and each
/// repository that is one itself.
pub fn evaluate_all<'a, R: Repository + 'a>(
    plan: &Plan,
    repositories: impl IntoIterator<Item = &'a R>,
) -> Result<Vec<RepositoryMatch>, R::Error> {
    let mut left = plan.count.unwrap_or(u64::MAX);
    let mut all = Vec::new();
    for repository in repositories {
        if left == 0 {
            break;
        }
        let Some(mut found) = evaluate(plan, repository)? else { continue };
        left -= u64::from(found.is_result);
        found.files.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= found.files.len() as u64;
        all.push(found);
    }
    Ok(all)
}

/// Results of one repository so far.
#[derive(Default)]
struct Found {
    is_result: bool,
    files: BTreeMap<(String, String), Vec<LineRange>>,
}

impl Found {
    fn add<R: Repository>(&mut self, query: &SimpleQuery, repository: &R) -> Result<(), R::Error> {
        let scope = &query.scope;
        if !admits(scope, repository) {
            return Ok(());
        }
        let looks_at_files = !scope.files.is_empty();
        let wanted = match (&query.pattern, scope.types) {
            (_, Some(types)) => types,
            (Some(_), None) => Types { repo: !looks_at_files, path: true, file: true },
            (None, None) => Types { repo: !looks_at_files, path: looks_at_files, file: false },
        };
        let by_name = wanted.repo
            && !looks_at_files
            && match &query.pattern {
                None => true,
                Some(tree) if tree.has_not() && scope.types.is_none() => false,
                Some(tree) => tree.fits_name(repository.name()),
            };
        for revision in repository.revisions(&scope.revisions)? {
            let mut files = Files { repository, revision, paths: None };
            if !files.admit(scope)? {
                continue;
            }
            self.is_result |= by_name;
            if wanted.path || wanted.file {
                files.search(query, wanted, self)?;
            }
        }
        Ok(())
    }

    fn selected(mut self, select: Option<Select>, repository: &str) -> Option<RepositoryMatch> {
        match select {
            None => {}
            Some(Select::Repo) => {
                self.is_result |= !self.files.is_empty();
                self.files.clear();
            }
            Some(Select::File) => {
                self.is_result = false;
                self.files.values_mut().for_each(Vec::clear);
            }
            Some(Select::Content) => {
                self.is_result = false;
                self.files.retain(|_, lines| !lines.is_empty());
            }
        }
        if !self.is_result && self.files.is_empty() {
            return None;
        }
        let files = self.files.into_iter();
        let files = files.map(|((revision, path), lines)| FileMatch { revision, path, lines });
        Some(RepositoryMatch {
            repository: repository.to_owned(),
            is_result: self.is_result,
            files: files.collect(),
        })
    }
}

/// Whether the filters hold that need no file.
fn admits<R: Repository>(scope: &Scope, repository: &R) -> bool {
    scope.fork.admits(repository.is_fork())
        && scope.archived.admits(repository.is_archived())
        && scope.visibility.is_none_or(|wanted| wanted == repository.visibility())
        && scope.repositories.iter().all(|filter| match filter {
            RepositoryFilter::Name { matcher, negated } => {
                matcher.is_match(repository.name().as_bytes()) != *negated
            }
            RepositoryFilter::Topic { topic, negated } => {
                repository.topics().iter().any(|it| it.eq_ignore_ascii_case(topic)) != *negated
            }
            RepositoryFilter::HasFile { .. } => true,
        })
}

/// The files of a repository at one revision.
struct Files<'a, R: Repository> {
    repository: &'a R,
    revision: String,
    /// Listed when they are first needed.
    paths: Option<Vec<String>>,
}

impl<R: Repository> Files<'_, R> {
    fn paths(&mut self) -> Result<&[String], R::Error> {
        if self.paths.is_none() {
            self.paths = Some(self.repository.paths(&self.revision)?);
        }
        Ok(self.paths.as_deref().unwrap_or_default())
    }

    /// Whether the filters hold that ask for a file.
    fn admit(&mut self, scope: &Scope) -> Result<bool, R::Error> {
        for filter in &scope.repositories {
            if let RepositoryFilter::HasFile { path, content, negated } = filter
                && self.has_file(path.as_ref(), content.as_ref())? == *negated
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn has_file(
        &mut self,
        path: Option<&Matcher>,
        content: Option<&Matcher>,
    ) -> Result<bool, R::Error> {
        let (repository, revision) = (self.repository, self.revision.clone());
        for file in self.paths()? {
            if !path.is_none_or(|path| path.is_match(file.as_bytes())) {
                continue;
            }
            let Some(content) = content else { return Ok(true) };
            let mut file = File { repository, revision: &revision, path: file, contents: None };
            if file.contents()?.is_some_and(|text| content.is_match(text)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn search(
        &mut self,
        query: &SimpleQuery,
        wanted: Types,
        found: &mut Found,
    ) -> Result<(), R::Error> {
        let (repository, revision) = (self.repository, self.revision.clone());
        for path in self.paths()? {
            let mut file = File { repository, revision: &revision, path, contents: None };
            if !file.admitted(&query.scope.files)? {
                continue;
            }
            let mut lines = Vec::new();
            if let Some(tree) = &query.pattern {
                if !file.fits(tree, wanted)? {
                    continue;
                }
                if wanted.file {
                    file.collect(tree, &mut lines)?;
                }
            }
            let key = (revision.clone(), path.clone());
            let known = found.files.entry(key).or_default();
            known.append(&mut lines);
            merge(known);
        }
        Ok(())
    }
}

/// One file. It is read when its content is first needed, and once.
struct File<'a, R: Repository> {
    repository: &'a R,
    revision: &'a str,
    path: &'a str,
    contents: Option<Option<Cow<'a, [u8]>>>,
}

impl<R: Repository> File<'_, R> {
    fn contents(&mut self) -> Result<Option<&[u8]>, R::Error> {
        if self.contents.is_none() {
            self.contents = Some(self.repository.contents(self.revision, self.path)?);
        }
        Ok(self.contents.as_ref().and_then(Option::as_deref))
    }

    fn admitted(&mut self, filters: &[FileFilter]) -> Result<bool, R::Error> {
        // A path costs nothing, a content must be read.
        let by_path = filters.iter().all(|filter| match filter {
            FileFilter::Path { matcher, negated } => {
                matcher.is_match(self.path.as_bytes()) != *negated
            }
            FileFilter::Language { language, negated } => language.has_path(self.path) != *negated,
            FileFilter::Content { .. } => true,
        });
        if !by_path {
            return Ok(false);
        }
        for filter in filters {
            if let FileFilter::Content { matcher, negated } = filter
                && self.contents()?.is_some_and(|text| matcher.is_match(text)) == *negated
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fits(&mut self, tree: &PatternTree, wanted: Types) -> Result<bool, R::Error> {
        match tree {
            PatternTree::And(trees) => {
                for tree in trees {
                    if !self.fits(tree, wanted)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            PatternTree::Or(trees) => {
                for tree in trees {
                    if self.fits(tree, wanted)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            PatternTree::Not(tree) => Ok(!self.fits(tree, wanted)?),
            PatternTree::Leaf(Leaf { content, name }) => {
                let path = self.path.as_bytes();
                if wanted.path && name.as_ref().is_some_and(|name| name.is_match(path)) {
                    return Ok(true);
                }
                Ok(wanted.file && self.contents()?.is_some_and(|text| content.is_match(text)))
            }
        }
    }

    /// Lines of all patterns that are wanted, not negated.
    fn collect(&mut self, tree: &PatternTree, lines: &mut Vec<LineRange>) -> Result<(), R::Error> {
        match tree {
            PatternTree::And(trees) | PatternTree::Or(trees) => {
                for tree in trees {
                    self.collect(tree, lines)?;
                }
            }
            PatternTree::Not(_) => {}
            PatternTree::Leaf(leaf) => {
                if let Some(text) = self.contents()? {
                    collect_lines(text, &leaf.content, lines);
                }
            }
        }
        Ok(())
    }
}

impl PatternTree {
    fn has_not(&self) -> bool {
        match self {
            Self::And(trees) | Self::Or(trees) => trees.iter().any(Self::has_not),
            Self::Not(_) => true,
            Self::Leaf(_) => false,
        }
    }

    fn fits_name(&self, text: &str) -> bool {
        match self {
            Self::And(trees) => trees.iter().all(|tree| tree.fits_name(text)),
            Self::Or(trees) => trees.iter().any(|tree| tree.fits_name(text)),
            Self::Not(tree) => !tree.fits_name(text),
            Self::Leaf(leaf) => {
                leaf.name.as_ref().is_some_and(|name| name.is_match(text.as_bytes()))
            }
        }
    }
}

/// The lines of all places where an expression is found, counted in one walk.
fn collect_lines(text: &[u8], matcher: &Matcher, lines: &mut Vec<LineRange>) {
    let newlines = |text: &[u8]| text.iter().filter(|b| **b == b'\n').count() as u64;
    let mut at = 0;
    let mut line = 1;
    // Where the last counted line starts, so that a place behind the last newline is on no line.
    let has_line = |start: usize| start < text.len() || start == 0 || text[start - 1] != b'\n';
    let mut last: Option<LineRange> = None;
    for place in matcher.regex().find_iter(text) {
        if place.is_empty() && !has_line(place.start()) {
            continue;
        }
        line += newlines(&text[at..place.start()]);
        at = place.start();
        let end = place.end().saturating_sub(1).max(place.start());
        let range = LineRange { first: line, last: line + newlines(&text[at..end]) };
        match &mut last {
            Some(last) if range.first <= last.last => last.last = last.last.max(range.last),
            _ => lines.extend(last.replace(range)),
        }
    }
    lines.extend(last);
}

/// Sorts ranges and joins those that share a line.
fn merge(lines: &mut Vec<LineRange>) {
    lines.sort_by_key(|range| range.first);
    lines.dedup_by(|next, kept| {
        let is_shared = next.first <= kept.last;
        if is_shared {
            kept.last = kept.last.max(next.last);
        }
        is_shared
    });
}
