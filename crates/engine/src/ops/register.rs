//! A runner says who it is and what it offers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Dimensions, Now, RunnerName, Session, limit};

use crate::Bug;
use crate::change::Change;
use crate::matcher::{ProfileKey, RunnerIx};
use crate::runner::Runner;
use crate::state::Engine;
use crate::timers::Timer;

/// Who a runner is and what it offers. Its `id` is its name; a dimension of that key is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerSpec {
    pub name: RunnerName,
    pub session: Session,
    pub queues: BTreeSet<Arc<str>>,
    pub dimensions: Dimensions,
    pub slots: u32,
    /// It stays known, and counts as somebody who could take a job, however long it is silent: until it is deregistered.
    pub keep: bool,
}

#[derive(Clone, Debug)]
pub struct RegisterOp {
    pub runner: RunnerSpec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// New, changed, or the same as before.
    Registered,
    /// A newer session of this name was here: this process must stop (I9).
    SessionSuperseded,
    Refused {
        what: &'static str,
    },
}

impl Engine {
    pub fn knows_runner(&self, name: &RunnerName) -> bool {
        self.runner_ix.contains_key(name)
    }

    /// Whether registering this would change nothing.
    pub fn is_registered(&self, spec: &RunnerSpec) -> bool {
        self.runner_ix.get(&spec.name).is_some_and(|ix| !self.is_changed(*ix, spec))
    }

    fn is_changed(&self, ix: RunnerIx, spec: &RunnerSpec) -> bool {
        let runner = &self.runners[ix];
        spec.session != runner.session
            || spec.slots != runner.slots
            || spec.keep != runner.keep
            || profile_key(spec) != self.matcher.profile(runner.profile).key
    }

    pub fn register(&mut self, op: RegisterOp, now: Now) -> RegisterOutcome {
        let outcome = self.register_quietly(op.runner, now);
        self.match_parked(now);
        outcome
    }

    /// Registers without waking parked polls, for ops that go on afterwards.
    pub(crate) fn register_quietly(&mut self, spec: RunnerSpec, now: Now) -> RegisterOutcome {
        let refused = |what| RegisterOutcome::Refused { what };
        if spec.name.as_str().is_empty() || spec.name.as_str().len() > limit::NAME_BYTES {
            return refused("a runner's name is empty or too long");
        }
        if spec.slots == 0 || spec.slots > limit::SLOTS {
            return refused("a runner's slots are zero or too many");
        }
        if spec.queues.is_empty() || spec.queues.len() > limit::DIMENSIONS {
            return refused("a runner serves no queue, or too many");
        }
        if spec.queues.iter().any(|queue| queue.is_empty() || queue.len() > limit::NAME_BYTES) {
            return refused("the name of a queue is empty or too long");
        }
        let Some(ix) = self.runner_ix.get(&spec.name).copied() else {
            if self.runners.len() >= limit::RUNNERS {
                return refused("too many runners");
            }
            self.insert_runner(spec.clone(), false, now);
            self.changes.push(Change::RunnerPut { runner: spec, draining: false, at: now.wall });
            return RegisterOutcome::Registered;
        };
        let current = self.runners[ix].session;
        if spec.session < current {
            return RegisterOutcome::SessionSuperseded;
        }
        let takes_over = spec.session > current && !self.config.has(Bug::KeepJobsOfOlderSession);
        self.touch(ix, now);
        if takes_over && self.config.has(Bug::CountOfferOfOlderProcess) {
            self.lose_jobs_of(ix, "a new process took over the runner's name", now);
        }
        if self.is_changed(ix, &spec) {
            let key = profile_key(&spec);
            // A parked poll stands in line under its old profile.
            self.dismiss_polls(ix);
            let profile = self.matcher.profile_join(key, ix);
            let old = std::mem::replace(&mut self.runners[ix].profile, profile);
            if old != profile {
                self.matcher.profile_leave(old, ix);
            }
            // By now the new offer counts: a lost job does not wait for what the old process had.
            if takes_over {
                self.lose_jobs_of(ix, "a new process took over the runner's name", now);
            }
            let runner = &mut self.runners[ix];
            runner.session = spec.session;
            // Jobs that it runs keep their slots.
            runner.slots = spec.slots.max(runner.jobs.len() as u32);
            runner.keep = spec.keep;
            let draining = runner.draining;
            self.changes.push(Change::RunnerPut { runner: spec, draining, at: now.wall });
        }
        RegisterOutcome::Registered
    }

    pub(crate) fn insert_runner(&mut self, spec: RunnerSpec, draining: bool, now: Now) -> RunnerIx {
        self.runner_generation += 1;
        let generation = self.runner_generation;
        let key = profile_key(&spec);
        let ix = self.runners.insert(Runner {
            name: spec.name.clone(),
            session: spec.session,
            slots: spec.slots,
            profile: 0,
            draining,
            keep: spec.keep,
            jobs: BTreeSet::new(),
            parked: BTreeMap::new(),
            seen_ms: now.mono_ms,
            seen: now.wall,
            generation,
        });
        self.runners[ix].profile = self.matcher.profile_join(key, ix);
        self.runner_ix.insert(spec.name, ix);
        let gone_at = now.mono_ms + self.config.runner_gone_ms;
        self.timers.set(gone_at, Timer::RunnerGone(ix, generation));
        ix
    }

    /// The runner was heard of.
    pub(crate) fn touch(&mut self, ix: RunnerIx, now: Now) {
        let runner = &mut self.runners[ix];
        runner.seen_ms = now.mono_ms;
        runner.seen = now.wall;
    }

    pub(crate) fn lose_jobs_of(&mut self, ix: RunnerIx, why: &str, now: Now) {
        let jobs: Vec<_> = self.runners[ix].jobs.iter().copied().collect();
        for job in jobs {
            self.lose_attempt(job, why, now);
        }
    }
}

fn profile_key(spec: &RunnerSpec) -> ProfileKey {
    let mut dimensions = Dimensions::default();
    for (key, values) in spec.dimensions.iter().filter(|(key, _)| *key != crate::matcher::ID) {
        for value in values {
            dimensions.add(key, value).expect("a dimension that was taken once is taken again");
        }
    }
    ProfileKey { queues: spec.queues.clone(), dimensions }
}
