//! Who could run what, and who is first.

use model::{JobId, NewJob, Order, RunnerName, Slice, WallMs};

use engine::ops::RunnerSpec;

use super::{Input, Job, Next, Place, Rules};

/// One step of priority in milliseconds of age: 2^22 tenths of a second.
const STEP_MS: i128 = 4_194_304 * 100;

/// How long a job may wait in all its slices up to this one.
pub(super) fn time_until(job: &NewJob, slice: u32) -> u64 {
    job.slices[..=slice as usize].iter().filter_map(|slice| slice.expires_after_ms).sum()
}

/// A runner has every key that is asked for with one of its values. Its name is its `id`.
pub(super) fn fits(runner: &RunnerSpec, queue: &str, slice: &Slice) -> bool {
    let offers = |key: &str, value: &str| {
        if key == "id" {
            return runner.name.as_str() == value;
        }
        runner.dimensions.iter().any(|(k, values)| k == key && values.iter().any(|v| v == value))
    };
    runner.queues.iter().any(|served| &**served == queue)
        && slice
            .requirements
            .iter()
            .all(|(key, values)| values.iter().any(|value| offers(key, value)))
}

/// Whether a queue must serve `one` before `other`. Jobs of one priority in a fair queue take turns; the oracle counts these.
pub(super) fn goes_first(one: (&NewJob, WallMs), other: (&NewJob, WallMs)) -> bool {
    let key = |(job, created): (&NewJob, WallMs)| {
        let age = match job.terms.order {
            Order::Fair => 0,
            Order::Oldest => i128::from(created.0),
            Order::Newest => -i128::from(created.0),
        };
        i128::from(job.priority.0) * STEP_MS + age
    };
    one.0.queue == other.0.queue
        && one.0.terms.order == other.0.terms.order
        && key(one) < key(other)
}

impl Rules {
    /// Whether somebody who is known could ever take this. Who is busy or silent counts, and who gets no more jobs for now but
    /// is kept; who is drained to go, or says in this very moment that it is gone, does not.
    fn has_capacity(&self, job: &NewJob, slice: &Slice) -> bool {
        let leaves = |name: &RunnerName| matches!(&self.input, Input::Deregister(n) if n == name);
        self.runners.iter().any(|(name, known)| {
            // What a new process offers counts, and not what the one offered that it takes over from.
            let spec = match &self.input {
                Input::Register(new) if new.name == *name && new.session > known.spec.session => {
                    new
                }
                _ => &known.spec,
            };
            (!known.draining || known.spec.keep) && !leaves(name) && fits(spec, &job.queue, slice)
        })
    }

    /// The first slice from `from` on that takes the job, and the time of those that were passed over: the end of each slice
    /// is the sum of all times before it, however few of them were waited for.
    pub(super) fn slice_from(&self, job: &NewJob, from: u32) -> Option<(u32, u64)> {
        let mut carried_ms = 0;
        for (slice, asked) in (0..).zip(job.slices.iter()).skip(from as usize) {
            if asked.wait_for_capacity || self.has_capacity(job, asked) {
                return Some((slice, carried_ms));
            }
            carried_ms += asked.expires_after_ms.unwrap_or(0);
        }
        None
    }

    /// Where a job goes that nobody waits for yet.
    pub(super) fn enter(&self, job: &NewJob, from: u32, ran: bool) -> Next {
        match self.slice_from(job, from) {
            Some((slice, carried_ms)) => Next::Line { slice, carried_ms },
            None => Next::End { outcome: model::Outcome::NoResource, slice: from, ran },
        }
    }

    pub(super) fn in_line(&self, job: &NewJob, slice: u32, carried_ms: u64) -> Place {
        let after = job.slices[slice as usize].expires_after_ms;
        let until = after.map(|after| self.now_ms + carried_ms + after);
        Place::Queued { slice, may_ms: until, must_ms: until }
    }

    /// A job that waits for this runner and goes before the one that it got.
    pub(super) fn overtaken(&self, runner: &RunnerSpec, id: JobId, got: &Job) -> Option<JobId> {
        let mut waiting = self.waiting_for(runner, id, got);
        waiting
            .find(|(_, other)| goes_first((&other.spec, other.created), (&got.spec, got.created)))
            .map(|(other, _)| other)
    }

    /// Whether age was what made it the first of at least two.
    pub(super) fn age_decided(&self, runner: &RunnerSpec, id: JobId, got: &Job) -> bool {
        got.spec.terms.order != Order::Fair
            && self.waiting_for(runner, id, got).any(|(_, other)| other.created != got.created)
    }

    fn waiting_for<'a>(
        &'a self,
        runner: &'a RunnerSpec,
        id: JobId,
        got: &'a Job,
    ) -> impl Iterator<Item = (JobId, &'a Job)> {
        self.jobs.iter().filter_map(move |(other, job)| {
            let Place::Queued { slice, .. } = job.place else { return None };
            let same = *other != id && job.spec.queue == got.spec.queue;
            let fits = || fits(runner, &job.spec.queue, &job.spec.slices[slice as usize]);
            (same && fits()).then_some((*other, job))
        })
    }
}
