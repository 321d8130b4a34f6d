//! A runner gets no more jobs, or gets them again.

use model::{Now, RunnerName};

use crate::change::Change;
use crate::state::Engine;

#[derive(Clone, Debug)]
pub struct DrainOp {
    pub runner: RunnerName,
    pub drain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainOutcome {
    /// It still runs this many jobs.
    Done {
        running: usize,
    },
    UnknownRunner,
}

impl Engine {
    pub fn drain_runner(&mut self, op: DrainOp, now: Now) -> DrainOutcome {
        let Some(ix) = self.runner_ix.get(&op.runner).copied() else {
            return DrainOutcome::UnknownRunner;
        };
        if self.runners[ix].draining != op.drain {
            self.runners[ix].draining = op.drain;
            if op.drain {
                self.dismiss_polls(ix);
            }
            let runner = self.runner(&op.runner).expect("a drained runner is there").spec();
            self.changes.push(Change::RunnerPut { runner, draining: op.drain, at: now.wall });
        }
        DrainOutcome::Done { running: self.runners[ix].jobs.len() }
    }
}
