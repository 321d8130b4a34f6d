//! One action over many repositories: from a spec and a set of repositories to jobs, and from their ends to a report.

pub mod action;
pub mod changeset;
pub mod diff;
pub mod execution;
pub mod page;
pub mod patch_set;
pub mod saved_search;
pub mod scope;
pub mod service;
pub mod site;
mod step_cache;

pub use step_cache::{CacheError, StepCache};
