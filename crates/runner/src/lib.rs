//! The hands: takes jobs from a server, runs them in a sandbox, sends back logs, patches and outcomes.
//!
//! It knows the executor protocol and nothing of the engine or the store.

pub mod agent;
pub mod diff;
pub mod job;
pub mod logs;
pub mod runtime;
pub mod steps;
pub mod workspace;
