//! Deadlines, in one ordered set.
//!
//! Leases are renewed far more often than they expire, so a renewal does not move its timer: when a timer rings, its handler
//! looks at the real deadline and, if that is later, sets the timer again.

use std::collections::BTreeSet;

use model::{AttemptNumber, JobId};

use crate::change::PollKey;
use crate::matcher::RunnerIx;

/// What to look at when the time comes. A timer may be stale; each handler checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Lease(JobId, AttemptNumber),
    Timeout(JobId, AttemptNumber),
    CancelGrace(JobId, AttemptNumber),
    Slice(JobId, u32),
    Poll(PollKey),
    RunnerGone(RunnerIx, u64),
    Keys,
    /// The children of a job that is over are stopped.
    Children(JobId),
}

#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(u64, Timer)>);

impl Timers {
    pub(crate) fn set(&mut self, at_ms: u64, timer: Timer) {
        self.0.insert((at_ms, timer));
    }

    pub(crate) fn clear(&mut self, at_ms: u64, timer: Timer) {
        self.0.remove(&(at_ms, timer));
    }

    pub(crate) fn next_at(&self) -> Option<u64> {
        self.0.first().map(|(at, _)| *at)
    }

    pub(crate) fn pop_due(&mut self, now_ms: u64) -> Option<Timer> {
        let (at, _) = *self.0.first()?;
        if at > now_ms {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
