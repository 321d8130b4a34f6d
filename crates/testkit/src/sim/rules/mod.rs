//! Swarming's rules, told once more: slices, capacity, reuse, order and children. Plain and slow on purpose: every question
//! is a look at all jobs and all runners, and not a line is shared with the engine.
//!
//! It hears each input of the engine and follows the changes that come of it, one by one, before anything is durable. So it
//! knows the moment in which a thing was decided, which an oracle over whole commits does not.

mod change;
mod fit;
mod rest;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::ops::RunnerSpec;
use engine::{Change, Lease};
use model::{
    AttemptNumber, Cancel, GroupId, JobId, NewJob, Outcome, ReuseKey, RunnerName, Session, WallMs,
};

use super::disk::Disk;

type Verdict = Result<(), String>;

/// How often each rule was at work. A run in which one never was proves nothing about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The last slice's time was over.
    pub expired: u64,
    /// A slice's time was over and a later one took the job.
    pub fallbacks: u64,
    /// A slice was passed over at once, for want of a runner.
    pub passed_over: u64,
    pub no_resource: u64,
    /// Jobs that took another's result.
    pub reused: u64,
    /// Results that others may take.
    pub offered: u64,
    /// Children that ended in line with their parent, and those that were told to stop.
    pub children_canceled: u64,
    pub children_stopped: u64,
    /// Grants that age decided: another job of the queue waited for the same runner.
    pub by_age: u64,
}

impl Seen {
    pub fn each(&self) -> [(&'static str, u64); 9] {
        [
            ("expired", self.expired),
            ("fallbacks", self.fallbacks),
            ("slices passed over", self.passed_over),
            ("no resource", self.no_resource),
            ("reused", self.reused),
            ("offered for reuse", self.offered),
            ("children canceled", self.children_canceled),
            ("children told to stop", self.children_stopped),
            ("grants by age", self.by_age),
        ]
    }

    pub fn add(&mut self, other: &Self) {
        self.expired += other.expired;
        self.fallbacks += other.fallbacks;
        self.passed_over += other.passed_over;
        self.no_resource += other.no_resource;
        self.reused += other.reused;
        self.offered += other.offered;
        self.children_canceled += other.children_canceled;
        self.children_stopped += other.children_stopped;
        self.by_age += other.by_age;
    }
}

/// What the engine was told, as far as a rule asks for it.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// Time went on; `more` when timers are left that should have rung.
    Tick {
        more: bool,
    },
    Register(RunnerSpec),
    /// A poll or a renewal: the runner lives.
    Heard(RunnerName, Session),
    Deregister(RunnerName),
    Drain(RunnerName, bool),
    Cancel(JobId),
    CancelGroup(GroupId),
    Retry(JobId),
    Other,
}

#[derive(Debug)]
struct Job {
    spec: Arc<NewJob>,
    group: Option<GroupId>,
    created: WallMs,
    attempts: u32,
    lost: u32,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    /// In line. Its time may be over at `may_ms` and must be at `must_ms`: they differ only after a restart.
    Queued {
        slice: u32,
        may_ms: Option<u64>,
        must_ms: Option<u64>,
    },
    Running {
        slice: u32,
        runner: RunnerName,
        attempt: AttemptNumber,
        asked: bool,
    },
    /// In no place: the next change of the job must be this one, in the same op.
    Between(Next),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    Line { slice: u32, carried_ms: u64 },
    End { outcome: Outcome, slice: u32, ran: bool },
}

#[derive(Debug)]
struct Known {
    spec: RunnerSpec,
    draining: bool,
    heard_ms: u64,
    /// When it last ran something or had a poll open: up to date where time is judged.
    busy_ms: u64,
}

#[derive(Debug)]
pub(super) struct Rules {
    /// Jobs that are live.
    jobs: BTreeMap<JobId, Job>,
    /// Every job that there was: a retry brings one back.
    specs: BTreeMap<JobId, (Arc<NewJob>, Option<GroupId>, WallMs)>,
    /// When each was submitted; none for one that was brought back.
    born_ms: BTreeMap<JobId, u64>,
    runners: BTreeMap<RunnerName, Known>,
    input: Input,
    now_ms: u64,
    gone_ms: u64,
    /// Runners that had something to do after the input before.
    busy: BTreeSet<RunnerName>,
    /// Results that a door would find, by their key: only durable ones.
    offers: BTreeMap<ReuseKey, JobId>,
    pub seen: Seen,
}

