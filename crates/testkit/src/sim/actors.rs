//! Runners, clients and the operator: what they ask, and what they make of the answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Lease;
use engine::ops::RunnerSpec;
use model::{
    AttemptNumber, GroupId, JobId, LeaseToken, NewJob, Order, Outcome, Requirements, Session,
    Slice, Terms,
};

use super::random::Random;

/// How many jobs a poll asks for.
pub(super) const WANT: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Honest,
    /// Renews late and works long.
    Slow,
    /// Stops for good at some time.
    Dies,
    /// Stops for a while, and goes on as if nothing were.
    Pauses,
    /// Says anything.
    Lies,
}

#[derive(Clone, Debug)]
pub(super) struct Runner {
    pub spec: RunnerSpec,
    pub kind: Kind,
    pub registered: bool,
    /// The poll that is not answered yet, and when it was sent.
    pub poll: Option<(u64, u64)>,
    pub next_poll: u64,
    pub held: BTreeMap<(JobId, AttemptNumber), Held>,
    /// Tokens of the past, for the liar.
    pub old: Vec<(JobId, LeaseToken)>,
    pub renewed_ms: u64,
    pub stopped_until_ms: u64,
    pub stops_at_ms: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub token: LeaseToken,
    pub done_ms: u64,
    pub outcome: Outcome,
    pub reported_ms: Option<u64>,
}

/// What is asked of the server.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Register(RunnerSpec),
    Poll { runner: RunnerSpec, poll: u64, wait_ms: u64 },
    Renew { runner: RunnerSpec, jobs: Vec<(JobId, LeaseToken)> },
    Start { job: JobId, token: LeaseToken },
    AppendLog { job: JobId, token: LeaseToken },
    Complete { job: JobId, token: LeaseToken, outcome: Outcome },
    Release { job: JobId, token: LeaseToken },
    Submit { key: Option<u64>, body: u64, group: bool, jobs: Vec<Arc<NewJob>> },
    Cancel { job: JobId },
    CancelGroup { group: GroupId },
    Drain { runner: usize, drain: bool },
    Deregister { runner: usize },
    Retry { job: JobId },
}

/// What it answers.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Registered,
    Superseded,
    UnknownRunner,
    Leases {
        poll: u64,
        session: Session,
        leases: Vec<Lease>,
    },
    Renewed {
        asked: Vec<JobId>,
        known: Vec<JobId>,
        cancel: Vec<JobId>,
    },
    Ended {
        job: JobId,
        attempt: AttemptNumber,
        recorded: Option<Outcome>,
    },
    Accepted {
        key: Option<u64>,
        body: u64,
        first: JobId,
        count: u64,
        group: Option<GroupId>,
        jobs: Vec<Arc<NewJob>>,
    },
    Canceled {
        job: JobId,
        queued: bool,
    },
    Nothing,
}

pub(super) fn outcome(random: &mut Random) -> Outcome {
    match random.below(5) {
        0 => Outcome::Failed { exit: random.between(1, 3) as i32 },
        _ => Outcome::Succeeded,
    }
}

/// A job; in a uniform world all are of one kind but for their owner.
pub(super) fn job(random: &mut Random, uniform: bool, number: u64) -> Arc<NewJob> {
    let slice = |random: &mut Random| {
        let requirements: &[(&str, &str)] = match random.below(if uniform { 1 } else { 6 }) {
            0 => &[],
            1 => &[("os", "Linux")],
            2 => &[("os", "Linux|Mac")],
            3 => &[("os", "Mac"), ("gpu", "none")],
            4 => &[("id", "runner-0")],
            _ => &[("gpu", "none")],
        };
        Slice {
            requirements: Requirements::of(requirements),
            expires_after_ms: (!uniform && random.per_mille(300))
                .then(|| random.between(500, 20_000)),
            wait_for_capacity: !random.per_mille(if uniform { 0 } else { 100 }),
            reuse_key: None,
        }
    };
    let count = if uniform { 1 } else { random.between(1, 2) };
    let slices: Arc<[Slice]> = (0..count).map(|_| slice(random)).collect();
    let other = !uniform && random.per_mille(200);
    let terms = Terms {
        // A queue has one order.
        order: if other { Order::Oldest } else { Order::Fair },
        lease_ms: (!uniform && random.per_mille(50)).then_some(90_000),
        parent: (!uniform && random.per_mille(30)).then(|| JobId(random.between(1, number.max(1)))),
        labels: (0..random.below(3)).map(|n| Arc::from(format!("label:{n}"))).collect(),
        ..Terms::default()
    };
    Arc::new(NewJob {
        queue: if other { "other".into() } else { "batches".into() },
        owner: ["ann", "bob", "cyn"][random.below(3) as usize].into(),
        priority: if uniform {
            super::oracle::PRIORITIES[1]
        } else {
            *random.pick(&super::oracle::PRIORITIES)
        },
        slices,
        timeout_ms: (!uniform && random.per_mille(200)).then(|| random.between(1000, 30_000)),
        lost_runner_retries: random.below(4) as u32,
        payload: number.to_be_bytes().as_slice().into(),
        terms,
    })
}
