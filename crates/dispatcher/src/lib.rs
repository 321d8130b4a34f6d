//! The running engine: one lock around the pure core, one writer that makes its changes durable, and the output gate.
//!
//! A request runs its op under the lock, which puts the row changes into the open batch. The writer takes the batch, syncs the
//! logs, commits, and only then releases the replies, the answers to parked polls and the wake-ups that belong to it. While
//! one batch commits the next collects (group commit).
//!
//! Invariant: a reply to a write is sent only after everything that the op could have seen is durable (I4).

mod clock;
mod gate;
mod jobs;
mod runners;
mod store;
mod writer;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use blobs::Logs;
use engine::{Change, Config, Effect, Engine, Lease, PollKey};
use model::{GroupId, JobId, RunnerName};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, broadcast, oneshot};

pub use clock::{Clock, SystemClock};
pub use gate::{Batch, Gate, Release};
pub use jobs::{AppendReply, CompleteReply, GrantedJob, LogRead, RetriedGroup, RetryReply};
pub use runners::{Poll, PollReply};
pub use store::{
    AttemptView, GroupCounts, GroupView, House, JobFilter, JobSearch, JobStanding, JobView, Notice,
    NullStore, Reader, Store, StoreError,
};

/// What happened, after it is durable. Subscribers that fall behind miss events and look at the store instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    JobFinished { job: JobId, group: Option<GroupId> },
    GroupFinished { group: GroupId },
}

/// Told once when the store failed. It must end the process: nothing is acknowledged after it (I36).
pub type OnFatal = Box<dyn Fn(&StoreError) + Send>;

/// A handle to the running engine. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    shared: Arc<Shared>,
}

struct Shared {
    core: Mutex<Core>,
    /// Rung when a batch has something to write, or at shutdown.
    writer: Condvar,
    /// Rung when the next deadline may have moved forward.
    ticker: Notify,
    clock: Box<dyn Clock>,
    logs: Arc<Logs>,
    reader: Arc<dyn Reader>,
    events: broadcast::Sender<Event>,
    next_poll: AtomicU64,
}

struct Core {
    engine: Engine,
    gate: Gate<PollSender>,
    parked: HashMap<PollKey, PollSender>,
    /// Heartbeats that wait for a cancel, by runner.
    cancels: HashMap<RunnerName, Arc<Notify>>,
    payloads: PayloadCache,
    next_deadline_ms: u64,
    stopping: bool,
}

type PollSender = oneshot::Sender<Vec<GrantedJob>>;

/// Payloads of queued jobs, so that a grant need not read the store. Bounded: what does not fit is read back.
#[derive(Default)]
struct PayloadCache {
    payloads: HashMap<JobId, Arc<[u8]>>,
    bytes: usize,
}

const PAYLOAD_CACHE_BYTES: usize = 64 * 1024 * 1024;

impl PayloadCache {
    fn put(&mut self, job: JobId, payload: Arc<[u8]>) {
        let bytes = payload.len() + 64;
        if self.bytes + bytes <= PAYLOAD_CACHE_BYTES {
            self.bytes += bytes;
            self.payloads.insert(job, payload);
        }
    }

    fn take(&mut self, job: JobId) -> Option<Arc<[u8]>> {
        let payload = self.payloads.remove(&job)?;
        self.bytes -= payload.len() + 64;
        Some(payload)
    }
}

