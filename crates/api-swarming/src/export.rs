//! Tasks that are over, for who keeps them elsewhere: `GET /swarming/api/v1/export/tasks`.
//!
//! Parameters: `start` and `end`, the times between which a task was created (RFC 3339; `end` is now when it is left out), and
//! `format`, `ndjson` or `csv`. The newest task comes first. A line of NDJSON is an object with `result` and `request`, which
//! are what `GetResult` (with performance statistics) and `GetRequest` answer; upstream exported the same to BigQuery.

use std::sync::Arc;

use bytes::Bytes;
use dispatcher::JobStanding;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use http::{HeaderValue, Method, Response, StatusCode, header, request};
use model::{JobState, Outcome};
use prost::{Message, Name};

use crate::bot::text;
use crate::proto::swarming::TaskResultResponse;
use crate::prpc::{Status, json_of};
use crate::server::{Role, Server, now};
use crate::tasks::find;
use crate::tasks::view::TaskView;
use crate::validate::requests::TimeRange;

pub(crate) const PATH: &str = "/swarming/api/v1/export/tasks";

/// Tasks that are read at once.
const PAGE: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Ndjson,
    Csv,
}

/// What goes out bit by bit. An error in between breaks the connection, so that half is not taken for all.
pub type Pieces = BoxStream<'static, Result<Bytes, std::io::Error>>;

pub(crate) async fn answer(server: &Arc<Server>, request: &request::Parts) -> Response<Pieces> {
    let refuse = |status, why: &str| text(status, why).map(once);
    if request.method != Method::GET {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "use GET");
    }
    match server.caller(&request.headers).await {
        Err(status) => return refuse(status.code.http(), &status.message),
        Ok(caller) if caller.role < Role::Viewer => {
            let status = if caller.role == Role::Nobody
                && crate::server::bearer(&request.headers).is_none()
            {
                StatusCode::UNAUTHORIZED
            } else {
                StatusCode::FORBIDDEN
            };
            return refuse(
                status,
                "the export needs a token of somebody who may see tasks: `Authorization: Bearer …`",
            );
        }
        Ok(_) => {}
    }
    let (created, format) = match asked(request.uri.query().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let (kind, name) = match format {
        Format::Ndjson => ("application/x-ndjson; charset=utf-8", "tasks.ndjson"),
        Format::Csv => ("text/csv; charset=utf-8", "tasks.csv"),
    };
    let mut response = Response::new(rows(server.clone(), created, format).boxed());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

fn once(body: Bytes) -> Pieces {
    stream::iter([Ok(body)]).boxed()
}

/// The time and the format that a query names.
fn asked(query: &str) -> Result<(TimeRange, Format), String> {
    let (mut start, mut end, mut format) = (None, None, Format::Ndjson);
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let time = || {
            let time: Result<jiff::Timestamp, _> = value.parse();
            let wanted = "is no time such as 2026-11-21T00:00:00Z";
            time.map(|time| time.as_millisecond()).map_err(|_| format!("{key}: `{value}` {wanted}"))
        };
        match &*key {
            "start" => start = Some(time()?),
            "end" => end = Some(time()?),
            "format" => {
                format = match &*value {
                    "ndjson" => Format::Ndjson,
                    "csv" => Format::Csv,
                    other => return Err(format!("format: `{other}` is neither ndjson nor csv")),
                }
            }
            other => return Err(format!("`{other}` is none of start, end and format")),
        }
    }
    let Some(start_ms) = start else {
        return Err("start is missing: tasks that were created since then are exported".to_owned());
    };
    let end_ms = end.unwrap_or(i64::try_from(now().0).unwrap_or(i64::MAX));
    if start_ms >= end_ms {
        return Err("start must be before end".to_owned());
    }
    Ok((TimeRange { start_ms: Some(start_ms), end_ms: Some(end_ms) }, format))
}

/// Where a walk through the tasks is.
enum Walk {
    Head,
    /// Tasks with lower ids are next.
    Before(u64),
    Over,
}

fn rows(
    server: Arc<Server>,
    created: TimeRange,
    format: Format,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    let all = find::created_in(&created);
    let (first, last) = (all.wire_ids.start, all.wire_ids.end);
    stream::unfold(Walk::Head, move |walk| {
        let server = server.clone();
        async move {
            let before = match walk {
                Walk::Over => return None,
                Walk::Head if format == Format::Csv => {
                    return Some((
                        line(HEAD.iter().map(|head| (*head).to_owned())),
                        Walk::Before(last),
                    ));
                }
                Walk::Head => last,
                Walk::Before(id) => id,
            };
            let page = tokio::task::spawn_blocking(move || page(&server, first, before, format));
            match page.await.map_err(std::io::Error::other).and_then(|page| page.map_err(failed)) {
                Ok((bytes, next)) => Some((Ok(bytes), next)),
                Err(error) => Some((Err(error), Walk::Over)),
            }
        }
    })
}

