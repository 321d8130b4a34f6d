//! The judge: what clients and runners were told, against what the store holds. It shares no code with the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::ops::RunnerSpec;
use engine::{Change, Lease, Place};
use model::{
    AttemptNumber, GroupId, JobId, NewJob, Order, Outcome, Priority, RunnerName, Session, WallMs,
};

use super::disk::Disk;

/// What a reply said, by what it promised.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    accepted: BTreeMap<JobId, Arc<NewJob>>,
    by_key: BTreeMap<u64, (u64, JobId, u64, Option<GroupId>)>,
    groups: BTreeSet<GroupId>,
    granted: BTreeMap<(JobId, AttemptNumber), (RunnerName, Session)>,
    finished: BTreeMap<(JobId, AttemptNumber), Outcome>,
    retries_asked: BTreeMap<JobId, u32>,
    canceled_while_queued: BTreeSet<JobId>,
    /// Told to stop before the runner first said that it was over.
    canceled_while_running: BTreeSet<JobId>,
    completes_sent: BTreeSet<JobId>,
    /// In a seed with one shape and one priority: how often `.0` was served while `.1` waited.
    served_while_waiting: BTreeMap<(Arc<str>, Arc<str>), u32>,
    pub uniform: bool,
    /// No runner fails and the network loses nothing: then no job may lose its runner.
    pub gentle: bool,
}

type Verdict = Result<(), String>;

impl Oracle {
    pub(super) fn new(uniform: bool, gentle: bool) -> Self {
        Self { uniform, gentle, ..Self::default() }
    }

    /// A submit was accepted, under a key and with a body.
    pub(super) fn submitted(
        &mut self,
        (key, body): (Option<u64>, u64),
        (first, count, group): (JobId, u64, Option<GroupId>),
        jobs: &[Arc<NewJob>],
    ) -> Verdict {
        if count != jobs.len() as u64 {
            return Err(format!("{} jobs were submitted, {count} accepted (I3)", jobs.len()));
        }
        if let Some(key) = key {
            let now = (body, first, count, group);
            let known = *self.by_key.entry(key).or_insert(now);
            if known != now {
                return Err(format!("key {key} gave {known:?} and then {now:?} (I2)"));
            }
        }
        self.groups.extend(group);
        for (id, job) in (first.0..).zip(jobs) {
            let known = self.accepted.entry(JobId(id)).or_insert_with(|| job.clone());
            if known != job {
                return Err(format!("job {id} was promised to two submits (I1)"));
            }
        }
        Ok(())
    }

    pub(super) fn granted(&mut self, lease: &Lease, runner: &RunnerSpec) -> Verdict {
        let holder = (runner.name.clone(), runner.session);
        let known =
            self.granted.entry((lease.job, lease.attempt)).or_insert_with(|| holder.clone());
        if *known != holder {
            return Err(format!(
                "attempt {} of job {} was given to two (I6)",
                lease.attempt, lease.job
            ));
        }
        Ok(())
    }

    pub(super) fn complete_sent(&mut self, job: JobId) {
        self.completes_sent.insert(job);
    }

    /// A completion was accepted.
    pub(super) fn completed(
        &mut self,
        job: JobId,
        attempt: AttemptNumber,
        recorded: &Outcome,
    ) -> Verdict {
        let known = self.finished.entry((job, attempt)).or_insert_with(|| recorded.clone());
        if known != recorded {
            return Err(format!(
                "attempt {attempt} of job {job} ended as {known:?} and as {recorded:?} (I14)"
            ));
        }
        let accepted =
            self.finished.range((job, AttemptNumber(0))..=(job, AttemptNumber(u32::MAX))).count();
        let retries = self.retries_asked.get(&job).copied().unwrap_or(0);
        if accepted as u32 > 1 + retries {
            return Err(format!("job {job} was accepted {accepted} times with {retries} retries"));
        }
        Ok(())
    }

    pub(super) fn retry_sent(&mut self, job: JobId) {
        *self.retries_asked.entry(job).or_default() += 1;
    }

    pub(super) fn canceled(&mut self, job: JobId, queued: bool) {
        if queued {
            self.canceled_while_queued.insert(job);
        } else if !self.completes_sent.contains(&job) {
            self.canceled_while_running.insert(job);
        }
    }

