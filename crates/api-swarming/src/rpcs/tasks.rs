//! `swarming.v2.Tasks`.

use std::sync::Arc;

use super::{needs, of_pool, of_task, refusal};
use crate::config::Pool;
use crate::proto::rpc;
use crate::proto::swarming::batch_get_result_response::ResultOrError;
use crate::proto::swarming::batch_get_result_response::result_or_error::Outcome;
use crate::proto::swarming::{
    BatchGetResultRequest, BatchGetResultResponse, CancelResponse, NewTaskRequest,
    TaskCancelRequest, TaskIdRequest, TaskIdWithOffsetRequest, TaskIdWithPerfRequest,
    TaskListResponse, TaskOutputResponse, TaskRequestMetadataResponse, TaskRequestResponse,
    TaskRequestsResponse, TaskResultResponse, TaskStates, TaskStatesRequest, TasksCancelRequest,
    TasksCancelResponse, TasksCount, TasksCountRequest, TasksRequest, TasksWithPerfRequest,
};
use crate::prpc::{Code, Status};
use crate::server::{Caller, Role, Server, now};
use crate::tasks::create::{self, Draft};
use crate::tasks::view::{TaskView, wall};
use crate::tasks::{cancel, find};
use crate::validate::requests::{self, TaskSearch};
use crate::validate::{TaskId, new_task as check};

/// A task that the caller may do this with. Who asked for a task may see it and cancel it.
pub(super) fn task(
    server: &Server,
    caller: &Caller,
    text: &str,
    role: Role,
    permission: &str,
) -> Result<TaskView, Status> {
    let id = requests::task_id(text)?;
    let view = TaskView::find(server, id)?.ok_or_else(requests::no_task)?;
    if !view.is_of(caller) {
        needs(caller, role, permission, &of_task(&id.summary()))?;
    }
    Ok(view)
}

pub(super) async fn get_result(
    server: &Arc<Server>,
    caller: &Caller,
    request: TaskIdWithPerfRequest,
) -> Result<TaskResultResponse, Status> {
    let view = task(server, caller, &request.task_id, Role::Viewer, "swarming.tasks.get")?;
    view.result(server, request.include_performance_stats)
}

pub(super) async fn batch_get_result(
    server: &Arc<Server>,
    caller: &Caller,
    request: BatchGetResultRequest,
) -> Result<BatchGetResultResponse, Status> {
    let ids = requests::task_ids(&request.task_ids)?;
    let views = TaskView::find_all(server, &ids)?;
    let one = |text: String, id: TaskId| -> Result<ResultOrError, Status> {
        let found = views.get(&id).ok_or_else(requests::no_task).and_then(|view| {
            may_see(caller, view)?;
            view.result(server, request.include_performance_stats)
        });
        let outcome = match found {
            Ok(result) => Outcome::Result(result),
            Err(status) if status.code == Code::Internal => return Err(status),
            Err(status) => Outcome::Error(rpc::Status {
                code: status.code as i32,
                message: status.message,
                details: Vec::new(),
            }),
        };
        Ok(ResultOrError { task_id: text, outcome: Some(outcome) })
    };
    let results = request.task_ids.into_iter().zip(ids).map(|(text, id)| one(text, id));
    Ok(BatchGetResultResponse { results: results.collect::<Result<_, _>>()? })
}

fn may_see(caller: &Caller, view: &TaskView) -> Result<(), Status> {
    if view.is_of(caller) {
        return Ok(());
    }
    needs(caller, Role::Viewer, "swarming.tasks.get", &of_task(&view.id.summary()))
}

pub(super) async fn get_request(
    server: &Arc<Server>,
    caller: &Caller,
    request: TaskIdRequest,
) -> Result<TaskRequestResponse, Status> {
    let view = task(server, caller, &request.task_id, Role::Viewer, "swarming.tasks.get")?;
    Ok(view.shown_request())
}

pub(super) async fn cancel_task(
    server: &Arc<Server>,
    caller: &Caller,
    request: TaskCancelRequest,
) -> Result<CancelResponse, Status> {
    let view = task(server, caller, &request.task_id, Role::User, "swarming.tasks.cancel")?;
    Ok(cancel::cancel(server, &view, request.kill_running).await)
}

pub(super) async fn get_stdout(
    server: &Arc<Server>,
    caller: &Caller,
    request: TaskIdWithOffsetRequest,
) -> Result<TaskOutputResponse, Status> {
    let range = requests::get_stdout(&request)?;
    let view = TaskView::find(server, range.task)?.ok_or_else(requests::no_task)?;
    may_see(caller, &view)?;
    let mut output = Vec::new();
    if let Some((job, attempt)) = view.output()
        && let Some(read) =
            server.dispatcher.read_log(job, attempt, range.offset, range.length as usize)?
    {
        output = read.bytes;
    }
    Ok(TaskOutputResponse { output: output.into(), state: view.state() as i32 })
}

