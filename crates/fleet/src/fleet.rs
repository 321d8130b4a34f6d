//! The fleet in memory, and what waits to be written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Dimensions, RunnerName, WallMs};
use parking_lot::{Mutex, RwLock};

use crate::record::{Event, Record};
use crate::store::{FleetError, FleetStore};

/// Most events that wait to be written; the oldest are dropped.
const EVENTS_MAX: usize = 100_000;
/// Machines that are written at once.
const PUT: usize = 1000;

/// All machines. Cheap to read: lists take a copy of pointers.
pub struct Fleet {
    machines: RwLock<BTreeMap<RunnerName, Arc<Machine>>>,
    pending: Mutex<Pending>,
    store: Box<dyn FleetStore>,
}

#[derive(Debug)]
struct Machine {
    record: RwLock<Arc<Record>>,
    last_seen: AtomicU64,
    /// [`Update::key`] of what it told last.
    last_key: AtomicU64,
}

#[derive(Default)]
struct Pending {
    changed: BTreeSet<RunnerName>,
    deleted: BTreeSet<RunnerName>,
    events: Vec<Event>,
}

/// A machine as it is now.
#[derive(Clone, Debug)]
pub struct Seen {
    pub record: Arc<Record>,
    pub last_seen: WallMs,
}

/// What an event says of a machine's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It speaks for itself.
    Alive,
    /// It is gone.
    Dead,
    Unchanged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idleness {
    Idle,
    Busy,
    Unchanged,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    Set(u64, Arc<str>),
    Clear,
    Unchanged,
}

/// What an event changes. What is `None` stays.
#[derive(Clone, Debug)]
pub struct Update {
    /// As its door names it.
    pub kind: &'static str,
    pub message: Arc<str>,
    pub dimensions: Option<Dimensions>,
    pub state: Option<Arc<str>>,
    pub version: Option<Arc<str>>,
    pub address: Option<Arc<str>>,
    pub identity: Option<Arc<str>>,
    pub quarantined: Option<Option<Arc<str>>>,
    pub maintenance: Option<Option<Arc<str>>>,
    pub session: Option<u64>,
    pub terminated_by: Option<Option<u64>>,
    pub health: Health,
    pub idleness: Idleness,
    pub task: Task,
    /// The job that the event is about, when it is not the one that the machine has afterwards. It is over, not lost.
    pub about: Option<u64>,
    /// What is said of a job that the machine had and does not have any more, without having told that it is over.
    pub lost: Option<fn(u64) -> String>,
    /// A machine that is not known becomes known by this. Otherwise the event is all that is kept of it.
    pub makes_known: bool,
    /// The same number twice in a row is the same event told twice, of which one is kept. 0: none is the same.
    pub key: u64,
    /// It comes so often that it is kept only when the machine is another than at the last one.
    pub frequent: bool,
    /// The machine itself called.
    pub heard: bool,
}

impl Update {
    pub fn new(kind: &'static str) -> Self {
        Self {
            kind,
            message: "".into(),
            dimensions: None,
            state: None,
            version: None,
            address: None,
            identity: None,
            quarantined: None,
            maintenance: None,
            session: None,
            terminated_by: None,
            health: Health::Unchanged,
            idleness: Idleness::Unchanged,
            task: Task::Unchanged,
            about: None,
            lost: None,
            makes_known: true,
            key: 0,
            frequent: false,
            heard: true,
        }
    }
}

impl Fleet {
    /// Everything that is stored. `now` counts as the moment at which the living were last heard of: the time in which no server
    /// ran is not theirs.
    pub fn load(store: Box<dyn FleetStore>, now: WallMs) -> Result<Self, FleetError> {
        let machines = store.load()?.into_iter().map(|(record, last_seen)| {
            let last_seen = if record.dead { last_seen } else { last_seen.max(now) };
            let name = record.name.clone();
            let machine = Machine {
                record: RwLock::new(Arc::new(record)),
                last_seen: AtomicU64::new(last_seen.0),
                last_key: AtomicU64::new(0),
            };
            (name, Arc::new(machine))
        });
        Ok(Self { machines: RwLock::new(machines.collect()), pending: Mutex::default(), store })
    }

    pub fn store(&self) -> &dyn FleetStore {
        &*self.store
    }

    pub fn len(&self) -> usize {
        self.machines.read().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, name: &RunnerName) -> Option<Seen> {
        self.machines.read().get(name).map(|machine| machine.seen())
    }

