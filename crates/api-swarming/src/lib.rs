//! The door of LUCI Swarming's clients and bots.

pub mod archive;
pub mod bot;
pub mod config;
pub mod proto;
pub mod prpc;
mod rpcs;
mod server;
mod tasks;
pub mod validate;