fn failed(status: Status) -> std::io::Error {
    tracing::warn!("an export breaks off: {}", status.message);
    std::io::Error::other(status.message)
}

fn page(server: &Server, first: u64, before: u64, format: Format) -> Result<(Bytes, Walk), Status> {
    let search = dispatcher::JobSearch {
        wire_ids: first..before,
        standings: vec![JobStanding::Finished(&Outcome::NAMES)],
        ..Default::default()
    };
    let found = server.dispatcher.reader().search_jobs(&search, PAGE)?;
    let next = match found.last() {
        Some(last) if found.len() == PAGE => Walk::Before(*last),
        _ => Walk::Over,
    };
    let views = TaskView::of_jobs(server, server.dispatcher.reader().jobs_by_wire_id(&found)?)?;
    let mut views: Vec<TaskView> = views
        .into_iter()
        .filter(|view| matches!(view.job.state, JobState::Finished { .. }))
        .collect();
    views.sort_unstable_by_key(|view| std::cmp::Reverse(view.id));
    let mut out = Vec::new();
    for view in &views {
        let result = view.result(server, true)?;
        match format {
            Format::Ndjson => {
                out.extend(b"{\"result\":");
                put(&result, &mut out);
                out.extend(b",\"request\":");
                put(&view.shown_request(), &mut out);
                out.extend(b"}\n");
            }
            Format::Csv => {
                out.extend(line(row(view, &result)).map_err(|error| Status::internal(&error))?)
            }
        }
    }
    Ok((out.into(), next))
}

fn put<T: Message + Name>(message: &T, out: &mut Vec<u8>) {
    out.extend(json_of(message));
}

const HEAD: [&str; 20] = [
    "task_id",
    "run_id",
    "name",
    "state",
    "exit_code",
    "failure",
    "internal_failure",
    "created",
    "started",
    "completed",
    "duration_secs",
    "bot_id",
    "bot_version",
    "user",
    "priority",
    "pool",
    "parent_task_id",
    "deduped_from",
    "cost_usd",
    "tags",
];

fn row(view: &TaskView, result: &TaskResultResponse) -> impl Iterator<Item = String> {
    let request = view.request();
    let time =
        |at: &Option<prost_types::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let bot = result.bot_id.clone();
    [
        result.task_id.clone(),
        result.run_id.clone(),
        result.name.clone(),
        result.state().as_str_name().to_owned(),
        if bot.is_empty() { String::new() } else { result.exit_code.to_string() },
        result.failure.to_string(),
        result.internal_failure.to_string(),
        time(&result.created_ts),
        time(&result.started_ts),
        time(&result.completed_ts),
        result.duration.to_string(),
        bot,
        result.bot_version.clone(),
        result.user.clone(),
        request.priority.to_string(),
        view.stored.pool.clone(),
        request.parent_task_id.clone(),
        result.deduped_from.clone(),
        // The sum of nothing is -0.
        (result.costs_usd.iter().sum::<f32>() + 0.0).to_string(),
        result.tags.join(" "),
    ]
    .into_iter()
}

fn line(cells: impl Iterator<Item = String>) -> Result<Bytes, std::io::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // SECURITY: what begins like a formula is one for a spreadsheet, and names of tasks are anybody's.
    let harmless = |cell: String| match cell.as_bytes().first() {
        Some(b'=' | b'+' | b'@' | b'\t' | b'\r') => format!("'{cell}"),
        Some(b'-') if cell.parse::<f64>().is_err() => format!("'{cell}"),
        _ => cell,
    };
    writer.write_record(cells.map(harmless)).map_err(std::io::Error::other)?;
    writer.into_inner().map(Bytes::from).map_err(|error| std::io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_read() {
        let (created, format) =
            asked("start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00%2B01:00&format=csv").unwrap();
        assert_eq!(format, Format::Csv);
        assert_eq!(created.end_ms.unwrap() - created.start_ms.unwrap(), 23 * 60 * 60 * 1000);
        for (query, why) in [
            ("", "start is missing"),
            ("start=x", "start: `x` is no time"),
            ("start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z", "start must be before end"),
            ("start=2026-01-01T00:00:00Z&format=xml", "`xml` is neither"),
            ("from=2026-01-01T00:00:00Z", "`from` is none of"),
        ] {
            assert!(asked(query).unwrap_err().contains(why), "{query}");
        }
    }

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        let cells = ["a,\"b\"", "=1+1", "-3.5", "-x", "two\nlines"].map(str::to_owned);
        let line = line(cells.into_iter()).unwrap();
        assert_eq!(line, "\"a,\"\"b\"\"\",'=1+1,-3.5,'-x,\"two\nlines\"\n");
    }
}
