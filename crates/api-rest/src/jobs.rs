//! Single jobs.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use campaign::execution::job_order;
use dispatcher::{AttemptView, JobFilter, JobView, RetryReply};
use engine::Explanation;
use engine::ops::{CancelOp, CancelOutcome, SubmitOp, SubmitOutcome};
use http::{HeaderMap, HeaderValue, StatusCode};
use model::{
    AttemptNumber, GroupId, JobId, JobState, NewJob, Outcome, Priority, Requirements, Slice, Terms,
};
use serde::Deserialize;

use crate::Door;
use crate::status::Failure;
use crate::types::{
    AttemptDetail, Canceled, CreatedJobs, Explained, JobDetail, NewJobs, OutputDetail, Retried,
};

fn unknown(job: JobId) -> Failure {
    Failure::not_found(format!("there is no job {job}"))
}

fn exit_code(outcome: &Outcome) -> Option<i32> {
    match outcome {
        Outcome::Succeeded => Some(0),
        Outcome::Failed { exit } => Some(*exit),
        _ => None,
    }
}

pub(crate) fn detail(view: &JobView, history: &[AttemptView]) -> JobDetail {
    let workspace = job_order(&view.job.payload);
    let (state, exit, runner, canceling, finished) = match &view.state {
        JobState::Queued { .. } => ("queued", None, None, false, None),
        JobState::Running { runner, cancel, .. } => {
            ("running", None, Some(runner.to_string()), cancel.is_requested(), None)
        }
        JobState::Finished { outcome, at, .. } => {
            (outcome.name(), exit_code(outcome), None, false, Some(at.0))
        }
    };
    JobDetail {
        job: view.id.0,
        execution: view.group.map(|group| group.0),
        queue: view.job.queue.to_string(),
        owner: view.job.owner.to_string(),
        priority: view.job.priority.0,
        repository: workspace.as_ref().map(|w| w.repository.clone()),
        path: workspace.as_ref().map(|w| w.path.clone()).filter(|path| !path.is_empty()),
        base_revision: workspace.map(|w| w.commit),
        state: state.to_owned(),
        exit_code: exit,
        runner: runner.or_else(|| history.last().map(|last| last.record.runner.to_string())),
        canceling,
        created_ms: view.created.0,
        finished_ms: finished,
        attempts: view.attempts,
        history: history.iter().map(attempt_detail).collect(),
    }
}

fn attempt_detail(view: &AttemptView) -> AttemptDetail {
    let record = &view.record;
    let outputs = record.evidence.outputs.iter().map(|output| OutputDetail {
        name: output.name.to_string(),
        digest: output.digest.to_string(),
        size: output.size,
    });
    AttemptDetail {
        attempt: record.number.0,
        runner: record.runner.to_string(),
        state: record.outcome.name().to_owned(),
        exit_code: exit_code(&record.outcome),
        started_ms: record.started.0,
        ended_ms: record.ended.0,
        message: match &record.outcome {
            Outcome::Rejected { why } => Some(why.to_string()),
            _ => record.evidence.message.as_ref().map(|message| message.to_string()),
        },
        log_bytes: record.evidence.log_bytes,
        log_incomplete: record.evidence.log_incomplete,
        outputs: outputs.collect(),
    }
}

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    execution: Option<u64>,
    after: Option<u64>,
    limit: Option<usize>,
    state: Option<String>,
}