    /// Looks at every commit: what was granted to whom.
    pub(super) fn committed(&mut self, changes: &[Change], before: &Disk, disk: &Disk) -> Verdict {
        let mentioned: BTreeSet<JobId> = changes
            .iter()
            .filter_map(|change| match change {
                Change::JobInserted { id, .. }
                | Change::JobQueued { id, .. }
                | Change::JobRunning { id, .. }
                | Change::JobFinished { id, .. }
                | Change::JobRevived { id, .. }
                | Change::JobCancelRequested { id, .. } => Some(*id),
                _ => None,
            })
            .collect();
        for change in changes {
            if let Change::AttemptEnded { id, record } = change
                && self.gentle
                && record.outcome == Outcome::RunnerLost
                // A grant that a crash swallowed is not asked for again by these simple runners.
                && self.granted.contains_key(&(*id, record.number))
            {
                let why = record.evidence.message.as_deref().unwrap_or_default();
                return Err(format!("job {id} lost a runner that did nothing wrong (I11): {why}"));
            }
            let Change::JobRunning { id, runner, .. } = change else { continue };
            let (Some((spec, drained)), Some((_, drained_before))) =
                (disk.runners.get(runner), before.runners.get(runner))
            else {
                continue;
            };
            // It changed in this very batch: what it was when it got the job is not known here.
            let put = |change: &Change| matches!(change, Change::RunnerPut { runner: r, .. } if r.name == *runner);
            if changes.iter().any(put) {
                continue;
            }
            if *drained && *drained_before {
                return Err(format!("draining runner `{runner}` got job {id}"));
            }
            let (job, _, created) = &disk.specs[id];
            if !job.slices.iter().any(|slice| matches(spec, &job.queue, slice)) {
                return Err(format!("job {id} runs on `{runner}`, which does not meet it (I28)"));
            }
            for (other, live) in &disk.live {
                let waited = matches!(live.place, Place::Queued { .. })
                    && !mentioned.contains(other)
                    && before
                        .live
                        .get(other)
                        .is_some_and(|b| matches!(b.place, Place::Queued { .. }));
                if !waited {
                    continue;
                }
                let (waiting, _, waiting_since) = &disk.specs[other];
                let slice = &waiting.slices[live.slice as usize];
                if !matches(spec, &waiting.queue, slice) {
                    continue;
                }
                if goes_first((waiting, *waiting_since), (job, *created)) {
                    return Err(format!(
                        "job {id} was served before job {other}, whose turn it was (I29)"
                    ));
                }
                if self.uniform && waiting.owner != job.owner {
                    let pair = (job.owner.clone(), waiting.owner.clone());
                    self.served_while_waiting.entry(pair).or_default();
                }
            }
            if self.uniform {
                self.check_turns(job, *id, disk, &mentioned, before)?;
            }
        }
        self.check_rows(disk)
    }

    fn check_turns(
        &mut self,
        job: &NewJob,
        id: JobId,
        disk: &Disk,
        mentioned: &BTreeSet<JobId>,
        before: &Disk,
    ) -> Verdict {
        let queued = |disk: &Disk, id: &JobId| {
            disk.live.get(id).is_some_and(|live| matches!(live.place, Place::Queued { .. }))
        };
        let waiting: BTreeSet<Arc<str>> = disk
            .live
            .keys()
            .filter(|other| {
                queued(disk, other) && queued(before, other) && !mentioned.contains(other)
            })
            .map(|other| disk.specs[other].0.owner.clone())
            .collect();
        // Who does not wait starts afresh, and so does who is served.
        self.served_while_waiting
            .retain(|(_, waiter), _| waiting.contains(waiter) && *waiter != job.owner);
        for waiter in waiting.iter().filter(|waiter| **waiter != job.owner) {
            let count =
                self.served_while_waiting.entry((job.owner.clone(), waiter.clone())).or_default();
            *count += 1;
            if *count > 8 {
                return Err(format!(
                    "`{}` was served {count} times (job {id}) while `{waiter}` waited (I29)",
                    job.owner
                ));
            }
        }
        Ok(())
    }

    fn check_rows(&self, disk: &Disk) -> Verdict {
        let mut held: BTreeMap<&RunnerName, u32> = BTreeMap::new();
        let mut polls: BTreeMap<(&RunnerName, Session, u64), u32> = BTreeMap::new();
        for (id, live) in &disk.live {
            let Place::Running { runner, session, poll, .. } = &live.place else { continue };
            *held.entry(runner).or_default() += 1;
            if *poll != 0 {
                *polls.entry((runner, *session, *poll)).or_default() += 1;
            }
            if let Some((spec, _)) = disk.runners.get(runner)
                && spec.session != *session
            {
                return Err(format!("job {id} runs in an older session of `{runner}` (I9)"));
            }
        }
        for (runner, count) in held {
            if let Some((spec, _)) = disk.runners.get(runner)
                && count > spec.slots
            {
                return Err(format!("`{runner}` has {count} jobs in {} slots (I27)", spec.slots));
            }
        }
        match polls.iter().find(|(_, count)| **count > super::actors::WANT) {
            Some((poll, count)) => Err(format!("the poll {poll:?} got {count} jobs (I8)")),
            None => Ok(()),
        }
    }

