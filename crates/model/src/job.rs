//! A job, its states, and how it ended.

use std::sync::Arc;

use crate::{AttemptNumber, Digest, Requirements, RunnerName, WallMs};

/// How urgent: 0 is first. Swarming's scale, kept because it is the one on most wires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

impl Default for Priority {
    fn default() -> Self {
        Self(100)
    }
}

/// Where a job may run and until when. The slices of a job are tried in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    pub requirements: Requirements,
    /// How long the job may wait in this slice; `None` is for ever. Time in which no server runs is not counted.
    pub expires_after_ms: Option<u64>,
    /// Whether to wait when no registered runner could ever take it. If not, the slice is passed over at once.
    pub wait_for_capacity: bool,
}

impl Slice {
    /// A slice that waits for ever.
    pub fn waiting(requirements: Requirements) -> Self {
        Self { requirements, expires_after_ms: None, wait_for_capacity: true }
    }
}

/// A job as it is submitted. Immutable once accepted (I1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    pub queue: Arc<str>,
    /// Who pays: fairness is between owners.
    pub owner: Arc<str>,
    pub priority: Priority,
    /// At least one.
    pub slices: Arc<[Slice]>,
    /// The longest that one attempt may run. The runner enforces it; the server steps in after a grace.
    pub timeout_ms: Option<u64>,
    /// How often the job may start again after its runner was lost (I12).
    pub lost_runner_retries: u32,
    /// What the runner is to do. Opaque to the engine.
    pub payload: Arc<[u8]>,
}

/// A group as it is submitted: an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGroup {
    /// What people call it.
    pub name: Arc<str>,
    pub owner: Arc<str>,
    /// What the group's jobs share, for example the spec that they run. Opaque to the engine, written once.
    pub document: Arc<[u8]>,
}

/// Where a job is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    Queued { slice: u32 },
    Running { attempt: AttemptNumber, runner: RunnerName, cancel: Cancel },
    Finished { outcome: Outcome, at: WallMs },
}

/// Whether somebody asked a running job to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    None,
    Requested,
}

/// How a job ended. Terminal, final (I14).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Succeeded,
    /// The command said no, with this exit code.
    Failed {
        exit: i32,
    },
    TimedOut {
        which: TimeoutKind,
    },
    /// Stopped before it began.
    Canceled,
    /// Stopped while it ran.
    Killed,
    /// No runner took it in the time that it had.
    Expired,
    /// No registered runner could ever take it, and it did not want to wait.
    NoResource,
    /// Its runners vanished more often than it may be retried.
    RunnerLost,
    /// It could not be run as asked: `why` is for people.
    Rejected {
        why: Arc<str>,
    },
}

/// Which clock ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeoutKind {
    Step,
    Job,
}

impl Outcome {
    /// What [`Self::name`] can be.
    pub const NAMES: [&str; 9] = [
        "succeeded",
        "failed",
        "timed_out",
        "canceled",
        "killed",
        "expired",
        "no_resource",
        "runner_lost",
        "rejected",
    ];

    /// The name used in the store, in JSON and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::TimedOut { .. } => "timed_out",
            Self::Canceled => "canceled",
            Self::Killed => "killed",
            Self::Expired => "expired",
            Self::NoResource => "no_resource",
            Self::RunnerLost => "runner_lost",
            Self::Rejected { .. } => "rejected",
        }
    }

    pub fn is_success(&self) -> bool {
        matches!(self, Self::Succeeded)
    }
}

/// A file that an attempt produced, already in the blob store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub name: Arc<str>,
    pub digest: Digest,
    pub size: u64,
}

/// What a runner says of an attempt that ended, next to the outcome. Checked against the stored bytes before it is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    pub log_bytes: u64,
    pub log_crc32: u32,
    /// The log did not arrive whole in the time it had; the outcome stands all the same (I22).
    pub log_incomplete: bool,
    /// Where the log's bytes are, in the blob store's own encoding.
    pub log_extents: Arc<[u8]>,
    pub outputs: Vec<Output>,
    /// For people: what went wrong, in a sentence.
    pub message: Option<Arc<str>>,
}

/// One try of a job on one runner, when it is over. History: never changed, never deleted before its retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    pub number: AttemptNumber,
    pub runner: RunnerName,
    pub started: WallMs,
    pub ended: WallMs,
    pub outcome: Outcome,
    pub evidence: Evidence,
}

/// Where a group is in its life. A retry opens it again; each time it finishes it is seen finished once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    Open { jobs: u64 },
    Finished { at: WallMs },
}
