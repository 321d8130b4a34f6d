//! A runner is given up on: what it runs is lost. It stays known, and may come back.

use model::{Now, RunnerName};

use crate::state::Engine;

#[derive(Clone, Debug)]
pub struct LoseOp {
    pub runner: RunnerName,
    /// For people: why.
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoseOutcome {
    /// This many of its jobs were requeued or ended.
    Lost {
        jobs: usize,
    },
    UnknownRunner,
}

impl Engine {
    pub fn lose_runner(&mut self, op: LoseOp, now: Now) -> LoseOutcome {
        let Some(ix) = self.runner_ix.get(&op.runner).copied() else {
            return LoseOutcome::UnknownRunner;
        };
        let jobs = self.runners[ix].jobs.len();
        self.dismiss_polls(ix);
        self.lose_jobs_of(ix, &op.why, now);
        self.match_parked(now);
        LoseOutcome::Lost { jobs }
    }
}
