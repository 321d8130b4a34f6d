//! The agent loop: claims jobs, keeps their leases, ships logs, reports ends.
//!
//! Each slot is a task that claims, runs, and reports; one task sends heartbeats. The server may restart at any time: every
//! request is repeated with jitter until it is answered, and each may be repeated without harm, because claims carry a number,
//! log bytes an offset, and completions a token.

mod client;
mod convert;
mod heartbeat;
mod lease;
mod log_shipper;
mod services;
mod slot;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use client::Client;
pub use client::ClientError;
use lease::Leases;

use crate::steps::{Directories, Runtimes};

/// What an agent is told.
pub struct AgentConfig {
    /// As `http://127.0.0.1:7070`.
    pub server: String,
    /// The runner token.
    pub token: String,
    /// Unique among the runners of a server.
    pub name: String,
    pub queues: Vec<String>,
    pub slots: u32,
    pub dimensions: BTreeMap<String, Vec<String>>,
    pub work_directory: PathBuf,
    /// Whether the server's folders are this host's: an embedded runner.
    pub shares_host: bool,
    /// Stop after this many jobs.
    pub max_jobs: Option<u64>,
    /// Stop when there is nothing to do.
    pub once: bool,
    /// PEM certificates to trust beside the system's.
    pub ca_certificates: Option<Vec<u8>>,
}

/// Stops an agent.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Takes no new job; running ones end.
    pub drain: CancellationToken,
    /// Running jobs are stopped and given back.
    pub cancel: CancellationToken,
}

/// Shared by the tasks of one agent.
pub(crate) struct Agent {
    pub config: AgentConfig,
    pub client: Client,
    pub leases: Leases,
    pub runtimes: Runtimes,
    pub directories: Directories,
    pub stop: Stop,
    next_poll: AtomicU64,
    taken: AtomicU64,
}

/// How long a claim waits at the server.
const CLAIM_WAIT_SECONDS: u64 = 20;

impl Agent {
    fn next_poll(&self) -> u64 {
        self.next_poll.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a job against `max_jobs`. False when there were enough.
    fn may_take(&self) -> bool {
        let Some(max) = self.config.max_jobs else { return true };
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1))
            .is_ok()
    }

    fn take_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs until it is stopped, or out of work with `once`, or done with `max_jobs`. Returns when no job runs any more.
pub async fn run(config: AgentConfig, runtimes: Runtimes, stop: Stop) -> Result<(), ClientError> {
    let session = session();
    let client = Client::new(&config, session)?;
    let setup = |error: std::io::Error| {
        ClientError::Setup(format!("`{}`: {error}", config.work_directory.display()))
    };
    let mut directories = Directories::open(&config.work_directory).map_err(setup)?;
    if let Some(pem) = &config.ca_certificates {
        directories.trust(pem).map_err(setup)?;
    }
    let slots = config.slots;
    let agent = Arc::new(Agent {
        client,
        leases: Leases::default(),
        runtimes,
        directories,
        stop,
        // A poll's number must not be one of an earlier process that the server still remembers.
        next_poll: AtomicU64::new(session << 16 | 1),
        taken: AtomicU64::new(0),
        config,
    });
    let register = || agent.client.register(&agent.config);
    match agent.client.until_answered(&agent.stop.drain, register).await {
        // Told to stop before it began.
        Err(ClientError::Stopped) => return Ok(()),
        registered => registered?,
    }
    let over = CancellationToken::new();
    let heartbeat = tokio::spawn(heartbeat::run(agent.clone(), over.clone()));
    let tasks = (0..slots).map(|_| tokio::spawn(slot::run(agent.clone())));
    let mut result = Ok(());
    for ended in futures::future::join_all(tasks).await {
        result =
            result.and(ended.unwrap_or_else(|error| Err(ClientError::Setup(error.to_string()))));
    }
    over.cancel();
    let _ = heartbeat.await;
    // So that the server need not wait to find out. It does without.
    let _ = agent.client.deregister(&agent.config).await;
    result
}

/// Grows with time, so that a newer process of the same name wins (I9).
fn session() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as u64
}
