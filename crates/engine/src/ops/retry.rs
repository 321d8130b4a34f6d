//! A finished job gets another attempt; its history stays.

use std::sync::Arc;

use model::{GroupId, JobId, NewJob, Now, WallMs};

use crate::Bug;
use crate::change::Change;
use crate::state::Engine;

/// What the store knows of the job, read after everything before was durable.
#[derive(Clone, Debug)]
pub struct RetryOp {
    pub id: JobId,
    pub job: Arc<NewJob>,
    pub group: Option<GroupId>,
    pub created: WallMs,
    /// Attempts so far; the next has the next number (I6).
    pub attempts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOutcome {
    Queued,
    /// It is queued or running already.
    AlreadyLive,
    TooManyLive {
        max: usize,
    },
}

impl Engine {
    pub fn retry(&mut self, op: RetryOp, now: Now) -> RetryOutcome {
        if self.jobs.contains_key(&op.id) {
            return RetryOutcome::AlreadyLive;
        }
        if self.jobs.len() >= self.config.live_jobs_max {
            return RetryOutcome::TooManyLive { max: self.config.live_jobs_max };
        }
        let mut job = self.admit(&op.job, op.group, op.created, now);
        job.attempts = if self.config.has(Bug::RestartAttemptsOnRetry) { 0 } else { op.attempts };
        self.adopt(op.id, job.parent, now);
        self.jobs.insert(op.id, job);
        self.changes.push(Change::JobRevived { id: op.id, attempts: op.attempts, at: now.wall });
        if let Some(group) = op.group {
            let open = self.groups.entry(group).or_insert(0);
            *open += 1;
            if *open == 1 {
                self.changes.push(Change::GroupReopened { id: group, at: now.wall });
            }
        }
        self.enqueue(op.id, 0, Some(0), now);
        self.match_parked(now);
        RetryOutcome::Queued
    }
}
