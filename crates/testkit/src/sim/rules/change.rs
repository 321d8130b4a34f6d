//! Each change of the engine, judged at the moment at which it is decided.

use engine::Change;
use engine::ops::RunnerSpec;
use model::{AttemptNumber, AttemptRecord, JobId, Outcome, ReuseKey, RunnerName, Session};

use super::{Input, Job, Known, Next, Place, Rules, Verdict};

impl Rules {
    pub(super) fn change(&mut self, change: &Change) -> Verdict {
        match change {
            Change::JobInserted { id, group, job, at } => {
                let next = match job.terms.reuses {
                    Some(reuse) => {
                        Next::End { outcome: Outcome::Succeeded, slice: reuse.slice, ran: false }
                    }
                    None => self.enter(job, 0, false),
                };
                let place = self.begin(job, next);
                self.specs.insert(*id, (job.clone(), *group, *at));
                self.born_ms.insert(*id, self.now_ms);
                let (spec, group, created) = (job.clone(), *group, *at);
                let job = Job { spec, group, created, attempts: 0, lost: 0, place };
                self.jobs.insert(*id, job);
                Ok(())
            }
            Change::JobRevived { id, attempts, .. } => {
                let asked = matches!(&self.input, Input::Retry(job) if job == id);
                if !asked || self.jobs.contains_key(id) {
                    return Err(format!("job {id} was brought back and nobody asked for it"));
                }
                let Some((spec, group, created)) = self.specs.get(id).cloned() else {
                    return Err(format!("job {id} was brought back and never was"));
                };
                // It runs now, even if it took another's result before.
                let place = self.begin(&spec, self.enter(&spec, 0, false));
                self.born_ms.remove(id);
                let job = Job { spec, group, created, attempts: *attempts, lost: 0, place };
                self.jobs.insert(*id, job);
                Ok(())
            }
            Change::JobQueued { id, slice, attempts, lost, .. } => {
                self.queued(*id, *slice, (*attempts, *lost))
            }
            Change::JobRunning { id, attempt, runner, session, .. } => {
                self.granted(*id, *attempt, runner, *session)
            }
            Change::JobCancelRequested { id, .. } => self.told_to_stop(*id),
            Change::AttemptEnded { id, record } => self.attempt_ended(*id, record),
            Change::JobFinished { id, outcome, slice, attempts, reusable, .. } => {
                self.finished(*id, outcome, *slice, *attempts, *reusable)
            }
            Change::RunnerPut { runner, draining, .. } => self.runner_put(runner, *draining),
            Change::RunnerRemoved { name, .. } => self.runner_removed(name),
            // The oracle's.
            Change::GroupInserted { .. }
            | Change::GroupReopened { .. }
            | Change::GroupFinished { .. }
            | Change::KeyPut { .. }
            | Change::KeyRemoved { .. } => Ok(()),
        }
    }

    /// A job that comes is in its first slice at once, without a word, when that one takes it.
    fn begin(&self, spec: &model::NewJob, next: Next) -> Place {
        match next {
            Next::Line { slice: 0, .. } => self.in_line(spec, 0, 0),
            next => Place::Between(next),
        }
    }

    fn live(&self, id: JobId) -> Result<&Job, String> {
        self.jobs.get(&id).ok_or_else(|| format!("job {id} is not live and something became of it"))
    }

