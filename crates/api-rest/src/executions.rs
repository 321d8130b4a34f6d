//! Executions: submit, watch, report, cancel, retry.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use campaign::execution::{Document, Report, ReportError, RepositoryInput, job_order};
use dispatcher::{Event, GroupView, JobFilter};
use engine::ops::{CancelOp, CancelOutcome};
use http::{HeaderMap, StatusCode};
use model::{GroupId, GroupState, JobState};
use serde::Deserialize;

use crate::Door;
use crate::status::Failure;
use crate::types::{
    Canceled, CreatedExecution, ExecutionSummary, NewExecution, Progress, Retried, RunningJob,
};

fn unknown(id: GroupId) -> Failure {
    Failure::not_found(format!("there is no execution {id}"))
}

pub(crate) async fn create(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<CreatedExecution>, Failure> {
    let asked: NewExecution =
        serde_json::from_slice(&body).map_err(|error| Failure::bad(error.to_string()))?;
    let parsed = spec::parse(&asked.file, asked.spec.as_bytes()).map_err(Failure::diagnostics)?;
    let mut spec = parsed.spec;
    for variable in spec.steps.iter_mut().flat_map(|step| &mut step.env) {
        // A value is text, not a template. What has none may be a secret.
        if variable.value.is_none()
            && let Some(value) = asked.environment.get(&variable.name)
        {
            variable.value = Some(spec::literal(value));
        }
    }
    let mut missing = door.service.missing_secrets(&asked.file, &spec).await?;
    for diagnostic in &mut missing {
        let hint = diagnostic.hint.take().unwrap_or_default();
        diagnostic.hint = Some(format!("set it where the command runs; or {hint}"));
    }
    let named: Vec<RepositoryInput> = asked
        .repositories
        .iter()
        .map(|named| RepositoryInput { name: named.name.clone(), branch: named.branch.clone() })
        .collect();
    let planned = campaign::execution::plan(&asked.file, &spec, &named, &door.searcher).await;
    let plan = match planned {
        Ok(plan) if missing.is_empty() => plan,
        Ok(_) => return Err(Failure::diagnostics(missing)),
        Err(error) => {
            missing.extend(error.diagnostics);
            return Err(Failure::diagnostics(missing));
        }
    };
    for mount in &asked.mounts {
        if !door.cas.contains(crate::blobs_door::parse(&mount.digest)?) {
            return Err(Failure::bad(format!(
                "the mounted file `{}` was not uploaded",
                mount.path
            )));
        }
    }
    let mut notices: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
    notices.extend(plan.notices.iter().cloned());
    notices.extend(plan.skipped.iter().map(ToString::to_string));
    let document = Document {
        file: asked.file,
        text: asked.spec,
        spec,
        options: asked.options,
        mounts: asked.mounts,
        notices: notices.clone(),
        origin: None,
    };
    if asked.dry_run {
        let workspaces = plan.workspaces.iter().map(|workspace| {
            let job = &workspace.job;
            let path = if job.path.is_empty() { String::new() } else { format!(":{}", job.path) };
            format!("{}{path}@{}", job.repository, job.commit)
        });
        let workspaces: Vec<String> = workspaces.collect();
        let jobs = workspaces.len() as u64;
        return Ok(Json(CreatedExecution { execution: None, jobs, notices, workspaces }));
    }
    let key = headers
        .get("idempotency-key")
        .map(|key| (String::from_utf8_lossy(key.as_bytes()), &body[..]));
    let key = key.as_ref().map(|(key, body)| (&**key, *body));
    let submitted =
        campaign::execution::submit(&door.dispatcher, "local", &document, &plan, key).await?;
    Ok(Json(CreatedExecution {
        execution: Some(submitted.execution.0),
        jobs: submitted.jobs,
        notices,
        workspaces: Vec::new(),
    }))
}

fn summary(group: &GroupView) -> ExecutionSummary {
    let (open, finished_ms) = match group.state {
        GroupState::Open { jobs } => (jobs, None),
        GroupState::Finished { at } => (0, Some(at.0)),
    };
    ExecutionSummary {
        execution: group.id.0,
        name: group.group.name.to_string(),
        owner: group.group.owner.to_string(),
        jobs: group.jobs,
        open,
        created_ms: group.created.0,
        finished_ms,
    }
}

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    before: Option<u64>,
    limit: Option<usize>,
}

