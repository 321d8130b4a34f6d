//! Tasks: jobs as Swarming's clients and bots know them.

pub(crate) mod cancel;
pub(crate) mod create;
pub(crate) mod find;
pub(crate) mod ids;
pub(crate) mod terminate;
pub(crate) mod view;

use dispatcher::StoreError;
use model::RunnerName;

use crate::prpc::Status;

/// The queue of a pool's tasks.
///
/// SECURITY: never that of other jobs. On loopback anybody may make tasks here, and a runner that works for people who have
/// tokens must not run them unless its owner names this queue.
pub(crate) fn queue_of(pool: &str) -> String {
    format!("swarming/{pool}")
}

/// What the engine calls a bot.
///
/// SECURITY: on loopback a bot shows no token. Its name must never be that of a runner that does, or it could take
/// that one's jobs away by saying goodbye for it.
pub(crate) fn hand(bot: &str) -> RunnerName {
    RunnerName::new(&format!("{HAND}{bot}"))
}

/// What clients call who ran a task: a bot by its id, another runner by its name.
pub(crate) fn bot_of(runner: &RunnerName) -> &str {
    runner.as_str().strip_prefix(HAND).unwrap_or(runner.as_str())
}

/// No id of a bot has a colon.
const HAND: &str = "swarming:";

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
