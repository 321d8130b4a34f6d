//! What the forge remembers, and what it does with it; the same for all dialects.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::{Dialect, Options, git};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    Approved,
    ChangesRequested,
    Commented,
    Dismissed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    Pending,
    Failed,
    Passed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullState {
    Open,
    Closed,
    Merged,
}

/// How the forge misbehaves once.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing is done, this is answered.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// It is done, but this status is answered, without a body.
    DoneBut { status: u16 },
    /// It is done, and the connection ends without an answer.
    DoneThenDrop,
    /// Nothing is done, and the connection ends without an answer.
    Drop,
}

impl Fault {
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: String::new() }
    }
}

/// Everything that ever happened, in order.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Every pull request that was ever made.
    pub created: Vec<Created>,
    /// Every request of the API.
    pub requests: Vec<Request>,
    /// Most requests of git that were served at the same time.
    pub git_at_once: usize,
}

impl Ledger {
    /// What was to change something.
    pub fn writes(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| request.method != "GET")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    pub repository: String,
    pub number: u64,
    pub head: String,
    pub base: String,
    pub title: String,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// As it came, escapes and all.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Value,
    /// Whether the forge looked at it at all (a fault may answer instead).
    pub was_done: bool,
    /// What was answered; 0 for nothing.
    pub status: u16,
    pub answer: Value,
}

/// A pull request as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullView {
    pub number: u64,
    pub head: String,
    pub head_commit: String,
    pub base: String,
    pub title: String,
    pub body: String,
    pub state: PullState,
    pub draft: bool,
    pub labels: Vec<String>,
    pub reviewers: Vec<String>,
    pub comments: Vec<String>,
}

pub(super) struct Pull {
    pub view: PullView,
    pub reviews: Vec<(String, Review)>,
    pub created: String,
    pub updated: String,
    pub ended: Option<String>,
}

pub(super) struct Repository {
    pub id: u64,
    pub archived: bool,
    pub fork: bool,
    pub pulls: Vec<Pull>,
    /// Gitea numbers them.
    pub labels: Vec<String>,
    checks: BTreeMap<String, Checks>,
}

/// Why the forge says no.
#[derive(Debug)]
pub(super) enum No {
    /// There is no such thing.
    NotFound,
    Exists(u64),
    Invalid(String),
}

pub(super) struct State {
    pub dialect: Dialect,
    pub url: String,
    pub root: PathBuf,
    pub options: Options,
    pub tokens: Vec<String>,
    pub repositories: BTreeMap<String, Repository>,
    pub ledger: Ledger,
    pub faults: VecDeque<(String, String, Fault)>,
    pub latency: Duration,
    /// Requests of git that are being served.
    pub git_now: usize,
}

impl State {
    pub fn new(dialect: Dialect, url: String, root: PathBuf, options: Options) -> Self {
        Self {
            dialect,
            url,
            root,
            tokens: options.token.iter().cloned().collect(),
            options,
            repositories: BTreeMap::new(),
            ledger: Ledger::default(),
            faults: VecDeque::new(),
            latency: Duration::ZERO,
            git_now: 0,
        }
    }

    pub fn add_repository(&mut self, name: &str, files: &[(&str, &str)]) {
        let directory = self.git_dir(name);
        git::init(&directory);
        git::commit(&directory, "main", files);
        let repository = Repository {
            id: self.repositories.values().map(|it| it.id).max().unwrap_or(0) + 1,
            archived: false,
            fork: false,
            pulls: Vec::new(),
            labels: Vec::new(),
            checks: BTreeMap::new(),
        };
        let before = self.repositories.insert(name.to_owned(), repository);
        assert!(before.is_none(), "the forge has a repository `{name}` already");
    }

    pub fn git_dir(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.git"))
    }

    /// One that a test named.
    pub fn repository(&mut self, name: &str) -> &mut Repository {
        let repository = self.repositories.get_mut(name);
        repository.unwrap_or_else(|| panic!("the forge has no repository `{name}`"))
    }

    pub fn pull(&mut self, repository: &str, number: u64) -> &mut Pull {
        self.find(repository, number)
            .unwrap_or_else(|_| panic!("`{repository}` has no pull request {number}"))
    }