/// `GET /jobs?execution=ID&state=NAME&after=ID&limit=N`: newest first, or an execution's in order.
pub(crate) async fn list(
    State(door): State<Arc<Door>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<JobDetail>>, Failure> {
    tokio::task::spawn_blocking(move || read_list(&door, &query))
        .await
        .map_err(|e| Failure::internal(&e))?
}

fn read_list(door: &Door, query: &ListQuery) -> Result<Json<Vec<JobDetail>>, Failure> {
    let is_state =
        |state: &&str| matches!(*state, "queued" | "running") || Outcome::NAMES.contains(state);
    if let Some(state) = query.state.as_deref().filter(|state| !is_state(state)) {
        let ends = Outcome::NAMES.join("`, `");
        let text = format!("`{state}` is no state of a job: `queued`, `running`, `{ends}`");
        return Err(Failure::bad(text));
    }
    let limit = query.limit.unwrap_or(100).clamp(1, 1000);
    // With a state most of a page may be of no use.
    let page_limit = if query.state.is_some() { 1000 } else { limit };
    let mut after = query.after.map(JobId);
    let mut found = Vec::new();
    loop {
        let filter = JobFilter {
            group: query.execution.map(GroupId),
            after,
            newest_first: query.execution.is_none(),
            limit: page_limit,
            ..JobFilter::default()
        };
        let page = door.dispatcher.reader().jobs(filter)?;
        let last = page.last().map(|view| view.id);
        let wanted = |detail: &JobDetail| query.state.as_ref().is_none_or(|s| *s == detail.state);
        found.extend(page.iter().map(|view| detail(view, &[])).filter(wanted));
        after = last;
        if last.is_none() || found.len() >= limit {
            found.truncate(limit);
            return Ok(Json(found));
        }
    }
}

pub(crate) async fn create(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<CreatedJobs>, Failure> {
    let asked: NewJobs =
        serde_json::from_slice(&body).map_err(|error| Failure::bad(error.to_string()))?;
    let mut requirements = Requirements::default();
    for dimension in &asked.dimensions {
        let (key, values) = dimension.split_once('=').unwrap_or((dimension, ""));
        let values: Vec<&str> = values.split('|').collect();
        requirements.add(key, &values).map_err(|error| Failure::bad(error.to_string()))?;
    }
    let expires_after_ms = asked.expires_after_ms;
    let slice = Slice { expires_after_ms, ..Slice::waiting(requirements) };
    let count = if asked.payloads.is_empty() { asked.count } else { asked.payloads.len() as u64 };
    if count > model::limit::JOBS_PER_SUBMIT as u64 {
        let text = format!("more than {} jobs in one submit", model::limit::JOBS_PER_SUBMIT);
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    let template = NewJob {
        queue: asked.queue.as_str().into(),
        owner: asked.owner.as_deref().unwrap_or("local").into(),
        priority: asked.priority.map_or_else(Priority::default, Priority),
        slices: [slice].into(),
        timeout_ms: asked.timeout_ms,
        lost_runner_retries: asked.lost_runner_retries.unwrap_or(3),
        payload: [].into(),
        terms: Terms::default(),
    };
    let jobs = if asked.payloads.is_empty() {
        let one = Arc::new(template);
        (0..count).map(|_| one.clone()).collect()
    } else {
        let of = |payload: &serde_json::value::RawValue| {
            let payload = payload.get().as_bytes().into();
            Arc::new(NewJob { payload, ..template.clone() })
        };
        asked.payloads.iter().map(|payload| of(payload)).collect()
    };
    let half = |bytes: &[u8]| -> [u8; 16] {
        blake3::hash(bytes).as_bytes()[..16].try_into().expect("sixteen of thirty-two bytes")
    };
    let key = headers.get("idempotency-key").map(|key| (half(key.as_bytes()), half(&body)));
    match door.dispatcher.submit(SubmitOp { key, group: None, jobs }).await {
        SubmitOutcome::Accepted { first_job, jobs, .. } => {
            Ok(Json(CreatedJobs { first_job: first_job.0, jobs, duplicate: false }))
        }
        SubmitOutcome::Duplicate { first_job, jobs, .. } => {
            Ok(Json(CreatedJobs { first_job: first_job.0, jobs, duplicate: true }))
        }
        SubmitOutcome::Refused(refused) => Err(refused.into()),
    }
}

pub(crate) async fn show(
    State(door): State<Arc<Door>>,
    Path(id): Path<u64>,
) -> Result<Json<JobDetail>, Failure> {
    let reader = door.dispatcher.reader();
    let view = reader.job(JobId(id))?.ok_or_else(|| unknown(JobId(id)))?;
    let history = reader.attempts(JobId(id))?;
    Ok(Json(detail(&view, &history)))
}

#[derive(Deserialize)]
pub(crate) struct LogQuery {
    attempt: Option<u32>,
    offset: Option<u64>,
    /// Seconds to wait for more when there is nothing yet.
    wait: Option<f64>,
}

/// Most bytes of a log in one answer.
const LOG_PIECE: usize = 4 * 1024 * 1024;

/// `GET /jobs/{id}/log?attempt=N&offset=BYTES&wait=SECONDS`: raw bytes. Headers: `X-Phalanx-Log-Length`, and
/// `X-Phalanx-Log-Over: true` when nothing will be added.
pub(crate) async fn log(
    State(door): State<Arc<Door>>,
    Path(id): Path<u64>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Failure> {
    let job = JobId(id);
    let attempt = match query.attempt {
        Some(attempt) => attempt,
        None => door.dispatcher.reader().job(job)?.ok_or_else(|| unknown(job))?.attempts,
    };
    let offset = query.offset.unwrap_or(0);
    let wait = crate::seconds(query.wait, 60.0);
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let read = door.dispatcher.read_log(job, AttemptNumber(attempt), offset, LOG_PIECE)?;
        let Some(read) = read else {
            if door.dispatcher.reader().job(job)?.is_none() {
                return Err(unknown(job));
            }
            if attempt > 0 {
                return Err(Failure::not_found(format!("job {job} has no attempt {attempt}")));
            }
            // It has not begun: an empty log that may grow.
            return Ok(log_response(Vec::new(), 0, false, 0));
        };
        if !read.bytes.is_empty() || read.over || tokio::time::Instant::now() >= deadline {
            return Ok(log_response(read.bytes, read.length, read.over, attempt));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn log_response(bytes: Vec<u8>, length: u64, over: bool, attempt: u32) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert("x-phalanx-log-length", length.into());
    headers.insert("x-phalanx-attempt", attempt.into());
    let over = HeaderValue::from_static(if over { "true" } else { "false" });
    headers.insert("x-phalanx-log-over", over);
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

pub(crate) async fn explain(
    State(door): State<Arc<Door>>,
    Path(id): Path<u64>,
) -> Result<Json<Explained>, Failure> {
    let job = JobId(id);
    let text = match door.dispatcher.explain(job) {
        Explanation::NotLive => {
            let view = door.dispatcher.reader().job(job)?.ok_or_else(|| unknown(job))?;
            match view.state {
                JobState::Finished { outcome, .. } => {
                    format!("the job is over: {}", outcome.name())
                }
                JobState::Queued { .. } | JobState::Running { .. } => {
                    "the job changes state just now; ask again".to_owned()
                }
            }
        }
        live => live.to_string(),
    };
    Ok(Json(Explained { job: id, text }))
}

pub(crate) async fn cancel(
    State(door): State<Arc<Door>>,
    Path(id): Path<u64>,
) -> Result<Json<Canceled>, Failure> {
    match door.dispatcher.cancel(CancelOp::Job { id: JobId(id), kill: true }).await {
        CancelOutcome::Canceled { queued, running, .. } => Ok(Json(Canceled { queued, running })),
        CancelOutcome::NotLive => {
            door.dispatcher.reader().job(JobId(id))?.ok_or_else(|| unknown(JobId(id)))?;
            Err(Failure::new(StatusCode::CONFLICT, format!("job {id} is over already")))
        }
    }
}

pub(crate) async fn retry(
    State(door): State<Arc<Door>>,
    Path(id): Path<u64>,
) -> Result<Json<Retried>, Failure> {
    match door.dispatcher.retry(JobId(id)).await? {
        RetryReply::Queued => Ok(Json(Retried { jobs: vec![id] })),
        RetryReply::AlreadyLive => {
            Err(Failure::new(StatusCode::CONFLICT, format!("job {id} is not over yet")))
        }
        RetryReply::Unknown => Err(unknown(JobId(id))),
        RetryReply::TooManyLive { max } => {
            Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, format!("more than {max} live jobs")))
        }
    }
}
