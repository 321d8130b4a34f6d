//! What an op did: row changes for the store, effects for the world.

use std::sync::Arc;

use model::{
    AttemptNumber, AttemptRecord, GroupId, JobId, LeaseToken, NewGroup, NewJob, Outcome, ReuseKey,
    RunnerName, Session, WallMs,
};

use crate::ops::RunnerSpec;

/// One row change. The store applies them in order; every batch is one transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    JobInserted {
        id: JobId,
        group: Option<GroupId>,
        job: Arc<NewJob>,
        at: WallMs,
    },
    /// Queued, again or in another slice. `attempts` is how many there were; `lost` how many ended with a lost runner.
    JobQueued {
        id: JobId,
        slice: u32,
        attempts: u32,
        lost: u32,
        at: WallMs,
    },
    JobRunning {
        id: JobId,
        attempt: AttemptNumber,
        runner: RunnerName,
        session: Session,
        poll: u64,
        facts: Option<Arc<[u8]>>,
        at: WallMs,
    },
    JobCancelRequested {
        id: JobId,
        at: WallMs,
    },
    AttemptEnded {
        id: JobId,
        record: AttemptRecord,
    },
    JobFinished {
        id: JobId,
        group: Option<GroupId>,
        outcome: Outcome,
        /// Where it ran or waited last.
        slice: u32,
        attempts: u32,
        /// Jobs with this key may take its result.
        reusable: Option<ReuseKey>,
        at: WallMs,
    },
    /// A finished job is live again: a retry.
    JobRevived {
        id: JobId,
        attempts: u32,
        at: WallMs,
    },
    GroupInserted {
        id: GroupId,
        group: NewGroup,
        first_job: JobId,
        jobs: u64,
        at: WallMs,
    },
    GroupReopened {
        id: GroupId,
        at: WallMs,
    },
    GroupFinished {
        id: GroupId,
        at: WallMs,
    },
    RunnerPut {
        runner: RunnerSpec,
        draining: bool,
        at: WallMs,
    },
    RunnerRemoved {
        name: RunnerName,
        at: WallMs,
    },
    KeyPut {
        key: [u8; 16],
        body: [u8; 16],
        first_job: JobId,
        jobs: u64,
        group: Option<GroupId>,
        at: WallMs,
    },
    KeyRemoved {
        key: [u8; 16],
    },
}

/// One poll that waits for work. Chosen by the driver, unique among the polls that are parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PollKey(pub u64);

/// The right to run one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub job: JobId,
    pub group: Option<GroupId>,
    pub attempt: AttemptNumber,
    pub token: LeaseToken,
    pub queue: Arc<str>,
    pub slice: u32,
    pub timeout_ms: Option<u64>,
    /// How long the lease lasts from now, unless it is renewed.
    pub lease_ms: u64,
}

/// Something for the world, released when the changes before it are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A parked poll got work; empty when its wait ended, its runner drains or a newer session took over.
    PollAnswered {
        poll: PollKey,
        leases: Vec<Lease>,
    },
    /// Somebody wants this runner's job to stop: wake its heartbeat.
    CancelNotice {
        runner: RunnerName,
    },
    JobFinished {
        job: JobId,
        group: Option<GroupId>,
    },
    GroupFinished {
        group: GroupId,
    },
}
