//! The door of LUCI Swarming's clients and bots.

pub mod proto;
pub mod prpc;
