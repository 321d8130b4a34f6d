//! Lists of tasks, and how a page leads to the next.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dispatcher::{JobSearch, JobStanding};
use model::RunnerName;

use super::view::TaskView;
use crate::proto::swarming::StateQuery;
use crate::prpc::Status;
use crate::server::Server;
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
fn first_of(ms: i64) -> u64 {
    TaskId::new(ms, 0).map_or(0, |id| u64::try_from(id.number() & !0xf).unwrap_or_default())
}

fn wire_ids(created: &TimeRange) -> std::ops::Range<u64> {
    let start = created.start_ms.map_or(0, first_of);
    start..created.end_ms.map_or(i64::MAX as u64, first_of)
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
        runner: Some(RunnerName::new(bot)),
        ..JobSearch::default()
    }
}

/// A page of tasks, newest first, and the cursor of the next.
pub(crate) fn page(
    server: &Server,
    rpc: &'static str,
    mut search: JobSearch,
    cursor: &str,
    limit: u32,
) -> Result<(Vec<TaskView>, String), Status> {
    if let Some(last) = Cursor::read(rpc, cursor)? {
        let last = last.number()?;
        if !search.wire_ids.contains(&last) {
            let why = "invalid time range: the cursor is outside of the requested time range";
            return Err(Status::invalid(why));
        }
        search.wire_ids.end = last;
    }
    let found = server.dispatcher.reader().search_jobs(&search, limit as usize)?;
    let ids: Vec<TaskId> =
        found.iter().filter_map(|id| i64::try_from(*id).ok().and_then(TaskId::of_number)).collect();
    let mut views = TaskView::find_all(server, &ids)?;
    let next = match (found.len() == limit as usize, found.last()) {
        (true, Some(last)) => Cursor::write(rpc, &last.to_string()),
        _ => String::new(),
    };
    Ok((ids.iter().filter_map(|id| views.remove(id)).collect(), next))
}

/// Where a page ended. Opaque to clients; it names its call, because lists are ordered each in its own way.
pub(crate) struct Cursor(String);

impl Cursor {
    pub fn write(rpc: &str, last: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{rpc} {last}"))
    }

    /// `None` for the first page.
    pub fn read(rpc: &str, cursor: &str) -> Result<Option<Self>, Status> {
        if cursor.is_empty() {
            return Ok(None);
        }
        let bad = || Status::invalid("bad pagination cursor");
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
        let text = String::from_utf8(bytes).map_err(|_| bad())?;
        match text.split_once(' ') {
            Some((of, last)) if of == rpc => Ok(Some(Self(last.to_owned()))),
            _ => Err(bad()),
        }
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    pub fn number(&self) -> Result<u64, Status> {
        self.0.parse().map_err(|_| Status::invalid("bad pagination cursor"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_only_its_own_calls() {
        let cursor = Cursor::write("ListTasks", "17");
        assert_eq!(Cursor::read("ListTasks", &cursor).unwrap().unwrap().number().unwrap(), 17);
        assert!(Cursor::read("ListTasks", "").unwrap().is_none());
        for (rpc, cursor) in
            [("ListBots", cursor.as_str()), ("ListTasks", "?"), ("ListTasks", "Zm9v")]
        {
            let Err(status) = Cursor::read(rpc, cursor) else { panic!("{cursor}") };
            assert_eq!(status.message, "bad pagination cursor");
        }
    }
}