    /// All machines after a name, in order.
    pub fn after(&self, name: Option<&RunnerName>) -> Vec<Seen> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = name.map_or(Unbounded, |name| Excluded(name.clone()));
        self.machines.read().range((from, Unbounded)).map(|(_, machine)| machine.seen()).collect()
    }

    /// The machine called, and nothing else is new.
    pub fn touch(&self, name: &RunnerName, now: WallMs) {
        if let Some(machine) = self.machines.read().get(name) {
            machine.last_seen.fetch_max(now.0, Ordering::Relaxed);
        }
    }

    /// Applies an event to a machine, which is made when it is new, and remembers the event. Gives back what it was before and
    /// is now.
    pub fn update(&self, name: &RunnerName, update: Update, now: WallMs) -> (Option<Seen>, Seen) {
        let known = self.machines.read().get(name).cloned();
        let machine = known.unwrap_or_else(|| {
            let fresh = || Arc::new(Machine::fresh(name, now));
            if !update.makes_known {
                return fresh();
            }
            self.machines.write().entry(name.clone()).or_insert_with(fresh).clone()
        });
        let mut slot = machine.record.write();
        let before = Seen { record: slot.clone(), last_seen: machine.last_seen() };
        let is_new = before.last_seen.0 == 0;
        if update.heard || is_new {
            machine.last_seen.fetch_max(now.0, Ordering::Relaxed);
        }
        let after = Arc::new(before.record.apply(&update, now));
        *slot = after.clone();
        let is_repeated =
            machine.last_key.swap(update.key, Ordering::Relaxed) == update.key && update.key != 0;
        drop(slot);
        let lost = before.record.loses(&after, &update);
        let notable = is_new || before.record.differs(&after);
        let mut pending = self.pending.lock();
        if (notable || lost.is_some() || !update.frequent) && !is_repeated {
            pending.events.push(after.event(&update, lost, now));
        }
        if is_new && !update.makes_known {
            // Nothing is kept but the event.
        } else if notable
            || before.record.task != after.task
            || before.record.session != after.session
        {
            pending.deleted.remove(name);
            pending.changed.insert(name.clone());
        }
        drop(pending);
        let last_seen = machine.last_seen();
        ((!is_new).then_some(before), Seen { record: after, last_seen })
    }

    /// Forgets a machine; its events stay.
    pub fn delete(&self, name: &RunnerName, update: &Update, now: WallMs) -> Option<Seen> {
        let seen = self.machines.write().remove(name)?.seen();
        let mut pending = self.pending.lock();
        pending.changed.remove(name);
        pending.deleted.insert(name.clone());
        let lost = seen.record.task.as_ref().map(|(id, _)| *id).filter(|_| !seen.record.dead);
        pending.events.push(seen.record.event(update, lost, now));
        Some(seen)
    }

    /// Writes what changed. What could not be written stays for the next time.
    pub fn flush(&self) -> Result<(), FleetError> {
        let mut pending = std::mem::take(&mut *self.pending.lock());
        self.write(&mut pending).inspect_err(|_| {
            let mut newer = self.pending.lock();
            let Pending { changed, deleted, mut events } = pending;
            // A store that takes nothing must not cost all memory.
            let surplus = (events.len() + newer.events.len()).saturating_sub(EVENTS_MAX);
            events.drain(..surplus.min(events.len()));
            newer.changed.extend(changed);
            newer.deleted.extend(deleted);
            events.append(&mut newer.events);
            newer.events = events;
        })
    }

    /// Takes out of `pending` what is written.
    fn write(&self, pending: &mut Pending) -> Result<(), FleetError> {
        if !pending.deleted.is_empty() || !pending.events.is_empty() {
            let deleted: Vec<RunnerName> = pending.deleted.iter().cloned().collect();
            self.store.write(&[], &deleted, &pending.events)?;
            pending.deleted.clear();
            pending.events.clear();
        }
        // Not the whole fleet at once: it would be in memory twice.
        let changed: Vec<&RunnerName> = pending.changed.iter().collect();
        changed.chunks(PUT).try_for_each(|some| {
            let put: Vec<(Record, WallMs)> = {
                let machines = self.machines.read();
                let seen = some.iter().filter_map(|name| machines.get(*name));
                let seen = seen.map(|machine| machine.seen());
                seen.map(|seen| ((*seen.record).clone(), seen.last_seen)).collect()
            };
            self.store.write(&put, &[], &[])
        })
    }

    /// Has everything written at the next flush: when each was last heard of, and what it said last.
    pub fn mark_all(&self) {
        let names: Vec<RunnerName> = self.machines.read().keys().cloned().collect();
        self.pending.lock().changed.extend(names);
    }
}

