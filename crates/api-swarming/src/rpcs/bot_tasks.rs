//! What a bot ran.

use std::sync::Arc;

use model::{JobState, RunnerName, WallMs};

use super::{needs, of_bot};
use crate::proto::swarming::{
    BotTasksRequest, SortQuery, StateQuery, TaskListResponse, TaskResultResponse,
};
use crate::prpc::Status;
use crate::server::{Caller, Role, Server, now};
use crate::tasks::find;
use crate::tasks::view::{TaskView, wall};
use crate::validate::TaskId;
use crate::validate::bot_requests::{self, BotTaskSearch, BotTasksAfter};
use crate::validate::requests::TimeRange;

/// Tasks that are put in order of a time at once. Tasks are found by when they were created, and run in about that order.
const WINDOW: u32 = 1000;
/// How many times one call does that: of a short time long ago there may be nothing in many of them.
const WINDOWS: usize = 4;
/// No task ends later after its creation: a week at most until it begins, a week until its time is up, and a while to say so.
const LONGEST_MS: i64 = 15 * 24 * 60 * 60 * 1000;

pub(super) async fn list_bot_tasks(
    server: &Arc<Server>,
    caller: &Caller,
    request: BotTasksRequest,
) -> Result<TaskListResponse, Status> {
    let asked = bot_requests::list_bot_tasks(&request)?;
    needs(caller, Role::Viewer, "swarming.pools.listTasks", &of_bot(asked.bot))?;
    let (views, cursor) = page(server, &asked)?;
    let item = |view: &TaskView| -> Result<TaskResultResponse, Status> {
        let mut item = view.result(server, request.include_performance_stats)?;
        // Always one here, also when nothing was spent.
        if item.costs_usd.is_empty() {
            item.costs_usd.push(0.0);
        }
        item.cost_saved_usd = 0.0;
        item.deduped_from.clear();
        Ok(item)
    };
    let items = views.iter().map(item).collect::<Result<_, _>>()?;
    let cursor = cursor.map(|after| after.write()).unwrap_or_default();
    Ok(TaskListResponse { cursor, items, now: Some(wall(now())) })
}

/// The newest first.
fn page(
    server: &Server,
    asked: &BotTaskSearch<'_>,
) -> Result<(Vec<TaskView>, Option<BotTasksAfter>), Status> {
    let by_creation = asked.sort == SortQuery::QueryCreatedTs;
    let earliest_ms = |ms: i64| if by_creation { ms } else { ms.saturating_sub(LONGEST_MS) };
    let created =
        TimeRange { start_ms: asked.time.start_ms.map(earliest_ms), end_ms: asked.time.end_ms };
    let mut search = find::of_bot(asked.bot, asked.state, &created);
    let mut last = None;
    if let Some(after) = &asked.after {
        search.wire_ids.end = search.wire_ids.end.min(after.below);
        last = after.last;
    }
    let mut running = running(server, asked)?;
    let window = if by_creation { asked.limit } else { WINDOW };
    let room = asked.limit as usize;
    let mut taken: Vec<TaskView> = Vec::new();
    for _ in 0..WINDOWS {
        let below = search.wire_ids.end;
        let (mut views, lowest) = find::found(server, &search, window)?;
        let span = lowest.unwrap_or(search.wire_ids.start)..below;
        // It began after all others; no list has it before it ends.
        let is_here = |id: u64| !by_creation || span.contains(&id);
        if let Some(view) = running.take_if(|view| is_here(number(view)))
            && !views.iter().any(|other| other.id == view.id)
        {
            views.push(view);
        }
        let mut keyed: Vec<((i64, u64), TaskView)> = views
            .into_iter()
            .filter_map(|view| Some(((at_ms(&view, asked.sort)?, number(&view)), view)))
            .filter(|((at_ms, _), _)| {
                asked.time.start_ms.is_none_or(|start| *at_ms >= start)
                    && asked.time.end_ms.is_none_or(|end| *at_ms < end)
            })
            .filter(|(key, _)| last.is_none_or(|last| *key < last))
            .collect();
        keyed.sort_unstable_by_key(|(key, _)| std::cmp::Reverse(*key));
        let surplus = (taken.len() + keyed.len()).saturating_sub(room);
        keyed.truncate(keyed.len() - surplus);
        if let (1.., Some((key, _))) = (surplus, keyed.last()) {
            last = Some(*key);
        }
        taken.extend(keyed.into_iter().map(|(_, view)| view));
        if surplus > 0 {
            return Ok((taken, Some(BotTasksAfter { below, last })));
        }
        let Some(lowest) = lowest else { return Ok((taken, None)) };
        search.wire_ids.end = lowest;
        last = None;
        if taken.len() == room {
            break;
        }
    }
    Ok((taken, Some(BotTasksAfter { below: search.wire_ids.end, last: None })))
}

/// The task that the bot runs now, when such are asked for.
fn running(server: &Server, asked: &BotTaskSearch<'_>) -> Result<Option<TaskView>, Status> {
    if !matches!(asked.state, StateQuery::QueryAll | StateQuery::QueryRunning) {
        return Ok(None);
    }
    let seen = server.fleet.get(&RunnerName::new(asked.bot));
    let id = seen.and_then(|seen| Some(seen.record.task.as_ref()?.0));
    let Some(id) = id.and_then(|id| TaskId::of_number(i64::try_from(id).ok()?)) else {
        return Ok(None);
    };
    let view = TaskView::find(server, id)?;
    Ok(view.filter(|view| matches!(view.job.state, JobState::Running { .. })))
}

fn number(view: &TaskView) -> u64 {
    u64::try_from(view.id.number()).unwrap_or_default()
}

/// The time by which it is in order. `None`: it has none, and is not on such a list.
fn at_ms(view: &TaskView, sort: SortQuery) -> Option<i64> {
    let ms = |at: WallMs| i64::try_from(at.0).unwrap_or(i64::MAX);
    match (sort, &view.job.state) {
        (SortQuery::QueryCreatedTs | SortQuery::QueryAbandonedTs, _) => Some(view.id.created_ms()),
        (SortQuery::QueryStartedTs, JobState::Running { since, .. }) => Some(ms(*since)),
        (SortQuery::QueryStartedTs, _) => Some(ms(view.attempt.as_ref()?.record.started)),
        (SortQuery::QueryCompletedTs, JobState::Finished { at, .. }) => Some(ms(*at)),
        (SortQuery::QueryCompletedTs, _) => None,
    }
}
