//! Runners, clients and the operator: what they ask, and what they make of the answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Lease;
use engine::ops::RunnerSpec;
use model::{
    AttemptNumber, Dimensions, GroupId, JobId, LeaseToken, NewJob, Order, Outcome, Requirements,
    ReuseKey, RunnerName, Session, Slice, Terms,
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
    Lose { runner: usize },
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

/// What runners offer.
pub(super) const OFFERS: [&[(&str, &str)]; 4] = [
    &[("os", "Linux")],
    &[("os", "Mac"), ("gpu", "none")],
    &[("os", "Linux"), ("gpu", "none")],
    &[("os", "Linux"), ("os", "Debian")],
];

pub(super) fn runner(random: &mut Random, number: u64, gentle: bool, uniform: bool) -> Runner {
    let kind = match random.below(10) {
        _ if gentle => Kind::Honest,
        0..=3 => Kind::Honest,
        4 => Kind::Slow,
        5..=6 => Kind::Dies,
        7..=8 => Kind::Pauses,
        _ => Kind::Lies,
    };
    let both = random.per_mille(600) || uniform;
    let queues = if both { &QUEUES[..] } else { &QUEUES[..1] };
    Runner {
        spec: RunnerSpec {
            name: RunnerName::new(&format!("runner-{number}")),
            session: Session(1),
            queues: queues.iter().map(|queue| Arc::from(*queue)).collect(),
            dimensions: Dimensions::of(random.pick::<&[_]>(&OFFERS)),
            slots: random.between(1, 4) as u32,
            keep: random.per_mille(200),
        },
        kind,
        registered: false,
        poll: None,
        next_poll: 1,
        held: BTreeMap::new(),
        old: Vec::new(),
        renewed_ms: 0,
        stopped_until_ms: 0,
        stops_at_ms: random.between(2000, 40_000),
    }
}

pub(super) fn outcome(random: &mut Random) -> Outcome {
    match random.below(5) {
        0 => Outcome::Failed { exit: random.between(1, 3) as i32 },
        _ => Outcome::Succeeded,
    }
}

/// Each has an order of its own: a queue has one.
pub(super) const QUEUES: [&str; 3] = ["batches", "other", "news"];
const ORDERS: [Order; 3] = [Order::Fair, Order::Oldest, Order::Newest];

/// A job; in a uniform world all are of one kind but for their owner. Its parent may be one of `parents`.
pub(super) fn job(
    random: &mut Random,
    uniform: bool,
    number: u64,
    parents: &[JobId],
) -> Arc<NewJob> {
    let count = if uniform { 1 } else { random.between(1, 3) };
    let slices: Arc<[Slice]> = (0..count).map(|_| slice(random, uniform)).collect();
    let queue = if uniform { 0 } else { *random.pick(&[0, 0, 0, 1, 2]) };
    let child = !uniform && !parents.is_empty() && random.per_mille(100);
    let terms = Terms {
        order: ORDERS[queue],
        lease_ms: (!uniform && random.per_mille(50)).then_some(90_000),
        parent: child.then(|| *random.pick(parents)),
        labels: (0..random.below(3)).map(|n| Arc::from(format!("label:{n}"))).collect(),
        ..Terms::default()
    };
    Arc::new(NewJob {
        queue: QUEUES[queue].into(),
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

fn slice(random: &mut Random, uniform: bool) -> Slice {
    let requirements: &[(&str, &str)] = match random.below(if uniform { 1 } else { 9 }) {
        0 => &[],
        1 => &[("os", "Linux")],
        2 => &[("os", "Linux|Mac")],
        3 => &[("os", "Mac"), ("gpu", "none")],
        4 => &[("id", "runner-0")],
        // One key twice is both, and alternatives may overlap.
        5 => &[("os", "Linux|Windows"), ("os", "Debian")],
        6 => &[("os", "Debian|Mac"), ("os", "Linux|Mac")],
        // Nobody has it until the world heals.
        7 => &[("os", "Windows")],
        _ => &[("gpu", "none")],
    };
    Slice {
        requirements: Requirements::of(requirements),
        expires_after_ms: (!uniform && random.per_mille(400)).then(|| random.between(500, 20_000)),
        wait_for_capacity: uniform || !random.per_mille(350),
        reuse_key: (!uniform && random.per_mille(150))
            .then(|| ReuseKey([random.below(8) as u8; 32])),
    }
}
