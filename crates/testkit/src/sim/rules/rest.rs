//! What must be so when an input is dealt with: nothing that was due is left undone.

use std::collections::BTreeSet;

use model::RunnerName;

use super::{Input, Job, Place, Rules, Verdict};

/// A silent runner is looked at this often.
const LOOK_MS: u64 = 1000;

impl Rules {
    pub(super) fn at_end(&mut self, parked: &BTreeSet<RunnerName>) -> Verdict {
        for (id, job) in &self.jobs {
            if let Place::Between(next) = &job.place {
                return Err(format!("job {id} is in no place, next is {next:?}"));
            }
        }
        self.is_done()?;
        // Who was busy after the input before was so until this one, even if this tick looks at it first and takes its job then.
        let now_ms = self.now_ms;
        for (name, known) in &mut self.runners {
            if self.busy.contains(name) {
                known.busy_ms = now_ms;
            }
        }
        if let Input::Tick { more: false } = self.input {
            self.nothing_is_due()?;
        }
        self.busy = self
            .runners
            .keys()
            .filter(|name| parked.contains(*name) || self.running_on(name) > 0)
            .cloned()
            .collect();
        Ok(())
    }

    /// What was asked for was done.
    fn is_done(&self) -> Verdict {
        let still = |job: &Job| {
            matches!(job.place, Place::Queued { .. } | Place::Running { asked: false, .. })
        };
        match &self.input {
            Input::Deregister(name) if self.runners.contains_key(name) => {
                Err(format!("`{name}` left and is still known"))
            }
            Input::Drain(name, drain)
                if self.runners.get(name).is_some_and(|known| known.draining != *drain) =>
            {
                Err(format!("`{name}` was to drain: {drain}, and does not"))
            }
            Input::Register(spec) => match self.runners.get(&spec.name) {
                Some(known) if known.spec == *spec || known.spec.session > spec.session => Ok(()),
                known => Err(format!("`{}` registered and is known as {known:?}", spec.name)),
            },
            Input::Cancel(id) if self.jobs.get(id).is_some_and(still) => {
                Err(format!("job {id} was canceled and goes on"))
            }
            Input::CancelGroup(group) => {
                let of_group = |job: &&Job| job.group == Some(*group) && still(job);
                match self.jobs.values().find(of_group) {
                    Some(job) => Err(format!("group {group} was canceled and goes on: {job:?}")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Time is kept: no slice lasts longer than it may, no child longer than its parent, no silent runner for ever.
    fn nothing_is_due(&self) -> Verdict {
        for (id, job) in &self.jobs {
            match &job.place {
                Place::Queued { slice, must_ms: Some(must), .. } if *must <= self.now_ms => {
                    let late = self.now_ms - must;
                    return Err(format!("job {id} waits in slice {slice}, over {late} ms ago"));
                }
                Place::Queued { .. } | Place::Running { asked: false, .. }
                    if self.parent_is_over(job) =>
                {
                    return Err(format!("job {id} goes on, its parent is over: {:?}", job.place));
                }
                _ => {}
            }
        }
        for (name, known) in &self.runners {
            let last_ms = (known.heard_ms + self.gone_ms).max(known.busy_ms) + LOOK_MS;
            if !known.spec.keep && self.running_on(name) == 0 && last_ms <= self.now_ms {
                return Err(format!("`{name}` is silent and still known: {known:?}"));
            }
        }
        Ok(())
    }
}
