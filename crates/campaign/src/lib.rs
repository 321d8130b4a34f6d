//! One action over many repositories: from a spec and a set of repositories to jobs, and from their ends to a report.

pub mod execution;
mod step_cache;

pub use step_cache::{CacheError, StepCache};
