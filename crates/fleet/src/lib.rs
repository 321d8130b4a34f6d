//! What is known of machines that report themselves: who they are, how they are, and what happened to them.
//!
//! The engine knows a runner as far as matching needs it. This is what people look at. It is kept in memory and written
//! behind, once in a moment: a crash loses at most the last seconds of observation, and never a job.

mod fleet;
mod record;
mod store;

pub use fleet::{Fleet, Health, Idleness, Seen, Task, Update};
pub use record::{Event, Record};
pub use store::{EventQuery, FleetError, FleetStore};