impl Rules {
    pub(super) fn new(gone_ms: u64) -> Self {
        Self {
            jobs: BTreeMap::new(),
            specs: BTreeMap::new(),
            born_ms: BTreeMap::new(),
            runners: BTreeMap::new(),
            input: Input::Other,
            now_ms: 0,
            gone_ms,
            busy: BTreeSet::new(),
            offers: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// A server starts with what the store holds. Every term is new: a slice has its whole time again, and no less than the
    /// job was promised when it came, unless nobody can know that any more because the clock `jumped`.
    pub(super) fn restart(&mut self, disk: &Disk, now_ms: u64, jumped: bool) {
        self.now_ms = now_ms;
        self.specs.clone_from(&disk.specs);
        self.jobs.clear();
        for (id, live) in &disk.live {
            let (spec, group, created) = self.specs[id].clone();
            let slice = live.slice;
            let place = match &live.place {
                engine::Place::Queued { .. } => {
                    let after = spec.slices[slice as usize].expires_after_ms;
                    let all = fit::time_until(&spec, slice);
                    let promised = self.born_ms.get(id).filter(|_| !jumped).map(|born| born + all);
                    Place::Queued {
                        slice,
                        may_ms: after.map(|after| (now_ms + after).max(promised.unwrap_or(0))),
                        must_ms: after.map(|_| now_ms + all),
                    }
                }
                engine::Place::Running { runner, attempt, cancel, .. } => Place::Running {
                    slice,
                    runner: runner.clone(),
                    attempt: *attempt,
                    asked: matches!(cancel, Cancel::Requested(_)),
                },
            };
            let (attempts, lost) = (live.attempts, live.lost);
            self.jobs.insert(*id, Job { spec, group, created, attempts, lost, place });
        }
        self.runners.clear();
        for (name, (spec, draining)) in &disk.runners {
            let (spec, draining) = (spec.clone(), *draining);
            let known = Known { spec, draining, heard_ms: now_ms, busy_ms: now_ms };
            self.runners.insert(name.clone(), known);
        }
    }

    /// The engine is about to be told this, or was a moment ago.
    pub(super) fn hear(&mut self, input: Input, now_ms: u64) {
        self.now_ms = now_ms;
        if let Input::Heard(name, session) = &input
            && let Some(known) = self.runners.get_mut(name)
            && known.spec.session == *session
        {
            known.heard_ms = now_ms;
        }
        if let Input::Register(spec) = &input
            && let Some(known) = self.runners.get_mut(&spec.name)
            && known.spec.session <= spec.session
        {
            known.heard_ms = now_ms;
        }
        self.input = input;
    }

    /// What came of the input; `parked` are the runners with an open poll after it.
    pub(super) fn follow(&mut self, changes: &[Change], parked: &BTreeSet<RunnerName>) -> Verdict {
        for change in changes {
            self.change(change)?;
        }
        self.at_end(parked)
    }

    /// A grant names the slice in which the job waited.
    pub(super) fn leased(&self, leases: &[Lease]) -> Verdict {
        for lease in leases {
            let runs = self.jobs.get(&lease.job).map(|job| &job.place);
            let right = matches!(runs, Some(Place::Running { slice, attempt, .. })
                if *slice == lease.slice && *attempt == lease.attempt);
            if !right {
                return Err(format!("the lease {lease:?} is of a job in another place: {runs:?}"));
            }
        }
        Ok(())
    }

    /// A commit is durable: what it offers can be found.
    pub(super) fn committed(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::JobFinished { id, reusable: Some(key), .. } = change {
                self.offers.insert(*key, *id);
            }
        }
    }

    /// As a door does: the first slice whose key leads to a result.
    pub(super) fn offer(&self, job: &NewJob) -> Option<model::Reuse> {
        (0..).zip(job.slices.iter()).find_map(|(slice, asked)| {
            let job = *self.offers.get(asked.reuse_key.as_ref()?)?;
            Some(model::Reuse { job, slice })
        })
    }
}
