//! Tasks: jobs as Swarming's clients and bots know them.

pub(crate) mod cancel;
pub(crate) mod create;
pub(crate) mod find;
pub(crate) mod ids;
pub(crate) mod terminate;
pub(crate) mod view;

use dispatcher::StoreError;

use crate::prpc::Status;

/// The queue of a pool's tasks.
///
/// SECURITY: never that of other jobs. On loopback anybody may make tasks here, and a runner that works for people who have
/// tokens must not run them unless its owner names this queue.
pub(crate) fn queue_of(pool: &str) -> String {
    format!("swarming/{pool}")
}

/// The queue of terminations: every bot serves it.
pub(crate) const TERMINATION_QUEUE: &str = "swarming.terminate";

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<fleet::FleetError> for Status {
    fn from(error: fleet::FleetError) -> Self {
        Self::internal(&error)
    }
}