pub(super) async fn new_task(
    server: &Arc<Server>,
    caller: &Caller,
    request: NewTaskRequest,
) -> Result<TaskRequestMetadataResponse, Status> {
    let config = server.config();
    let name = check::find_pool(&request)?;
    let Some(pool) = pool(&config.pools, name, server.access.open) else {
        return Err(refusal(caller, CREATE, &of_pool(name)));
    };
    needs(caller, Role::User, CREATE, &of_pool(name))?;
    let task = check::check(request, &pool, server.min_timeout_secs)?;
    let (evaluate_only, resultdb) = (task.evaluate_only, task.resultdb);
    let urgent = caller.role >= Role::Admin;
    let draft = Draft::new(server, &config, &pool, caller, urgent, task)?;
    if evaluate_only {
        let created_ms = i64::try_from(now().0).unwrap_or(i64::MAX);
        return Ok(TaskRequestMetadataResponse {
            request: Some(draft.request(None, created_ms)),
            ..TaskRequestMetadataResponse::default()
        });
    }
    if resultdb {
        let why = "ResultDB integration is not configured";
        return Err(Status::new(Code::FailedPrecondition, why));
    }
    let view = create::create(server, draft).await?;
    Ok(TaskRequestMetadataResponse {
        task_id: view.id.summary(),
        request: Some(view.shown_request()),
        task_result: Some(view.result(server, false)?),
    })
}

const CREATE: &str = "swarming.pools.createTask";

/// A pool of the configuration. Where everybody may do everything and none is configured, every pool is there.
fn pool(pools: &std::collections::BTreeMap<String, Pool>, name: &str, open: bool) -> Option<Pool> {
    let known = pools.get(name).cloned();
    known.or_else(|| {
        (open && pools.is_empty()).then(|| Pool {
            name: name.to_owned(),
            default_task_realm: Some("phalanx:default".to_owned()),
            ..Pool::default()
        })
    })
}

/// Lists need a role; upstream words it by the pool of the filter, or the server.
fn may_list(
    caller: &Caller,
    search: &TaskSearch,
    role: Role,
    permission: &str,
) -> Result<(), Status> {
    match search.tags.pools().first() {
        Some(pool) => needs(caller, role, permission, &of_pool(pool)),
        None => needs(caller, role, permission, ""),
    }
}

pub(super) async fn list_tasks(
    server: &Arc<Server>,
    caller: &Caller,
    request: TasksWithPerfRequest,
) -> Result<TaskListResponse, Status> {
    let search = requests::list_tasks(&request)?;
    may_list(caller, &search, Role::Viewer, "swarming.pools.listTasks")?;
    let (views, cursor) =
        find::page(server, "ListTasks", find::job_search(&search), search.after, search.limit)?;
    let items = views.iter().map(|view| view.result(server, request.include_performance_stats));
    Ok(TaskListResponse { cursor, items: items.collect::<Result<_, _>>()?, now: Some(wall(now())) })
}

pub(super) async fn list_task_requests(
    server: &Arc<Server>,
    caller: &Caller,
    request: TasksRequest,
) -> Result<TaskRequestsResponse, Status> {
    let search = requests::list_task_requests(&request)?;
    may_list(caller, &search, Role::Viewer, "swarming.pools.listTasks")?;
    let found = find::job_search(&search);
    let (views, cursor) =
        find::page(server, "ListTaskRequests", found, search.after, search.limit)?;
    let items = views.iter().map(TaskView::shown_request).collect();
    Ok(TaskRequestsResponse { cursor, items, now: Some(wall(now())) })
}

pub(super) async fn list_task_states(
    server: &Arc<Server>,
    caller: &Caller,
    request: TaskStatesRequest,
) -> Result<TaskStates, Status> {
    let ids = requests::task_ids(&request.task_id)?;
    let views = TaskView::find_all(server, &ids)?;
    let states = request.task_id.iter().zip(ids).map(|(text, id)| {
        let seen = views.get(&id).ok_or_else(requests::no_task);
        let seen = seen.and_then(|view| may_see(caller, view).map(|()| view.state() as i32));
        seen.map_err(|mut status| {
            status.message = format!("{text}: {}", status.message);
            status
        })
    });
    Ok(TaskStates { states: states.collect::<Result<_, _>>()? })
}

pub(super) async fn cancel_tasks(
    server: &Arc<Server>,
    caller: &Caller,
    request: TasksCancelRequest,
) -> Result<TasksCancelResponse, Status> {
    let search = requests::cancel_tasks(&request)?;
    may_list(caller, &search, Role::User, "swarming.pools.cancelTask")?;
    let found = find::job_search(&search);
    let (views, cursor) = find::page(server, "CancelTasks", found, search.after, search.limit)?;
    let matched = i32::try_from(views.len()).unwrap_or(i32::MAX);
    // Together, so that a commit carries many of them.
    let all = views.iter().map(|view| cancel::cancel(server, view, request.kill_running));
    futures::future::join_all(all).await;
    Ok(TasksCancelResponse { cursor, now: Some(wall(now())), matched })
}

pub(super) async fn count_tasks(
    server: &Arc<Server>,
    caller: &Caller,
    request: TasksCountRequest,
) -> Result<TasksCount, Status> {
    let now = wall(now());
    let search = requests::count_tasks(&request, now)?;
    may_list(caller, &search, Role::Viewer, "swarming.pools.listTasks")?;
    let count = server.dispatcher.reader().count_found(&find::job_search(&search))?;
    Ok(TasksCount { count: i32::try_from(count).unwrap_or(i32::MAX), now: Some(now) })
}
