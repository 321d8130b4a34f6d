//! A code host in memory for tests: it speaks as GitHub, GitLab or Gitea, serves real git, fails as it is told, and keeps a
//! ledger of every pull request that ever was and of every request. It runs on threads of its own.

mod git;
mod gitea;
mod github;
mod gitlab;
mod server;
mod state;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;

use state::State;
pub use state::{Checks, Created, Fault, Ledger, PullState, PullView, Request, Review};

/// Whose API it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As GitHub Enterprise Server: `/api/v3` and `/api/graphql`.
    GitHub,
    GitLab,
    Gitea,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Who does not send it is answered 401; `None` lets everybody in.
    pub token: Option<String>,
    /// A page never holds more.
    pub page_size: usize,
    /// How long a GitHub App's installation token is good.
    pub installation_token: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token: Some("forge-token".to_owned()),
            page_size: 100,
            installation_token: Duration::from_secs(60 * 60),
        }
    }
}

/// A running forge. It ends when this is dropped.
pub struct Forge {
    url: String,
    options: Options,
    state: Arc<Mutex<State>>,
    runtime: Option<tokio::runtime::Runtime>,
    _folder: TempDir,
}

impl Drop for Forge {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Forge {
    /// Starts one on a free port of this machine. It needs no runtime of the caller's, and the caller may block.
    pub fn start(dialect: Dialect, options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the forge");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port has a number"));
        let root = folder.path().to_owned();
        let state = Arc::new(Mutex::new(State::new(dialect, url.clone(), root, options.clone())));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .thread_name("forge")
            .enable_all()
            .build()
            .expect("threads for the forge");
        runtime.spawn(server::serve(listener, state.clone()));
        Self { url, options, state, runtime: Some(runtime), _folder: folder }
    }

    /// Without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `host:port`, with which names begin.
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub fn token(&self) -> &str {
        self.options.token.as_deref().unwrap_or_default()
    }

    /// Makes a repository `owner/name` with one commit on `main` that holds these files.
    pub fn add_repository(&self, name: &str, files: &[(&str, &str)]) {
        self.state.lock().add_repository(name, files);
    }

    pub fn set_archived(&self, name: &str, archived: bool) {
        self.state.lock().repository(name).archived = archived;
    }

    pub fn set_fork(&self, name: &str, fork: bool) {
        self.state.lock().repository(name).fork = fork;
    }

    /// Gives a repository another name; its number and its pull requests stay.
    pub fn rename_repository(&self, from: &str, to: &str) {
        let mut state = self.state.lock();
        let (before, after) = (state.git_dir(from), state.git_dir(to));
        std::fs::create_dir_all(after.parent().expect("an owner")).expect("a folder");
        std::fs::rename(before, after).expect("the new name is free");
        let repository = state.repositories.remove(from).expect("a test names what is there");
        state.repositories.insert(to.to_owned(), repository);
    }

    pub fn remove_repository(&self, name: &str) {
        let mut state = self.state.lock();
        std::fs::remove_dir_all(state.git_dir(name)).expect("it was there");
        state.repositories.remove(name);
    }

    pub fn clone_url(&self, name: &str) -> String {
        format!("{}/{name}.git", self.url)
    }

    /// The bare repository on disk.
    pub fn git_dir(&self, name: &str) -> PathBuf {
        self.state.lock().git_dir(name)
    }

    /// Puts a commit on a branch, as if somebody had pushed it; a new branch begins at `main`. Returns the commit.
    pub fn commit(&self, name: &str, branch: &str, file: &str, text: &str) -> String {
        let directory = self.git_dir(name);
        git::commit(&directory, branch, &[(file, text)])
    }

    /// The commit of a branch.
    pub fn branch(&self, name: &str, branch: &str) -> Option<String> {
        git::branch(&self.git_dir(name), branch)
    }

    pub fn ledger(&self) -> Ledger {
        self.state.lock().ledger.clone()
    }

    /// How many requests of the API came so far, faults counted.
    pub fn requests(&self) -> usize {
        self.state.lock().ledger.requests.len()
    }

    /// What happens to the next requests of the API.
    pub fn fail_next(&self, count: usize, fault: Fault) {
        self.fail_matching(count, "", "", fault);
    }

    /// What happens to the next requests with this method and this in their path, git's too; empty matches every request of
    /// the API.
    pub fn fail_matching(&self, count: usize, method: &str, path: &str, fault: Fault) {
        let one = (method.to_owned(), path.to_owned(), fault);
        self.state.lock().faults.extend(std::iter::repeat_n(one, count));
    }

    /// How long each answer takes.
    pub fn set_latency(&self, latency: Duration) {
        self.state.lock().latency = latency;
    }

    pub fn pull(&self, repository: &str, number: u64) -> PullView {
        self.state.lock().view(repository, number)
    }

    /// All of a repository, oldest first.
    pub fn pulls(&self, repository: &str) -> Vec<PullView> {
        let mut state = self.state.lock();
        let count = state.repository(repository).pulls.len() as u64;
        (1..=count).map(|number| state.view(repository, number)).collect()
    }

    pub fn set_review(&self, repository: &str, number: u64, reviewer: &str, review: Review) {
        let mut state = self.state.lock();
        state.pull(repository, number).reviews.push((reviewer.to_owned(), review));
    }

    /// Of the commit that is at its head now.
    pub fn set_checks(&self, repository: &str, number: u64, checks: Checks) {
        self.state.lock().set_checks(repository, number, checks);
    }

    /// As if a person did it. Panics where a person could not.
    pub fn merge(&self, repository: &str, number: u64) {
        self.state.lock().merge(repository, number).expect("it can be merged");
    }

    /// As if a person did it.
    pub fn close(&self, repository: &str, number: u64) {
        self.state.lock().set_open(repository, number, false).expect("it can be closed");
    }
}
