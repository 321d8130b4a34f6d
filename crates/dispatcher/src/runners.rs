//! What runners say of themselves, and how they wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::ops::{
    DeregisterOp, DeregisterOutcome, DrainOp, DrainOutcome, LoseOp, LoseOutcome, PollOp,
    PollOutcome, RegisterOp, RegisterOutcome, ReleaseOp, RenewOp, RenewOutcome, RunnerSpec,
};
use engine::{Counts, PollKey, RunnerInfo};
use model::{RunnerName, Session};
use tokio::sync::oneshot;

use crate::jobs::GrantedJob;
use crate::{Dispatcher, Shared};

/// A runner asks for work.
#[derive(Clone, Debug)]
pub struct Poll {
    pub runner: RunnerName,
    pub session: Session,
    /// The runner's own name for this request; asked again it gets the same leases (I8). Zero: it has none.
    pub poll: u64,
    /// Up to how many jobs.
    pub want: u32,
    /// What its door notes of it now; kept with each attempt that comes of this.
    pub facts: Option<Arc<[u8]>>,
    /// It runs nothing but what it was given for this very poll: what else it holds is lost.
    pub idle: bool,
}

/// What a poll brought.
#[derive(Debug)]
pub enum PollReply {
    /// Maybe none.
    Jobs(Vec<GrantedJob>),
    UnknownRunner,
    SessionSuperseded,
}

/// Takes a parked poll out of line when its client goes away, and gives back what it was granted in that moment.
struct Waiting<'a> {
    shared: &'a Shared,
    key: PollKey,
    answer: oneshot::Receiver<Vec<GrantedJob>>,
    over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut core = self.shared.core.lock();
        core.engine.abandon(self.key);
        core.parked.remove(&self.key);
        for job in self.answer.try_recv().unwrap_or_default() {
            let lease = job.lease;
            let why = "the runner hung up before it could be told".to_owned();
            let op = ReleaseOp { job: lease.job, token: lease.token, why, undelivered: true };
            core.engine.release(op, self.shared.clock.now());
        }
        self.shared.collect(&mut core);
    }
}

impl Dispatcher {
    pub async fn register(&self, op: RegisterOp) -> RegisterOutcome {
        self.gated(|core, now| core.engine.register(op, now)).await
    }

    pub async fn deregister(&self, op: DeregisterOp) -> DeregisterOutcome {
        self.gated(|core, now| core.engine.deregister(op, now)).await
    }

    pub async fn drain_runner(&self, op: DrainOp) -> DrainOutcome {
        self.gated(|core, now| core.engine.drain_runner(op, now)).await
    }

    pub async fn lose_runner(&self, op: LoseOp) -> LoseOutcome {
        self.gated(|core, now| core.engine.lose_runner(op, now)).await
    }

    /// Asks for jobs, waiting up to `wait` for the first.
    pub async fn poll(&self, poll: Poll, wait: Duration) -> PollReply {
        let Poll { runner, session, poll, want, facts, idle } = poll;
        let (sender, answer) = oneshot::channel();
        let key = PollKey(self.shared.next_poll.fetch_add(1, Ordering::Relaxed));
        let mut waiting = Waiting { shared: &self.shared, key, answer, over: false };
        let outcome = self
            .gated(|core, now| {
                let wait_ms = wait.as_millis() as u64;
                let wait = (!core.stopping).then_some((key, wait_ms));
                let op = PollOp { runner, session, poll, want, facts, idle, wait };
                let outcome = core.engine.poll(op, now);
                match outcome {
                    PollOutcome::Granted(leases) => {
                        let jobs = leases.into_iter().map(|lease| core.granted(lease)).collect();
                        return Ok(jobs);
                    }
                    PollOutcome::Parked => {
                        core.parked.insert(key, sender);
                    }
                    PollOutcome::Empty
                    | PollOutcome::UnknownRunner
                    | PollOutcome::SessionSuperseded => {}
                }
                Err(outcome)
            })
            .await;
        let reply = match outcome {
            Ok(jobs) => PollReply::Jobs(jobs),
            // The sender is dropped unsent only when the process is ending.
            Err(PollOutcome::Parked) => {
                PollReply::Jobs((&mut waiting.answer).await.unwrap_or_default())
            }
            Err(PollOutcome::UnknownRunner) => PollReply::UnknownRunner,
            Err(PollOutcome::SessionSuperseded) => PollReply::SessionSuperseded,
            Err(PollOutcome::Empty | PollOutcome::Granted(_)) => PollReply::Jobs(Vec::new()),
        };
        waiting.over = true;
        reply
    }

    /// A heartbeat. That leases go on promises nothing durable: they live in memory.
    pub async fn renew(&self, op: RenewOp) -> RenewOutcome {
        let asked = op.jobs.len();
        let outcome = self.ungated(|core, now| core.engine.renew(op, now));
        let all_go_on = matches!(&outcome, RenewOutcome::Renewed { known, cancel }
            if known.len() == asked && cancel.is_empty());
        if !all_go_on {
            self.settled().await;
        }
        outcome
    }

    /// A heartbeat that waits up to `wait` for a cancel when there is none yet.
    pub async fn renew_and_wait(&self, op: RenewOp, wait: Duration) -> RenewOutcome {
        let notify = {
            let mut core = self.shared.core.lock();
            let known = core.engine.knows_runner(&op.runner);
            known.then(|| core.cancels.entry(op.runner.clone()).or_default().clone())
        };
        let Some(notify) = notify else {
            return self.renew(op).await;
        };
        let notified = notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        let first = self.renew(op.clone()).await;
        match &first {
            RenewOutcome::Renewed { known, cancel }
                if cancel.is_empty() && !known.is_empty() && known.len() == op.jobs.len() =>
            {
                if tokio::time::timeout(wait, notified).await.is_err() {
                    return first;
                }
                self.renew(op).await
            }
            _ => first,
        }
    }

    /// See [`engine::Engine::token_of`].
    pub fn token_of(&self, job: model::JobId, runner: &RunnerName) -> Option<model::LeaseToken> {
        self.shared.core.lock().engine.token_of(job, runner)
    }

    /// Whether registering this would change nothing.
    pub fn is_registered(&self, runner: &RunnerSpec) -> bool {
        self.shared.core.lock().engine.is_registered(runner)
    }

    /// Whether the runner has what it was given for this poll: the same poll again gives it again.
    pub fn holds(&self, runner: &RunnerName, session: Session, poll: u64) -> bool {
        self.shared.core.lock().engine.holds(runner, session, poll)
    }

    pub fn runners(&self) -> Vec<RunnerInfo> {
        self.shared.core.lock().engine.runners()
    }

    /// Runners that get no more jobs.
    pub fn draining(&self) -> Vec<RunnerName> {
        self.shared.core.lock().engine.draining().cloned().collect()
    }

    pub fn is_draining(&self, runner: &RunnerName) -> bool {
        self.shared.core.lock().engine.is_draining(runner)
    }

    pub fn counts(&self) -> Counts {
        self.shared.core.lock().engine.counts()
    }

    /// Queued jobs, running jobs, parked polls.
    pub fn sizes(&self) -> (usize, usize, usize) {
        let core = self.shared.core.lock();
        let (queued, running) = core.engine.live();
        (queued, running, core.engine.parked_polls())
    }

    /// See [`engine::Engine::token_is_genuine`].
    pub fn token_is_genuine(
        &self,
        job: model::JobId,
        token: &model::LeaseToken,
        runner: &RunnerName,
        session: Session,
    ) -> bool {
        self.shared.core.lock().engine.token_is_genuine(job, token, runner, session)
    }
}