impl Dispatcher {
    /// Loads what is live, starts the writer thread and the ticker. Must be called in a tokio runtime.
    pub fn start(
        config: Config,
        mut store: Box<dyn Store>,
        reader: Arc<dyn Reader>,
        logs: Arc<Logs>,
        clock: Box<dyn Clock>,
        on_fatal: OnFatal,
    ) -> Result<Self, StoreError> {
        let snapshot = store.load()?;
        let running: std::collections::BTreeSet<_> = snapshot
            .jobs
            .iter()
            .filter_map(|live| match &live.place {
                engine::Place::Running { attempt, .. } => Some((live.id, *attempt)),
                engine::Place::Queued { .. } => None,
            })
            .collect();
        logs.restore(&running);
        let engine = Engine::restore(config, snapshot, clock.now());
        let (events, _) = broadcast::channel(4096);
        let shared = Arc::new(Shared {
            core: Mutex::new(Core {
                engine,
                gate: Gate::default(),
                parked: HashMap::new(),
                cancels: HashMap::new(),
                payloads: PayloadCache::default(),
                next_deadline_ms: u64::MAX,
                stopping: false,
            }),
            writer: Condvar::new(),
            ticker: Notify::new(),
            clock,
            logs,
            reader,
            events,
            next_poll: AtomicU64::new(1),
        });
        let for_writer = shared.clone();
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer::run(&for_writer, store, &on_fatal))
            .expect("the operating system gives one more thread");
        let weak = Arc::downgrade(&shared);
        tokio::spawn(tick_for_ever(weak));
        Ok(Self { shared })
    }

    /// What is durable, to read. Everything here was committed.
    pub fn reader(&self) -> &Arc<dyn Reader> {
        &self.shared.reader
    }

    pub fn logs(&self) -> &Arc<Logs> {
        &self.shared.logs
    }

    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Answers parked polls, writes what is open, and stops the writer. Returns when the last batch is durable.
    pub async fn stop(&self) {
        let done = {
            let mut core = self.shared.core.lock();
            for (_, sender) in core.parked.drain() {
                let _ = sender.send(Vec::new());
            }
            core.stopping = true;
            self.shared.writer.notify_one();
            core.gate.wait()
        };
        if let Some(done) = done {
            let _ = done.await;
        }
    }

    /// Runs an op under the lock and returns its outcome when everything it saw is durable.
    async fn gated<T>(&self, op: impl FnOnce(&mut Core, model::Now) -> T) -> T {
        let (outcome, wait) = {
            let mut core = self.shared.core.lock();
            let outcome = op(&mut core, self.shared.clock.now());
            self.collect(&mut core);
            (outcome, core.gate.wait())
        };
        durable(wait).await;
        outcome
    }

    /// Runs an op whose outcome promises nothing durable: it is returned at once. Its changes, if it makes any, are gated.
    fn ungated<T>(&self, op: impl FnOnce(&mut Core, model::Now) -> T) -> T {
        let mut core = self.shared.core.lock();
        let outcome = op(&mut core, self.shared.clock.now());
        self.collect(&mut core);
        outcome
    }

    /// Deletes log segments that hold no byte of any attempt that is known, and says how many.
    pub async fn delete_unused_logs(&self, house: Arc<dyn House>) -> Result<usize, StoreError> {
        let (mut in_use, end) = self.shared.logs.live_segments();
        // Where live logs lie is in memory first. The writer syncs them twice a second.
        let syncs = self.shared.logs.syncs();
        while self.shared.logs.syncs() < syncs + 2 {
            if self.shared.core.lock().stopping {
                return Ok(0);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        // An attempt that ended before that is not live, and it is in the store only when it is durable.
        self.settled().await;
        let logs = self.shared.logs.clone();
        let deleting = tokio::task::spawn_blocking(move || {
            let mut damaged = false;
            house.each_log(&mut |extents| match blobs::Extents::decode(extents) {
                Some(extents) => in_use.extend(extents.0.iter().map(|(segment, ..)| *segment)),
                None => damaged = true,
            })?;
            const DOING: &str = "delete unused log segments";
            if damaged {
                let why = "it is not known of each attempt where its log lies";
                return Err(StoreError::new(DOING, why));
            }
            logs.delete_segments(end, &in_use).map_err(|error| StoreError::new(DOING, error))
        });
        deleting
            .await
            .unwrap_or_else(|error| Err(StoreError::new("delete unused log segments", error)))
    }

    /// Waits until everything that an ungated op could have seen is durable: for its answer when that answer is a no. A
    /// runner that is told "not yours" because of a completion that a crash then swallows would give up a job that is its own.
    async fn settled(&self) {
        let wait = self.shared.core.lock().gate.wait();
        durable(wait).await;
    }

    /// Moves what the engine wants written and told into the open batch.
    fn collect(&self, core: &mut Core) {
        self.shared.collect(core);
    }
}

/// Waits for what [`Gate::wait`] gave.
async fn durable(wait: Option<oneshot::Receiver<()>>) {
    if let Some(wait) = wait
        && wait.await.is_err()
    {
        // The writer failed: the process is ending, and this reply must never be sent.
        std::future::pending::<()>().await;
    }
}

impl Shared {
    fn collect(&self, core: &mut Core) {
        let mut effects = Vec::new();
        let known = core.gate.changes().len();
        core.engine.drain(core.gate.changes(), &mut effects);
        let Core { gate, cancels, .. } = core;
        for change in &mut gate.changes()[known..] {
            match change {
                Change::AttemptEnded { id, record } if record.evidence.log_extents.is_empty() => {
                    // An attempt that its runner did not complete keeps the log that arrived.
                    let log = self.logs.close(*id, record.number);
                    record.evidence.log_bytes = log.length;
                    record.evidence.log_crc32 = log.crc32;
                    record.evidence.log_extents = log.extents.encode().into();
                }
                Change::JobRunning { id, attempt, .. } => self.logs.begin(*id, *attempt),
                Change::RunnerRemoved { name, .. } => {
                    cancels.remove(name);
                }
                _ => {}
            }
        }
        for effect in effects {
            let release = match effect {
                Effect::PollAnswered { poll, leases } => {
                    let Some(sender) = core.parked.remove(&poll) else { continue };
                    let jobs = leases.into_iter().map(|lease| core.granted(lease)).collect();
                    Release::Poll(sender, jobs)
                }
                Effect::CancelNotice { runner } => match core.cancels.get(&runner) {
                    Some(notify) => Release::Notify(notify.clone()),
                    None => continue,
                },
                Effect::JobFinished { job, group } => {
                    core.payloads.take(job);
                    Release::Event(Event::JobFinished { job, group })
                }
                Effect::GroupFinished { group } => Release::Event(Event::GroupFinished { group }),
            };
            core.gate.release(release);
        }
        if core.gate.has_work() {
            self.writer.notify_one();
        }
        let next = core.engine.next_deadline_ms().unwrap_or(u64::MAX);
        if next < core.next_deadline_ms {
            core.next_deadline_ms = next;
            self.ticker.notify_one();
        }
    }
}

impl Core {
    fn granted(&mut self, lease: Lease) -> GrantedJob {
        let payload = self.payloads.take(lease.job);
        GrantedJob { lease, payload }
    }
}

/// Sleeps until the next deadline and lets the engine deal with it.
async fn tick_for_ever(shared: std::sync::Weak<Shared>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let wait_ms = {
            let mut core = strong.core.lock();
            if core.stopping {
                return;
            }
            let now = strong.clock.now();
            // Zero is before every deadline: the collect below must not wake the very task that runs it.
            core.next_deadline_ms = 0;
            let tick = core.engine.tick(now);
            strong.collect(&mut core);
            let next = core.engine.next_deadline_ms().unwrap_or(u64::MAX);
            core.next_deadline_ms = next;
            // Never more often than each 5 ms, so that deadlines are dealt with in batches.
            if tick.more { 0 } else { next.saturating_sub(now.mono_ms).clamp(5, 1000) }
        };
        if wait_ms == 0 {
            tokio::task::yield_now().await;
            continue;
        }
        let wait = std::time::Duration::from_millis(wait_ms);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = strong.ticker.notified() => {}
        }
    }
}
