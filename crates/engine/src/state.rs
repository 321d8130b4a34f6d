//! The engine's memory, and what several ops share: granting, requeueing, finishing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{
    AttemptNumber, AttemptRecord, Cancel, Evidence, GroupId, JobId, Now, Outcome, RunnerName,
};

use crate::Bug;
use crate::change::{Change, Effect, Lease, PollKey};
use crate::config::Config;
use crate::idmap::JobMap;
use crate::job::{Job, JobPlace, Running};
use crate::matcher::{Matcher, OwnerIx, Place, RunnerIx, ShapeIx, Slab};
use crate::runner::{Parked, Runner, RunnerInfo};
use crate::timers::{Timer, Timers};
use crate::{invariant, token};

/// The deterministic core. Drive it with the methods in [`crate::ops`]; after each, take what it wants written and told with
/// [`Engine::drain`].
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) jobs: JobMap<Job>,
    pub(crate) matcher: Matcher,
    pub(crate) runners: Slab<Runner>,
    pub(crate) runner_ix: BTreeMap<RunnerName, RunnerIx>,
    pub(crate) owners: Owners,
    /// Open jobs of each open group.
    pub(crate) groups: BTreeMap<GroupId, u64>,
    /// Idempotency keys that are remembered, and the order in which they were put.
    pub(crate) keys: BTreeMap<[u8; 16], KeyEntry>,
    pub(crate) key_order: BTreeSet<(u64, [u8; 16])>,
    pub(crate) parked: BTreeMap<PollKey, RunnerIx>,
    /// Live jobs by the job that started them.
    pub(crate) children: BTreeMap<JobId, BTreeSet<JobId>>,
    pub(crate) timers: Timers,
    pub(crate) next_job: u64,
    pub(crate) next_group: u64,
    pub(crate) runner_generation: u64,
    /// Shapes that got a job in this op and may wake parked polls.
    pub(crate) touched: BTreeSet<ShapeIx>,
    pub(crate) changes: Vec<Change>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) counts: Counts,
}

/// What happened since the engine started. For metrics and reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub submitted: u64,
    pub granted: u64,
    pub finished: u64,
    pub requeued: u64,
    pub fenced: u64,
    pub duplicates: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyEntry {
    pub body: [u8; 16],
    pub first_job: JobId,
    pub jobs: u64,
    pub group: Option<GroupId>,
    pub expires_ms: u64,
}

/// Owners by number, dropped when their last live job ends.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    by_name: BTreeMap<Arc<str>, OwnerIx>,
    all: Slab<(Arc<str>, u64)>,
}

impl Owners {
    pub(crate) fn retain(&mut self, name: &Arc<str>) -> OwnerIx {
        if let Some(ix) = self.by_name.get(name) {
            self.all[*ix].1 += 1;
            return *ix;
        }
        let ix = self.all.insert((name.clone(), 1));
        self.by_name.insert(name.clone(), ix);
        ix
    }

    pub(crate) fn release(&mut self, ix: OwnerIx) {
        self.all[ix].1 -= 1;
        if self.all[ix].1 == 0 {
            let (name, _) = self.all.remove(ix);
            self.by_name.remove(&name);
        }
    }
}

