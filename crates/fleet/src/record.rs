//! What is kept of a machine and of what happened to it.

use std::sync::Arc;

use model::{Dimensions, RunnerName, WallMs};

/// A machine as it last reported itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: RunnerName,
    /// Since when it is known without being deleted in between.
    pub first_seen: WallMs,
    /// Its own, and those that the server adds.
    pub dimensions: Dimensions,
    /// What it says of itself beyond that: a JSON object as it came.
    pub state: Arc<str>,
    /// Of its program.
    pub version: Arc<str>,
    /// From where it called.
    pub address: Arc<str>,
    /// Who it proved to be.
    pub identity: Arc<str>,
    /// Why it may not work until somebody looks at it.
    pub quarantined: Option<Arc<str>>,
    /// Why it does not work for a while.
    pub maintenance: Option<Arc<str>>,
    /// It was silent for too long, or said goodbye.
    pub dead: bool,
    /// Since when it has nothing to do. `None`: it is busy.
    pub idle_since: Option<WallMs>,
    /// Wire id and name of the job that it runs; a dead one keeps its last.
    pub task: Option<(u64, Arc<str>)>,
    /// Wire id of the job that ended it.
    pub terminated_by: Option<u64>,
    /// Which of its processes speaks.
    pub session: u64,
}

/// Something that happened to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub runner: RunnerName,
    pub at: WallMs,
    /// As its door names it.
    pub kind: Arc<str>,
    pub message: Arc<str>,
    /// Wire id of the job that it has to do with.
    pub task: Option<u64>,
    /// As the machine was then.
    pub dimensions: Dimensions,
    pub state: Arc<str>,
    pub version: Arc<str>,
    pub identity: Arc<str>,
    pub address: Arc<str>,
    pub quarantined: bool,
    pub maintenance: Option<Arc<str>>,
}
