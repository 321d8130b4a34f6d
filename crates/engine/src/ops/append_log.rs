//! A runner adds to the log. The bytes go to the log store; here only the right to add them is checked, and renewed.

use model::{AttemptNumber, Cancel, JobId, LeaseToken, Now};

use super::Fenced;
use crate::state::Engine;

#[derive(Clone, Copy, Debug)]
pub struct AppendLogOp {
    pub job: JobId,
    pub token: LeaseToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendLogOutcome {
    Allowed { attempt: AttemptNumber, cancel: Cancel },
    Fenced(Fenced),
}

impl Engine {
    pub fn append_log(&mut self, op: AppendLogOp, now: Now) -> AppendLogOutcome {
        if let Err(fenced) = self.fence(op.job, &op.token) {
            return AppendLogOutcome::Fenced(fenced);
        }
        let job = self.jobs.get_mut(&op.job).expect("a fenced job runs");
        let lease_ms = job.lease_ms.unwrap_or(self.config.lease_ms);
        let running = job.running_mut().expect("a fenced job runs");
        running.seen = true;
        running.lease_until_ms = now.mono_ms + lease_ms;
        AppendLogOutcome::Allowed { attempt: running.attempt, cancel: running.cancel }
    }
}
