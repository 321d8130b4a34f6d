//! Search over the server's repositories: one engine for the scope of a spec, its preview, saved searches and the search box.
//!
//! Repositories are looked at side by side and told in order of name. What a query found in a repository is kept until
//! the repository changes, so that the same query again reads only what is new.

mod cache;
mod snapshot;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use codehost::git::{GitError, Repositories, Repository, Resolved};
use search::{Plan, RepositoryMatch};

use cache::{Cache, Fingerprint};
use snapshot::Snapshot;

pub use search::{Error as QueryError, PatternType};

/// The label of the default branch in a match; other revisions are called as the query calls them.
pub const HEAD: &str = "HEAD";

/// A repository in which something was found.
#[derive(Clone, Debug)]
pub struct Hit {
    pub repository: Arc<Repository>,
    pub found: Arc<RepositoryMatch>,
    /// What the revisions of the match stand for.
    pub revisions: BTreeMap<String, Resolved>,
}

/// How a search ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Repositories that could not be searched, and why.
    pub not_searched: Vec<(String, String)>,
    /// The deadline came first: what is not there may be missing only for that.
    pub timed_out: bool,
    /// Whoever asked had enough, or `count:` was reached.
    pub stopped: bool,
    /// How many repositories were looked at anew, their last result being of no use.
    pub evaluated: usize,
}

/// Searches the server's repositories.
#[derive(Debug)]
pub struct Searcher {
    repositories: Arc<Repositories>,
    cache: Cache,
}

/// A query that can be run.
#[derive(Clone, Debug)]
pub struct Prepared {
    plan: Plan,
    /// What makes it another query than others.
    key: Arc<str>,
}

impl Prepared {
    /// Parses and checks a query.
    pub fn new(query: &str, default: PatternType) -> Result<Self, QueryError> {
        let plan = search::plan(&search::parse(query, default)?)?;
        Ok(Self { plan, key: format!("{default:?} {query}").into() })
    }
}

/// What is wrong with a query, with the token that is.
pub fn mistake(query: &str, error: &QueryError) -> String {
    match query.get(error.span.range()) {
        None | Some("") => error.to_string(),
        Some(token) => format!("`{token}`: {error}"),
    }
}

type Evaluated = Result<Option<Hit>, GitError>;

impl Searcher {
    pub fn new(repositories: Arc<Repositories>) -> Self {
        Self { repositories, cache: Cache::default() }
    }

    pub fn repositories(&self) -> &Arc<Repositories> {
        &self.repositories
    }

    /// Runs a query and tells each repository in which something was found, in order of name, as soon as those before it are
    /// known. Blocks; must be called in a thread of a tokio runtime that may block.
    pub fn run(
        &self,
        query: &Prepared,
        deadline: Option<Instant>,
        mut tell: impl FnMut(Hit) -> ControlFlow<()>,
    ) -> Ended {
        let all = self.repositories.list();
        let (next, stop, evaluated) =
            (AtomicUsize::new(0), AtomicBool::new(false), AtomicUsize::new(0));
        let runtime = tokio::runtime::Handle::current();
        let workers = std::thread::available_parallelism().map_or(2, usize::from).min(all.len());
        let mut ended = Ended::default();
        std::thread::scope(|scope| {
            let (sender, results) = mpsc::sync_channel::<(usize, Evaluated)>(256);
            for _ in 0..workers {
                let (sender, runtime) = (sender.clone(), runtime.clone());
                let (all, next, stop, evaluated) = (&all, &next, &stop, &evaluated);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(repository) = all.get(index) else { return };
                        let result = self.look(query, repository, &runtime, evaluated);
                        if sender.send((index, result)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let mut left = query.plan.count.unwrap_or(u64::MAX);
            let mut waiting = BTreeMap::new();
            let mut due = 0;
            'all: while due < all.len() {
                let received = match deadline {
                    None => results.recv().ok(),
                    Some(deadline) => {
                        let wait = deadline.checked_duration_since(Instant::now());
                        wait.and_then(|wait| results.recv_timeout(wait).ok())
                    }
                };
                let Some((index, result)) = received else {
                    ended.timed_out = true;
                    break;
                };
                waiting.insert(index, result);
                while let Some(result) = waiting.remove(&due) {
                    let name = &all[due].name;
                    due += 1;
                    match result {
                        Ok(None) => {}
                        Ok(Some(hit)) => {
                            let Some(hit) = bounded(hit, &mut left) else { continue };
                            if tell(hit).is_break() || left == 0 {
                                ended.stopped = due < all.len();
                                break 'all;
                            }
                        }
                        Err(error) => ended.not_searched.push((name.clone(), error.to_string())),
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
            drop(results);
        });
        ended.evaluated = evaluated.into_inner();
        ended
    }

    fn look(
        &self,
        query: &Prepared,
        repository: &Arc<Repository>,
        runtime: &tokio::runtime::Handle,
        evaluated: &AtomicUsize,
    ) -> Evaluated {
        let snapshot = Snapshot::new(&self.repositories, repository, &query.plan, runtime)?;
        let fingerprint = Fingerprint::of(repository, snapshot.revisions());
        let known = self.cache.get(&query.key, &repository.name, fingerprint);
        let found = match known {
            Some(found) => found,
            None => {
                evaluated.fetch_add(1, Ordering::Relaxed);
                let found = search::evaluate(&query.plan, &snapshot)?.map(Arc::new);
                self.cache.put(&query.key, &repository.name, fingerprint, found.clone());
                found
            }
        };
        Ok(found.map(|found| Hit {
            repository: repository.clone(),
            found,
            revisions: snapshot.into_revisions(),
        }))
    }
}

/// Takes a hit's results from what `count:` leaves; nothing when there is none.
fn bounded(mut hit: Hit, left: &mut u64) -> Option<Hit> {
    let results = u64::from(hit.found.is_result) + hit.found.files.len() as u64;
    if results <= *left {
        *left -= results;
        return Some(hit);
    }
    let mut found = (*hit.found).clone();
    let files = *left - u64::from(found.is_result);
    found.files.truncate(usize::try_from(files).unwrap_or(usize::MAX));
    *left = 0;
    let any = found.is_result || !found.files.is_empty();
    hit.found = Arc::new(found);
    any.then_some(hit)
}

#[cfg(test)]
mod tests;
