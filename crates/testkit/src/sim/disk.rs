//! What a store would hold: rows, changed only by commits. Written apart from the real store; a conformance test compares them.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::ops::RunnerSpec;
use engine::{Change, LiveJob, Place, Snapshot, StoredKey};
use model::{
    AttemptNumber, AttemptRecord, Cancel, GroupId, JobId, NewJob, Outcome, RunnerName, WallMs,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub specs: BTreeMap<JobId, (Arc<NewJob>, Option<GroupId>, WallMs)>,
    pub live: BTreeMap<JobId, Live>,
    pub done: BTreeMap<JobId, (Outcome, u32)>,
    pub attempts: BTreeMap<(JobId, AttemptNumber), AttemptRecord>,
    pub groups: BTreeMap<GroupId, Group>,
    pub runners: BTreeMap<RunnerName, (RunnerSpec, bool)>,
    pub keys: BTreeMap<[u8; 16], StoredKey>,
}

#[derive(Clone, Debug)]
pub(super) struct Live {
    pub attempts: u32,
    pub lost: u32,
    pub slice: u32,
    pub place: Place,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    pub first: JobId,
    pub jobs: u64,
    pub finished: Option<WallMs>,
    /// How often it finished, and how often it was opened again.
    pub finishes: u32,
    pub reopened: u32,
}

impl Disk {
    /// One transaction.
    pub(super) fn commit(&mut self, changes: &[Change]) -> Result<(), String> {
        changes.iter().try_for_each(|change| self.apply(change))
    }

    fn apply(&mut self, change: &Change) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("the store refuses {change:?}: {what}"));
        match change {
            Change::JobInserted { id, group, job, at } => {
                if self.specs.insert(*id, (job.clone(), *group, *at)).is_some() {
                    return wrong("the id is taken");
                }
                let place = Place::Queued { slice: 0 };
                self.live.insert(*id, Live { attempts: 0, lost: 0, slice: 0, place });
            }
            Change::JobQueued { id, slice, attempts, lost, .. } => {
                let Some(live) = self.live.get_mut(id) else { return wrong("the job is not live") };
                *live = Live {
                    attempts: *attempts,
                    lost: *lost,
                    slice: *slice,
                    place: Place::Queued { slice: *slice },
                };
            }
            Change::JobRunning { id, attempt, runner, session, poll, facts, at } => {
                if self.attempts.contains_key(&(*id, *attempt)) {
                    return wrong("the attempt was there before (I6)");
                }
                let Some(live) = self.live.get_mut(id) else { return wrong("the job is not live") };
                if !matches!(live.place, Place::Queued { .. }) || live.attempts >= attempt.0 {
                    return wrong("the job is not queued, or its attempt is not new (I6)");
                }
                live.attempts = attempt.0;
                live.place = Place::Running {
                    attempt: *attempt,
                    slice: live.slice,
                    runner: runner.clone(),
                    session: *session,
                    poll: *poll,
                    since: *at,
                    cancel: Cancel::None,
                    facts: facts.clone(),
                };
            }
            Change::JobCancelRequested { id, at } => {
                match self.live.get_mut(id).map(|live| &mut live.place) {
                    Some(Place::Running { cancel, .. }) => {
                        *cancel = Cancel::Requested(*at);
                    }
                    _ => return wrong("the job does not run"),
                }
            }
            Change::AttemptEnded { id, record } => {
                if record.ended < record.started {
                    return wrong("it ended before it began (I16)");
                }
                if self.attempts.insert((*id, record.number), record.clone()).is_some() {
                    return wrong("the attempt ended before (I14)");
                }
            }
            Change::JobFinished { id, outcome, attempts, .. } => {
                if self.live.remove(id).is_none() {
                    return wrong("the job is not live");
                }
                self.done.insert(*id, (outcome.clone(), *attempts));
            }
            Change::JobRevived { id, attempts, .. } => {
                let Some((_, before)) = self.done.remove(id) else {
                    return wrong("the job is not done");
                };
                if before != *attempts {
                    return wrong("its attempts changed (I6)");
                }
                let place = Place::Queued { slice: 0 };
                self.live.insert(*id, Live { attempts: *attempts, lost: 0, slice: 0, place });
            }
            Change::GroupInserted { id, first_job, jobs, .. } => {
                let group = Group {
                    first: *first_job,
                    jobs: *jobs,
                    finished: None,
                    finishes: 0,
                    reopened: 0,
                };
                self.groups.insert(*id, group);
            }
            Change::GroupReopened { id, .. } => {
                let Some(group) = self.groups.get_mut(id) else { return wrong("no such group") };
                if group.finished.take().is_none() {
                    return wrong("the group is open");
                }
                group.reopened += 1;
            }
            Change::GroupFinished { id, at } => {
                let open = self.open_jobs(*id);
                let Some(group) = self.groups.get_mut(id) else { return wrong("no such group") };
                if group.finished.replace(*at).is_some() {
                    return wrong("the group is finished");
                }
                group.finishes += 1;
                if open > 0 {
                    return wrong("jobs of the group are open");
                }
            }
            Change::RunnerPut { runner, draining, .. } => {
                self.runners.insert(runner.name.clone(), (runner.clone(), *draining));
            }
            Change::RunnerRemoved { name, .. } => {
                self.runners.remove(name);
            }
            Change::KeyPut { key, body, first_job, jobs, group, at } => {
                let stored = StoredKey {
                    key: *key,
                    body: *body,
                    first_job: *first_job,
                    jobs: *jobs,
                    group: *group,
                    at: *at,
                };
                self.keys.insert(*key, stored);
            }
            Change::KeyRemoved { key } => {
                self.keys.remove(key);
            }
        }
        Ok(())
    }

    pub(super) fn open_jobs(&self, id: GroupId) -> u64 {
        let Some(group) = self.groups.get(&id) else { return 0 };
        self.live.range(group.first..JobId(group.first.0 + group.jobs)).count() as u64
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let jobs = self.live.iter().map(|(id, live)| {
            let (job, group, created) = &self.specs[id];
            LiveJob {
                id: *id,
                group: *group,
                job: job.clone(),
                attempts: live.attempts,
                lost: live.lost,
                created: *created,
                place: live.place.clone(),
            }
        });
        Snapshot {
            next_job: self.specs.last_key_value().map_or(1, |(id, _)| id.0 + 1),
            next_group: self.groups.last_key_value().map_or(1, |(id, _)| id.0 + 1),
            jobs: jobs.collect(),
            runners: self.runners.values().cloned().collect(),
            keys: self.keys.values().copied().collect(),
        }
    }
}