impl Engine {
    /// An empty engine. A store with something in it goes through [`Engine::restore`].
    pub fn new(config: Config) -> Self {
        let bugs = crate::matcher::MatcherBugs {
            invert_priority: config.has(Bug::InvertPriority),
            no_turns: config.has(Bug::NoTurns),
            any_key: config.has(Bug::MatchAnyAlternativeKey),
        };
        Self {
            config,
            jobs: JobMap::default(),
            matcher: Matcher::new(bugs),
            runners: Slab::default(),
            runner_ix: BTreeMap::new(),
            owners: Owners::default(),
            groups: BTreeMap::new(),
            keys: BTreeMap::new(),
            key_order: BTreeSet::new(),
            parked: BTreeMap::new(),
            children: BTreeMap::new(),
            timers: Timers::default(),
            next_job: 1,
            next_group: 1,
            runner_generation: 0,
            touched: BTreeSet::new(),
            changes: Vec::new(),
            effects: Vec::new(),
            counts: Counts::default(),
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Everything since the last call: write the changes, then release the effects.
    pub fn drain(&mut self, changes: &mut Vec<Change>, effects: &mut Vec<Effect>) {
        changes.append(&mut self.changes);
        effects.append(&mut self.effects);
    }

    /// When the next deadline is, on the monotonic clock.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.timers.next_at()
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Live jobs: queued and running.
    pub fn live(&self) -> (usize, usize) {
        (self.matcher.pending(), self.jobs.len() - self.matcher.pending())
    }

    pub fn parked_polls(&self) -> usize {
        self.parked.len()
    }

    pub fn runners(&self) -> Vec<RunnerInfo> {
        self.runner_ix.values().map(|ix| self.runner_info(*ix)).collect()
    }

    pub fn runner(&self, name: &RunnerName) -> Option<RunnerInfo> {
        self.runner_ix.get(name).map(|ix| self.runner_info(*ix))
    }

    /// Whether the job is queued or running. A finished one is only in the store.
    pub fn is_live(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    fn runner_info(&self, ix: RunnerIx) -> RunnerInfo {
        let runner = &self.runners[ix];
        let profile = &self.matcher.profile(runner.profile).key;
        RunnerInfo {
            name: runner.name.clone(),
            session: runner.session,
            queues: profile.queues.iter().map(|queue| queue.to_string()).collect(),
            dimensions: profile.dimensions.clone(),
            slots: runner.slots,
            draining: runner.draining,
            keep: runner.keep,
            jobs: runner.jobs.iter().copied().collect(),
            waiting: !runner.parked.is_empty(),
            seen: runner.seen,
        }
    }

    // --- what ops share ---

    pub(crate) fn place_of(&self, id: JobId, job: &Job, slice: u32) -> Place {
        Place { shape: job.slices[slice as usize].shape, rank: job.rank, owner: job.owner, job: id }
    }

    /// Puts the job in line in `slice` or, where that one is passed over, in the next that takes it; finishes the job when
    /// none does. Pushes no `JobQueued` for the slice `recorded`, which the store knows already.
    pub(crate) fn enqueue(&mut self, id: JobId, slice: u32, recorded: Option<u32>, now: Now) {
        let job = self.jobs.get(&id).expect("an enqueued job is live");
        let count = job.slices.len() as u32;
        let mut next = slice;
        // The time of a slice that is passed over goes to the one that is taken: together they last as long as was said.
        let mut unused_ms = 0_u64;
        while next < count {
            let candidate = job.slices[next as usize];
            if candidate.wait_for_capacity || self.has_capacity(candidate.shape) {
                break;
            }
            unused_ms = unused_ms.saturating_add(candidate.expires_after_ms.unwrap_or(0));
            next += 1;
        }
        if self.config.has(Bug::ForgetTimePassedOver) {
            unused_ms = 0;
        }
        let since_ms = now.mono_ms.saturating_add(unused_ms);
        if next == count {
            // The last slice decides the word: it was passed over for want of a runner, or its time was up.
            let waited = slice == count || self.config.has(Bug::CallEveryEndExpired);
            let outcome = if waited { Outcome::Expired } else { Outcome::NoResource };
            self.finish(id, outcome, now);
            return;
        }
        let (attempts, lost) = (job.attempts, job.lost);
        let place = self.place_of(id, job, next);
        let expires = job.slices[next as usize].expires_after_ms;
        self.matcher.push(place);
        self.touched.insert(place.shape);
        if let Some(after) = expires {
            self.timers.set(since_ms.saturating_add(after), Timer::Slice(id, next));
        }
        let job = self.jobs.get_mut(&id).expect("an enqueued job is live");
        job.place = JobPlace::Queued { slice: next, since_ms };
        if recorded != Some(next) {
            self.changes.push(Change::JobQueued { id, slice: next, attempts, lost, at: now.wall });
        }
    }

    /// Whether any runner that is registered could ever take jobs of this shape. One that is to go when it is drained does not
    /// count; one that is kept is expected back.
    pub(crate) fn has_capacity(&self, shape: ShapeIx) -> bool {
        self.matcher.profiles_for(shape).into_iter().any(|profile| {
            let mut runners = self.matcher.profile(profile).runners.iter();
            runners.any(|ix| {
                let runner = &self.runners[*ix];
                let busy = self.config.has(Bug::CountOnlyIdleRunners) && runner.free() == 0;
                (!runner.draining || runner.keep)
                    && !busy
                    && self.matcher.serves(profile, &runner.name, shape)
            })
        })
    }

    /// Grants up to `want` jobs to a runner.
    pub(crate) fn grant(
        &mut self,
        ix: RunnerIx,
        want: u32,
        poll: u64,
        facts: Option<Arc<[u8]>>,
        now: Now,
    ) -> Vec<Lease> {
        let runner = &self.runners[ix];
        if runner.draining && !self.config.has(Bug::GrantWhileDraining) {
            return Vec::new();
        }
        let (profile, name, session) = (runner.profile, runner.name.clone(), runner.session);
        let beyond = self.config.has(Bug::GrantBeyondSlots);
        let want = if beyond { want } else { want.min(runner.free()) };
        let mut leases = Vec::new();
        for _ in 0..want {
            let Some(id) = self.matcher.take(profile, &name) else { break };
            let job = self.jobs.get_mut(&id).expect("a pending job is live");
            let JobPlace::Queued { slice, since_ms } = job.place else {
                unreachable!("a pending job is queued")
            };
            if let Some(after) = job.slices[slice as usize].expires_after_ms {
                self.timers.clear(since_ms.saturating_add(after), Timer::Slice(id, slice));
            }
            job.attempts += 1;
            let attempt = AttemptNumber(job.attempts);
            let lease_ms = job.lease_ms.unwrap_or(self.config.lease_ms);
            let lease_until_ms = now.mono_ms + lease_ms;
            let grace = self.config.timeout_grace_ms;
            let timeout = job.timeout_ms.map(|ms| ms.saturating_add(grace));
            let timeout_at_ms = timeout.map(|ms| now.mono_ms.saturating_add(ms));
            job.place = JobPlace::Running(Running {
                attempt,
                runner: ix,
                poll,
                slice,
                granted_ms: now.mono_ms,
                granted: now.wall,
                started: None,
                lease_until_ms,
                lease_timer_ms: lease_until_ms,
                timeout_at_ms,
                cancel_at_ms: None,
                seen: false,
                cancel: Cancel::None,
                facts: facts.clone(),
            });
            self.timers.set(lease_until_ms, Timer::Lease(id, attempt));
            if let Some(at) = timeout_at_ms {
                self.timers.set(at, Timer::Timeout(id, attempt));
            }
            leases.push(Lease {
                job: id,
                group: job.group,
                attempt,
                token: token::derive(&self.config.token_key, id, attempt, &name, session),
                queue: job.queue.clone(),
                slice,
                timeout_ms: job.timeout_ms,
                lease_ms,
            });
            self.runners[ix].jobs.insert(id);
            self.counts.granted += 1;
            self.changes.push(Change::JobRunning {
                id,
                attempt,
                runner: name.clone(),
                session,
                poll,
                facts: facts.clone(),
                at: now.wall,
            });
        }
        let runner = &self.runners[ix];
        invariant!(
            beyond || runner.jobs.len() as u32 <= runner.slots,
            "runner `{name}` has too many jobs"
        );
        leases
    }

    /// Gives pending jobs of the touched shapes to parked polls. Called at the end of every op that may have queued a job.
    pub(crate) fn match_parked(&mut self, now: Now) {
        if self.config.has(Bug::MissParkedPolls) {
            self.touched.clear();
        }
        while let Some(shape) = self.touched.pop_first() {
            while let Some(poll) = self.matcher.parked_for(shape) {
                let (ix, parked) = self.unpark(poll).expect("a parked poll has a runner");
                let leases = self.grant(ix, parked.want, parked.poll, parked.facts, now);
                invariant!(!leases.is_empty(), "a matching parked poll takes a job");
                self.effects.push(Effect::PollAnswered { poll, leases });
                self.trim_polls(ix);
            }
        }
    }

    /// Answers parked polls of a runner whose slots are all taken.
    fn trim_polls(&mut self, ix: RunnerIx) {
        if self.runners[ix].free() == 0 {
            self.dismiss_polls(ix);
        }
    }

    /// Parks a poll of a runner that has room. Invariant: a runner never has more parked wishes than free slots.
    pub(crate) fn park(&mut self, ix: RunnerIx, poll: PollKey, parked: Parked) {
        self.timers.set(parked.until_ms, Timer::Poll(poll));
        let runner = &mut self.runners[ix];
        runner.parked.insert(poll, parked);
        self.matcher.park(runner.profile, &runner.name, poll);
        self.parked.insert(poll, ix);
    }

    /// Forgets a parked poll without answering it.
    pub(crate) fn unpark(&mut self, poll: PollKey) -> Option<(RunnerIx, Parked)> {
        let ix = self.parked.remove(&poll)?;
        let runner = &mut self.runners[ix];
        let parked = runner.parked.remove(&poll).expect("a parked poll is its runner's");
        self.matcher.unpark(runner.profile, &runner.name, poll);
        self.timers.clear(parked.until_ms, Timer::Poll(poll));
        Some((ix, parked))
    }

    /// Answers all parked polls of a runner with nothing.
    pub(crate) fn dismiss_polls(&mut self, ix: RunnerIx) {
        let polls: Vec<PollKey> = self.runners[ix].parked.keys().copied().collect();
        for poll in polls {
            self.unpark(poll);
            self.effects.push(Effect::PollAnswered { poll, leases: Vec::new() });
        }
    }

    /// Ends the live attempt: history is written, the runner's slot is free. The job is in no place until the caller
    /// finishes or requeues it.
    pub(crate) fn end_attempt(
        &mut self,
        id: JobId,
        outcome: Outcome,
        evidence: Evidence,
        now: Now,
    ) -> Running {
        let job = self.jobs.get_mut(&id).expect("a running job is live");
        let JobPlace::Running(running) = &job.place else {
            unreachable!("only a running job has an attempt to end")
        };
        // In no line: the slice is what people see of a job that ends here.
        let place = JobPlace::Queued { slice: running.slice, since_ms: now.mono_ms };
        let JobPlace::Running(running) = std::mem::replace(&mut job.place, place) else {
            unreachable!("it ran a moment ago")
        };
        let attempt = running.attempt;
        self.timers.clear(running.lease_timer_ms, Timer::Lease(id, attempt));
        if let Some(at) = running.timeout_at_ms {
            self.timers.clear(at, Timer::Timeout(id, attempt));
        }
        if let Some(at) = running.cancel_at_ms {
            self.timers.clear(at, Timer::CancelGrace(id, attempt));
        }
        let keep = self.config.has(Bug::KeepSlotAfterComplete) && outcome != Outcome::RunnerLost;
        let runner = &mut self.runners[running.runner];
        invariant!(keep || runner.jobs.remove(&id), "job {id} is released twice");
        let started = running.started.unwrap_or(running.granted);
        if self.config.has(Bug::ForgetAttemptRecord) && outcome == Outcome::RunnerLost {
            return running;
        }
        self.changes.push(Change::AttemptEnded {
            id,
            record: AttemptRecord {
                number: running.attempt,
                runner: runner.name.clone(),
                slice: running.slice,
                // The wall clock may have jumped back; within a job time is monotone (I16).
                started,
                ended: now.wall.max(started),
                cancel_requested: match running.cancel {
                    Cancel::None => None,
                    Cancel::Requested(at) => Some(at),
                },
                facts: running.facts.clone(),
                outcome,
                evidence,
            },
        });
        running
    }

    /// The attempt's runner is gone: another try, or the end.
    pub(crate) fn lose_attempt(&mut self, id: JobId, why: &str, now: Now) {
        self.lose_attempt_counting(id, why, true, now);
    }

    /// The same, where the loss may not count against the job's retries.
    pub(crate) fn lose_attempt_counting(&mut self, id: JobId, why: &str, counts: bool, now: Now) {
        let evidence = Evidence { message: Some(why.into()), ..Evidence::default() };
        let running = self.end_attempt(id, Outcome::RunnerLost, evidence, now);
        let job = self.jobs.get_mut(&id).expect("a running job is live");
        job.lost += u32::from(counts);
        if self.config.has(Bug::ReuseAttemptNumber) {
            job.attempts -= 1;
        }
        if running.cancel.is_requested() {
            self.finish(id, Outcome::Killed, now);
        } else if job.lost > job.lost_runner_retries && !self.config.has(Bug::RetryLostForEver) {
            self.finish(id, Outcome::RunnerLost, now);
        } else {
            self.counts.requeued += 1;
            let recorded = self.config.has(Bug::ForgetToStoreRequeue).then_some(running.slice);
            self.enqueue(id, running.slice, recorded, now);
        }
    }

    /// The job is over. It leaves memory; the store keeps it.
    pub(crate) fn finish(&mut self, id: JobId, outcome: Outcome, now: Now) {
        let job = self.jobs.remove(&id).expect("a job finishes once");
        self.owners.release(job.owner);
        for slice in &job.slices {
            self.matcher.shape_release(slice.shape);
        }
        self.counts.finished += 1;
        let JobPlace::Queued { slice, .. } = job.place else {
            unreachable!("a job finishes when its attempt is over")
        };
        let reusable = match outcome {
            // A reused result leads to no other: its own age counts.
            Outcome::Succeeded if job.attempts > 0 => job.slices[slice as usize].reuse_key,
            Outcome::Failed { .. } if self.config.has(Bug::OfferFailedResult) => {
                job.slices[slice as usize].reuse_key
            }
            _ => None,
        };
        if let Some(parent) = job.parent
            && let Some(siblings) = self.children.get_mut(&parent)
        {
            siblings.remove(&id);
            if siblings.is_empty() {
                self.children.remove(&parent);
            }
        }
        let spare = self.config.has(Bug::SpareChildrenOfFailed) && !outcome.is_success();
        if self.children.contains_key(&id) && !spare {
            self.timers.set(now.mono_ms, Timer::Children(id));
        }
        self.changes.push(Change::JobFinished {
            id,
            group: job.group,
            outcome,
            slice,
            attempts: job.attempts,
            reusable,
            at: now.wall,
        });
        self.effects.push(Effect::JobFinished { job: id, group: job.group });
        let Some(group) = job.group else { return };
        let open = self.groups.get_mut(&group).expect("a live job's group is open");
        *open -= 1;
        let early = self.config.has(Bug::FinishGroupEarly) && *open == 1;
        if *open == 0 || early {
            if !early {
                self.groups.remove(&group);
            }
            self.changes.push(Change::GroupFinished { id: group, at: now.wall });
            self.effects.push(Effect::GroupFinished { group });
        }
    }

    /// Takes a queued job out of line.
    pub(crate) fn dequeue(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        let JobPlace::Queued { slice, since_ms } = job.place else {
            unreachable!("only a queued job is in line")
        };
        let place = self.place_of(id, job, slice);
        if let Some(after) = job.slices[slice as usize].expires_after_ms {
            self.timers.clear(since_ms.saturating_add(after), Timer::Slice(id, slice));
        }
        self.matcher.remove(place);
    }

    /// Checks the whole memory against itself. Expensive; for tests and the simulator.
    pub fn check(&self) {
        self.matcher.check();
        let queued = self.jobs.values().filter(|job| job.running().is_none()).count();
        assert_eq!(queued, self.matcher.pending(), "every queued job is in line");
        let mut by_group: BTreeMap<GroupId, u64> = BTreeMap::new();
        for (id, job) in &self.jobs {
            if let Some(running) = job.running() {
                assert!(self.runners[running.runner].jobs.contains(id), "job {id} holds a slot");
            }
            if let Some(group) = job.group {
                *by_group.entry(group).or_default() += 1;
            }
        }
        assert_eq!(by_group, self.groups, "open jobs of each group (I7)");
        let held: usize = self.runners.iter().map(|(_, runner)| runner.jobs.len()).sum();
        assert_eq!(held, self.jobs.len() - queued, "a slot for each running job (I27)");
        for (_, runner) in self.runners.iter() {
            assert!(runner.jobs.len() as u32 <= runner.slots, "slots of `{}`", runner.name);
        }
        for poll in self.parked.keys() {
            let runner = &self.runners[self.parked[poll]];
            assert!(runner.parked.contains_key(poll), "a parked poll is its runner's");
            assert!(runner.free() > 0, "a full runner has no parked poll");
        }
        assert_eq!(self.keys.len(), self.key_order.len(), "idempotency keys");
        let mut children: BTreeMap<JobId, BTreeSet<JobId>> = BTreeMap::new();
        for (id, job) in &self.jobs {
            if let Some(parent) = job.parent {
                children.entry(parent).or_default().insert(*id);
            }
        }
        assert_eq!(children, self.children, "live children of each job");
        let most = 3 * self.jobs.len()
            + self.children.len()
            + self.parked.len()
            + 2 * self.runners.len()
            + 64;
        assert!(self.timers.len() <= most, "timers leak: {} of {most}", self.timers.len());
    }
}
