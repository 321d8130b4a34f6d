//! Bots are asked to stop, by a task of their own.

use std::sync::Arc;

use dispatcher::{JobSearch, JobStanding};

use super::create::{self, Draft};
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
    if let Some(waiting) = waiting(server, bot)? {
        return Ok(waiting);
    }
    let draft = Draft::termination(&server.config(), caller, NewTask::terminate(bot, reason));
    Ok(create::create(server, draft).await?.id)
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
