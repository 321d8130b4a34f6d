//! A runner's heartbeat: what it runs goes on.

use model::{JobId, LeaseToken, Now, RunnerName, Session};

use crate::state::Engine;

/// The jobs that a runner believes it runs. A token is checked when given; the unmodified executor sends none, and is known by
/// its name alone, which is new for each of its processes.
#[derive(Clone, Debug)]
pub struct RenewOp {
    pub runner: RunnerName,
    pub session: Session,
    pub jobs: Vec<(JobId, Option<LeaseToken>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenewOutcome {
    /// Of the jobs it named: those that are its own, and of these the ones that somebody wants stopped.
    Renewed {
        known: Vec<JobId>,
        cancel: Vec<JobId>,
    },
    UnknownRunner,
    SessionSuperseded,
}

impl Engine {
    pub fn renew(&mut self, op: RenewOp, now: Now) -> RenewOutcome {
        let Some(ix) = self.runner_ix.get(&op.runner).copied() else {
            return RenewOutcome::UnknownRunner;
        };
        if self.runners[ix].session != op.session {
            return RenewOutcome::SessionSuperseded;
        }
        self.touch(ix, now);
        let (mut known, mut cancel) = (Vec::new(), Vec::new());
        for (id, token) in &op.jobs {
            if let Some(token) = token
                && self.fence(*id, token).is_err()
            {
                continue;
            }
            let Some(job) = self.jobs.get_mut(id) else { continue };
            let lease_ms = job.lease_ms.unwrap_or(self.config.lease_ms);
            let Some(running) = job.running_mut() else { continue };
            if running.runner != ix {
                continue;
            }
            running.lease_until_ms = now.mono_ms + lease_ms;
            running.seen = true;
            known.push(*id);
            if running.cancel.is_requested() {
                cancel.push(*id);
            }
        }
        self.requeue_undelivered(ix, now);
        self.match_parked(now);
        RenewOutcome::Renewed { known, cancel }
    }

    /// Jobs that were granted long ago and that the runner never named: it did not get the reply.
    fn requeue_undelivered(&mut self, ix: u32, now: Now) {
        let patience = self.config.undelivered_ms;
        let undelivered: Vec<JobId> = self.runners[ix]
            .jobs
            .iter()
            .filter(|id| {
                let running = self.jobs[*id].running().expect("a runner's job runs");
                !running.seen && running.granted_ms + patience < now.mono_ms
            })
            .copied()
            .collect();
        for id in undelivered {
            self.lose_attempt(id, "the runner never heard that it was given the job", now);
        }
    }
}
