//! What bots send, whether it is right, and what they are told.
//!
//! Facts: luci-go `swarming/server/botapi`, and for bots that ask for work themselves luci-py
//! `appengine/swarming/handlers_bot.py`.

pub mod check;
pub mod manifest;
mod results;
pub mod task;
pub mod wire;
