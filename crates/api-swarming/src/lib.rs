//! The door of LUCI Swarming's clients and bots.

pub mod archive;
pub mod bot;
pub mod config;
pub mod proto;
pub mod prpc;
pub mod validate;
