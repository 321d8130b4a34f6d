//! Every transition, one file each.

mod append_log;
mod cancel;
mod complete;
mod deregister;
mod drain;
mod lose;
mod poll;
mod register;
mod release;
mod renew;
mod retry;
mod start;
mod submit;
mod tick;

use model::{AttemptNumber, JobId, LeaseToken};

pub use append_log::{AppendLogOp, AppendLogOutcome};
pub use cancel::{CancelOp, CancelOutcome};
pub use complete::{CompleteOp, CompleteOutcome};
pub use deregister::{DeregisterOp, DeregisterOutcome};
pub use drain::{DrainOp, DrainOutcome};
pub use lose::{LoseOp, LoseOutcome};
pub use poll::{PollOp, PollOutcome};
pub use register::{RegisterOp, RegisterOutcome, RunnerSpec};
pub use release::{ReleaseOp, ReleaseOutcome};
pub use renew::{RenewOp, RenewOutcome};
pub use retry::{RetryOp, RetryOutcome};
pub use start::{StartOp, StartOutcome};
pub use submit::{Refused, SubmitOp, SubmitOutcome};
pub use tick::TickOutcome;

use crate::Bug;
use crate::state::Engine;
use crate::token;

/// Why a worker's write changes nothing. Each reason tells the worker to stop (I7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// The job is not running: it is finished, queued again, or unknown here. The store may know more.
    NotRunning,
    /// The job runs, but under another lease.
    Stale { live: AttemptNumber },
}

impl Engine {
    /// Whether the token is the live attempt's. Every write of a worker comes through here.
    pub(crate) fn fence(&mut self, job: JobId, token: &LeaseToken) -> Result<(), Fenced> {
        let verdict = self.fence_quietly(job, token);
        if verdict.is_err() {
            self.counts.fenced += 1;
        }
        verdict
    }

    fn fence_quietly(&self, id: JobId, token: &LeaseToken) -> Result<(), Fenced> {
        let running = self.jobs.get(&id).and_then(|job| job.running()).ok_or(Fenced::NotRunning)?;
        let runner = &self.runners[running.runner];
        let key = &self.config.token_key;
        let live = token::derive(key, id, running.attempt, &runner.name, runner.session);
        if self.config.has(Bug::AcceptAnyToken) {
            return Ok(());
        }
        if self.config.has(Bug::AcceptOlderAttempt) && token.attempt() <= running.attempt {
            return Ok(());
        }
        if token::equal(&live, token) {
            Ok(())
        } else {
            Err(Fenced::Stale { live: running.attempt })
        }
    }

    /// Whether the token was made by this server for that job and runner, be the attempt live or over. Lets a door tell a late
    /// writer from a forger.
    pub fn token_is_genuine(
        &self,
        job: JobId,
        token: &LeaseToken,
        runner: &model::RunnerName,
        session: model::Session,
    ) -> bool {
        let key = &self.config.token_key;
        token::equal(&token::derive(key, job, token.attempt(), runner, session), token)
    }
}

impl Engine {
    /// The live token of a job that this runner holds. For a client that names itself and not its token.
    pub fn token_of(&self, id: JobId, runner: &model::RunnerName) -> Option<LeaseToken> {
        let running = self.jobs.get(&id)?.running()?;
        let holder = &self.runners[running.runner];
        let key = &self.config.token_key;
        (holder.name == *runner)
            .then(|| token::derive(key, id, running.attempt, &holder.name, holder.session))
    }
}
