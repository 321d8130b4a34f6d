//! Bots are asked to stop, by a task of their own.

use std::sync::Arc;

use dispatcher::{JobSearch, JobStanding};
use engine::ops::DrainOp;

use super::create::{self, Draft};
use super::hand;
use super::view::TaskView;
use crate::prpc::Status;
use crate::server::{Caller, Server};
use crate::validate::{NewTask, TaskId};

/// The task that ends a bot: the one that waits for it already, or a new one.
pub(crate) async fn terminate(
    server: &Arc<Server>,
    caller: &Caller,
    bot: &str,
    reason: &str,
) -> Result<TaskId, Status> {
    let mut task = NewTask::terminate(bot, reason);
    // One that is drained gets nothing, so that nobody could run this either.
    let draining = server.dispatcher.is_draining(&hand(bot));
    for slice in &mut task.slices {
        slice.wait_for_capacity |= draining;
    }
    let id = match waiting(server, bot)? {
        Some(waiting) => waiting,
        None => {
            let draft = Draft::termination(&server.config(), caller, task);
            create::create(server, draft).await?.id
        }
    };
    if draining {
        // It is the most urgent of all tasks, so the bot gets this first, and then it is gone.
        server.dispatcher.drain_runner(DrainOp { runner: hand(bot), drain: false }).await;
    }
    Ok(id)
}

fn waiting(server: &Server, bot: &str) -> Result<Option<TaskId>, Status> {
    let search = JobSearch {
        labels: ["swarming.terminate:1".to_owned(), format!("id:{bot}")]
            .map(|tag| vec![Arc::from(tag)])
            .into(),
        standings: vec![JobStanding::Queued],
        ..JobSearch::default()
    };
    let found = server.dispatcher.reader().search_jobs(&search, 1)?;
    let id = found.first().and_then(|id| i64::try_from(*id).ok()).and_then(TaskId::of_number);
    let Some(id) = id else { return Ok(None) };
    Ok(TaskView::find(server, id)?.map(|task| task.id))
}
