//! A repository as a query sees it: the revisions that it names, pinned, and their files.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use codehost::git::{GitError, Repositories, Repository, Resolved, Tree};
use globset::{GlobBuilder, GlobMatcher};
use search::{Plan, Revision, Visibility};

use super::HEAD;

pub(super) struct Snapshot<'a> {
    all: &'a Repositories,
    repository: &'a Repository,
    /// By label, with its tree when that was needed.
    revisions: BTreeMap<String, (Resolved, OnceCell<Tree>)>,
    /// Names of branches and tags with their commits; listed when the plan has a glob.
    references: Vec<(String, String)>,
}

impl<'a> Snapshot<'a> {
    pub fn new(
        all: &'a Repositories,
        repository: &'a Repository,
        plan: &Plan,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, GitError> {
        let mut snapshot =
            Self { all, repository, revisions: BTreeMap::new(), references: Vec::new() };
        let name = &repository.name;
        let wanted = || plan.queries.iter().flat_map(|query| &query.scope.revisions);
        if plan.queries.iter().any(|query| query.scope.revisions.is_empty()) {
            match runtime.block_on(all.resolve(name, None)) {
                Ok(head) => snapshot.pin(HEAD, head),
                // An empty repository has a name, and nothing else to be found.
                Err(GitError::NoCommit { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if wanted().any(|revision| !matches!(revision, Revision::Named(_))) {
            snapshot.references = runtime.block_on(all.references(name))?;
            for (reference, commit) in snapshot.references.clone() {
                let label = short(&reference).to_owned();
                snapshot.pin(&label, Resolved { branch: label.clone(), commit });
            }
        }
        for revision in wanted() {
            if let Revision::Named(label) = revision
                && !snapshot.revisions.contains_key(label)
                && let Ok(resolved) = runtime.block_on(all.resolve(name, Some(label)))
            {
                snapshot.pin(label, resolved);
            }
        }
        Ok(snapshot)
    }

    fn pin(&mut self, label: &str, resolved: Resolved) {
        self.revisions.insert(label.to_owned(), (resolved, OnceCell::new()));
    }

    pub fn revisions(&self) -> impl Iterator<Item = (&str, &Resolved)> {
        self.revisions.iter().map(|(label, (resolved, _))| (label.as_str(), resolved))
    }

    pub fn into_revisions(self) -> BTreeMap<String, Resolved> {
        self.revisions.into_iter().map(|(label, (resolved, _))| (label, resolved)).collect()
    }

    fn tree(&self, label: &str) -> Result<Option<&Tree>, GitError> {
        let Some((resolved, tree)) = self.revisions.get(label) else { return Ok(None) };
        if let Some(tree) = tree.get() {
            return Ok(Some(tree));
        }
        let made = self.all.tree(&self.repository.name, &resolved.commit)?;
        Ok(Some(tree.get_or_init(|| made)))
    }
}

impl search::Repository for Snapshot<'_> {
    type Error = GitError;

    fn name(&self) -> &str {
        &self.repository.name
    }

    fn is_fork(&self) -> bool {
        self.repository.facts.fork
    }

    fn is_archived(&self) -> bool {
        self.repository.facts.archived
    }

    fn visibility(&self) -> Visibility {
        if self.repository.facts.private { Visibility::Private } else { Visibility::Public }
    }

    fn topics(&self) -> &[String] {
        &self.repository.facts.topics
    }

    fn revisions(&self, wanted: &[Revision]) -> Result<Vec<String>, GitError> {
        if wanted.is_empty() {
            return Ok(vec![HEAD.to_owned()]);
        }
        let mut labels: Vec<String> = Vec::new();
        for revision in wanted {
            match revision {
                Revision::Named(label) => labels.extend(Some(label.clone())),
                Revision::Glob(glob) => labels.extend(self.references_like(glob)),
                Revision::Exclude(_) => {}
            }
        }
        for revision in wanted {
            if let Revision::Exclude(glob) = revision {
                let not: Vec<String> = self.references_like(glob).collect();
                labels.retain(|label| !not.contains(label));
            }
        }
        labels.retain(|label| self.revisions.contains_key(label));
        labels.sort();
        labels.dedup();
        Ok(labels)
    }

    fn paths(&self, revision: &str) -> Result<Vec<String>, GitError> {
        let Some(tree) = self.tree(revision)? else { return Ok(Vec::new()) };
        Ok(tree.files().iter().map(|file| file.path.clone()).collect())
    }

    fn contents(&self, revision: &str, path: &str) -> Result<Option<Cow<'_, [u8]>>, GitError> {
        let Some(tree) = self.tree(revision)? else { return Ok(None) };
        Ok(tree.find(path).and_then(|file| tree.text(file)).map(Cow::Borrowed))
    }
}

impl Snapshot<'_> {
    /// Branches and tags that fit, as git itself reads `--glob`, or whose short name does.
    fn references_like(&self, glob: &str) -> impl Iterator<Item = String> {
        let build = |glob: &str| {
            let glob = GlobBuilder::new(glob).literal_separator(false).build().ok()?;
            Some(glob.compile_matcher())
        };
        let mut full = format!("refs/{}", glob.strip_prefix("refs/").unwrap_or(glob));
        if !full.contains(['*', '?', '[']) {
            full.push_str("/*");
        }
        let matchers = [build(&full), build(glob)];
        self.references.iter().filter_map(move |(name, _)| {
            let fits = |matcher: &Option<GlobMatcher>, name: &str| {
                matcher.as_ref().is_some_and(|matcher| matcher.is_match(name))
            };
            let fits = fits(&matchers[0], name) || fits(&matchers[1], short(name));
            fits.then(|| short(name).to_owned())
        })
    }
}

fn short(reference: &str) -> &str {
    let short = reference.strip_prefix("refs/heads/");
    short.or_else(|| reference.strip_prefix("refs/tags/")).unwrap_or(reference)
}
