//! The output gate: what waits for which batch. No threads here, so that the simulator runs the same code.

use std::sync::Arc;

use engine::Change;
use tokio::sync::{Notify, oneshot};

use crate::Event;
use crate::jobs::GrantedJob;

/// Something that may be seen only when its batch is durable.
#[derive(Debug)]
pub enum Release<P> {
    Poll(P, Vec<GrantedJob>),
    Notify(Arc<Notify>),
    Event(Event),
    Reply(oneshot::Sender<()>),
}

/// Changes that become durable together, and what they release.
#[derive(Debug)]
pub struct Batch<P> {
    pub changes: Vec<Change>,
    pub releases: Vec<Release<P>>,
}

impl<P> Default for Batch<P> {
    fn default() -> Self {
        Self { changes: Vec::new(), releases: Vec::new() }
    }
}

/// The open batch, and whether another one is being written.
#[derive(Debug)]
pub struct Gate<P> {
    open: Batch<P>,
    writing: bool,
    /// Jobs that the batch being written finishes.
    finishing: Vec<model::JobId>,
}

impl<P> Default for Gate<P> {
    fn default() -> Self {
        Self { open: Batch::default(), writing: false, finishing: Vec::new() }
    }
}

impl<P> Gate<P> {
    /// Where changes are added.
    pub fn changes(&mut self) -> &mut Vec<Change> {
        &mut self.open.changes
    }

    pub fn release(&mut self, release: Release<P>) {
        self.open.releases.push(release);
    }

    /// A reply that may be sent when everything up to now is durable; `None` when it already is. A reply that changed nothing
    /// waits too, because what it saw may still be on its way to the disk.
    pub fn wait(&mut self) -> Option<oneshot::Receiver<()>> {
        if !self.writing && self.open.changes.is_empty() && self.open.releases.is_empty() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.open.releases.push(Release::Reply(sender));
        Some(receiver)
    }

    /// Whether the end of this job is still on its way to the store.
    pub fn is_finishing(&self, job: model::JobId) -> bool {
        self.finishing.contains(&job) || finished(&self.open.changes).any(|id| id == job)
    }

    pub fn has_work(&self) -> bool {
        !self.open.changes.is_empty() || !self.open.releases.is_empty()
    }

    /// The writer takes the open batch.
    pub fn take(&mut self) -> Batch<P> {
        assert!(!self.writing, "there is one writer");
        self.writing = true;
        self.finishing.extend(finished(&self.open.changes));
        std::mem::take(&mut self.open)
    }

    /// The batch that was taken is durable.
    pub fn written(&mut self) {
        self.writing = false;
        self.finishing.clear();
    }
}

fn finished(changes: &[Change]) -> impl Iterator<Item = model::JobId> {
    changes.iter().filter_map(|change| match change {
        Change::JobFinished { id, .. } => Some(*id),
        _ => None,
    })
}
