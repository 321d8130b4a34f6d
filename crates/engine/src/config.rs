//! The engine's own numbers. Passed in, never read from the world.

/// How long the engine waits for what.
#[derive(Clone, Debug)]
pub struct Config {
    /// A lease lasts this long after its last renewal.
    pub lease_ms: u64,
    /// A runner that does not list a job it was granted this long ago never got the reply: the job is given to another.
    pub undelivered_ms: u64,
    /// A cancelled attempt that is still not over after this long is declared dead (I13).
    pub cancel_grace_ms: u64,
    /// The runner enforces a job's timeout; the server steps in this much later.
    pub timeout_grace_ms: u64,
    /// An idle runner that was not heard of for this long is forgotten.
    pub runner_gone_ms: u64,
    /// Most live jobs; a submit beyond it is refused.
    pub live_jobs_max: usize,
    /// SECURITY: the key of all lease tokens. Kept outside the database.
    pub token_key: [u8; 32],
    #[cfg(feature = "planted-bugs")]
    pub bug: Option<crate::Bug>,
}

impl Config {
    pub fn new(token_key: [u8; 32]) -> Self {
        Self {
            lease_ms: 60_000,
            undelivered_ms: 15_000,
            cancel_grace_ms: 60_000,
            timeout_grace_ms: 60_000,
            runner_gone_ms: 120_000,
            live_jobs_max: model::limit::LIVE_JOBS,
            token_key,
            #[cfg(feature = "planted-bugs")]
            bug: None,
        }
    }
}