    /// A parked poll and a waiting job that fit each other, both known to a server with nothing in flight.
    pub(super) fn parked(&self, runner: &RunnerSpec, drained: bool, disk: &Disk) -> Verdict {
        for (id, live) in &disk.live {
            let Place::Queued { slice } = live.place else { continue };
            let (job, ..) = &disk.specs[id];
            if !drained && matches(runner, &job.queue, &job.slices[slice as usize]) {
                return Err(format!(
                    "job {id} waits, and so does `{}`, which could run it",
                    runner.name
                ));
            }
        }
        Ok(())
    }

    /// After everything healed and came to rest.
    pub(super) fn at_rest(&self, disk: &Disk) -> Verdict {
        for (id, job) in &self.accepted {
            let Some((stored, ..)) = disk.specs.get(id) else {
                return Err(format!("accepted job {id} is lost (I1)"));
            };
            if stored != job {
                return Err(format!("accepted job {id} is another one now (I1)"));
            }
            let Some((outcome, attempts)) = disk.done.get(id) else {
                return Err(format!("accepted job {id} never ended (I5): {:?}", disk.live.get(id)));
            };
            self.check_history(disk, *id, job, *attempts)?;
            if self.retries_asked.contains_key(id) {
                continue;
            }
            if job.terms.reuses.is_some() && (outcome, *attempts) != (&Outcome::Succeeded, 0) {
                return Err(format!(
                    "job {id} took a result and ended as {outcome:?} all the same"
                ));
            }
            if self.canceled_while_queued.contains(id) && *outcome != Outcome::Canceled {
                return Err(format!(
                    "job {id} was cancelled while it waited and ended as {outcome:?} (I15)"
                ));
            }
            if self.canceled_while_running.contains(id) && *outcome == Outcome::Succeeded {
                return Err(format!("job {id} was cancelled while it ran and succeeded (I15)"));
            }
        }
        for ((job, attempt), outcome) in &self.finished {
            let stored = disk.attempts.get(&(*job, *attempt)).map(|record| &record.outcome);
            if stored != Some(outcome) {
                return Err(format!(
                    "attempt {attempt} of job {job} was accepted as {outcome:?}, stored is {stored:?}"
                ));
            }
        }
        for id in &self.groups {
            let Some(group) = disk.groups.get(id) else {
                return Err(format!("accepted group {id} is lost (I1)"));
            };
            if group.finished.is_none() || group.finishes != 1 + group.reopened {
                return Err(format!(
                    "group {id} finished {} times, was opened again {} times",
                    group.finishes, group.reopened
                ));
            }
        }
        Ok(())
    }

    fn check_history(&self, disk: &Disk, id: JobId, job: &NewJob, attempts: u32) -> Verdict {
        let of_job = disk.attempts.range((id, AttemptNumber(0))..=(id, AttemptNumber(u32::MAX)));
        let numbers: Vec<u32> = of_job.clone().map(|((_, number), _)| number.0).collect();
        if numbers != (1..=attempts).collect::<Vec<_>>() {
            return Err(format!(
                "job {id} has the history {numbers:?} of {attempts} attempts (I6)"
            ));
        }
        let lost =
            of_job.filter(|(_, record)| record.outcome == Outcome::RunnerLost).count() as u32;
        let rounds = 1 + self.retries_asked.get(&id).copied().unwrap_or(0);
        if lost > rounds * (job.lost_runner_retries + 1) {
            return Err(format!(
                "job {id} lost its runner {lost} times, of {} (I12)",
                job.lost_runner_retries
            ));
        }
        Ok(())
    }
}

/// The naive matcher.
fn matches(runner: &RunnerSpec, queue: &Arc<str>, slice: &model::Slice) -> bool {
    runner.queues.contains(queue)
        && slice.requirements.iter().all(|(key, values)| match key {
            "id" => values.contains(runner.name.as_str()),
            _ => values.iter().any(|value| runner.dimensions.offers(key, value)),
        })
}

/// Priorities that jobs get.
pub(super) const PRIORITIES: [Priority; 4] =
    [Priority(10), Priority(100), Priority(101), Priority(200)];

/// Whether one job must be served before another, by Swarming's own arithmetic where age counts: its queue number.
fn goes_first((one, since): (&NewJob, WallMs), (other, other_since): (&NewJob, WallMs)) -> bool {
    let number = |job: &NewJob, created: WallMs| {
        let tenths = created.0 / 100;
        let age = if job.terms.order == Order::Newest { (1 << 40) - tenths } else { tenths };
        (u64::from(job.priority.0) << 22) + age
    };
    match (one.terms.order, other.terms.order) {
        (Order::Fair, Order::Fair) => one.priority < other.priority,
        // Tenths of a second apart: the engine is more exact.
        (a, b) if a == b => number(one, since) + 1 < number(other, other_since),
        _ => false,
    }
}
