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
        let running = self.jobs.get_mut(&op.job).and_then(|job| job.running_mut());
        let running = running.expect("a fenced job runs");
        running.seen = true;
        running.started.get_or_insert(now.wall);
        running.lease_until_ms = now.mono_ms + self.config.lease_ms;
        StartOutcome::Started { cancel: running.cancel }
    }
}
