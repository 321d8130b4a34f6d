//! The JSON of `/api/v1/`. Field names are camelCase; times are milliseconds since the epoch, durations milliseconds.

use campaign::execution::{Mount, Options};
use serde::{Deserialize, Serialize};
use spec::Diagnostic;

/// The body of every answer that is not 2xx.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// One sentence.
    pub error: String,
    /// Where in the spec, when that is what is wrong (422).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

/// `POST /executions`. Header `Idempotency-Key`: the same key and body give the same execution.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewExecution {
    /// The spec's file name, for messages.
    pub file: String,
    pub spec: String,
    /// Used when the spec has no `on`.
    #[serde(default)]
    pub repositories: Vec<NamedRepository>,
    #[serde(default)]
    pub options: Options,
    /// Files that steps mount, uploaded before.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Values of the variables that the spec passes through from its user.
    #[serde(default)]
    pub environment: std::collections::BTreeMap<String, String>,
    /// Say what would run, and run nothing.
    #[serde(default)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedRepository {
    pub name: String,
    #[serde(default)]
    pub branch: Option<String>,
}

/// The answer to `POST /executions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedExecution {
    /// Absent for a dry run.
    pub execution: Option<u64>,
    pub jobs: u64,
    /// What was left out and why, and warnings about the spec.
    pub notices: Vec<String>,
    /// `repository[:path]@commit` of each job of a dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<String>,
}

/// The answer to `POST /actions/{name}/run`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StartedAction {
    pub execution: u64,
}

/// An execution in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionSummary {
    pub execution: u64,
    pub name: String,
    pub owner: String,
    pub jobs: u64,
    /// Jobs that are queued or running.
    pub open: u64,
    pub created_ms: u64,
    pub finished_ms: Option<u64>,
}

/// `GET /executions/{id}/progress?wait=SECONDS&seen=COUNT`: answers at once without `seen`; else soon after another number of jobs
/// than that is over, or after the wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub jobs: u64,
    pub queued: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub running: Vec<RunningJob>,
    pub finished: bool,
    /// The first waiting job's reason, when nothing runs.
    pub waiting: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningJob {
    pub job: u64,
    pub label: String,
}

/// `POST /executions/{id}/retry`: all jobs that did not succeed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Retried {
    pub jobs: Vec<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Canceled {
    /// Were waiting, and are over now.
    pub queued: u64,
    /// Run, and were told to stop.
    pub running: u64,
}

/// `POST /jobs`: jobs in the executors' own words, or empty ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewJobs {
    pub queue: String,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub priority: Option<u8>,
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    #[serde(default)]
    pub expires_after_ms: Option<u64>,
    #[serde(default)]
    pub lost_runner_retries: Option<u32>,
    /// As `os=Linux|Mac`.
    #[serde(default)]
    pub dimensions: Vec<String>,
    /// One payload each; `count` empty ones when there are none.
    #[serde(default)]
    pub payloads: Vec<Box<serde_json::value::RawValue>>,
    #[serde(default)]
    pub count: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedJobs {
    /// Ids are consecutive.
    pub first_job: u64,
    pub jobs: u64,
    pub duplicate: bool,
}

/// A job and its history.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobDetail {
    pub job: u64,
    pub execution: Option<u64>,
    pub queue: String,
    pub owner: String,
    pub priority: u8,
    pub repository: Option<String>,
    pub path: Option<String>,
    pub base_revision: Option<String>,
    /// `queued`, `running`, or how it ended.
    pub state: String,
    pub exit_code: Option<i32>,
    pub runner: Option<String>,
    /// Somebody asked it to stop.
    pub canceling: bool,
    pub created_ms: u64,
    pub finished_ms: Option<u64>,
    /// How many there were, a live one included.
    pub attempts: u32,
    /// Those that are over.
    #[serde(default)]
    pub history: Vec<AttemptDetail>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptDetail {
    pub attempt: u32,
    pub runner: String,
    pub state: String,
    pub exit_code: Option<i32>,
    pub started_ms: u64,
    pub ended_ms: u64,
    pub message: Option<String>,
    pub log_bytes: u64,
    pub log_incomplete: bool,
    pub outputs: Vec<OutputDetail>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutputDetail {
    pub name: String,
    pub digest: String,
    pub size: u64,
}

/// `GET /jobs/{id}/explain`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explained {
    pub job: u64,
    pub text: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunnerDetail {
    pub name: String,
    pub queues: Vec<String>,
    pub dimensions: std::collections::BTreeMap<String, Vec<String>>,
    pub slots: u32,
    pub jobs: Vec<u64>,
    pub draining: bool,
    /// Waits for work now.
    pub waiting: bool,
    pub seen_ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drain {
    pub drain: bool,
}

/// `POST /repositories`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewRepository {
    pub name: String,
    /// A folder of the server's host (loopback only).
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default)]
    pub url: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    pub version: String,
    pub queued: u64,
    pub running: u64,
    pub parked_polls: u64,
    pub runners: u64,
    pub submitted: u64,
    pub granted: u64,
    pub finished: u64,
    pub requeued: u64,
    pub fenced: u64,
    pub duplicates: u64,
}
