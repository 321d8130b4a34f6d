//! From the store into memory, at start.
//!
//! The time in which no server ran is not counted: every lease, slice and timeout starts with a full new term (I11), so that a
//! restart never kills a running job. A slice that has the time of others before it keeps what is left of that.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    AttemptNumber, Cancel, Dimensions, GroupId, JobId, NewJob, Now, RunnerName, Session, WallMs,
    limit,
};

use crate::Bug;
use crate::config::Config;
use crate::job::{JobPlace, Running};
use crate::ops::RunnerSpec;
use crate::state::{Engine, KeyEntry};
use crate::timers::Timer;

/// What the store holds of what is live.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// One more than the highest id ever given.
    pub next_job: u64,
    pub next_group: u64,
    pub jobs: Vec<LiveJob>,
    /// The last state of each known runner, and whether it drains.
    pub runners: Vec<(RunnerSpec, bool)>,
    pub keys: Vec<StoredKey>,
}

/// A live job as stored. The payload of `job` may be left out: the engine does not look at it.
#[derive(Clone, Debug)]
pub struct LiveJob {
    pub id: JobId,
    pub group: Option<GroupId>,
    pub job: Arc<NewJob>,
    pub attempts: u32,
    pub lost: u32,
    pub created: WallMs,
    pub place: Place,
}

#[derive(Clone, Debug)]
pub enum Place {
    Queued {
        slice: u32,
    },
    Running {
        attempt: AttemptNumber,
        slice: u32,
        runner: RunnerName,
        session: Session,
        poll: u64,
        since: WallMs,
        cancel: Cancel,
        facts: Option<Arc<[u8]>>,
    },
}

/// An idempotency key as stored.
#[derive(Clone, Copy, Debug)]
pub struct StoredKey {
    pub key: [u8; 16],
    pub body: [u8; 16],
    pub first_job: JobId,
    pub jobs: u64,
    pub group: Option<GroupId>,
    pub at: WallMs,
}

/// How long a key is remembered at least after a start, in milliseconds.
const KEY_MS_AFTER_START: u64 = 60 * 60 * 1000;

impl Engine {
    pub fn restore(config: Config, snapshot: Snapshot, now: Now) -> Self {
        let mut engine = Self::new(config);
        engine.next_job = snapshot.next_job.max(1);
        engine.next_group = snapshot.next_group.max(1);
        for (spec, draining) in snapshot.runners {
            engine.insert_runner(spec, draining, now);
        }
        for key in snapshot.keys {
            let StoredKey { key, body, first_job, jobs, group, at } = key;
            // The wall clock may have jumped: who was cut off by this restart still finds the answer to a second try.
            let age_ms = now.wall.0.saturating_sub(at.0);
            let left_ms = limit::IDEMPOTENCY_MS.saturating_sub(age_ms).max(KEY_MS_AFTER_START);
            let entry =
                KeyEntry { body, first_job, jobs, group, expires_ms: now.mono_ms + left_ms };
            engine.remember_key(key, entry);
        }
        let mut groups: BTreeMap<GroupId, u64> = BTreeMap::new();
        for live in &snapshot.jobs {
            if let Some(group) = live.group {
                *groups.entry(group).or_default() += 1;
            }
        }
        engine.groups = groups;
        let parents: Vec<_> = snapshot.jobs.iter().map(|l| (l.id, l.job.terms.parent)).collect();
        for live in snapshot.jobs {
            engine.restore_job(live, now);
        }
        // When all are there: a parent that is not is over.
        for (id, parent) in parents {
            engine.adopt(id, parent, now);
            if engine.config.has(Bug::ForgetOrphansOnRestart)
                && let Some(parent) = parent
            {
                engine.timers.clear(now.mono_ms, Timer::Children(parent));
            }
        }
        engine.touched.clear();
        engine
    }

    fn restore_job(&mut self, live: LiveJob, now: Now) {
        let LiveJob { id, group, job, attempts, lost, created, place } = live;
        let mut job = self.admit(&job, group, created, now);
        job.attempts = attempts;
        job.lost = lost;
        match place {
            Place::Queued { slice } => {
                let expires = job.slices[slice as usize].expires_after_ms;
                // Were the slices before it waited for, or passed over? If their time is not over yet, it is this one's.
                let before = job.slices[..slice as usize].iter();
                let before_ms = before
                    .map(|slice| slice.expires_after_ms.unwrap_or(0))
                    .fold(0, u64::saturating_add);
                let until = created.0.saturating_add(before_ms);
                // The wall clock may have jumped.
                let left_ms = if self.config.has(Bug::ForgetTimePassedOverOnRestart) {
                    0
                } else {
                    until.saturating_sub(now.wall.0).min(before_ms)
                };
                let since_ms = now.mono_ms.saturating_add(left_ms);
                job.place = JobPlace::Queued { slice, since_ms };
                let place = self.place_of(id, &job, slice);
                self.jobs.insert(id, job);
                self.matcher.push(place);
                if let Some(after) = expires {
                    self.timers.set(since_ms.saturating_add(after), Timer::Slice(id, slice));
                }
            }
            Place::Running { attempt, slice, runner, session, poll, since, cancel, facts } => {
                let ix = match self.runner_ix.get(&runner) {
                    Some(ix) => *ix,
                    // Its row is gone; the lease decides.
                    None => {
                        let spec = RunnerSpec {
                            name: runner,
                            session,
                            queues: [job.queue.clone()].into(),
                            dimensions: Dimensions::default(),
                            slots: 1,
                            keep: false,
                        };
                        self.insert_runner(spec, false, now)
                    }
                };
                let runner = &mut self.runners[ix];
                runner.jobs.insert(id);
                runner.slots = runner.slots.max(runner.jobs.len() as u32);
                let term = if self.config.has(Bug::CountDowntime) {
                    0
                } else {
                    job.lease_ms.unwrap_or(self.config.lease_ms)
                };
                let lease_until_ms = now.mono_ms + term;
                let grace = self.config.timeout_grace_ms;
                let timeout = job.timeout_ms.map(|ms| ms.saturating_add(grace));
                let timeout_at_ms = timeout.map(|ms| now.mono_ms.saturating_add(ms));
                let cancel_at_ms = match cancel {
                    Cancel::Requested(_) if job.lease_ms.is_none() => {
                        Some(now.mono_ms + self.config.cancel_grace_ms)
                    }
                    Cancel::None | Cancel::Requested(_) => None,
                };
                if !self.config.has(Bug::ForgetLeaseTimerOnRestore) {
                    self.timers.set(lease_until_ms, Timer::Lease(id, attempt));
                }
                if let Some(at) = timeout_at_ms {
                    self.timers.set(at, Timer::Timeout(id, attempt));
                }
                if let Some(at) = cancel_at_ms {
                    self.timers.set(at, Timer::CancelGrace(id, attempt));
                }
                job.place = JobPlace::Running(Running {
                    attempt,
                    runner: ix,
                    poll,
                    slice,
                    granted_ms: now.mono_ms,
                    granted: since,
                    started: None,
                    lease_until_ms,
                    lease_timer_ms: lease_until_ms,
                    timeout_at_ms,
                    cancel_at_ms,
                    // Whether the reply arrived is not known: the runner has a full patience from now to name the job.
                    seen: false,
                    cancel,
                    facts,
                });
                self.jobs.insert(id, job);
            }
        }
    }
}