pub(crate) async fn list(
    State(door): State<Arc<Door>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<ExecutionSummary>>, Failure> {
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    let groups = door.dispatcher.reader().groups(query.before.map(GroupId), limit)?;
    Ok(Json(groups.iter().map(summary).collect()))
}

pub(crate) async fn show(
    State(door): State<Arc<Door>>,
    Path(id): Path<u64>,
) -> Result<Json<ExecutionSummary>, Failure> {
    let group = door.dispatcher.reader().group(GroupId(id))?;
    group.map(|group| Json(summary(&group))).ok_or_else(|| unknown(GroupId(id)))
}

pub(crate) async fn report(
    State(door): State<Arc<Door>>,
    Path(id): Path<u64>,
) -> Result<Json<Report>, Failure> {
    campaign::execution::report(&door.dispatcher, &door.cas, GroupId(id)).map(Json).map_err(
        |error| match error {
            ReportError::Unknown(id) => unknown(id),
            ReportError::Store(error) => error.into(),
        },
    )
}

#[derive(Deserialize)]
pub(crate) struct ProgressQuery {
    wait: Option<f64>,
    /// How many jobs the caller has seen finished.
    seen: Option<u64>,
}

pub(crate) async fn progress(
    State(door): State<Arc<Door>>,
    Path(id): Path<u64>,
    Query(query): Query<ProgressQuery>,
) -> Result<Json<Progress>, Failure> {
    let id = GroupId(id);
    let mut events = door.dispatcher.events();
    let wait = crate::seconds(query.wait, 30.0);
    let deadline = tokio::time::Instant::now() + wait;
    let now = look(&door, id).await?;
    if now.finished || query.seen.is_none() {
        return Ok(Json(now));
    }
    // A look costs as much as there are jobs, so what happens shortly after one another is told at once; the end never waits.
    let changed = query.seen != Some(now.succeeded + now.failed);
    let mut answer_at = if changed { soon().min(deadline) } else { deadline };
    loop {
        match tokio::time::timeout_at(answer_at, events.recv()).await {
            Ok(Ok(Event::JobFinished { group: Some(group), .. })) if group == id => {
                answer_at = answer_at.min(soon());
            }
            Ok(Ok(Event::GroupFinished { group })) if group == id => break,
            Ok(Ok(_)) => {}
            // Missed some, or the time is up.
            Ok(Err(_)) | Err(_) => break,
        }
    }
    look(&door, id).await.map(Json)
}

fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_millis(100)
}

async fn look(door: &Arc<Door>, id: GroupId) -> Result<Progress, Failure> {
    let door = door.clone();
    tokio::task::spawn_blocking(move || read_progress(&door, id))
        .await
        .map_err(|error| Failure::internal(&error))?
}

fn read_progress(door: &Door, id: GroupId) -> Result<Progress, Failure> {
    let reader = door.dispatcher.reader();
    let group = reader.group(id)?.ok_or_else(|| unknown(id))?;
    let mut progress = Progress {
        jobs: group.jobs,
        queued: 0,
        succeeded: 0,
        failed: 0,
        running: Vec::new(),
        finished: matches!(group.state, GroupState::Finished { .. }),
        waiting: None,
    };
    let mut first_queued = None;
    let mut after = None;
    loop {
        let filter = JobFilter { group: Some(id), after, limit: 1000, ..JobFilter::default() };
        let page = reader.jobs(filter)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for view in &page {
            match &view.state {
                JobState::Queued { .. } => {
                    first_queued.get_or_insert(view.id);
                    progress.queued += 1;
                }
                JobState::Running { .. } => {
                    let label = job_order(&view.job.payload).map_or_else(
                        || format!("job {}", view.id),
                        |w| {
                            if w.path.is_empty() {
                                w.repository
                            } else {
                                format!("{}/{}", w.repository, w.path)
                            }
                        },
                    );
                    progress.running.push(RunningJob { job: view.id.0, label });
                }
                JobState::Finished { outcome, .. } if outcome.is_success() => {
                    progress.succeeded += 1
                }
                JobState::Finished { .. } => progress.failed += 1,
            }
        }
    }
    if progress.running.is_empty()
        && let Some(job) = first_queued
    {
        progress.waiting = Some(door.dispatcher.explain(job).to_string());
    }
    Ok(progress)
}

pub(crate) async fn cancel(
    State(door): State<Arc<Door>>,
    Path(id): Path<u64>,
) -> Result<Json<Canceled>, Failure> {
    let id = GroupId(id);
    match door.dispatcher.cancel(CancelOp::Group(id)).await {
        CancelOutcome::Canceled { queued, running } => Ok(Json(Canceled { queued, running })),
        CancelOutcome::NotLive => {
            door.dispatcher.reader().group(id)?.ok_or_else(|| unknown(id))?;
            Err(Failure::new(StatusCode::CONFLICT, format!("execution {id} is over already")))
        }
    }
}

pub(crate) async fn retry(
    State(door): State<Arc<Door>>,
    Path(id): Path<u64>,
) -> Result<Json<Retried>, Failure> {
    let id = GroupId(id);
    door.dispatcher.reader().group(id)?.ok_or_else(|| unknown(id))?;
    let retried = door.dispatcher.retry_failed(id).await?;
    if let Some(why) = retried.incomplete() {
        return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, why));
    }
    Ok(Json(Retried { jobs: retried.queued.into_iter().map(|id| id.0).collect() }))
}
