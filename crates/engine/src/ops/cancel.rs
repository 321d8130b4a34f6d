//! Somebody wants a job to stop. Linearised by commit order (I15).

use model::{Cancel, GroupId, JobId, Now, Outcome};

use crate::Bug;
use crate::change::{Change, Effect};
use crate::job::JobPlace;
use crate::state::Engine;
use crate::timers::Timer;

#[derive(Clone, Copy, Debug)]
pub enum CancelOp {
    /// One job; when it runs already only if `kill` says so.
    Job { id: JobId, kill: bool },
    /// Every live job of the group.
    Group(GroupId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// How many were queued and are over now, how many run and were told to stop, and how many run and were told before
    /// or are left alone.
    Canceled { queued: u64, running: u64, left: u64 },
    /// Not live: finished, or never there. The store knows.
    NotLive,
}

impl Engine {
    pub fn cancel(&mut self, op: CancelOp, now: Now) -> CancelOutcome {
        let jobs: Vec<JobId> = match op {
            CancelOp::Job { id, .. } => {
                self.jobs.contains_key(&id).then_some(id).into_iter().collect()
            }
            CancelOp::Group(group) => {
                let of_group = self.jobs.iter().filter(|(_, job)| job.group == Some(group));
                let mut ids: Vec<JobId> = of_group.map(|(id, _)| *id).collect();
                ids.sort_unstable();
                ids
            }
        };
        if jobs.is_empty() {
            return CancelOutcome::NotLive;
        }
        let kill = !matches!(op, CancelOp::Job { kill: false, .. });
        let (mut queued, mut running, mut left) = (0, 0, 0);
        for id in jobs {
            let runs = matches!(self.jobs[&id].place, JobPlace::Running(_));
            match runs {
                false => {
                    self.dequeue(id);
                    if self.config.has(Bug::ForgetGroupOnCancel)
                        && let Some(job) = self.jobs.get_mut(&id)
                    {
                        job.group = None;
                    }
                    self.finish(id, Outcome::Canceled, now);
                    queued += 1;
                }
                true if kill && self.request_cancel(id, now) => running += 1,
                true => left += 1,
            }
        }
        CancelOutcome::Canceled { queued, running, left }
    }

    /// Whether this was the first request.
    fn request_cancel(&mut self, id: JobId, now: Now) -> bool {
        let job = self.jobs.get_mut(&id).expect("only a live job is asked to stop");
        // Where the job has its own patience, its runner has the time that it needs.
        let grace = job.lease_ms.is_none().then_some(self.config.cancel_grace_ms);
        let running = job.running_mut().expect("only a running job is asked to stop");
        if running.cancel.is_requested() {
            return false;
        }
        running.cancel = Cancel::Requested(now.wall);
        if let Some(grace) = grace {
            let at = now.mono_ms + grace;
            running.cancel_at_ms = Some(at);
            self.timers.set(at, Timer::CancelGrace(id, running.attempt));
        }
        self.changes.push(Change::JobCancelRequested { id, at: now.wall });
        let runner = self.runners[running.runner].name.clone();
        self.effects.push(Effect::CancelNotice { runner });
        true
    }

    /// Notes whose child a job is that becomes live. When its parent is over it is stopped soon.
    pub(crate) fn adopt(&mut self, id: JobId, parent: Option<JobId>, now: Now) {
        let Some(parent) = parent else { return };
        self.children.entry(parent).or_default().insert(id);
        if !self.jobs.contains_key(&parent) {
            self.timers.set(now.mono_ms, Timer::Children(parent));
        }
    }

    /// A parent is over: so are its children, and theirs after them.
    pub(crate) fn stop_children(&mut self, parent: JobId, now: Now) {
        // A retried parent is live again.
        if self.jobs.contains_key(&parent) {
            return;
        }
        for id in self.children.get(&parent).cloned().unwrap_or_default() {
            let kill = !self.config.has(Bug::SpareRunningChildren);
            self.cancel(CancelOp::Job { id, kill }, now);
        }
    }
}
