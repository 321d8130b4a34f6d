//! The discrete-event world: one server that crashes, a network that loses, repeats, delays and reorders, and the actors.

mod behaviour;
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::ops::*;
use engine::{Change, Config, Effect, Engine, Lease, PollKey};
use model::{Dimensions, Evidence, GroupId, JobId, NewGroup, Now, Outcome, Session, WallMs};

use super::actors::{self, Held, Kind, Reply, Request, Runner, WANT};
use super::disk::Disk;
use super::oracle::Oracle;
use super::random::Random;
use super::rules::{Input, Rules};
use super::{Outcome as SeedOutcome, Planted};

/// A defect of the server around the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerBug {
    /// Replies go out before their batch is durable.
    AckBeforeCommit,
    /// Parked polls are answered before the grant is durable.
    AnswerPollsBeforeCommit,
    /// A crash leaves half of a batch on the disk.
    TearBatches,
    /// A retry trusts what it read, although the job's end is on its way.
    RetryFromStaleRead,
}

impl ServerBug {
    pub const ALL: [Self; 4] = [
        Self::AckBeforeCommit,
        Self::AnswerPollsBeforeCommit,
        Self::TearBatches,
        Self::RetryFromStaleRead,
    ];
}

/// Who gets a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Runner(usize),
    Client(usize),
    Operator,
}

#[derive(Debug)]
enum Event {
    Arrive(To, Request),
    Answer(To, Reply),
    Wake(To),
    Tick,
    CommitDone(u64),
    Crash,
    Restart,
}

#[derive(Debug, Default)]
struct Batch {
    changes: Vec<Change>,
    replies: Vec<(To, Reply)>,
}

#[derive(Debug)]
struct Server {
    engine: Engine,
    open: Batch,
    writing: Option<Batch>,
    booted_ms: u64,
    epoch: u64,
    /// Parked polls: who waits, under which number.
    parked: BTreeMap<PollKey, (To, u64, RunnerSpec)>,
}

/// How much of what goes wrong, drawn per seed.
#[derive(Debug)]
struct Faults {
    lose: u64,
    repeat: u64,
    delay_ms: u64,
    crash_every_ms: u64,
    wall_jumps: bool,
    disk_ms: u64,
}

pub(super) struct World {
    seed: u64,
    random: Random,
    now_ms: u64,
    wall_offset: i64,
    /// The wall clock jumped, if only to and fro.
    jumped: bool,
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    server: Option<Server>,
    epoch: u64,
    next_poll_key: u64,
    disk: Disk,
    oracle: Oracle,
    rules: Rules,
    runners: Vec<Runner>,
    /// What each client still wants to be told.
    clients: Vec<Vec<Request>>,
    faults: Faults,
    healed: bool,
    planted: Option<Planted>,
    lease_ms: u64,
    next_body: u64,
    events: u64,
    fault_count: u64,
    crashes: u64,
    trace: u64,
    recorded: Option<Vec<(Vec<Change>, Disk)>>,
}

const LEASE_MS: u64 = 8000;

/// When the faults stop, and how long the world then has to come to rest.
const HEAL_MS: u64 = 60_000;
const REST_MS: u64 = 600_000;

