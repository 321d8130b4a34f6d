//! A runner asks for work: claim.

use std::sync::Arc;

use model::{Now, RunnerName, Session, limit};

use crate::Bug;
use crate::change::{Lease, PollKey};
use crate::runner::Parked;
use crate::state::Engine;
use crate::token;

/// Asks for up to `want` jobs. The runner must be registered.
#[derive(Clone, Debug)]
pub struct PollOp {
    pub runner: RunnerName,
    pub session: Session,
    /// The runner's own name for this request; asked again it gets the same leases (I8). Zero: it has none.
    pub poll: u64,
    pub want: u32,
    /// What its door notes of the runner now; kept with each attempt that comes of this.
    pub facts: Option<Arc<[u8]>>,
    /// The runner runs nothing but what it was given for this very poll: what else it holds is lost.
    pub idle: bool,
    /// How long to wait when there is nothing, and the key under which the answer is sent then.
    pub wait: Option<(PollKey, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    Granted(Vec<Lease>),
    /// Nothing to do, and no wish to wait.
    Empty,
    /// The answer comes as [`crate::Effect::PollAnswered`].
    Parked,
    /// Not registered here, as after a restore: register and ask again.
    UnknownRunner,
    SessionSuperseded,
}

impl Engine {
    pub fn poll(&mut self, op: PollOp, now: Now) -> PollOutcome {
        let Some(ix) = self.runner_ix.get(&op.runner).copied() else {
            return PollOutcome::UnknownRunner;
        };
        if self.runners[ix].session != op.session {
            return PollOutcome::SessionSuperseded;
        }
        self.touch(ix, now);
        if op.poll != 0 && !self.config.has(Bug::GrantAgainOnRepeatedPoll) {
            let again = self.leases_of_poll(ix, op.poll, now);
            if !again.is_empty() {
                self.counts.duplicates += 1;
                return PollOutcome::Granted(again);
            }
        }
        if op.idle {
            self.lose_jobs_of(ix, "the runner asked for other work", now);
        }
        // A repeated poll whose first copy is parked takes its place, or both would be answered.
        let copies: Vec<PollKey> = self.runners[ix]
            .parked
            .iter()
            .filter(|(_, parked)| op.poll != 0 && parked.poll == op.poll)
            .map(|(key, _)| *key)
            .collect();
        for key in copies {
            self.unpark(key);
            self.effects.push(crate::Effect::PollAnswered { poll: key, leases: Vec::new() });
        }
        let want = op.want.clamp(1, limit::JOBS_PER_POLL);
        let leases = self.grant(ix, want, op.poll, op.facts.clone(), now);
        if !leases.is_empty() {
            if self.runners[ix].free() == 0 {
                self.dismiss_polls(ix);
            }
            return PollOutcome::Granted(leases);
        }
        let runner = &self.runners[ix];
        match op.wait {
            Some((key, wait_ms)) if !runner.draining && runner.free() > 0 && wait_ms > 0 => {
                let until_ms = now.mono_ms + wait_ms.min(limit::POLL_WAIT_MS);
                self.park(ix, key, Parked { want, poll: op.poll, facts: op.facts, until_ms });
                PollOutcome::Parked
            }
            _ => PollOutcome::Empty,
        }
    }

    /// The client of a parked poll went away.
    pub fn abandon(&mut self, poll: PollKey) {
        self.unpark(poll);
    }

    /// Whether the runner has what it was given for this poll: the same poll again gives it again.
    pub fn holds(&self, runner: &RunnerName, session: Session, poll: u64) -> bool {
        let runner = self.runner_ix.get(runner).map(|ix| &self.runners[*ix]);
        runner.is_some_and(|runner| {
            let of_poll = |id| {
                let running = self.jobs.get(id).and_then(|job| job.running());
                running.is_some_and(|running| running.poll == poll)
            };
            runner.session == session && runner.jobs.iter().any(of_poll)
        })
    }

    fn leases_of_poll(&mut self, ix: u32, poll: u64, now: Now) -> Vec<Lease> {
        let runner = &self.runners[ix];
        let (name, session) = (runner.name.clone(), runner.session);
        let mut leases = Vec::new();
        for id in &runner.jobs {
            let job = self.jobs.get_mut(id).expect("a runner's job is live");
            let (group, queue, timeout_ms) = (job.group, job.queue.clone(), job.timeout_ms);
            let lease_ms = job.lease_ms.unwrap_or(self.config.lease_ms);
            let running = job.running_mut().expect("a runner's job runs");
            if running.poll != poll {
                continue;
            }
            running.lease_until_ms = now.mono_ms + lease_ms;
            leases.push(Lease {
                job: *id,
                group,
                attempt: running.attempt,
                token: token::derive(&self.config.token_key, *id, running.attempt, &name, session),
                queue,
                slice: running.slice,
                timeout_ms,
                lease_ms,
            });
        }
        leases
    }
}