    /// One that a request named, with the commit that is at its head now.
    pub fn find(&mut self, repository: &str, number: u64) -> Result<&mut Pull, No> {
        let directory = self.git_dir(repository);
        let repository = self.repositories.get_mut(repository).ok_or(No::NotFound)?;
        let index = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        let pull = index.and_then(|index| repository.pulls.get_mut(index)).ok_or(No::NotFound)?;
        if pull.view.state == PullState::Open
            && let Some(commit) = git::branch(&directory, &pull.view.head)
        {
            pull.view.head_commit = commit;
        }
        Ok(pull)
    }

    pub fn view(&mut self, repository: &str, number: u64) -> PullView {
        self.pull(repository, number).view.clone()
    }

    /// Numbers, newest first.
    pub fn numbers(&self, repository: &str) -> Result<Vec<u64>, No> {
        let repository = self.repositories.get(repository).ok_or(No::NotFound)?;
        Ok((1..=repository.pulls.len() as u64).rev().collect())
    }

    pub fn checks(&self, repository: &str, commit: &str) -> Option<Checks> {
        self.repositories.get(repository)?.checks.get(commit).copied()
    }

    pub fn set_checks(&mut self, repository: &str, number: u64, checks: Checks) {
        let commit = self.view(repository, number).head_commit;
        self.repository(repository).checks.insert(commit, checks);
    }

    pub fn create(
        &mut self,
        repository: &str,
        head: &str,
        base: &str,
        title: &str,
        body: &str,
    ) -> Result<u64, No> {
        let directory = self.git_dir(repository);
        let known = self.repositories.get_mut(repository).ok_or(No::NotFound)?;
        if known.archived {
            return Err(No::Invalid("Repository was archived so is read-only.".to_owned()));
        }
        let missing = |branch: &str| No::Invalid(format!("the branch {branch} is invalid"));
        let head_commit = git::branch(&directory, head).ok_or_else(|| missing(head))?;
        let base_commit = git::branch(&directory, base).ok_or_else(|| missing(base))?;
        if self.dialect == Dialect::GitHub && head_commit == base_commit {
            return Err(No::Invalid(format!("No commits between {base} and {head}")));
        }
        if title.trim().is_empty() {
            return Err(No::Invalid("title can't be blank".to_owned()));
        }
        let is_same = |pull: &&Pull| {
            let view = &pull.view;
            view.state == PullState::Open && view.head == head && view.base == base
        };
        if let Some(pull) = known.pulls.iter().find(is_same) {
            return Err(No::Exists(pull.view.number));
        }
        let number = known.pulls.len() as u64 + 1;
        let view = PullView {
            number,
            head: head.to_owned(),
            head_commit,
            base: base.to_owned(),
            title: title.to_owned(),
            body: body.to_owned(),
            state: PullState::Open,
            draft: false,
            labels: Vec::new(),
            reviewers: Vec::new(),
            comments: Vec::new(),
        };
        let (created, updated) = (now(), now());
        known.pulls.push(Pull { view, reviews: Vec::new(), created, updated, ended: None });
        self.ledger.created.push(Created {
            repository: repository.to_owned(),
            number,
            head: head.to_owned(),
            base: base.to_owned(),
            title: title.to_owned(),
        });
        Ok(number)
    }

    pub fn set_open(&mut self, repository: &str, number: u64, open: bool) -> Result<(), No> {
        let pull = self.find(repository, number)?;
        if pull.view.state == PullState::Merged {
            return Err(No::Invalid("it is merged".to_owned()));
        }
        pull.view.state = if open { PullState::Open } else { PullState::Closed };
        pull.ended = (!open).then(now);
        pull.updated = now();
        Ok(())
    }

    pub fn merge(&mut self, repository: &str, number: u64) -> Result<(), No> {
        let directory = self.git_dir(repository);
        let pull = self.find(repository, number)?;
        if pull.view.state != PullState::Open || pull.view.draft {
            return Err(No::Invalid("Pull Request is not mergeable".to_owned()));
        }
        git::merge(&directory, &pull.view.base, &pull.view.head_commit).map_err(No::Invalid)?;
        pull.view.state = PullState::Merged;
        pull.ended = Some(now());
        pull.updated = now();
        Ok(())
    }
}

pub(super) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
