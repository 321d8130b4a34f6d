//! Lists of tasks.

use std::sync::Arc;

use dispatcher::{JobSearch, JobStanding};

use super::view::TaskView;
use crate::proto::swarming::StateQuery;
use crate::prpc::Status;
use crate::server::Server;
use crate::validate::cursor::Cursor;
use crate::validate::requests::{TaskSearch, TimeRange};
use crate::validate::{Filter, TaskId};

const COMPLETED: &[&str] = &["succeeded", "failed"];
const SUCCESS: &[&str] = &["succeeded"];
const FAILURE: &[&str] = &["failed"];

/// Where the tasks of a query stand, and whether their results are others'.
fn standings(state: StateQuery) -> (Vec<JobStanding>, Option<bool>) {
    let finished = |outcomes| (vec![JobStanding::Finished(outcomes)], None);
    match state {
        StateQuery::QueryPending => (vec![JobStanding::Queued], None),
        StateQuery::QueryRunning => (vec![JobStanding::Running], None),
        StateQuery::QueryPendingRunning => (vec![JobStanding::Queued, JobStanding::Running], None),
        StateQuery::QueryCompleted => finished(COMPLETED),
        StateQuery::QueryCompletedSuccess => finished(SUCCESS),
        StateQuery::QueryCompletedFailure => finished(FAILURE),
        StateQuery::QueryExpired => finished(&["expired"]),
        StateQuery::QueryTimedOut => finished(&["timed_out"]),
        StateQuery::QueryBotDied => finished(&["runner_lost"]),
        StateQuery::QueryCanceled => finished(&["canceled"]),
        StateQuery::QueryAll => (Vec::new(), None),
        StateQuery::QueryDeduped => (vec![JobStanding::Finished(SUCCESS)], Some(true)),
        StateQuery::QueryKilled => finished(&["killed"]),
        StateQuery::QueryNoResource => finished(&["no_resource"]),
        StateQuery::QueryClientError => finished(&["rejected"]),
    }
}

/// The first id of a millisecond. Before the epoch: the first of all.
pub(crate) fn first_of(ms: i64) -> u64 {
    TaskId::new(ms, 0).map_or(0, |id| u64::try_from(id.number() & !0xf).unwrap_or_default())
}

fn wire_ids(created: &TimeRange) -> std::ops::Range<u64> {
    let start = created.start_ms.map_or(0, first_of);
    start..created.end_ms.map_or(i64::MAX as u64, first_of)
}

/// Tasks that were created in a time.
pub(crate) fn created_in(created: &TimeRange) -> JobSearch {
    JobSearch { wire_ids: wire_ids(created), ..JobSearch::default() }
}

fn labels(tags: &Filter) -> Vec<Vec<Arc<str>>> {
    let one_of = |constraint: &crate::validate::Constraint| {
        let tag = |value: &String| Arc::from(format!("{}:{value}", constraint.key));
        constraint.values.iter().map(tag).collect()
    };
    tags.constraints().iter().map(one_of).collect()
}

pub(crate) fn job_search(search: &TaskSearch) -> JobSearch {
    let (standings, reused) = standings(search.state);
    JobSearch {
        wire_ids: wire_ids(&search.created),
        labels: labels(&search.tags),
        standings,
        reused,
        runner: None,
    }
}

/// Tasks that ran on one bot, whenever they were created.
pub(crate) fn of_bot(bot: &str, state: StateQuery, created: &TimeRange) -> JobSearch {
    let (standings, reused) = standings(state);
    JobSearch {
        wire_ids: wire_ids(created),
        standings,
        reused,
        runner: Some(super::hand(bot)),
        ..JobSearch::default()
    }
}

/// A page of tasks, newest first, and the cursor of the next.
pub(crate) fn page(
    server: &Server,
    rpc: &'static str,
    mut search: JobSearch,
    after: Option<u64>,
    limit: u32,
) -> Result<(Vec<TaskView>, String), Status> {
    if let Some(last) = after {
        if !search.wire_ids.contains(&last) {
            let why = "invalid time range: the cursor is outside of the requested time range";
            return Err(Status::invalid(why));
        }
        search.wire_ids.end = last;
    }
    let (views, lowest) = found(server, &search, limit)?;
    let next = lowest.map(|lowest| Cursor::write(rpc, &lowest.to_string()));
    Ok((views, next.unwrap_or_default()))
}

/// The first tasks that a search finds, newest first, and the last id of them when there may be more.
pub(crate) fn found(
    server: &Server,
    search: &JobSearch,
    limit: u32,
) -> Result<(Vec<TaskView>, Option<u64>), Status> {
    let found = server.dispatcher.reader().search_jobs(search, limit as usize)?;
    let ids: Vec<TaskId> =
        found.iter().filter_map(|id| i64::try_from(*id).ok().and_then(TaskId::of_number)).collect();
    let mut views = TaskView::find_all(server, &ids)?;
    let lowest = found.last().copied().filter(|_| found.len() == limit as usize);
    Ok((ids.iter().filter_map(|id| views.remove(id)).collect(), lowest))
}