    fn set(&mut self, id: JobId, place: Place) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.place = place;
        }
    }

    /// Whether a tick may end the time of a slice now.
    fn is_over(&self, may_ms: Option<u64>) -> bool {
        matches!(self.input, Input::Tick { .. }) && may_ms.is_some_and(|may| may <= self.now_ms)
    }

    fn queued(&mut self, id: JobId, slice: u32, counts: (u32, u32)) -> Verdict {
        let job = self.live(id)?;
        if (job.attempts, job.lost) != counts {
            let (attempts, lost) = (job.attempts, job.lost);
            return Err(format!("job {id} had {attempts} attempts, {lost} lost, not {counts:?}"));
        }
        let (next, fell_back) = match &job.place {
            Place::Between(next) => (next.clone(), false),
            Place::Queued { slice: before, may_ms, .. } if self.is_over(*may_ms) => {
                (self.enter(&job.spec, before + 1, false), true)
            }
            place => return Err(format!("job {id} was put into slice {slice} from {place:?}")),
        };
        let Next::Line { slice: right, carried_ms } = next else {
            return Err(format!("job {id} is in slice {slice} and was to end: {next:?}"));
        };
        if slice != right {
            return Err(format!("job {id} is in slice {slice}, its next is {right}"));
        }
        let place = self.in_line(&job.spec, slice, carried_ms);
        self.seen.fallbacks += u64::from(fell_back);
        self.seen.passed_over += u64::from(carried_ms > 0);
        self.set(id, place);
        Ok(())
    }

    fn granted(
        &mut self,
        id: JobId,
        attempt: AttemptNumber,
        name: &RunnerName,
        session: Session,
    ) -> Verdict {
        let job = self.live(id)?;
        let Place::Queued { slice, .. } = job.place else {
            return Err(format!("job {id} was given away from {:?}", job.place));
        };
        let Some(known) = self.runners.get(name) else {
            return Err(format!("job {id} was given to `{name}`, which is not known"));
        };
        if known.draining || known.spec.session != session {
            return Err(format!("job {id} was given to `{name}`, which gets no more jobs"));
        }
        if self.running_on(name) >= known.spec.slots as usize {
            return Err(format!("job {id} was given to `{name}`, which is full (I27)"));
        }
        if !super::fit::fits(&known.spec, &job.spec.queue, &job.spec.slices[slice as usize]) {
            return Err(format!("job {id} was given to `{name}`, which its slice {slice} forbids"));
        }
        if let Some(first) = self.overtaken(&known.spec, id, job) {
            return Err(format!("job {id} was given to `{name}` before job {first} (I29)"));
        }
        self.seen.by_age += u64::from(self.age_decided(&known.spec, id, job));
        if let Some(job) = self.jobs.get_mut(&id) {
            job.attempts += 1;
            job.place = Place::Running { slice, runner: name.clone(), attempt, asked: false };
        }
        Ok(())
    }

    pub(super) fn running_on(&self, name: &RunnerName) -> usize {
        let here =
            |job: &&Job| matches!(&job.place, Place::Running { runner, .. } if runner == name);
        self.jobs.values().filter(here).count()
    }

    pub(super) fn parent_is_over(&self, job: &Job) -> bool {
        job.spec.terms.parent.is_some_and(|parent| !self.jobs.contains_key(&parent))
    }

    /// Whether somebody wants this job stopped now: a person, or the end of its parent.
    fn is_unwanted(&self, id: JobId) -> bool {
        let Some(job) = self.jobs.get(&id) else { return false };
        match &self.input {
            Input::Cancel(asked) => *asked == id,
            Input::CancelGroup(group) => job.group == Some(*group),
            Input::Tick { .. } => self.parent_is_over(job),
            _ => false,
        }
    }

    fn told_to_stop(&mut self, id: JobId) -> Verdict {
        let unwanted = self.is_unwanted(id);
        let by_parent = matches!(self.input, Input::Tick { .. });
        let place = self.jobs.get_mut(&id).map(|job| &mut job.place);
        match place {
            Some(Place::Running { asked, .. }) if !*asked && unwanted => {
                *asked = true;
                self.seen.children_stopped += u64::from(by_parent);
                Ok(())
            }
            place => Err(format!("job {id} was told to stop without a reason: {place:?}")),
        }
    }

    fn attempt_ended(&mut self, id: JobId, record: &AttemptRecord) -> Verdict {
        let job = self.live(id)?;
        let Place::Running { slice, runner, attempt, asked } = job.place.clone() else {
            return Err(format!("an attempt of job {id} ended that did not run"));
        };
        if (record.slice, &record.runner, record.number) != (slice, &runner, attempt) {
            return Err(format!("job {id}: another attempt ended than the one that ran"));
        }
        let end = |outcome| Next::End { outcome, slice, ran: true };
        let lost = job.lost + u32::from(record.outcome == Outcome::RunnerLost);
        let next = match &record.outcome {
            Outcome::RunnerLost if asked => end(Outcome::Killed),
            Outcome::RunnerLost if lost > job.spec.lost_runner_retries => end(Outcome::RunnerLost),
            // It starts again in the slice in which it was, with all of its time.
            Outcome::RunnerLost => self.enter(&job.spec, slice, true),
            other => end(other.clone()),
        };
        // Whoever completes is heard of.
        if record.outcome != Outcome::RunnerLost
            && !matches!(self.input, Input::Tick { .. })
            && let Some(known) = self.runners.get_mut(&runner)
        {
            known.heard_ms = self.now_ms;
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.lost = lost;
            job.place = Place::Between(next);
        }
        Ok(())
    }

    fn finished(
        &mut self,
        id: JobId,
        outcome: &Outcome,
        slice: u32,
        attempts: u32,
        reusable: Option<ReuseKey>,
    ) -> Verdict {
        let unwanted = self.is_unwanted(id);
        let job = self.live(id)?;
        let right = match &job.place {
            Place::Between(next) => next.clone(),
            Place::Queued { slice, .. } if *outcome == Outcome::Canceled && unwanted => {
                Next::End { outcome: Outcome::Canceled, slice: *slice, ran: false }
            }
            Place::Queued { slice, may_ms, .. } if self.is_over(*may_ms) => {
                let is_last = *slice as usize + 1 == job.spec.slices.len();
                match self.slice_from(&job.spec, slice + 1) {
                    Some((next, _)) => {
                        return Err(format!(
                            "job {id} is over as {outcome:?}, slice {next} is left"
                        ));
                    }
                    // The last slice decides the word.
                    None if is_last => {
                        Next::End { outcome: Outcome::Expired, slice: *slice, ran: false }
                    }
                    None => Next::End { outcome: Outcome::NoResource, slice: *slice, ran: false },
                }
            }
            place => return Err(format!("job {id} is over as {outcome:?} from {place:?}")),
        };
        let Next::End { outcome: o, slice: s, ran } = right else {
            return Err(format!("job {id} is over as {outcome:?}, but another slice takes it"));
        };
        if (&o, s, job.attempts) != (outcome, slice, attempts) {
            return Err(format!(
                "job {id} is over as {outcome:?} in slice {slice} after {attempts} attempts, not as {o:?} in {s} after {}",
                job.attempts
            ));
        }
        let key = job.spec.slices[slice as usize].reuse_key;
        if reusable != key.filter(|_| ran && o == Outcome::Succeeded) {
            return Err(format!("job {id} ended as {o:?} and offers its result as {reusable:?}"));
        }
        let reused = job.spec.terms.reuses.is_some() && !ran && o == Outcome::Succeeded;
        let by_parent = matches!(self.input, Input::Tick { .. }) && !ran;
        self.seen.reused += u64::from(reused);
        self.seen.offered += u64::from(reusable.is_some());
        self.seen.expired += u64::from(o == Outcome::Expired);
        self.seen.no_resource += u64::from(o == Outcome::NoResource);
        self.seen.children_canceled += u64::from(o == Outcome::Canceled && by_parent);
        self.jobs.remove(&id);
        Ok(())
    }

    fn runner_put(&mut self, spec: &RunnerSpec, draining: bool) -> Verdict {
        let name = &spec.name;
        let before = self.runners.get(name);
        let right = match (&self.input, before) {
            (Input::Register(asked), Some(known)) => {
                asked == spec && known.spec.session <= spec.session && known.draining == draining
            }
            (Input::Register(asked), None) => asked == spec && !draining,
            (Input::Drain(asked, drain), Some(known)) => {
                asked == name && *drain == draining && known.spec == *spec
            }
            _ => false,
        };
        if !right {
            return Err(format!(
                "`{name}` is not what it said: {spec:?}, it said {:?}",
                self.input
            ));
        }
        let heard_ms = match (&self.input, before) {
            (Input::Drain(..), Some(known)) => known.heard_ms,
            _ => self.now_ms,
        };
        let busy_ms = before.map_or(self.now_ms, |known| known.busy_ms);
        let known = Known { spec: spec.clone(), draining, heard_ms, busy_ms };
        self.runners.insert(name.clone(), known);
        Ok(())
    }

    fn runner_removed(&mut self, name: &RunnerName) -> Verdict {
        let asked = matches!(&self.input, Input::Deregister(n) if n == name);
        let busy = self.running_on(name) > 0;
        let silent = |known: &Known| known.heard_ms + self.gone_ms <= self.now_ms;
        let forgotten = |known: &Known| {
            let tick = matches!(self.input, Input::Tick { .. });
            tick && !known.spec.keep && silent(known)
        };
        match self.runners.get(name) {
            Some(known) if !busy && (asked || forgotten(known)) => {
                self.runners.remove(name);
                Ok(())
            }
            known => Err(format!("`{name}` was forgotten without a reason: {known:?}")),
        }
    }
}
