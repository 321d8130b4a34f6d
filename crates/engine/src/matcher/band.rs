//! The line of one shape: by rank, then by whose turn it is, then by age.
//!
//! Fairness is start-time fair queueing with equal weights: each owner has a turn number per rank that grows by one each
//! time one of its jobs is taken, and the owner with the lowest goes next. An owner that comes back after a pause starts
//! at the number that is being served now, so that a pause earns no credit.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use model::{JobId, Order, Priority, WallMs};

use super::OwnerIx;

/// Where a job belongs in line, the lowest first. Jobs of one priority share a rank where turns decide between them; where
/// age weighs against priority each moment has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rank(u64);

impl Rank {
    pub(crate) fn of(priority: Priority, order: Order, created: WallMs) -> Self {
        /// After every time that a job can be created at (the year 2527).
        const LATE_MS: u64 = 1 << 44;
        let base = u64::from(priority.0) * Priority::AGE_MS;
        Self(match order {
            Order::Fair => base,
            Order::Oldest => base + created.0.min(LATE_MS),
            Order::Newest => base + LATE_MS.saturating_sub(created.0),
        })
    }

    /// For the planted defect that serves the last first.
    pub(super) fn inverted(self) -> Self {
        Self(u64::MAX - self.0)
    }
}

/// Whose turn it is, over all shapes.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// The turn of each owner with pending jobs, and in how many bands it has them.
    owners: BTreeMap<(Rank, OwnerIx), (u64, u32)>,
    /// The turn that was served last.
    now: BTreeMap<Rank, u64>,
}

impl Turns {
    fn of(&self, rank: Rank, owner: OwnerIx) -> u64 {
        self.owners.get(&(rank, owner)).map_or(0, |(turn, _)| *turn)
    }

    fn enter(&mut self, rank: Rank, owner: OwnerIx) -> u64 {
        let start = self.now.get(&rank).copied().unwrap_or(0);
        let entry = self.owners.entry((rank, owner)).or_insert((start, 0));
        entry.1 += 1;
        entry.0
    }

    fn leave(&mut self, rank: Rank, owner: OwnerIx) {
        let entry = self.owners.get_mut(&(rank, owner)).expect("an owner leaves once");
        entry.1 -= 1;
        if entry.1 == 0 {
            self.owners.remove(&(rank, owner));
            if self.owners.range((rank, 0)..=(rank, OwnerIx::MAX)).next().is_none() {
                self.now.remove(&rank);
            }
        }
    }

    pub(super) fn served(&mut self, rank: Rank, owner: OwnerIx) {
        if let Some((turn, _)) = self.owners.get_mut(&(rank, owner)) {
            let now = self.now.entry(rank).or_insert(0);
            *now = (*now).max(*turn);
            *turn += 1;
        }
    }
}

/// The first job of a line. Ordered as jobs are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Head {
    pub rank: Rank,
    pub turn: u64,
    pub job: JobId,
    owner: OwnerIx,
}

#[derive(Debug, Default)]
struct Band {
    /// (turn, oldest job, owner). A turn may be too low, because serving an owner in another shape does not come here: a head
    /// is put right when it is looked at. It is never too high.
    order: RefCell<BTreeSet<(u64, JobId, OwnerIx)>>,
    jobs: BTreeMap<OwnerIx, Line>,
}

#[derive(Debug)]
struct Line {
    /// The turn under which the owner stands in `order` now.
    turn: std::cell::Cell<u64>,
    jobs: BTreeSet<JobId>,
}

impl Line {
    fn head(&self) -> JobId {
        *self.jobs.first().expect("a line is never empty")
    }
}

/// All bands of one shape.
#[derive(Debug, Default)]
pub(crate) struct Bands {
    bands: BTreeMap<Rank, Band>,
    len: usize,
}

impl Bands {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, turns: &mut Turns, rank: Rank, owner: OwnerIx, job: JobId) {
        let band = self.bands.entry(rank).or_default();
        let order = band.order.get_mut();
        match band.jobs.get_mut(&owner) {
            Some(line) => {
                let head = line.head();
                crate::invariant!(line.jobs.insert(job), "job {job} is in line already");
                if job < head {
                    order.remove(&(line.turn.get(), head, owner));
                    order.insert((line.turn.get(), job, owner));
                }
            }
            None => {
                let turn = turns.enter(rank, owner);
                order.insert((turn, job, owner));
                let line = Line { turn: turn.into(), jobs: BTreeSet::from([job]) };
                band.jobs.insert(owner, line);
            }
        }
        self.len += 1;
    }

    pub(super) fn remove(&mut self, turns: &mut Turns, rank: Rank, owner: OwnerIx, job: JobId) {
        let band = self.bands.get_mut(&rank).expect("the band of a pending job");
        let line = band.jobs.get_mut(&owner).expect("the line of a pending job");
        let order = band.order.get_mut();
        let head = line.head();
        crate::invariant!(line.jobs.remove(&job), "job {job} is not in line");
        if job == head {
            order.remove(&(line.turn.get(), head, owner));
            match line.jobs.first() {
                Some(next) => {
                    line.turn.set(turns.of(rank, owner));
                    order.insert((line.turn.get(), *next, owner));
                }
                None => {
                    band.jobs.remove(&owner);
                    turns.leave(rank, owner);
                }
            }
        }
        if band.jobs.is_empty() {
            self.bands.remove(&rank);
        }
        self.len -= 1;
    }

    /// The first job, with its owner's turn put right.
    pub(super) fn head(&self, turns: &Turns) -> Option<Head> {
        let (rank, band) = self.bands.first_key_value()?;
        let mut order = band.order.borrow_mut();
        loop {
            let (turn, job, owner) = *order.first()?;
            let current = turns.of(*rank, owner);
            if current == turn {
                return Some(Head { rank: *rank, turn, job, owner });
            }
            order.pop_first();
            order.insert((current, job, owner));
            band.jobs[&owner].turn.set(current);
        }
    }

    pub(super) fn owner_of_head(&self, head: &Head) -> OwnerIx {
        head.owner
    }

    /// How many jobs of this shape go before `job`, about: those of a lower rank, and the older ones of its own.
    pub(crate) fn ahead_of(&self, rank: Rank, job: JobId) -> usize {
        let better = self.bands.range(..rank);
        let better: usize = better
            .map(|(_, band)| band.jobs.values().map(|line| line.jobs.len()).sum::<usize>())
            .sum();
        let same = self
            .bands
            .get(&rank)
            .map_or(0, |band| band.jobs.values().map(|line| line.jobs.range(..job).count()).sum());
        better + same
    }
}
