//! Accept jobs: one, or many that share a fate (I1–I3).

use std::sync::Arc;

use model::{GroupId, JobId, NewGroup, NewJob, Now, Order, Outcome, WallMs, limit};

use crate::Bug;
use crate::change::Change;
use crate::job::{Job, JobPlace, SliceRef};
use crate::matcher::{Rank, ShapeKey};
use crate::state::{Engine, KeyEntry};
use crate::timers::Timer;

/// All of `jobs` or none. With a `group` they are its jobs, and it finishes when the last of them does.
#[derive(Clone, Debug)]
pub struct SubmitOp {
    /// The digests of an idempotency key and of the request's body.
    pub key: Option<([u8; 16], [u8; 16])>,
    pub group: Option<NewGroup>,
    pub jobs: Vec<Arc<NewJob>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// Ids are consecutive from `first_job`, in the order of the jobs.
    Accepted {
        first_job: JobId,
        jobs: u64,
        group: Option<GroupId>,
    },
    /// The same key and body came before: here is what came of it.
    Duplicate {
        first_job: JobId,
        jobs: u64,
        group: Option<GroupId>,
    },
    Refused(Refused),
}

/// Why a submit changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The key was used for another body (I2).
    KeyReused,
    /// Too many live jobs, jobs in one submit, or keys: try later, or less.
    TooMany { what: &'static str, max: usize },
    /// A field is out of its bounds.
    Invalid { what: &'static str },
}

impl Engine {
    pub fn submit(&mut self, op: SubmitOp, now: Now) -> SubmitOutcome {
        if let Some((key, body)) = op.key
            && let Some(known) = self.keys.get(&key)
        {
            self.counts.duplicates += 1;
            let KeyEntry { first_job, jobs, group, .. } = *known;
            return if known.body == body || self.config.has(Bug::IgnoreKeyBody) {
                SubmitOutcome::Duplicate { first_job, jobs, group }
            } else {
                SubmitOutcome::Refused(Refused::KeyReused)
            };
        }
        if let Err(refused) = self.check_submit(&op) {
            return SubmitOutcome::Refused(refused);
        }
        let first_job = JobId(self.next_job);
        let count = op.jobs.len() as u64;
        let group = op.group.map(|group| {
            let id = GroupId(self.next_group);
            self.next_group += 1;
            self.groups.insert(id, count);
            self.changes.push(Change::GroupInserted {
                id,
                group,
                first_job,
                jobs: count,
                at: now.wall,
            });
            id
        });
        if let Some((key, body)) = op.key {
            let expires_ms = now.mono_ms + limit::IDEMPOTENCY_MS;
            let entry = KeyEntry { body, first_job, jobs: count, group, expires_ms };
            self.remember_key(key, entry);
            if !self.config.has(Bug::ForgetKey) {
                self.changes.push(Change::KeyPut {
                    key,
                    body,
                    first_job,
                    jobs: count,
                    group,
                    at: now.wall,
                });
            }
        }
        for job in op.jobs {
            self.insert(job, group, now);
        }
        if let (Some(id), 0) = (group, count) {
            // An execution over nothing is over at once.
            self.groups.remove(&id);
            self.changes.push(Change::GroupFinished { id, at: now.wall });
            self.effects.push(crate::Effect::GroupFinished { group: id });
        }
        self.match_parked(now);
        SubmitOutcome::Accepted { first_job, jobs: count, group }
    }

    pub(crate) fn remember_key(&mut self, key: [u8; 16], entry: KeyEntry) {
        if self.key_order.first().is_none_or(|(first, _)| entry.expires_ms < *first) {
            self.timers.set(entry.expires_ms, Timer::Keys);
        }
        self.key_order.insert((entry.expires_ms, key));
        self.keys.insert(key, entry);
    }

    fn insert(&mut self, new: Arc<NewJob>, group: Option<GroupId>, now: Now) {
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.counts.submitted += 1;
        let mut job = self.admit(&new, group, now.wall, now);
        self.adopt(id, job.parent, now);
        let reuses = new.terms.reuses;
        if let Some(reuse) = reuses {
            job.place = JobPlace::Queued { slice: reuse.slice, since_ms: now.mono_ms };
        }
        self.jobs.insert(id, job);
        self.changes.push(Change::JobInserted { id, group, job: new, at: now.wall });
        match reuses {
            Some(_) if !self.config.has(Bug::RunReusedJob) => {
                self.finish(id, Outcome::Succeeded, now)
            }
            Some(_) | None => self.enqueue(id, 0, Some(0), now),
        }
    }

    /// The in-memory form of a job, in no place yet.
    pub(crate) fn admit(
        &mut self,
        new: &NewJob,
        group: Option<GroupId>,
        created: WallMs,
        now: Now,
    ) -> Job {
        let slices = new.slices.iter().map(|slice| SliceRef {
            shape: self.matcher.shape_retain(ShapeKey {
                queue: new.queue.clone(),
                requirements: slice.requirements.clone(),
            }),
            expires_after_ms: slice.expires_after_ms,
            wait_for_capacity: slice.wait_for_capacity,
            reuse_key: slice.reuse_key,
        });
        let order = match new.terms.order {
            Order::Newest if self.config.has(Bug::OldestFirstInNewestQueue) => Order::Oldest,
            Order::Oldest if self.config.has(Bug::IgnoreAge) => Order::Fair,
            order => order,
        };
        Job {
            queue: new.queue.clone(),
            slices: slices.collect(),
            owner: self.owners.retain(&new.owner),
            rank: Rank::of(new.priority, order, created),
            group,
            timeout_ms: new.timeout_ms,
            lost_runner_retries: new.lost_runner_retries,
            lease_ms: new.terms.lease_ms,
            parent: new.terms.parent,
            attempts: 0,
            lost: 0,
            place: JobPlace::Queued { slice: 0, since_ms: now.mono_ms },
        }
    }

    fn check_submit(&self, op: &SubmitOp) -> Result<(), Refused> {
        let too_many = |what, max| Err(Refused::TooMany { what, max });
        if op.jobs.len() > limit::JOBS_PER_SUBMIT {
            return too_many("jobs in one submit", limit::JOBS_PER_SUBMIT);
        }
        if self.jobs.len() + op.jobs.len() > self.config.live_jobs_max {
            return too_many("live jobs", self.config.live_jobs_max);
        }
        if op.key.is_some() && self.keys.len() >= limit::IDEMPOTENCY_KEYS {
            return too_many("idempotency keys", limit::IDEMPOTENCY_KEYS);
        }
        let invalid = |what| Err(Refused::Invalid { what });
        let name_is_bad = |name: &str| name.is_empty() || name.len() > limit::NAME_BYTES;
        if let Some(group) = &op.group {
            if name_is_bad(&group.name) || name_is_bad(&group.owner) {
                return invalid("group: a name or owner that is empty or too long");
            }
            if group.document.len() > limit::DOCUMENT_BYTES {
                return invalid("group: a document that is too long");
            }
        } else if op.jobs.is_empty() {
            return invalid("no jobs");
        }
        for job in &op.jobs {
            if name_is_bad(&job.queue) || name_is_bad(&job.owner) {
                return invalid("job: a queue or owner that is empty or too long");
            }
            if job.slices.is_empty() || job.slices.len() > limit::SLICES {
                return invalid("job: no slice, or too many");
            }
            if job.payload.len() > limit::PAYLOAD_BYTES {
                return invalid("job: a payload that is too long");
            }
            let labels = &job.terms.labels;
            if labels.len() > limit::LABELS || labels.iter().any(|l| l.len() > limit::LABEL_BYTES) {
                return invalid("job: too many labels, or one that is too long");
            }
            if job.terms.reuses.is_some_and(|reuse| reuse.slice as usize >= job.slices.len()) {
                return invalid("job: it reuses a result for a slice that it does not have");
            }
        }
        Ok(())
    }
}