impl World {
    pub(super) fn new(seed: u64, planted: Option<Planted>) -> Self {
        let mut random = Random::new(seed);
        let gentle = random.per_mille(150);
        let uniform = random.per_mille(200);
        let sometimes = |random: &mut Random, chance, most| {
            if random.per_mille(chance) { random.between(1, most) } else { 0 }
        };
        let faults = Faults {
            lose: if gentle { 0 } else { sometimes(&mut random, 600, 300) },
            repeat: if gentle { 0 } else { sometimes(&mut random, 600, 300) },
            delay_ms: if gentle { 50 } else { *random.pick(&[5, 50, 500, 5000]) },
            crash_every_ms: if random.per_mille(700) {
                *random.pick(&[700, 3000, 12_000])
            } else {
                0
            },
            wall_jumps: random.per_mille(300),
            disk_ms: *random.pick(&[1, 5, 100, 400]),
        };
        let runners = (0..random.between(1, 5))
            .map(|number| actors::runner(&mut random, number, gentle, uniform));
        let mut world = Self {
            seed,
            now_ms: 0,
            wall_offset: 1_000_000_000,
            jumped: false,
            queue: BTreeMap::new(),
            next_event: 0,
            server: None,
            epoch: 0,
            next_poll_key: 1,
            disk: Disk::default(),
            oracle: Oracle::new(uniform, gentle),
            rules: Rules::new(2 * LEASE_MS),
            runners: runners.collect(),
            clients: Vec::new(),
            faults,
            healed: false,
            planted,
            lease_ms: LEASE_MS,
            next_body: 1,
            events: 0,
            fault_count: 0,
            crashes: 0,
            trace: seed,
            recorded: None,
            random,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        let clients = self.random.between(1, 4);
        for number in 0..clients as usize {
            self.clients.push(Vec::new());
            self.at(self.random.clone().below(3000), Event::Wake(To::Client(number)));
        }
        for number in 0..self.runners.len() {
            let at = self.random.below(2000);
            self.at(at, Event::Wake(To::Runner(number)));
        }
        if !self.oracle.gentle {
            self.at(1000, Event::Wake(To::Operator));
        }
        self.at(0, Event::Restart);
        self.at(10, Event::Tick);
        if self.faults.crash_every_ms > 0 {
            let at = self.random.between(1, self.faults.crash_every_ms);
            self.at(at, Event::Crash);
        }
    }

    pub(super) fn outcome(&self) -> SeedOutcome {
        SeedOutcome {
            seed: self.seed,
            events: self.events,
            faults: self.fault_count,
            crashes: self.crashes,
            jobs: self.disk.specs.len() as u64,
            simulated_ms: self.now_ms,
            trace: self.trace,
            seen: self.rules.seen,
            violation: None,
        }
    }

    pub(super) fn record(&mut self) {
        self.recorded = Some(Vec::new());
    }

    pub(super) fn recorded(self) -> super::Life {
        let all = self.recorded.unwrap_or_default().into_iter();
        all.map(|(changes, disk)| {
            let snapshot: Box<dyn Fn() -> engine::Snapshot> = Box::new(move || disk.snapshot());
            (changes, snapshot)
        })
        .collect()
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), String> {
        self.disk.commit(changes)?;
        if let Some(recorded) = &mut self.recorded
            && !changes.is_empty()
        {
            recorded.push((changes.to_vec(), self.disk.clone()));
        }
        Ok(())
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.next_event += 1;
        self.queue.insert((at_ms.max(self.now_ms), self.next_event), event);
    }

    fn now(&self) -> Now {
        let booted = self.server.as_ref().map_or(0, |server| server.booted_ms);
        let wall = (self.now_ms as i64 + self.wall_offset).max(0) as u64;
        Now { mono_ms: self.now_ms - booted, wall: WallMs(wall) }
    }

    fn server_bug(&self, bug: ServerBug) -> bool {
        self.planted == Some(Planted::InServer(bug))
    }

    /// Runs to the end of the heal phase.
    pub(super) fn run(&mut self) -> Result<(), String> {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now_ms = at;
            self.events += 1;
            self.mix(at);
            if !self.healed && at >= HEAL_MS {
                self.heal();
            }
            if self.healed && self.is_at_rest() {
                break;
            }
            if at > HEAL_MS + REST_MS {
                break;
            }
            self.handle(event)?;
        }
        if let Some(server) = &self.server {
            server.engine.check();
        }
        self.oracle.at_rest(&self.disk)
    }

    fn mix(&mut self, value: u64) {
        self.trace = (self.trace ^ value).wrapping_mul(0x100_0000_01b3).rotate_left(23);
    }

