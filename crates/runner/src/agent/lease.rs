//! The leases that this process holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
pub(crate) struct Leases {
    held: Mutex<BTreeMap<u64, Held>>,
    /// Rung when a lease comes or goes.
    pub changed: Notify,
}

/// One lease.
#[derive(Clone)]
pub(crate) struct Held {
    pub queue: String,
    pub token: String,
    /// Stops the job.
    pub cancel: CancellationToken,
    /// The lease is another's: nothing more is written. Set before `cancel`.
    pub fenced: CancellationToken,
    /// How long the lease lasts after a renewal.
    pub term: Duration,
    /// When the server last said that it is ours, counted from when it was asked.
    pub confirmed: Instant,
    /// Its end is on the way to the server, which may know the job no more before its answer arrives. That answer, and no
    /// heartbeat, says whether the lease was still ours.
    pub reporting: Arc<AtomicBool>,
}

impl Leases {
    pub(crate) fn add(&self, job: u64, held: Held) {
        self.held.lock().insert(job, held);
        self.changed.notify_one();
    }

    pub(crate) fn remove(&self, job: u64, token: &str) {
        let mut held = self.held.lock();
        // The same job may have been given to this runner again.
        if held.get(&job).is_some_and(|held| held.token == token) {
            held.remove(&job);
        }
        self.changed.notify_one();
    }

    pub(crate) fn all(&self) -> Vec<(u64, Held)> {
        self.held.lock().iter().map(|(job, held)| (*job, held.clone())).collect()
    }

    pub(crate) fn confirm(&self, job: u64, token: &str, at: Instant) {
        if let Some(held) = self.held.lock().get_mut(&job)
            && held.token == token
        {
            held.confirmed = held.confirmed.max(at);
        }
    }
}

impl Held {
    /// Another runner may have the job.
    pub(crate) fn fence(&self) {
        if self.reporting.load(Ordering::Acquire) {
            return;
        }
        self.fenced.cancel();
        self.cancel.cancel();
    }
}
