//! What the fleet needs of a store.

use std::ops::Range;

use model::{RunnerName, WallMs};

use crate::record::{Event, Record};

#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct FleetError {
    /// Fits after "failed to".
    pub doing: &'static str,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Which events of one machine to list, newest first.
#[derive(Clone, Debug)]
pub struct EventQuery {
    pub runner: RunnerName,
    pub at: Range<WallMs>,
    /// Below this one, in the order of the list: what a page before it returned.
    pub before: Option<u64>,
    pub limit: usize,
}

/// Implemented in the crate `store`.
pub trait FleetStore: Send + Sync {
    /// All machines, and when each was last heard of.
    fn load(&self) -> Result<Vec<(Record, WallMs)>, FleetError>;

    /// Puts machines, takes others away, and adds events: all or nothing.
    fn write(
        &self,
        put: &[(Record, WallMs)],
        deleted: &[RunnerName],
        events: &[Event],
    ) -> Result<(), FleetError>;

    /// Events, each with its place in the list.
    fn events(&self, query: &EventQuery) -> Result<Vec<(u64, Event)>, FleetError>;

    /// Drops up to `limit` events that are older, and says how many.
    fn prune_events(&self, before: WallMs, limit: usize) -> Result<usize, FleetError>;
}
