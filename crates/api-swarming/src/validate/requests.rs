//! The fields of all calls but `NewTask`.
//!
//! Facts: luci-go `swarming/server/rpcs/{base,tasks_*,bots_*}.go`. Permissions and cursors are checked elsewhere; where
//! upstream looks at them before a later field, that order is not kept.

use std::collections::BTreeSet;

use prost_types::Timestamp;

use super::cursor::Cursor;
use super::filter::Filter;
use super::task_id::{EPOCH_MS, TaskId};
use crate::proto::swarming::{
    SortQuery, StateQuery, TaskIdWithOffsetRequest, TasksCancelRequest, TasksCountRequest,
    TasksRequest, TasksWithPerfRequest,
};
use crate::prpc::Status;

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: i32 = 1000;
const MAX_BATCH: usize = 1000;
/// 160 chunks of 100 KiB: the most that one `GetStdout` gives.
pub const MAX_OUTPUT_BYTES: u32 = 160 * 102_400;

/// The task that a call names.
pub fn task_id(text: &str) -> Result<TaskId, Status> {
    if text.is_empty() {
        return Err(Status::invalid("task_id is required"));
    }
    TaskId::parse(text).map_err(|why| Status::invalid(format!("task_id {text}: {why}")))
}

/// The text for a task that does not exist.
pub fn no_task() -> Status {
    Status::not_found("no such task")
}

/// How many items a page has: 1..=1000, and 100 for 0.
pub fn limit(asked: i32) -> Result<u32, Status> {
    if asked > MAX_LIMIT {
        let why = format!("invalid limit: must be less or equal to {MAX_LIMIT}, got {asked}");
        return Err(Status::invalid(why));
    }
    match u32::try_from(asked) {
        Ok(0) => Ok(DEFAULT_LIMIT),
        Ok(limit) => Ok(limit),
        Err(_) => Err(Status::invalid(format!("invalid limit: must be positive, got {asked}"))),
    }
}

/// `[start, end)` in milliseconds since 1970; `None` where there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    pub start_ms: Option<i64>,
    pub end_ms: Option<i64>,
}

/// A range of creation times, which begin in 2010.
pub fn created_range(
    start: Option<&Timestamp>,
    end: Option<&Timestamp>,
) -> Result<TimeRange, Status> {
    let range = any_range(start, end);
    let invalid = |why: &str| Err(Status::invalid(format!("invalid time range: {why}")));
    if let (Some(start), Some(end)) = (range.start_ms, range.end_ms)
        && start >= end
    {
        return invalid("start time must be before the end time");
    }
    for (what, time) in [("start", range.start_ms), ("end", range.end_ms)] {
        if time.is_some_and(|time| time < EPOCH_MS) {
            let time = go_time(time.unwrap_or_default());
            return invalid(&format!(
                "invalid {what} time: time {time} is before epoch 2010-01-01 00:00:00 +0000 UTC"
            ));
        }
    }
    Ok(range)
}

/// As Go prints a time.
fn go_time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| ms.to_string(), |time| time.strftime("%F %T%.f +0000 UTC").to_string())
}

/// A range of times of another kind, which upstream takes as it is; a reversed one holds nothing.
pub fn any_range(start: Option<&Timestamp>, end: Option<&Timestamp>) -> TimeRange {
    TimeRange { start_ms: start.and_then(milliseconds), end_ms: end.and_then(milliseconds) }
}

/// `None` for Go's zero time, which upstream takes for "no limit".
fn milliseconds(time: &Timestamp) -> Option<i64> {
    const ZERO_SECONDS: i64 = -62_135_596_800;
    if (time.seconds, time.nanos) == (ZERO_SECONDS, 0) {
        return None;
    }
    Some(
        time.seconds
            .saturating_mul(1000)
            .saturating_add(i64::from(time.nanos.div_euclid(1_000_000))),
    )
}

/// Which tasks a call is about.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSearch {
    pub created: TimeRange,
    pub state: StateQuery,
    pub tags: Filter,
    /// 0 for all.
    pub limit: u32,
    /// The last task of the page before.
    pub after: Option<u64>,
}

