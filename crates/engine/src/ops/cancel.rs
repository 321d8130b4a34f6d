//! Somebody wants a job to stop. Linearised by commit order (I15).

use model::{Cancel, GroupId, JobId, Now, Outcome};

use crate::Bug;
use crate::change::{Change, Effect};
use crate::job::JobPlace;
use crate::state::Engine;
use crate::timers::Timer;

#[derive(Clone, Copy, Debug)]
pub enum CancelOp {
    Job(JobId),
    /// Every live job of the group.
    Group(GroupId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// How many were queued and are over now, and how many run and were told to stop.
    Canceled { queued: u64, running: u64 },
    /// Not live: finished, or never there. The store knows.
    NotLive,
}

impl Engine {
    pub fn cancel(&mut self, op: CancelOp, now: Now) -> CancelOutcome {
        let jobs: Vec<JobId> = match op {
            CancelOp::Job(id) => self.jobs.contains_key(&id).then_some(id).into_iter().collect(),
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
        let (mut queued, mut running) = (0, 0);
        for id in jobs {
            match &self.jobs[&id].place {
                JobPlace::Queued { .. } => {
                    self.dequeue(id);
                    if self.config.has(Bug::ForgetGroupOnCancel)
                        && let Some(job) = self.jobs.get_mut(&id)
                    {
                        job.group = None;
                    }
                    self.finish(id, Outcome::Canceled, now);
                    queued += 1;
                }
                JobPlace::Running(_) => {
                    self.request_cancel(id, now);
                    running += 1;
                }
            }
        }
        CancelOutcome::Canceled { queued, running }
    }

    fn request_cancel(&mut self, id: JobId, now: Now) {
        let grace = self.config.cancel_grace_ms;
        let running = self.jobs.get_mut(&id).and_then(|job| job.running_mut());
        let running = running.expect("only a running job is asked to stop");
        if running.cancel == Cancel::Requested {
            return;
        }
        running.cancel = Cancel::Requested;
        let at = now.mono_ms + grace;
        running.cancel_at_ms = Some(at);
        self.timers.set(at, Timer::CancelGrace(id, running.attempt));
        self.changes.push(Change::JobCancelRequested { id });
        let runner = self.runners[running.runner].name.clone();
        self.effects.push(Effect::CancelNotice { runner });
    }
}
