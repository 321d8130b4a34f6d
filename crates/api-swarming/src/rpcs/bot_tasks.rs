//! What a bot ran.

use std::cmp::Reverse;
use std::sync::Arc;

use dispatcher::JobSearch;
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
use crate::validate::bot_requests::{self, BotTaskSearch, BotTasksAfter, Window};
use crate::validate::requests::TimeRange;

/// Tasks that are put in order of a time at once. Tasks are found by when they were created, and run in about that order.
const WINDOW: u32 = 1000;
/// How many times one call does that: of a short time long ago there may be nothing in many of them.
const WINDOWS: usize = 4;
/// No task ends later after its creation: a week at most until it begins, a week until its time is up, and a while to say so.
const LONGEST_MS: i64 = 15 * 24 * 60 * 60 * 1000;

/// Tasks, the newest first, and where the next page begins.
type Page = (Vec<TaskView>, Option<BotTasksAfter>);

pub(super) async fn list_bot_tasks(
    server: &Arc<Server>,
    caller: &Caller,
    request: BotTasksRequest,
) -> Result<TaskListResponse, Status> {
    let asked = bot_requests::list_bot_tasks(&request)?;
    needs(caller, Role::Viewer, "swarming.pools.listTasks", &of_bot(asked.bot))?;
    let (views, cursor) = match asked.sort {
        SortQuery::QueryCreatedTs | SortQuery::QueryAbandonedTs => by_creation(server, &asked)?,
        SortQuery::QueryStartedTs | SortQuery::QueryCompletedTs => by_time(server, &asked)?,
    };
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

fn by_creation(server: &Server, asked: &BotTaskSearch<'_>) -> Result<Page, Status> {
    let mut search = find::of_bot(asked.bot, asked.state, &asked.time);
    if let Some(after) = &asked.after {
        search.wire_ids.end = search.wire_ids.end.min(after.below);
    }
    // Before the others, or one that ends meanwhile is in neither.
    let running = running(server, asked)?;
    let (mut views, lowest) = find::found(server, &search, asked.limit)?;
    let span = lowest.unwrap_or(search.wire_ids.start)..search.wire_ids.end;
    add(&mut views, running.filter(|view| span.contains(&number(view))));
    views.sort_unstable_by_key(|view| Reverse(number(view)));
    let room = asked.limit as usize;
    let below = match views.get(room) {
        Some(_) => Some(number(&views[room - 1])),
        None => lowest,
    };
    views.truncate(room);
    Ok((views, below.map(|below| BotTasksAfter { below, running: 0, window: None })))
}

fn by_time(server: &Server, asked: &BotTaskSearch<'_>) -> Result<Page, Status> {
    let earliest_ms = asked.time.start_ms.map(|ms| ms.saturating_sub(LONGEST_MS));
    let created = TimeRange { start_ms: earliest_ms, end_ms: asked.time.end_ms };
    let mut search = find::of_bot(asked.bot, asked.state, &created);
    let mut window = None;
    // It began after all others, so it is at the top of the first page, and in no window when it has ended.
    let mut running = match asked.after {
        None => running(server, asked)?,
        Some(_) => None,
    };
    let mut given = running.as_ref().map_or(0, number);
    if let Some(after) = &asked.after {
        search.wire_ids.end = search.wire_ids.end.min(after.below);
        (given, window) = (after.running, after.window);
    }
    let room = asked.limit as usize;
    let mut taken: Vec<TaskView> = Vec::new();
    for _ in 0..WINDOWS {
        let mut below = search.wire_ids.end;
        // A window keeps its ends from page to page: what ends meanwhile must push nothing into the next.
        let (mut views, from) = match window {
            None => {
                let (views, lowest) = find::found(server, &search, WINDOW)?;
                below = views.iter().map(|view| number(view) + 1).max().unwrap_or(below);
                (views, lowest.unwrap_or(search.wire_ids.start))
            }
            Some(Window { from, .. }) => {
                let wire_ids = from.max(search.wire_ids.start)..below;
                let within = JobSearch { wire_ids, ..search.clone() };
                (find::found(server, &within, 2 * WINDOW)?.0, from)
            }
        };
        views.retain(|view| number(view) != given || running.is_some());
        add(&mut views, running.take());
        let inside = |at_ms: i64| {
            asked.time.start_ms.is_none_or(|start| at_ms >= start)
                && asked.time.end_ms.is_none_or(|end| at_ms < end)
        };
        let is_left = |key: (i64, u64)| window.is_none_or(|window| key < window.last);
        let keyed = views.into_iter().filter_map(|view| {
            let key = (at_ms(&view, asked.sort)?, number(&view));
            (inside(key.0) && is_left(key)).then_some((key, view))
        });
        let mut keyed: Vec<((i64, u64), TaskView)> = keyed.collect();
        keyed.sort_unstable_by_key(|(key, _)| Reverse(*key));
        let fits = keyed.len().min(room - taken.len());
        let surplus = keyed.split_off(fits);
        let last = keyed.last().map(|(key, _)| *key).or(window.map(|window| window.last));
        taken.extend(keyed.into_iter().map(|(_, view)| view));
        if !surplus.is_empty() {
            let window = last.map(|last| Window { from, last });
            return Ok((taken, Some(BotTasksAfter { below, running: given, window })));
        }
        if from <= search.wire_ids.start {
            return Ok((taken, None));
        }
        search.wire_ids.end = from;
        window = None;
        if taken.len() == room {
            break;
        }
    }
    Ok((taken, Some(BotTasksAfter { below: search.wire_ids.end, running: given, window: None })))
}

/// Adds the running task, which no list has before it ends.
fn add(views: &mut Vec<TaskView>, running: Option<TaskView>) {
    if let Some(running) = running
        && !views.iter().any(|view| view.id == running.id)
    {
        views.push(running);
    }
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
        (SortQuery::QueryStartedTs, JobState::Running { since, .. }) => Some(ms(*since)),
        (SortQuery::QueryStartedTs, _) => Some(ms(view.attempt.as_ref()?.record.started)),
        (SortQuery::QueryCompletedTs, JobState::Finished { at, .. }) => Some(ms(*at)),
        _ => None,
    }
}
