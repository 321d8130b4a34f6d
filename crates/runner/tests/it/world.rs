//! What the tests stand on: repositories, orders, a server in memory, and one runner's folder each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use model::Digest;
use parking_lot::Mutex;
use runner::job::*;
use runner::logs::{Recorder, Spool};
use runner::runtime::Runtimes;
use runner::runtime::process::ProcessRuntime;
use runner::steps::{Directories, run_job};
use sha2::Digest as _;
use spec::{CachedStep, Condition, Run, Step};
use tokio_util::sync::CancellationToken;

/// The program that stands in for `phalanx __launch`.
pub fn launcher() -> PathBuf {
    env!("CARGO_BIN_EXE_phalanx-launch").into()
}

/// Runs git as a person would, with a fixed identity.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with these files.
pub struct Repository {
    pub folder: tempfile::TempDir,
    pub commit: String,
}

impl Repository {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "-q", "-b", "main"]);
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut repository = Self { folder, commit: String::new() };
        repository.commit();
        repository
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Commits everything, ignored or not.
    pub fn commit(&mut self) {
        git(self.path(), &["add", "--force", "--all"]);
        git(self.path(), &["commit", "-q", "--allow-empty", "-m", "x"]);
        self.commit = git(self.path(), &["rev-parse", "HEAD"]);
    }
}

/// A step of shell text.
pub fn sh(text: &str) -> Step {
    Step {
        run: Run::Shell(text.to_owned()),
        container: None,
        env: Vec::new(),
        files: Default::default(),
        mount: Vec::new(),
        outputs: Default::default(),
        r#if: Condition::Always,
        timeout_ms: None,
        at: Default::default(),
    }
}

pub fn argv(words: &[&str]) -> Step {
    Step { run: Run::Argv(words.iter().map(|&word| word.to_owned()).collect()), ..sh("") }
}

pub fn order(repository: &Repository, steps: Vec<Step>) -> JobOrder {
    JobOrder {
        job: 1,
        attempt: 1,
        checkout: Some(Checkout {
            name: "example.com/o/r".into(),
            commit: repository.commit.clone(),
            source: RepositorySource::Local(repository.path().to_owned()),
        }),
        path: String::new(),
        only_fetch_workspace: false,
        steps,
        repository: spec::RepositoryContext {
            name: "example.com/o/r".into(),
            branch: "main".into(),
            search_result_paths: Vec::new(),
        },
        batch_change: Default::default(),
        mounts: Vec::new(),
        secrets: Vec::new(),
        runtime: RuntimeChoice::ByStep,
        network: Network::Host,
        limits: Limits::default(),
        step_timeout_ms: Some(60_000),
        job_timeout_ms: Some(120_000),
        use_cache: true,
        plain_log: false,
    }
}

/// A server in memory.
#[derive(Default)]
pub struct Server {
    pub blobs: Mutex<HashMap<[u8; 32], Vec<u8>>>,
    pub cache: Mutex<HashMap<String, CachedStep>>,
}

impl Services for Server {
    fn blob_get(&self, digest: Digest) -> BoxFuture<Result<Vec<u8>, ServiceError>> {
        let found = self
            .blobs
            .lock()
            .get(&digest.0)
            .cloned()
            .ok_or_else(|| ServiceError("no such blob".into()));
        Box::pin(std::future::ready(found))
    }

    fn blob_put(&self, bytes: Vec<u8>) -> BoxFuture<Result<Digest, ServiceError>> {
        let digest = Digest(sha2::Sha256::digest(&bytes).into());
        self.blobs.lock().insert(digest.0, bytes);
        Box::pin(std::future::ready(Ok(digest)))
    }

    fn cache_get(&self, key: String) -> BoxFuture<Result<Option<CachedStep>, ServiceError>> {
        let found = self.cache.lock().get(&key).cloned();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn cache_put(&self, key: String, step: CachedStep) -> BoxFuture<Result<(), ServiceError>> {
        self.cache.lock().insert(key, step);
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A runner, and the server that it works for.
pub struct World {
    pub folder: tempfile::TempDir,
    pub directories: Directories,
    pub process: ProcessRuntime,
    pub server: Arc<Server>,
}

/// A job that ended.
pub struct Ended {
    pub result: JobResult,
    pub log: String,
}

impl Ended {
    pub fn patch(&self) -> String {
        String::from_utf8_lossy(self.result.patch.as_deref().unwrap_or_default()).into_owned()
    }

    /// The lines of one stream.
    pub fn lines(&self, stream: &str) -> Vec<&str> {
        let after_time =
            self.log.lines().filter_map(|line| line.split_once(' ').map(|(_, rest)| rest));
        let named = after_time.filter_map(|rest| rest.split_once(' '));
        named
            .filter(|(name, _)| name.trim_end_matches('+') == stream)
            .map(|(_, text)| text)
            .collect()
    }

    pub fn out(&self) -> String {
        self.lines("out").join("\n")
    }
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directories = Directories::open(&folder.path().join("work")).unwrap();
        let process = ProcessRuntime::new(launcher(), Vec::new());
        Self { folder, directories, process, server: Arc::default() }
    }

    pub async fn run(&self, order: &JobOrder) -> Ended {
        self.run_until(order, CancellationToken::new()).await
    }

    pub async fn run_until(&self, order: &JobOrder, cancel: CancellationToken) -> Ended {
        let spool = Arc::new(Spool::new());
        let recorder = Recorder::new(spool.clone(), &order.secrets, order.plain_log);
        let runtimes = Runtimes { process: Arc::new(self.process.clone()), docker: None };
        let (result, remains) =
            run_job(order, self.server.clone(), &recorder, &runtimes, &self.directories, cancel)
                .await;
        remains.remove().await;
        recorder.finish();
        spool.close();
        let log = String::from_utf8_lossy(&spool.read_from(0, usize::MAX)).into_owned();
        let left: Vec<_> =
            std::fs::read_dir(self.folder.path().join("work/jobs")).unwrap().collect();
        assert!(left.is_empty(), "the job's folder is still there: {left:?}");
        Ended { result, log }
    }

    pub async fn succeed(&self, order: &JobOrder) -> Ended {
        let ended = self.run(order).await;
        assert_eq!(
            ended.result.outcome,
            model::Outcome::Succeeded,
            "{:?}\n{}",
            ended.result.message,
            ended.log
        );
        ended
    }
}

/// Waits until `done` is true.
pub async fn eventually(what: &str, within: std::time::Duration, mut done: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + within;
    while !done() {
        assert!(std::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// The processes whose environment has `mark`. Ours of the test itself have not.
pub fn marked(mark: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        if environment.windows(mark.len()).any(|window| window == mark.as_bytes()) {
            found.push(pid);
        }
    }
    found
}
