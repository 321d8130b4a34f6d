//! Bytes: content by digest, and the logs of running attempts in shared segment files.
//!
//! It knows nothing of jobs beyond their ids. What it acknowledges as durable is on the disk.

mod cas;
mod log;

pub use cas::{Cas, CasError, Upload, digest_of};
pub use log::{AppendError, Appended, Extents, LogError, LogState, Logs};
