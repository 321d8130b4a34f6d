//! A runner is gone: it said so, or was not heard of.

use model::{Now, RunnerName};

use crate::Bug;
use crate::change::Change;
use crate::matcher::RunnerIx;
use crate::state::Engine;

#[derive(Clone, Debug)]
pub struct DeregisterOp {
    pub runner: RunnerName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeregisterOutcome {
    /// It is forgotten; this many of its jobs were requeued or ended.
    Gone {
        lost: usize,
    },
    UnknownRunner,
}

impl Engine {
    pub fn deregister(&mut self, op: DeregisterOp, now: Now) -> DeregisterOutcome {
        let Some(ix) = self.runner_ix.get(&op.runner).copied() else {
            return DeregisterOutcome::UnknownRunner;
        };
        let lost = self.runners[ix].jobs.len();
        self.remove_runner(ix, now);
        self.match_parked(now);
        DeregisterOutcome::Gone { lost }
    }

    pub(crate) fn remove_runner(&mut self, ix: RunnerIx, now: Now) {
        self.dismiss_polls(ix);
        // What it leaves behind does not wait for it.
        if !self.config.has(Bug::CountRunnerThatLeaves) {
            self.runners[ix].draining = true;
            self.runners[ix].keep = false;
        }
        // Jobs go back first: the record of an attempt names its runner.
        self.lose_jobs_of(ix, "the runner is gone", now);
        let runner = self.runners.remove(ix);
        self.matcher.profile_leave(runner.profile, ix);
        self.runner_ix.remove(&runner.name);
        self.changes.push(Change::RunnerRemoved { name: runner.name, at: now.wall });
    }
}