    /// All faults off: what was accepted must now come to its end.
    fn heal(&mut self) {
        self.healed = true;
        // From here on the first runners are gone.
        self.oracle.gentle = false;
        self.faults = Faults {
            lose: 0,
            repeat: 0,
            delay_ms: 20,
            crash_every_ms: 0,
            wall_jumps: false,
            disk_ms: 1,
        };
        if self.server.is_none() {
            self.at(self.now_ms + 100, Event::Restart);
        }
        // Enough honest runners that every job can be run by one.
        let first = self.runners.len();
        for number in 0..3 {
            let mut random = Random::new(number);
            let mut runner = actors::runner(&mut random, first as u64 + number, true, false);
            let os = ["Linux", "Debian", "Mac", "Windows"].map(|os| ("os", os));
            let all = [&os[..], &[("gpu", "none")]].concat();
            runner.spec.dimensions = Dimensions::of(&all);
            runner.spec.queues = actors::QUEUES.map(Arc::from).into();
            runner.spec.slots = 4;
            self.runners.push(runner);
            self.at(self.now_ms + number, Event::Wake(To::Runner(first + number as usize)));
        }
        // The one that jobs are pinned to works again, as a new process.
        let old = self.runners[0].spec.clone();
        let mut again = self.runners[first].clone();
        again.spec.name = old.name;
        again.spec.session = Session(old.session.0 + 1000);
        self.runners.push(again);
        let last = self.runners.len() - 1;
        self.at(self.now_ms + 50, Event::Wake(To::Runner(last)));
        for runner in 0..first {
            self.runners[runner].stops_at_ms = self.now_ms;
            self.runners[runner].stopped_until_ms = u64::MAX;
        }
        self.at(self.now_ms + 200, Event::Wake(To::Operator));
    }

    fn is_at_rest(&self) -> bool {
        let quiet = self
            .server
            .as_ref()
            .is_some_and(|server| server.open.changes.is_empty() && server.writing.is_none());
        let asking = self.clients.iter().any(|client| !client.is_empty());
        quiet && !asking && self.disk.live.is_empty() && self.now_ms > HEAL_MS + 20_000
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Arrive(to, request) => self.serve(to, request),
            Event::Answer(to, reply) => self.told(to, reply),
            Event::Wake(to) => {
                match to {
                    To::Runner(number) => self.wake_runner(number),
                    To::Client(number) => self.wake_client(number),
                    To::Operator => self.wake_operator(),
                }
                Ok(())
            }
            Event::Tick => {
                let now = self.now();
                if self.faults.wall_jumps && self.random.per_mille(5) {
                    let jump = *self.random.pick(&[
                        3_600_000i64,
                        -3_600_000,
                        315_360_000_000,
                        -500_000_000,
                    ]);
                    self.wall_offset += jump;
                    self.jumped = true;
                    self.fault_count += 1;
                }
                if let Some(server) = &mut self.server {
                    let more = server.engine.tick(now).more;
                    self.rules.hear(Input::Tick { more }, self.now_ms);
                    self.collect(None)?;
                }
                if self.random.per_mille(20)
                    && let Some(server) = &self.server
                {
                    server.engine.check();
                }
                let next = self.now_ms + self.random.between(20, 200);
                self.at(next, Event::Tick);
                Ok(())
            }
            Event::CommitDone(epoch) => self.commit_done(epoch),
            Event::Crash => {
                self.crash();
                Ok(())
            }
            Event::Restart => {
                self.restart();
                Ok(())
            }
        }
    }

    fn send(&mut self, from: To, request: Request) {
        let copies = 1 + u64::from(self.random.per_mille(self.faults.repeat));
        self.fault_count += copies - 1;
        for _ in 0..copies {
            if self.random.per_mille(self.faults.lose) {
                self.fault_count += 1;
                continue;
            }
            let at = self.now_ms + self.random.between(0, self.faults.delay_ms);
            self.at(at, Event::Arrive(from, request.clone()));
        }
    }

    fn answer(&mut self, to: To, reply: Reply) {
        if self.random.per_mille(self.faults.lose) {
            self.fault_count += 1;
            return;
        }
        let at = self.now_ms + self.random.between(0, self.faults.delay_ms);
        self.at(at, Event::Answer(to, reply));
    }
}
