//! Time went on: what is overdue is dealt with. Renewals that arrived are processed before this is called (I32).

use model::{AttemptNumber, Cancel, Evidence, JobId, Now, Outcome, TimeoutKind};

use crate::Bug;
use crate::change::{Change, Effect};
use crate::job::JobPlace;
use crate::state::Engine;
use crate::timers::Timer;

/// How many timers rang; there may be more when `more` is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickOutcome {
    pub handled: usize,
    pub more: bool,
}

/// So that one tick never holds up the requests behind it.
const TIMERS_PER_TICK: usize = 1000;

impl Engine {
    pub fn tick(&mut self, now: Now) -> TickOutcome {
        let mut handled = 0;
        while handled < TIMERS_PER_TICK {
            let Some(timer) = self.timers.pop_due(now.mono_ms) else { break };
            handled += 1;
            match timer {
                Timer::Lease(job, attempt) => self.lease_is_due(job, attempt, now),
                Timer::Timeout(job, attempt) => self.timeout_is_due(job, attempt, now),
                Timer::CancelGrace(job, attempt) => self.cancel_grace_is_due(job, attempt, now),
                Timer::Slice(job, slice) => self.slice_is_due(job, slice, now),
                Timer::Poll(poll) => {
                    if self.unpark(poll).is_some() {
                        self.effects.push(Effect::PollAnswered { poll, leases: Vec::new() });
                    }
                }
                Timer::RunnerGone(ix, generation) => self.runner_is_due(ix, generation, now),
                Timer::Keys => self.keys_are_due(now),
                Timer::Children(parent) => self.stop_children(parent, now),
            }
        }
        self.match_parked(now);
        let more = self.timers.next_at().is_some_and(|at| at <= now.mono_ms);
        TickOutcome { handled, more }
    }

    fn lease_is_due(&mut self, id: JobId, attempt: AttemptNumber, now: Now) {
        let Some(running) = self.jobs.get_mut(&id).and_then(|job| job.running_mut()) else {
            return;
        };
        if running.attempt != attempt {
            return;
        }
        if running.lease_until_ms > now.mono_ms {
            running.lease_timer_ms = running.lease_until_ms;
            self.timers.set(running.lease_until_ms, Timer::Lease(id, attempt));
            return;
        }
        self.lose_attempt(id, "the runner was not heard of until its lease ended", now);
    }

    fn timeout_is_due(&mut self, id: JobId, attempt: AttemptNumber, now: Now) {
        let Some(running) = self.jobs.get_mut(&id).and_then(|job| job.running_mut()) else {
            return;
        };
        if running.attempt != attempt {
            return;
        }
        running.timeout_at_ms = None;
        let outcome = match running.cancel {
            Cancel::Requested(_) => Outcome::Killed,
            Cancel::None => Outcome::TimedOut { which: TimeoutKind::Job },
        };
        self.end_by_force(id, outcome, "the runner did not stop the job when its time was up", now);
    }

    fn cancel_grace_is_due(&mut self, id: JobId, attempt: AttemptNumber, now: Now) {
        let Some(running) = self.jobs.get_mut(&id).and_then(|job| job.running_mut()) else {
            return;
        };
        if running.attempt != attempt || !running.cancel.is_requested() {
            return;
        }
        running.cancel_at_ms = None;
        self.end_by_force(id, Outcome::Killed, "the runner did not stop the job when told to", now);
    }

    fn end_by_force(&mut self, id: JobId, outcome: Outcome, why: &str, now: Now) {
        let evidence =
            Evidence { message: Some(why.into()), log_incomplete: true, ..Evidence::default() };
        self.end_attempt(id, outcome.clone(), evidence, now);
        self.finish(id, outcome, now);
    }

    fn slice_is_due(&mut self, id: JobId, slice: u32, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        let JobPlace::Queued { slice: current, since_ms } = job.place else { return };
        if current != slice {
            return;
        }
        let after = job.slices[slice as usize].expires_after_ms.unwrap_or(u64::MAX);
        if since_ms.saturating_add(after) > now.mono_ms {
            return;
        }
        let count = job.slices.len() as u32;
        if self.config.has(Bug::WaitPastLastSlice) && slice + 1 == count {
            return;
        }
        self.dequeue(id);
        if self.config.has(Bug::DropJobOnSliceExpiry) {
            return;
        }
        let skip = self.config.has(Bug::SkipSliceOnExpiry);
        let next = if skip { (slice + 2).min(count) } else { slice + 1 };
        self.enqueue(id, next, None, now);
    }

    fn runner_is_due(&mut self, ix: u32, generation: u64, now: Now) {
        let gone_ms = self.config.runner_gone_ms;
        let Some(runner) = self.runners.get(ix) else { return };
        if runner.generation != generation {
            return;
        }
        let heard = runner.seen_ms + gone_ms;
        // A parked poll is an open connection; a job has a lease of its own.
        let busy = runner.keep || !runner.jobs.is_empty() || !runner.parked.is_empty();
        if heard > now.mono_ms || busy {
            let pause_ms = if runner.keep { gone_ms.max(1) } else { gone_ms.clamp(1, 1000) };
            let again = heard.max(now.mono_ms + pause_ms);
            self.timers.set(again, Timer::RunnerGone(ix, generation));
            return;
        }
        self.remove_runner(ix, now);
    }

    fn keys_are_due(&mut self, now: Now) {
        while let Some((due, key)) = self.key_order.first().copied() {
            if due > now.mono_ms {
                self.timers.set(due, Timer::Keys);
                return;
            }
            self.key_order.pop_first();
            self.keys.remove(&key);
            self.changes.push(Change::KeyRemoved { key });
        }
    }
}
