//! The discrete-event world: one server that crashes, a network that loses, repeats, delays and reorders, and the actors.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::ops::*;
use engine::{Change, Config, Effect, Engine, Lease, PollKey};
use model::{
    Dimensions, Evidence, GroupId, JobId, NewGroup, Now, Outcome, RunnerName, Session, WallMs,
};

use super::actors::{self, Held, Kind, Reply, Request, Runner, WANT};
use super::disk::Disk;
use super::oracle::Oracle;
use super::random::Random;
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
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    server: Option<Server>,
    epoch: u64,
    next_poll_key: u64,
    disk: Disk,
    oracle: Oracle,
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
        let runners =
            (0..random.between(1, 5)).map(|number| runner(&mut random, number, gentle, uniform));
        let mut world = Self {
            seed,
            now_ms: 0,
            wall_offset: 1_000_000_000,
            queue: BTreeMap::new(),
            next_event: 0,
            server: None,
            epoch: 0,
            next_poll_key: 1,
            disk: Disk::default(),
            oracle: Oracle::new(uniform, gentle),
            runners: runners.collect(),
            clients: Vec::new(),
            faults,
            healed: false,
            planted,
            lease_ms: 8000,
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
            let mut runner = runner(&mut random, first as u64 + number, true, false);
            runner.spec.dimensions =
                Dimensions::of(&[("os", "Linux"), ("os", "Mac"), ("gpu", "none")]);
            runner.spec.queues = ["batches".into(), "other".into()].into();
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
                    self.fault_count += 1;
                }
                if let Some(server) = &mut self.server {
                    server.engine.tick(now);
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

    // --- the server ---

    fn restart(&mut self) {
        if self.server.is_some() {
            return;
        }
        self.epoch += 1;
        let mut config = Config::new([7; 32]);
        config.lease_ms = self.lease_ms;
        config.undelivered_ms = self.lease_ms / 2;
        config.cancel_grace_ms = 10_000;
        config.timeout_grace_ms = 5000;
        config.runner_gone_ms = self.lease_ms * 2;
        if let Some(Planted::InEngine(bug)) = self.planted {
            config.bug = Some(bug);
        }
        let now = Now { mono_ms: 0, wall: self.now().wall };
        let engine = Engine::restore(config, self.disk.snapshot(), now);
        self.server = Some(Server {
            engine,
            open: Batch::default(),
            writing: None,
            booted_ms: self.now_ms,
            epoch: self.epoch,
            parked: BTreeMap::new(),
        });
    }

    fn crash(&mut self) {
        if let Some(server) = self.server.take() {
            self.crashes += 1;
            self.fault_count += 1;
            if let Some(batch) = server.writing {
                // What was being written is there or is not; nobody was told.
                if self.random.per_mille(500) {
                    let mut changes = batch.changes;
                    if self.server_bug(ServerBug::TearBatches) {
                        changes.truncate(changes.len() / 2);
                    }
                    // A refusal shows again when the world rests.
                    let _ = self.commit(&changes);
                }
            }
            let down = *self.random.pick(&[10, 500, 3000, 20_000]);
            self.at(self.now_ms + down, Event::Restart);
        }
        if self.faults.crash_every_ms > 0 {
            let next = self.now_ms + self.random.between(1, 2 * self.faults.crash_every_ms);
            self.at(next, Event::Crash);
        }
    }

    /// Moves what the engine wants written and told into the open batch, with the reply of the op that just ran.
    fn collect(&mut self, reply: Option<(To, Reply)>) -> Result<(), String> {
        let ack_early = self.server_bug(ServerBug::AckBeforeCommit);
        let polls_early = self.server_bug(ServerBug::AnswerPollsBeforeCommit);
        let Some(server) = &mut self.server else { return Ok(()) };
        let mut effects = Vec::new();
        server.engine.drain(&mut server.open.changes, &mut effects);
        let mut early = Vec::new();
        for effect in effects {
            let Effect::PollAnswered { poll, leases } = effect else { continue };
            let Some((to, number, spec)) = server.parked.remove(&poll) else { continue };
            let reply = Reply::Leases { poll: number, session: spec.session, leases };
            if polls_early {
                early.push((to, reply))
            } else {
                server.open.replies.push((to, reply))
            }
        }
        if let Some(reply) = reply {
            if ack_early { early.push(reply) } else { server.open.replies.push(reply) }
        }
        for (to, reply) in early {
            self.answer(to, reply);
        }
        self.write();
        Ok(())
    }

    /// Starts to write the open batch when the writer is idle.
    fn write(&mut self) {
        let Some(server) = &mut self.server else { return };
        let nothing = server.open.changes.is_empty() && server.open.replies.is_empty();
        if server.writing.is_some() || nothing {
            return;
        }
        server.writing = Some(std::mem::take(&mut server.open));
        let epoch = server.epoch;
        let done = self.now_ms + self.random.between(0, self.faults.disk_ms);
        self.at(done, Event::CommitDone(epoch));
    }

    fn commit_done(&mut self, epoch: u64) -> Result<(), String> {
        let Some(server) = self.server.as_mut().filter(|server| server.epoch == epoch) else {
            return Ok(());
        };
        let batch = server.writing.take().unwrap_or_default();
        let before = self.disk.clone();
        self.commit(&batch.changes)?;
        self.oracle.committed(&batch.changes, &before, &self.disk)?;
        for change in &batch.changes {
            if let Change::JobRunning { id, attempt, .. } = change {
                self.mix(id.0 << 8 | u64::from(attempt.0));
            }
        }
        for (to, reply) in batch.replies {
            self.answer(to, reply);
        }
        self.check_parked()?;
        self.write();
        Ok(())
    }

    /// With nothing in flight no parked poll may fit a waiting job.
    fn check_parked(&self) -> Result<(), String> {
        let Some(server) = &self.server else { return Ok(()) };
        let quiet = server.open.changes.is_empty() && server.writing.is_none();
        if !quiet {
            return Ok(());
        }
        for (_, _, spec) in server.parked.values() {
            if let Some((stored, drained)) = self.disk.runners.get(&spec.name)
                && stored.session == spec.session
            {
                self.oracle.parked(stored, *drained, &self.disk)?;
            }
        }
        Ok(())
    }

    fn serve(&mut self, to: To, request: Request) -> Result<(), String> {
        let now = self.now();
        let stale_retry = self.server_bug(ServerBug::RetryFromStaleRead);
        if self.server.is_none() && self.oracle.gentle {
            // A refused connection is tried again.
            self.at(self.now_ms + 200, Event::Arrive(to, request));
            return Ok(());
        }
        let Some(server) = &mut self.server else { return Ok(()) };
        let engine = &mut server.engine;
        let reply = match request {
            Request::Register(runner) => match engine.register(RegisterOp { runner }, now) {
                RegisterOutcome::Registered => Reply::Registered,
                RegisterOutcome::SessionSuperseded => Reply::Superseded,
                RegisterOutcome::Refused { what } => {
                    return Err(format!("a good runner was refused: {what}"));
                }
            },
            Request::Poll { runner, poll, wait_ms } => {
                let key = PollKey(self.next_poll_key);
                self.next_poll_key += 1;
                let op = PollOp {
                    runner: runner.name.clone(),
                    session: runner.session,
                    poll,
                    want: WANT,
                    wait: Some((key, wait_ms)),
                };
                let leases = |leases| Reply::Leases { poll, session: runner.session, leases };
                match engine.poll(op, now) {
                    PollOutcome::Granted(granted) => leases(granted),
                    PollOutcome::Empty => leases(Vec::new()),
                    PollOutcome::Parked => {
                        server.parked.insert(key, (to, poll, runner));
                        return self.collect(None);
                    }
                    PollOutcome::UnknownRunner => Reply::UnknownRunner,
                    PollOutcome::SessionSuperseded => Reply::Superseded,
                }
            }
            Request::Renew { runner, jobs } => {
                let asked: Vec<JobId> = jobs.iter().map(|(job, _)| *job).collect();
                let jobs = jobs.into_iter().map(|(job, token)| (job, Some(token))).collect();
                let op = RenewOp { runner: runner.name, session: runner.session, jobs };
                let reply = match engine.renew(op, now) {
                    RenewOutcome::Renewed { known, cancel } => {
                        Reply::Renewed { asked, known, cancel }
                    }
                    RenewOutcome::UnknownRunner => Reply::UnknownRunner,
                    RenewOutcome::SessionSuperseded => Reply::Superseded,
                };
                // That leases go on promises nothing; a no waits like every other answer.
                let all_go_on = matches!(&reply, Reply::Renewed { asked, known, cancel }
                    if known.len() == asked.len() && cancel.is_empty());
                if all_go_on {
                    self.collect(None)?;
                    self.answer(to, reply);
                    return Ok(());
                }
                reply
            }
            Request::Start { job, token } => {
                engine.start(StartOp { job, token }, now);
                Reply::Nothing
            }
            Request::AppendLog { job, token } => {
                engine.append_log(AppendLogOp { job, token }, now);
                Reply::Nothing
            }
            Request::Complete { job, token, outcome } => {
                let attempt = token.attempt();
                let op = CompleteOp {
                    job,
                    token,
                    outcome: outcome.clone(),
                    evidence: Evidence::default(),
                };
                let recorded = match engine.complete(op, now) {
                    CompleteOutcome::Finished { recorded } => Some(recorded),
                    // As the dispatcher: the same again is fine, if it is durable.
                    CompleteOutcome::Fenced(_) => {
                        self.disk.attempts.get(&(job, attempt)).and_then(|stored| {
                            let same =
                                stored.outcome == outcome || stored.outcome == Outcome::Killed;
                            (same && stored.outcome != Outcome::RunnerLost)
                                .then(|| stored.outcome.clone())
                        })
                    }
                };
                // A liar's word for an attempt that is not its own is not news to the oracle.
                Reply::Ended { job, attempt, recorded }
            }
            Request::Release { job, token } => {
                let op = ReleaseOp { job, token, why: "released".to_owned(), undelivered: false };
                engine.release(op, now);
                Reply::Nothing
            }
            Request::Submit { key, body, group, jobs } => {
                let digest = |value: u64| {
                    let mut bytes = [0; 16];
                    bytes[..8].copy_from_slice(&value.to_be_bytes());
                    bytes
                };
                let group = group.then(|| NewGroup {
                    name: "group".into(),
                    owner: "ann".into(),
                    document: body.to_be_bytes().as_slice().into(),
                });
                let op = SubmitOp {
                    key: key.map(|key| (digest(key), digest(body))),
                    group,
                    jobs: jobs.clone(),
                };
                match engine.submit(op, now) {
                    SubmitOutcome::Accepted { first_job, jobs: count, group }
                    | SubmitOutcome::Duplicate { first_job, jobs: count, group } => {
                        Reply::Accepted { key, body, first: first_job, count, group, jobs }
                    }
                    // A deliberate second use of a key.
                    SubmitOutcome::Refused(_) => Reply::Nothing,
                }
            }
            Request::Cancel { job } => match engine.cancel(CancelOp::Job(job), now) {
                CancelOutcome::Canceled { queued, .. } => {
                    Reply::Canceled { job, queued: queued > 0 }
                }
                CancelOutcome::NotLive => Reply::Nothing,
            },
            Request::CancelGroup { group } => {
                engine.cancel(CancelOp::Group(group), now);
                Reply::Nothing
            }
            Request::Drain { runner, drain } => {
                let name = self.runners[runner].spec.name.clone();
                engine.drain_runner(DrainOp { runner: name, drain }, now);
                Reply::Nothing
            }
            Request::Deregister { runner } => {
                let name = self.runners[runner].spec.name.clone();
                engine.deregister(DeregisterOp { runner: name }, now);
                Reply::Nothing
            }
            Request::Retry { job } => {
                let in_flight = |batch: &Batch| {
                    batch
                        .changes
                        .iter()
                        .any(|c| matches!(c, Change::JobFinished { id, .. } if *id == job))
                };
                let flying =
                    in_flight(&server.open) || server.writing.as_ref().is_some_and(in_flight);
                let stored = self.disk.done.get(&job).map(|(_, attempts)| *attempts);
                let stored =
                    if stale_retry { stored.or_else(|| flying.then_some(0)) } else { stored };
                if let (Some(attempts), false) = (stored, flying && !stale_retry) {
                    let Some((spec, group)) = self.disk.specs.get(&job).cloned() else {
                        return Ok(());
                    };
                    engine.retry(RetryOp { id: job, job: spec, group, attempts }, now);
                }
                Reply::Nothing
            }
        };
        self.collect(Some((to, reply)))
    }

    // --- the network ---

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

    // --- what the actors do ---

    fn told(&mut self, to: To, reply: Reply) -> Result<(), String> {
        match (to, reply) {
            (To::Runner(number), reply) => self.runner_told(number, reply),
            (To::Client(number), Reply::Accepted { key, body, first, count, group, jobs }) => {
                let mine = |request: &Request| match request {
                    Request::Submit { key: k, body: b, .. } => (*k, *b) != (key, body),
                    _ => true,
                };
                self.clients[number].retain(mine);
                self.oracle.submitted((key, body), (first, count, group), &jobs)?;
                if self.random.per_mille(100) && !self.healed {
                    // The same key for something else: must be refused.
                    let body = self.next_body;
                    self.next_body += 1;
                    let request = Request::Submit { key, body, group: false, jobs };
                    self.send(To::Client(number), request);
                }
                Ok(())
            }
            (To::Operator, Reply::Canceled { job, queued }) => {
                self.oracle.canceled(job, queued);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn runner_told(&mut self, number: usize, reply: Reply) -> Result<(), String> {
        let now_ms = self.now_ms;
        if self.runners[number].stopped_until_ms > now_ms {
            return Ok(());
        }
        let kind = self.runners[number].kind;
        match reply {
            Reply::Registered => self.runners[number].registered = true,
            Reply::UnknownRunner => self.runners[number].registered = false,
            Reply::Superseded => {
                // As a new process: it knows nothing of the old one's jobs.
                let runner = &mut self.runners[number];
                runner.spec.session = Session(runner.spec.session.0 + 1 + now_ms);
                runner.registered = false;
                runner.held.clear();
                runner.poll = None;
            }
            Reply::Leases { poll, session, leases } => {
                if self.runners[number].poll.is_some_and(|(number, _)| number == poll) {
                    self.runners[number].poll = None;
                }
                if session != self.runners[number].spec.session {
                    return Ok(());
                }
                for lease in leases {
                    self.take(number, &lease, kind)?;
                }
            }
            Reply::Renewed { asked, known, cancel } => {
                let runner = &mut self.runners[number];
                if kind != Kind::Lies {
                    runner.held.retain(|(job, _), _| known.contains(job) || !asked.contains(job));
                }
                for ((job, _), held) in runner.held.iter_mut() {
                    if cancel.contains(job) && held.reported_ms.is_none() {
                        held.done_ms = now_ms;
                        held.outcome = Outcome::Killed;
                    }
                }
            }
            Reply::Ended { job, attempt, recorded } => {
                self.runners[number].held.remove(&(job, attempt));
                if let Some(recorded) = recorded {
                    self.oracle.completed(job, attempt, &recorded)?;
                }
            }
            Reply::Accepted { .. } | Reply::Canceled { .. } | Reply::Nothing => {}
        }
        Ok(())
    }

    fn take(&mut self, number: usize, lease: &Lease, kind: Kind) -> Result<(), String> {
        self.oracle.granted(lease, &self.runners[number].spec)?;
        let long = if kind == Kind::Slow { 20_000 } else { 3000 };
        let done_ms = self.now_ms + self.random.between(0, long);
        let outcome = actors::outcome(&mut self.random);
        let held = Held { token: lease.token, done_ms, outcome, reported_ms: None };
        let runner = &mut self.runners[number];
        runner.old.push((lease.job, lease.token));
        runner.held.entry((lease.job, lease.attempt)).or_insert(held);
        if self.random.per_mille(300) {
            self.send(To::Runner(number), Request::Start { job: lease.job, token: lease.token });
        }
        Ok(())
    }

    fn wake_runner(&mut self, number: usize) {
        let now_ms = self.now_ms;
        let to = To::Runner(number);
        let kind = self.runners[number].kind;
        {
            let runner = &mut self.runners[number];
            if runner.stopped_until_ms > now_ms {
                let again = runner.stopped_until_ms;
                if again < u64::MAX {
                    self.at(again, Event::Wake(to));
                }
                return;
            }
            if now_ms >= runner.stops_at_ms && matches!(kind, Kind::Dies | Kind::Pauses) {
                let pause = if kind == Kind::Dies { u64::MAX } else { now_ms + 3 * self.lease_ms };
                runner.stopped_until_ms = pause;
                runner.stops_at_ms = if kind == Kind::Dies { u64::MAX } else { now_ms + 60_000 };
                self.fault_count += 1;
                self.at(now_ms + 1, Event::Wake(to));
                return;
            }
        }
        let runner = self.runners[number].clone();
        if !runner.registered {
            self.send(to, Request::Register(runner.spec.clone()));
        } else {
            self.ask_for_work(number, &runner);
        }
        let every = if kind == Kind::Slow { self.lease_ms - 1000 } else { self.lease_ms / 4 };
        if !runner.held.is_empty() && now_ms - runner.renewed_ms >= every {
            let jobs = runner.held.iter().map(|((job, _), held)| (*job, held.token)).collect();
            self.send(to, Request::Renew { runner: runner.spec.clone(), jobs });
            self.runners[number].renewed_ms = now_ms;
        }
        for ((job, attempt), held) in &runner.held {
            let again = held.reported_ms.is_none_or(|at| now_ms - at > 1500);
            if held.done_ms <= now_ms && again {
                self.oracle.complete_sent(*job);
                let request = Request::Complete {
                    job: *job,
                    token: held.token,
                    outcome: held.outcome.clone(),
                };
                self.send(to, request);
                if let Some(held) = self.runners[number].held.get_mut(&(*job, *attempt)) {
                    held.reported_ms = Some(now_ms);
                }
            } else if self.random.per_mille(100) {
                self.send(to, Request::AppendLog { job: *job, token: held.token });
            }
        }
        if kind == Kind::Lies && !self.healed {
            self.lie(number, &runner);
        }
        let next = now_ms + self.random.between(50, 400);
        self.at(next, Event::Wake(to));
    }

    fn ask_for_work(&mut self, number: usize, runner: &Runner) {
        let room = (runner.held.len() as u32) < runner.spec.slots;
        let to = To::Runner(number);
        match runner.poll {
            None if room => {
                let poll = runner.next_poll;
                self.runners[number].next_poll += 1;
                self.runners[number].poll = Some((poll, self.now_ms));
                let waits: &[u64] = if self.oracle.gentle { &[0, 500] } else { &[0, 500, 3000] };
                let wait_ms = *self.random.pick(waits);
                self.send(to, Request::Poll { runner: runner.spec.clone(), poll, wait_ms });
            }
            Some((poll, sent))
                if self.now_ms - sent > if self.oracle.gentle { 1500 } else { 4000 } =>
            {
                self.runners[number].poll = Some((poll, self.now_ms));
                self.send(to, Request::Poll { runner: runner.spec.clone(), poll, wait_ms: 500 });
            }
            _ => {}
        }
    }

    fn lie(&mut self, number: usize, runner: &Runner) {
        let to = To::Runner(number);
        if runner.old.is_empty() || !self.random.per_mille(300) {
            return;
        }
        self.fault_count += 1;
        let (job, token) = *self.random.pick(&runner.old);
        match self.random.below(5) {
            0 => {
                let mut forged = token;
                forged.0[self.random.clone().below(20) as usize] ^= 1;
                self.random.next();
                let outcome = Outcome::Failed { exit: 99 };
                self.send(to, Request::Complete { job, token: forged, outcome });
            }
            1 => {
                // An old attempt's token, or a live one's: with another result than it will report.
                self.oracle.complete_sent(job);
                let outcome = Outcome::Failed { exit: 98 };
                self.send(to, Request::Complete { job, token, outcome });
            }
            2 => {
                let other = JobId(job.0 + self.random.below(5));
                self.send(to, Request::Complete { job: other, token, outcome: Outcome::Succeeded });
            }
            3 => self.send(to, Request::Release { job, token }),
            _ => {
                let jobs = runner.old.iter().copied().take(5).collect();
                self.send(to, Request::Renew { runner: runner.spec.clone(), jobs });
            }
        }
    }

    fn wake_client(&mut self, number: usize) {
        let to = To::Client(number);
        // What was not answered is asked again, when asking again is safe.
        let open: Vec<Request> = self.clients[number].clone();
        for request in &open {
            self.send(to, request.clone());
        }
        if !self.healed && self.now_ms < HEAL_MS - 5000 && open.len() < 3 {
            let body = self.next_body;
            self.next_body += 1;
            let count = self.random.between(1, 6);
            let uniform = self.oracle.uniform;
            let jobs: Vec<_> = (0..count)
                .map(|i| actors::job(&mut self.random, uniform, body * 100 + i))
                .collect();
            let key = (number as u64) << 32 | body;
            let group = self.random.per_mille(500);
            let request = Request::Submit { key: Some(key), body, group, jobs: jobs.clone() };
            self.send(to, request.clone());
            self.clients[number].push(request);
        }
        if !self.healed || !self.clients[number].is_empty() {
            let next = self.now_ms + self.random.between(500, 4000);
            self.at(next, Event::Wake(to));
        }
    }

    fn wake_operator(&mut self) {
        if self.healed {
            for runner in 0..self.runners.len() {
                self.send(To::Operator, Request::Drain { runner, drain: false });
            }
            self.at(self.now_ms + 2000, Event::Wake(To::Operator));
            return;
        }
        let highest = self.disk.specs.last_key_value().map_or(1, |(id, _)| id.0);
        let job = JobId(self.random.between(1, highest));
        match self.random.below(10) {
            0..=2 => self.send(To::Operator, Request::Cancel { job }),
            3 => {
                let last = self.disk.groups.last_key_value().map_or(1, |(id, _)| id.0);
                let group = GroupId(self.random.between(1, last));
                self.send(To::Operator, Request::CancelGroup { group });
            }
            4..=5 => {
                // Best at the moment when its end is on its way to the disk.
                let ending = self.server.as_ref().and_then(|server| {
                    let writing = server.writing.as_ref().map_or(&[][..], |batch| &batch.changes);
                    writing.iter().chain(&server.open.changes).find_map(|change| match change {
                        Change::JobFinished { id, .. } => Some(*id),
                        _ => None,
                    })
                });
                if let Some(job) = ending {
                    self.oracle.retry_sent(job);
                    self.at(self.now_ms, Event::Arrive(To::Operator, Request::Retry { job }));
                }
                self.oracle.retry_sent(job);
                // A repeated request may retry twice.
                self.oracle.retry_sent(job);
                self.send(To::Operator, Request::Retry { job });
            }
            6 => {
                let runner = self.random.below(self.runners.len() as u64) as usize;
                let drain = self.random.per_mille(400);
                self.send(To::Operator, Request::Drain { runner, drain });
            }
            7 => {
                let runner = self.random.below(self.runners.len() as u64) as usize;
                self.send(To::Operator, Request::Deregister { runner });
            }
            8 => {
                // A new process under an old name.
                let number = self.random.below(self.runners.len() as u64) as usize;
                let runner = &mut self.runners[number];
                runner.spec.session = Session(runner.spec.session.0 + 1);
                runner.registered = false;
                runner.held.clear();
                runner.poll = None;
            }
            _ => {}
        }
        let next = self.now_ms + self.random.between(200, 3000);
        self.at(next, Event::Wake(To::Operator));
    }
}

fn runner(random: &mut Random, number: u64, gentle: bool, uniform: bool) -> Runner {
    let offers: &[(&str, &str)] = match random.below(4) {
        0 => &[("os", "Linux")],
        1 => &[("os", "Mac"), ("gpu", "none")],
        2 => &[("os", "Linux"), ("gpu", "none")],
        _ => &[("os", "Linux"), ("os", "Debian")],
    };
    let kind = match random.below(10) {
        _ if gentle => Kind::Honest,
        0..=3 => Kind::Honest,
        4 => Kind::Slow,
        5..=6 => Kind::Dies,
        7..=8 => Kind::Pauses,
        _ => Kind::Lies,
    };
    let both = random.per_mille(600) || uniform;
    let queues: &[&str] = if both { &["batches", "other"] } else { &["batches"] };
    Runner {
        spec: RunnerSpec {
            name: RunnerName::new(&format!("runner-{number}")),
            session: Session(1),
            queues: queues.iter().map(|queue| Arc::from(*queue)).collect(),
            dimensions: Dimensions::of(offers),
            slots: random.between(1, 4) as u32,
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
