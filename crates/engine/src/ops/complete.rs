//! An attempt is over, and with it the job.

use model::{Cancel, Evidence, JobId, LeaseToken, Now, Outcome};

use super::Fenced;
use crate::Bug;
use crate::state::Engine;

/// Called when the attempt's log and outputs are durable; the caller has checked them.
#[derive(Clone, Debug)]
pub struct CompleteOp {
    pub job: JobId,
    pub token: LeaseToken,
    pub outcome: Outcome,
    pub evidence: Evidence,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompleteOutcome {
    /// `recorded` differs from what was reported when a cancel was committed first (I15).
    Finished { recorded: Outcome },
    /// The store may know the attempt: the same content again is fine, another is a conflict (I14).
    Fenced(Fenced),
}

impl Engine {
    pub fn complete(&mut self, op: CompleteOp, now: Now) -> CompleteOutcome {
        if let Err(fenced) = self.fence(op.job, &op.token) {
            return CompleteOutcome::Fenced(fenced);
        }
        let running = self.jobs[&op.job].running().expect("a fenced job runs");
        let recorded = match running.cancel {
            Cancel::Requested(_) if self.config.has(Bug::ForgetCancelOnComplete) => op.outcome,
            // It never began: the runner looked before it started the command.
            Cancel::Requested(_) if op.outcome == Outcome::Canceled => op.outcome,
            Cancel::Requested(_) => Outcome::Killed,
            Cancel::None => op.outcome,
        };
        let ix = running.runner;
        self.touch(ix, now);
        self.end_attempt(op.job, recorded.clone(), op.evidence, now);
        self.finish(op.job, recorded.clone(), now);
        CompleteOutcome::Finished { recorded }
    }
}
