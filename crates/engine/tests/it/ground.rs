//! What the tests stand on: an engine, its clock, and a runner's and a client's moves.

use std::sync::Arc;

use engine::ops::{
    CompleteOp, CompleteOutcome, PollOp, PollOutcome, RegisterOp, RegisterOutcome, RunnerSpec,
    SubmitOp, SubmitOutcome,
};
use engine::{Change, Config, Engine, Lease};
use model::{
    Dimensions, Evidence, JobId, NewJob, Now, Outcome, Priority, Requirements, RunnerName, Session,
    Slice, Terms, WallMs,
};

/// 2026, in milliseconds.
const START: u64 = 1_790_000_000_000;

pub struct Ground {
    pub engine: Engine,
    pub ms: u64,
    pub polls: u64,
}

impl Ground {
    pub fn new() -> Self {
        Self { engine: Engine::new(Config::new([0; 32])), ms: 0, polls: 0 }
    }

    pub fn now(&self) -> Now {
        Now { mono_ms: self.ms, wall: WallMs(START + self.ms) }
    }

    pub fn submit(&mut self, job: NewJob) -> JobId {
        let op = SubmitOp { key: None, group: None, jobs: vec![Arc::new(job)] };
        let now = self.now();
        match self.engine.submit(op, now) {
            SubmitOutcome::Accepted { first_job, .. } => first_job,
            other => panic!("{other:?}"),
        }
    }

    pub fn register(&mut self, name: &str, keep: bool) {
        let runner = RunnerSpec {
            name: RunnerName::new(name),
            session: Session(1),
            queues: ["q".into()].into(),
            dimensions: Dimensions::of(&[("os", "Linux")]),
            slots: 1,
            keep,
        };
        let now = self.now();
        let outcome = self.engine.register(RegisterOp { runner }, now);
        assert_eq!(outcome, RegisterOutcome::Registered);
    }

    pub fn poll(&mut self, name: &str, poll: u64, idle: bool) -> Vec<Lease> {
        let op = PollOp {
            runner: RunnerName::new(name),
            session: Session(1),
            poll,
            want: 1,
            facts: Some(name.as_bytes().into()),
            idle,
            wait: None,
        };
        let now = self.now();
        match self.engine.poll(op, now) {
            PollOutcome::Granted(leases) => leases,
            PollOutcome::Empty => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    /// The next job, as a fresh runner gets it and completes it.
    pub fn next(&mut self) -> Option<JobId> {
        self.polls += 1;
        let lease = self.poll("r", self.polls, true).pop()?;
        self.complete(&lease, Outcome::Succeeded);
        Some(lease.job)
    }

    pub fn complete(&mut self, lease: &Lease, outcome: Outcome) -> Outcome {
        let op = CompleteOp {
            job: lease.job,
            token: lease.token,
            outcome,
            evidence: Evidence::default(),
        };
        let now = self.now();
        match self.engine.complete(op, now) {
            CompleteOutcome::Finished { recorded } => recorded,
            other => panic!("{other:?}"),
        }
    }

    /// Time goes on, and timers ring.
    pub fn pass(&mut self, ms: u64) {
        self.ms += ms;
        loop {
            let now = self.now();
            if !self.engine.tick(now).more {
                break;
            }
        }
        self.engine.check();
    }

    pub fn ends(&mut self) -> Vec<(JobId, Outcome)> {
        let (mut changes, mut effects) = (Vec::new(), Vec::new());
        self.engine.drain(&mut changes, &mut effects);
        let ends = changes.into_iter().filter_map(|change| match change {
            Change::JobFinished { id, outcome, .. } => Some((id, outcome)),
            _ => None,
        });
        ends.collect()
    }
}

pub fn job(priority: u8, terms: Terms) -> NewJob {
    NewJob {
        queue: "q".into(),
        owner: "ann".into(),
        priority: Priority(priority),
        slices: [Slice::waiting(Requirements::default())].into(),
        timeout_ms: None,
        lost_runner_retries: 0,
        payload: [].into(),
        terms,
    }
}
