//! The rules: a deterministic state machine over live jobs and runners.
//!
//! `input + now → changes + effects`. No tokio, no clock, no I/O, no randomness: time is an argument and tokens are derived
//! from a key. One transition is one file in [`ops`], with one `Op` and one `Outcome`; `ls ops` is the state machine.
//!
//! Invariant: an op either changes memory *and* pushes the row changes that say the same, or does neither. Whoever drives the
//! engine writes the changes in order and shows nobody an outcome or an effect before they are durable (I4).
#![forbid(unsafe_code)]

mod bugs;
mod change;
mod config;
mod explain;
mod idmap;
mod job;
mod matcher;
pub mod ops;
mod restore;
mod runner;
mod state;
mod timers;
mod token;

pub use bugs::Bug;
pub use change::{Change, Effect, Lease, PollKey};
pub use config::Config;
pub use explain::{Explanation, SliceExplanation};
pub use ops::RunnerSpec;
pub use restore::{LiveJob, Place, Snapshot, StoredKey};
pub use runner::RunnerInfo;
pub use state::{Counts, Engine};

/// Assumes that an invariant holds; a failure is our bug and ends the process before it can spread.
macro_rules! invariant {
    ($condition:expr, $($text:tt)+) => { assert!($condition, $($text)+) };
}
pub(crate) use invariant;