impl Machine {
    fn fresh(name: &RunnerName, now: WallMs) -> Self {
        let record = Record {
            name: name.clone(),
            first_seen: now,
            dimensions: Dimensions::default(),
            state: "{}".into(),
            version: "".into(),
            address: "".into(),
            identity: "".into(),
            quarantined: None,
            maintenance: None,
            dead: false,
            idle_since: None,
            task: None,
            terminated_by: None,
            session: 0,
        };
        Self {
            record: RwLock::new(Arc::new(record)),
            last_seen: AtomicU64::new(0),
            last_key: AtomicU64::new(0),
        }
    }

    fn last_seen(&self) -> WallMs {
        WallMs(self.last_seen.load(Ordering::Relaxed))
    }

    fn seen(&self) -> Seen {
        Seen { record: self.record.read().clone(), last_seen: self.last_seen() }
    }
}

impl Record {
    /// Whether this job is the one that it runs.
    pub fn runs(&self, wire_id: u64) -> bool {
        !self.dead && self.task.as_ref().is_some_and(|(id, _)| *id == wire_id)
    }

    fn apply(&self, update: &Update, now: WallMs) -> Self {
        let mut next = self.clone();
        if let Some(dimensions) = &update.dimensions {
            next.dimensions = dimensions.clone();
        }
        for (to, from) in [
            (&mut next.state, &update.state),
            (&mut next.version, &update.version),
            (&mut next.address, &update.address),
            (&mut next.identity, &update.identity),
        ] {
            if let Some(from) = from {
                *to = from.clone();
            }
        }
        if let Some(quarantined) = &update.quarantined {
            next.quarantined = quarantined.clone();
        }
        if let Some(maintenance) = &update.maintenance {
            next.maintenance = maintenance.clone();
        }
        if let Some(session) = update.session {
            next.session = session;
        }
        if let Some(terminated_by) = update.terminated_by {
            next.terminated_by = terminated_by;
        }
        match update.health {
            Health::Alive => next.dead = false,
            // What is gone has nothing to do.
            Health::Dead => {
                next.dead = true;
                next.idle_since = next.idle_since.or(Some(now));
            }
            Health::Unchanged => {}
        }
        match update.idleness {
            Idleness::Idle => next.idle_since = next.idle_since.or(Some(now)),
            Idleness::Busy => next.idle_since = None,
            Idleness::Unchanged => {}
        }
        match &update.task {
            Task::Set(id, name) => next.task = Some((*id, name.clone())),
            Task::Clear => next.task = None,
            Task::Unchanged => {}
        }
        next
    }

    /// Whether it is another machine to look at: the state's numbers change all the time and do not count.
    fn differs(&self, other: &Self) -> bool {
        self.dimensions != other.dimensions
            || self.version != other.version
            || self.quarantined != other.quarantined
            || self.maintenance != other.maintenance
            || self.dead != other.dead
            || self.idle_since.is_some() != other.idle_since.is_some()
    }

    /// The job that the machine had and does not have after this, though it did not say that it is over. One that is dead lost
    /// its job when it died.
    fn loses(&self, after: &Self, update: &Update) -> Option<u64> {
        let (had, _) = self.task.as_ref().filter(|_| !self.dead)?;
        let keeps = after.task.as_ref().is_some_and(|(has, _)| has == had) && !after.dead;
        (!keeps && update.about != Some(*had)).then_some(*had)
    }

    fn event(&self, update: &Update, lost: Option<u64>, now: WallMs) -> Event {
        let of_lost = lost.and_then(|id| Some(update.lost?(id)));
        let message = match (&*update.message, of_lost) {
            (_, None) => update.message.clone(),
            ("", Some(lost)) => lost.into(),
            (said, Some(lost)) => format!("{said}\n{lost}").into(),
        };
        let has = || self.task.as_ref().map(|(id, _)| *id);
        Event {
            runner: self.name.clone(),
            at: now,
            kind: update.kind.into(),
            message,
            task: update.about.or(lost.filter(|_| self.dead)).or_else(has),
            dimensions: self.dimensions.clone(),
            state: self.state.clone(),
            version: self.version.clone(),
            identity: self.identity.clone(),
            address: self.address.clone(),
            quarantined: self.quarantined.is_some(),
            maintenance: self.maintenance.clone(),
        }
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("machines", &self.len()).finish_non_exhaustive()
    }
}
