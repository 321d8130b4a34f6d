//! Why is my job not running? One job's answer, as a value and in words.

use std::collections::BTreeSet;
use std::fmt;

use model::{AttemptNumber, JobId, Now, RunnerName};

use crate::job::JobPlace;
use crate::state::Engine;

/// What a live job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explanation {
    /// Finished or never there: the store knows.
    NotLive,
    Running {
        attempt: AttemptNumber,
        runner: RunnerName,
    },
    Waiting(SliceExplanation),
}

/// The slice in which a job waits, and who could take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceExplanation {
    pub queue: String,
    pub requirements: String,
    pub slice: u32,
    pub slices: u32,
    /// Runners that are registered at all, and those that serve the queue.
    pub runners: usize,
    pub serving_queue: usize,
    /// Each requirement that no runner of the queue meets, as `os=Windows`.
    pub unmet: Vec<String>,
    /// Runners that match, and what they do.
    pub matching: usize,
    /// Of them, those that stay known even while they are silent.
    pub kept: usize,
    /// Of them, those that have no room, but for the draining ones.
    pub busy: usize,
    /// Those that are both.
    pub kept_busy: usize,
    pub draining: usize,
    /// Jobs of the same kind that go first, about.
    pub ahead: usize,
    /// Attempts that ended with a lost runner so far.
    pub lost: u32,
}

impl Engine {
    pub fn explain(&self, id: JobId) -> Explanation {
        let Some(job) = self.jobs.get(&id) else { return Explanation::NotLive };
        let slice = match &job.place {
            JobPlace::Queued { slice, .. } => *slice,
            JobPlace::Running(running) => {
                return Explanation::Running {
                    attempt: running.attempt,
                    runner: self.runners[running.runner].name.clone(),
                };
            }
        };
        let shape_ix = job.slices[slice as usize].shape;
        let shape = self.matcher.shape(shape_ix);
        let profiles: Vec<_> = self.matcher.profiles().collect();
        let of_queue = || profiles.iter().filter(|(_, p)| p.key.queues.contains(&shape.key.queue));
        let mut unmet = Vec::new();
        for (key, alternatives) in shape.key.requirements.iter() {
            let met = if key == crate::matcher::ID {
                alternatives.iter().any(|name| self.runner_ix.contains_key(&RunnerName::new(name)))
            } else {
                of_queue()
                    .any(|(_, p)| alternatives.iter().any(|v| p.key.dimensions.offers(key, v)))
            };
            if !met {
                let values: Vec<&str> = alternatives.iter().map(String::as_str).collect();
                unmet.push(format!("{key}={}", values.join("|")));
            }
        }
        let mut matching = BTreeSet::new();
        for profile in self.matcher.profiles_for(shape_ix) {
            let runners = self.matcher.profile(profile).runners.iter();
            let serves = |ix: &&u32| {
                let name = &self.runners[**ix].name;
                !self.matcher.is_pinned(shape_ix) || self.matcher.serves(profile, name, shape_ix)
            };
            matching.extend(runners.filter(serves));
        }
        let draining = matching.iter().filter(|ix| self.runners[**ix].draining).count();
        let kept = |ix: &&u32| self.runners[**ix].keep;
        let is_busy = |ix: &&u32| !self.runners[**ix].draining && self.runners[**ix].free() == 0;
        let busy = matching.iter().filter(is_busy);
        Explanation::Waiting(SliceExplanation {
            queue: shape.key.queue.to_string(),
            requirements: shape.key.requirements.to_string(),
            slice,
            slices: job.slices.len() as u32,
            runners: self.runners.len(),
            serving_queue: of_queue().map(|(_, p)| p.runners.len()).sum(),
            unmet,
            matching: matching.len(),
            kept: matching.iter().filter(kept).count(),
            kept_busy: busy.clone().filter(kept).count(),
            busy: busy.count(),
            draining,
            ahead: shape.bands.ahead_of(job.rank, id),
            lost: job.lost,
        })
    }
}

impl Engine {
    /// How long the slice in which a job waits still has. `None` when it waits without end, or does not wait.
    pub fn slice_left_ms(&self, id: JobId, now: Now) -> Option<u64> {
        let job = self.jobs.get(&id)?;
        let JobPlace::Queued { slice, since_ms } = job.place else { return None };
        let after = job.slices[slice as usize].expires_after_ms?;
        Some(since_ms.saturating_add(after).saturating_sub(now.mono_ms))
    }

    /// Runners that get no more jobs.
    pub fn draining(&self) -> impl Iterator<Item = &RunnerName> {
        self.runners.iter().filter(|(_, runner)| runner.draining).map(|(_, runner)| &runner.name)
    }

    pub fn is_draining(&self, name: &RunnerName) -> bool {
        self.runner_ix.get(name).is_some_and(|ix| self.runners[*ix].draining)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLive => f.write_str("the job is not waiting"),
            Self::Running { attempt, runner } => {
                write!(f, "the job is running: attempt {attempt} on runner `{runner}`")
            }
            Self::Waiting(slice) => slice.fmt(f),
        }
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

impl fmt::Display for SliceExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.runners == 0 {
            return f.write_str("no runner is connected; start one with `phalanx runner`");
        }
        if self.serving_queue == 0 {
            let all = plural(self.runners, "runner is", "runners are");
            return write!(f, "{all} connected, but none serves the queue `{}`", self.queue);
        }
        if !self.unmet.is_empty() {
            let of = plural(self.serving_queue, "runner", "runners");
            return write!(
                f,
                "no runner has {} (of {of} of queue `{}`)",
                self.unmet.join(" or "),
                self.queue
            );
        }
        if self.matching == 0 {
            return write!(
                f,
                "no single runner has all of {}, though each is offered by some",
                self.requirements
            );
        }
        write!(f, "{} could take it", plural(self.matching, "runner", "runners"))?;
        let idle = self.matching - self.busy - self.draining;
        match (self.busy, self.draining, idle) {
            (busy, 0, 0) if busy == self.matching => f.write_str(", all busy")?,
            (0, draining, 0) if draining == self.matching => f.write_str(", all draining")?,
            _ => write!(
                f,
                ": {} busy, {} draining, {idle} with a free slot",
                self.busy, self.draining
            )?,
        }
        write!(f, "; {} ahead of it", plural(self.ahead, "job is", "jobs are"))?;
        if self.lost > 0 {
            write!(
                f,
                "; {} lost its runner before",
                plural(self.lost as usize, "attempt", "attempts")
            )?;
        }
        Ok(())
    }
}
