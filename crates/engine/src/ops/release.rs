//! A runner gives a job back: it shuts down, or never got the grant.

use model::{JobId, LeaseToken, Now};

use super::Fenced;
use crate::state::Engine;

#[derive(Clone, Debug)]
pub struct ReleaseOp {
    pub job: JobId,
    pub token: LeaseToken,
    /// For people: why.
    pub why: String,
    /// The runner never had it, so it is no try that counts.
    pub undelivered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// Queued again, or over when it was lost too often or was to be cancelled.
    Released,
    Fenced(Fenced),
}

impl Engine {
    pub fn release(&mut self, op: ReleaseOp, now: Now) -> ReleaseOutcome {
        if let Err(fenced) = self.fence(op.job, &op.token) {
            return ReleaseOutcome::Fenced(fenced);
        }
        self.lose_attempt_counting(op.job, &op.why, !op.undelivered, now);
        self.match_parked(now);
        ReleaseOutcome::Released
    }
}
