//! A runner begins an attempt. Optional: memory only, written down when the attempt ends.

use model::{Cancel, JobId, LeaseToken, Now};

use super::Fenced;
use crate::state::Engine;

#[derive(Clone, Copy, Debug)]
pub struct StartOp {
    pub job: JobId,
    pub token: LeaseToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    Started { cancel: Cancel },
    Fenced(Fenced),
}

impl Engine {
    pub fn start(&mut self, op: StartOp, now: Now) -> StartOutcome {
        if let Err(fenced) = self.fence(op.job, &op.token) {
            return StartOutcome::Fenced(fenced);
        }
        let job = self.jobs.get_mut(&op.job).expect("a fenced job runs");
        let lease_ms = job.lease_ms.unwrap_or(self.config.lease_ms);
        let running = job.running_mut().expect("a fenced job runs");
        running.seen = true;
        running.started.get_or_insert(now.wall);
        running.lease_until_ms = now.mono_ms + lease_ms;
        StartOutcome::Started { cancel: running.cancel }
    }
}
