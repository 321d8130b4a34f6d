//! `task_error`: a bot could not run a task.

use std::sync::Arc;

use bytes::Bytes;
use fleet::{Task, Update};
use http::Response;
use model::{Outcome, RunnerName};

use super::task::{client_error, task_id};
use super::task_update::end;
use super::wire::{Empty, TaskErrorRequest};
use super::{BotCaller, event_key, json, read, said_of};
use crate::proto::stored::Report;
use crate::prpc::Status;
use crate::server::{Server, now};
use crate::tasks::hand;
use crate::validate::text::shorten;

pub(super) async fn handle(
    server: &Arc<Server>,
    caller: &BotCaller,
    in_path: Option<&str>,
    body: &[u8],
) -> Result<Response<Bytes>, Status> {
    let error: TaskErrorRequest = read(body)?;
    let task = task_id(in_path, error.task_id.as_deref())?;
    let runner = RunnerName::new(error.id.as_deref().unwrap_or_default());
    let message: Arc<str> =
        shorten(error.message.as_deref().unwrap_or_default(), model::limit::MESSAGE_BYTES).into();
    let key = event_key("task_error", error.request_uuid.as_deref());
    let missing = client_error(error)?;
    let number = u64::try_from(task.number()).ok();
    let mut is_its_own = server
        .fleet
        .get(&runner)
        .is_some_and(|seen| seen.record.task.as_ref().is_some_and(|(id, _)| Some(*id) == number));
    if let Some((running, token)) = server.running(task, &hand(runner.as_str()))? {
        let (outcome, report) = match missing {
            None => (Outcome::RunnerLost, Report::default()),
            Some(missing) => {
                let why = "what the task needs is not there".into();
                let report = Report {
                    missing_cas: missing.cas,
                    missing_cipd: missing.cipd,
                    ..Report::default()
                };
                (Outcome::Rejected { why }, report)
            }
        };
        end(server, running.job, token, outcome, report, Some(message.clone())).await?;
        server.ended(task);
        is_its_own = true;
    }
    let event = Update {
        message,
        address: Some(caller.address.clone()),
        identity: Some(caller.identity.into()),
        task: Task::Clear,
        about: number,
        key,
        makes_known: false,
        ..said_of("task_error")
    };
    // Of a task that it does not run it can tell nothing.
    if is_its_own {
        server.fleet.update(&runner, event, now());
    }
    // Any other key makes a bot fail.
    json(&Empty {})
}
