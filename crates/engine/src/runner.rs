//! A runner in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Dimensions, JobId, RunnerName, Session, WallMs};

use crate::change::PollKey;
use crate::matcher::ProfileIx;
use crate::ops::RunnerSpec;

#[derive(Debug)]
pub(crate) struct Runner {
    pub name: RunnerName,
    pub session: Session,
    pub slots: u32,
    pub profile: ProfileIx,
    pub draining: bool,
    pub keep: bool,
    pub jobs: BTreeSet<JobId>,
    /// Its parked polls: how many jobs each wants, its id on the wire, and when it gives up.
    pub parked: BTreeMap<PollKey, Parked>,
    pub seen_ms: u64,
    pub seen: WallMs,
    /// Counts how often the runner came and went in this slot, so that a stale timer is known.
    pub generation: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Parked {
    pub want: u32,
    pub poll: u64,
    pub facts: Option<Arc<[u8]>>,
    pub until_ms: u64,
}

impl Runner {
    pub(crate) fn free(&self) -> u32 {
        self.slots.saturating_sub(self.jobs.len() as u32)
    }
}

/// A runner as people see it.
#[derive(Clone, Debug)]
pub struct RunnerInfo {
    pub name: RunnerName,
    pub session: Session,
    pub queues: Vec<String>,
    pub dimensions: Dimensions,
    pub slots: u32,
    pub draining: bool,
    pub keep: bool,
    pub jobs: Vec<JobId>,
    pub waiting: bool,
    pub seen: WallMs,
}

impl RunnerInfo {
    /// The spec that would register it again.
    pub fn spec(&self) -> RunnerSpec {
        RunnerSpec {
            name: self.name.clone(),
            session: self.session,
            queues: self.queues.iter().map(|queue| queue.as_str().into()).collect(),
            dimensions: self.dimensions.clone(),
            slots: self.slots,
            keep: self.keep,
        }
    }
}
