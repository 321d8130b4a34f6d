//! A live job in memory: only what matching and leases need. The payload stays in the store.

use std::sync::Arc;

use model::{AttemptNumber, Cancel, GroupId, JobId, ReuseKey, WallMs};

use crate::matcher::{OwnerIx, Rank, RunnerIx, ShapeIx};

#[derive(Debug)]
pub(crate) struct Job {
    pub queue: Arc<str>,
    pub owner: OwnerIx,
    pub rank: Rank,
    pub group: Option<GroupId>,
    pub slices: Box<[SliceRef]>,
    pub timeout_ms: Option<u64>,
    pub lost_runner_retries: u32,
    /// How long its runner may be silent, when not as long as the server says.
    pub lease_ms: Option<u64>,
    pub parent: Option<JobId>,
    /// Attempts so far, the live one included.
    pub attempts: u32,
    /// How many of them ended with a lost runner since the job was submitted or retried.
    pub lost: u32,
    pub place: JobPlace,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SliceRef {
    pub shape: ShapeIx,
    pub expires_after_ms: Option<u64>,
    pub wait_for_capacity: bool,
    pub reuse_key: Option<ReuseKey>,
}

#[derive(Debug)]
pub(crate) enum JobPlace {
    /// `since_ms` is when the slice's time began; later than now when it has that of others before it.
    Queued {
        slice: u32,
        since_ms: u64,
    },
    Running(Running),
}

#[derive(Debug)]
pub(crate) struct Running {
    pub attempt: AttemptNumber,
    pub runner: RunnerIx,
    /// Which poll it was granted to: the same poll, asked again, gets the same lease (I8).
    pub poll: u64,
    pub slice: u32,
    pub granted_ms: u64,
    pub granted: WallMs,
    pub started: Option<WallMs>,
    pub lease_until_ms: u64,
    /// When the lease's timer rings; at or before `lease_until_ms`.
    pub lease_timer_ms: u64,
    pub timeout_at_ms: Option<u64>,
    pub cancel_at_ms: Option<u64>,
    /// The runner has shown that it knows of the lease.
    pub seen: bool,
    pub cancel: Cancel,
    pub facts: Option<Arc<[u8]>>,
}

impl Job {
    pub(crate) fn running(&self) -> Option<&Running> {
        match &self.place {
            JobPlace::Running(running) => Some(running),
            JobPlace::Queued { .. } => None,
        }
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.place {
            JobPlace::Running(running) => Some(running),
            JobPlace::Queued { .. } => None,
        }
    }
}
