//! A job, its states, and how it ended.

use std::sync::Arc;

use crate::{AttemptNumber, Digest, JobId, Requirements, RunnerName, WallMs};

/// How urgent: 0 is first. Swarming's scale, kept because it is the one on most wires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

impl Priority {
    /// What one step of priority is worth in age, in milliseconds (4.85 days): Swarming's queue number is the priority,
    /// shifted by 22 bits, plus tenths of seconds.
    pub const AGE_MS: u64 = (1 << 22) * 100;
}

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
    /// When the job succeeds in this slice, later jobs may take its result by this key instead of running.
    pub reuse_key: Option<ReuseKey>,
}

/// Stands for everything that decides a job's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReuseKey(pub [u8; 32]);

impl Slice {
    /// A slice that waits for ever.
    pub fn waiting(requirements: Requirements) -> Self {
        Self { requirements, expires_after_ms: None, wait_for_capacity: true, reuse_key: None }
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
    pub terms: Terms,
}

/// What only some doors ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub order: Order,
    /// How long a runner may be silent before an attempt of this job is lost, instead of the server's own patience. Such
    /// an attempt is also never ended by force after a cancel: as long as its runner is heard of it has its time to stop.
    pub lease_ms: Option<u64>,
    /// Stopped when that job ends, however it ends.
    pub parent: Option<JobId>,
    pub reuses: Option<Reuse>,
    /// The id that its door gave it: unique among all, and rising.
    pub wire_id: Option<u64>,
    /// What its client calls the request that made it: asked again with it, a door finds the job.
    pub request_key: Option<[u8; 16]>,
    /// What lists find it by, next to its state.
    pub labels: Arc<[Arc<str>]>,
    /// Somebody is to be told when it begins, is asked to stop, and ends.
    pub notify: bool,
}

/// Who goes first among the jobs of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Priority; then fair between owners; then age.
    #[default]
    Fair,
    /// Age makes up for priority: [`Priority::AGE_MS`] of it for each step. The oldest first.
    Oldest,
    /// The same, and the newest first.
    Newest,
}

/// The job is not run: another one's result is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reuse {
    pub job: JobId,
    /// The slice whose key it was found by.
    pub slice: u32,
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
    Queued {
        slice: u32,
    },
    Running {
        attempt: AttemptNumber,
        runner: RunnerName,
        slice: u32,
        since: WallMs,
        cancel: Cancel,
        /// What the door noted of the runner when it took the job.
        facts: Option<Arc<[u8]>>,
    },
    Finished {
        outcome: Outcome,
        slice: u32,
        at: WallMs,
    },
}

/// Whether somebody asked a running job to stop, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    None,
    Requested(WallMs),
}

impl Cancel {
    pub fn is_requested(self) -> bool {
        matches!(self, Self::Requested(_))
    }
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
    /// What the runner reported in its door's own form. Opaque to the engine.
    pub report: Option<Arc<[u8]>>,
}

/// One try of a job on one runner, when it is over. History: never changed, never deleted before its retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    pub number: AttemptNumber,
    pub runner: RunnerName,
    pub slice: u32,
    pub started: WallMs,
    pub ended: WallMs,
    /// When somebody asked for its end.
    pub cancel_requested: Option<WallMs>,
    /// What the door noted of the runner when it took the job.
    pub facts: Option<Arc<[u8]>>,
    pub outcome: Outcome,
    pub evidence: Evidence,
}

/// Where a group is in its life. A retry opens it again; each time it finishes it is seen finished once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    Open { jobs: u64 },
    Finished { at: WallMs },
}
