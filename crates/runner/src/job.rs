//! A job as the hands see it: what to run, and what came of it. The agent loop translates the wire into these.

use std::path::PathBuf;
use std::sync::Arc;

use model::{Digest, Outcome};
use spec::{BatchChangeContext, CachedStep, ChangedFiles, RepositoryContext, Step};

/// Everything that is needed to run one job.
#[derive(Clone, Debug)]
pub struct JobOrder {
    pub job: u64,
    pub attempt: u32,
    /// `None`: no repository, the steps start in an empty folder and leave no patch.
    pub checkout: Option<Checkout>,
    /// The workspace inside the repository, `""` for all of it. Steps run there.
    pub path: String,
    /// Only this part of the tree is checked out.
    pub only_fetch_workspace: bool,
    pub steps: Vec<Step>,
    pub repository: RepositoryContext,
    pub batch_change: BatchChangeContext,
    /// Files from the spec's folder, by digest, that steps mount read-only: `Step::mount[].path` → file.
    pub mounts: Vec<MountFile>,
    /// Values that must never appear in a log, with the name they are known by.
    pub secrets: Vec<(String, String)>,
    pub runtime: RuntimeChoice,
    pub network: Network,
    pub limits: Limits,
    pub step_timeout_ms: Option<u64>,
    pub job_timeout_ms: Option<u64>,
    /// Whether results of earlier runs may be used. New results are always stored.
    pub use_cache: bool,
    /// The log is what the steps print, and nothing else.
    pub plain_log: bool,
}

/// Which commit of which repository, and how to get it.
#[derive(Clone, Debug)]
pub struct Checkout {
    /// As people know it, for example `github.com/o/r`; also the name of the mirror's folder, escaped.
    pub name: String,
    /// 40 (or 64) hexadecimal digits.
    pub commit: String,
    pub source: RepositorySource,
}

#[derive(Clone, Debug)]
pub enum RepositorySource {
    /// A repository on this host that the runner may read (an embedded runner beside its server): no mirror is made, the
    /// checkout borrows its objects.
    Local(PathBuf),
    /// Smart HTTP with these headers. SECURITY: the headers hold the job's token; they go to git by environment, never by
    /// argument, and never into a configuration file that the job could read.
    Http { url: String, headers: Vec<(String, String)> },
}

#[derive(Clone, Debug)]
pub struct MountFile {
    /// Relative to the spec's folder, `/` between parts.
    pub path: String,
    pub digest: Digest,
    pub executable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// A step with a container runs in Docker, one without as a process.
    ByStep,
    /// Every step runs as a process; `container` is ignored with a notice in the log.
    Process,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// As the host.
    Host,
    None,
}

/// What a job may use. `None` is no limit of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    pub cpus: Option<f64>,
    pub memory_bytes: Option<u64>,
    pub pids: Option<u64>,
}

/// What came of a job. The patch is complete or absent, never partial.
#[derive(Clone, Debug)]
pub struct JobResult {
    pub outcome: Outcome,
    /// For people: what went wrong, in a sentence.
    pub message: Option<String>,
    /// It was not the job's fault: another try, maybe on another runner, may go better.
    pub try_again: bool,
    /// The byte-exact difference between the checkout and what the steps left, as `git diff --binary` writes it with `a/`
    /// and `b/` prefixes; empty when nothing changed; `None` when the job did not succeed or had no repository.
    pub patch: Option<Vec<u8>>,
    pub steps: Vec<StepReport>,
    pub changed: ChangedFiles,
    pub diff_stat: DiffStat,
    /// `outputs` of the steps, for the changeset template.
    pub outputs: std::collections::BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiffStat {
    pub files: u64,
    pub added: u64,
    pub deleted: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// From 1.
    pub number: u32,
    pub state: StepState,
    pub exit_code: Option<i32>,
    pub duration_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    Succeeded,
    Failed,
    TimedOut,
    Killed,
    /// Its `if` was not true.
    Skipped,
    /// Taken from the cache.
    Cached,
    NotRun,
}

/// What a running job needs of the server. The agent implements it over HTTP, tests in memory.
pub trait Services: Send + Sync + 'static {
    fn blob_get(&self, digest: Digest) -> BoxFuture<Result<Vec<u8>, ServiceError>>;
    fn blob_put(&self, bytes: Vec<u8>) -> BoxFuture<Result<Digest, ServiceError>>;
    fn cache_get(&self, key: String) -> BoxFuture<Result<Option<CachedStep>, ServiceError>>;
    fn cache_put(&self, key: String, step: CachedStep) -> BoxFuture<Result<(), ServiceError>>;
}

pub type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

/// The server could not be asked, after retries.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ServiceError(pub Arc<str>);