fn search(
    sort: i32,
    tags: &[String],
    start: Option<&Timestamp>,
    end: Option<&Timestamp>,
    state: i32,
    limit: u32,
    (rpc, cursor): (&str, &str),
) -> Result<TaskSearch, Status> {
    if sort != SortQuery::QueryCreatedTs as i32 {
        let name = SortQuery::try_from(sort)
            .map_or_else(|_| sort.to_string(), |sort| sort.as_str_name().to_owned());
        let why = format!("sort order \"{name}\" is not supported currently, open a bug if needed");
        return Err(Status::invalid(why));
    }
    let after = Cursor::number(rpc, cursor)?;
    let tags =
        Filter::of_tags(tags).map_err(|why| Status::invalid(format!("invalid tags: {why}")))?;
    let created = created_range(start, end)?;
    Ok(TaskSearch { created, state: state_query(state)?, tags, limit, after })
}

/// Upstream's server crashes on a number that means nothing.
pub(super) fn state_query(state: i32) -> Result<StateQuery, Status> {
    StateQuery::try_from(state).map_err(|_| Status::invalid(format!("invalid state {state}")))
}

pub fn list_tasks(request: &TasksWithPerfRequest) -> Result<TaskSearch, Status> {
    let TasksWithPerfRequest { start, end, state, sort, tags, cursor, .. } = request;
    let limit = limit(request.limit)?;
    search(*sort, tags, start.as_ref(), end.as_ref(), *state, limit, ("ListTasks", cursor))
}

pub fn list_task_requests(request: &TasksRequest) -> Result<TaskSearch, Status> {
    let TasksRequest { start, end, state, sort, tags, cursor, .. } = request;
    let limit = limit(request.limit)?;
    let page = ("ListTaskRequests", cursor.as_str());
    search(*sort, tags, start.as_ref(), end.as_ref(), *state, limit, page)
}

/// `now` is the end of the range where none is given.
pub fn count_tasks(request: &TasksCountRequest, now: Timestamp) -> Result<TaskSearch, Status> {
    let TasksCountRequest { start, end, state, tags } = request;
    if start.is_none() {
        return Err(Status::invalid("start timestamp is required"));
    }
    search(0, tags, start.as_ref(), Some(end.as_ref().unwrap_or(&now)), *state, 0, ("", ""))
}

pub fn cancel_tasks(request: &TasksCancelRequest) -> Result<TaskSearch, Status> {
    let limit = limit(request.limit)?;
    if request.tags.is_empty() {
        return Err(Status::invalid("tags are required when cancelling multiple tasks"));
    }
    let state = match request.kill_running {
        true => StateQuery::QueryPendingRunning,
        false => StateQuery::QueryPending,
    };
    let TasksCancelRequest { start, end, tags, cursor, .. } = request;
    let page = ("CancelTasks", cursor.as_str());
    search(0, tags, start.as_ref(), end.as_ref(), state as i32, limit, page)
}

/// The tasks of a batch, each once, in the order asked for.
pub fn task_ids(texts: &[String]) -> Result<Vec<TaskId>, Status> {
    if texts.is_empty() {
        return Err(Status::invalid("task_ids is required"));
    }
    if texts.len() > MAX_BATCH {
        let count = texts.len();
        let why = format!("task_ids length should be no more than {MAX_BATCH}, got {count}");
        return Err(Status::invalid(why));
    }
    let mut seen = BTreeSet::new();
    let mut ids = Vec::new();
    for text in texts {
        let id = TaskId::parse(text)
            .map_err(|why| Status::invalid(format!("task_ids: {text}: {why}")))?;
        if !seen.insert(id) {
            return Err(Status::invalid(format!("task_ids: {text} is specified more than once")));
        }
        ids.push(id);
    }
    Ok(ids)
}

/// A part of a task's output, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputRange {
    pub task: TaskId,
    pub offset: u64,
    /// At most [`MAX_OUTPUT_BYTES`].
    pub length: u32,
}

pub fn get_stdout(request: &TaskIdWithOffsetRequest) -> Result<OutputRange, Status> {
    if request.task_id.is_empty() {
        return Err(Status::invalid("task_id is required"));
    }
    let offset = u64::try_from(request.offset)
        .map_err(|_| Status::invalid("offset must be non-negative"))?;
    let length = u64::try_from(request.length)
        .map_err(|_| Status::invalid("length must be non-negative"))?;
    let length = match u32::try_from(length) {
        Ok(length @ 1..=MAX_OUTPUT_BYTES) => length,
        _ => MAX_OUTPUT_BYTES,
    };
    Ok(OutputRange { task: task_id(&request.task_id)?, offset, length })
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
