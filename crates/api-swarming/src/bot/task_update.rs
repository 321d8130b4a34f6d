//! `task_update`: what a task prints, that it lives, and how it ended.

use std::sync::Arc;

use blobs::AppendError;
use bytes::Bytes;
use dispatcher::{AppendReply, CompleteReply};
use fleet::{Task, Update};
use http::Response;
use model::{Evidence, JobId, LeaseToken, Outcome, RunnerName, TimeoutKind, limit};
use prost::Message;

use super::task::{MAX_OUTPUT_BYTES, check_update, is_completion, task_id};
use super::wire::{TaskUpdateRequest, TaskUpdateResponse};
use super::{BotCaller, json, read, said_of};
use crate::proto::stored::Report;
use crate::proto::swarming as proto;
use crate::prpc::Status;
use crate::server::{Server, now};
use crate::tasks::hand;
use crate::tasks::view::TaskView;
use crate::validate::TaskId;

/// Said of a task that is over.
const OVER: &str = "The task is already marked as completed on the server";
const KILL: &str = "the task was asked to stop";
const FOREIGN: &str = "the task is not run by this bot";

pub(super) async fn handle(
    server: &Arc<Server>,
    caller: &BotCaller,
    in_path: Option<&str>,
    body: &[u8],
) -> Result<Response<Bytes>, Status> {
    let update: TaskUpdateRequest = read(body)?;
    check_update(&update)?;
    let task = task_id(in_path, update.task_id.as_deref())?;
    let bot = update.id.as_deref().unwrap_or_default();
    let runner = RunnerName::new(bot);
    server.fleet.touch(&runner, now());
    let ends = is_completion(&update);
    let Some((running, token)) = server.running(task, &hand(bot))? else {
        return not_running(server, task, &runner, ends);
    };
    let job = running.job;
    let output = update.output.as_deref().unwrap_or_default();
    let start = update.output_chunk_start.unwrap_or_default();
    let must_stop = match append(server, job, token, start, output).await? {
        Appended::Goes { cancel } => cancel,
        Appended::Fenced => return not_running(server, task, &runner, ends),
    };
    server.heard(task);
    if ends {
        let killed = match complete(server, job, token, &update).await? {
            Some(recorded) => recorded == Outcome::Killed,
            None => return not_running(server, task, &runner, ends),
        };
        server.ended(task);
        let number = u64::try_from(task.number()).ok();
        let event = Update {
            address: Some(caller.address.clone()),
            identity: Some(caller.identity.into()),
            task: Task::Clear,
            about: number,
            terminated_by: running.is_termination.then_some(number),
            ..said_of(if killed { "task_killed" } else { "task_completed" })
        };
        server.fleet.update(&runner, event, now());
        return reply(true, false, None);
    }
    reply(true, must_stop, must_stop.then_some(KILL))
}

fn reply(ok: bool, must_stop: bool, why: Option<&str>) -> Result<Response<Bytes>, Status> {
    json(&TaskUpdateResponse { must_stop, stop_reason: why, ok, session: None })
}

/// The task is over, another bot's, or unknown: only the first is fine.
fn not_running(
    server: &Server,
    task: TaskId,
    runner: &RunnerName,
    ends: bool,
) -> Result<Response<Bytes>, Status> {
    let view = TaskView::find(server, task)?;
    let hand = hand(runner.as_str());
    let own = view.and_then(|view| view.attempt).is_some_and(|a| a.record.runner == hand);
    match (own, ends) {
        (true, true) => reply(true, false, None),
        (true, false) => reply(true, true, Some(OVER)),
        (false, true) => reply(false, false, None),
        (false, false) => reply(false, true, Some(FOREIGN)),
    }
}

enum Appended {
    Goes { cancel: bool },
    Fenced,
}

/// Puts output where it belongs. A gap becomes zeros, what is there already stays, and what is too much is dropped.
async fn append(
    server: &Server,
    job: JobId,
    token: LeaseToken,
    start: i64,
    output: &[u8],
) -> Result<Appended, Status> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let room = usize::try_from(MAX_OUTPUT_BYTES.saturating_sub(start)).unwrap_or(0);
    let mut rest = &output[..output.len().min(room)];
    // Empty is a sign of life; the start of every log is a place to say so.
    let mut offset = if rest.is_empty() { 0 } else { u64::try_from(start).unwrap_or_default() };
    loop {
        let piece = &rest[..rest.len().min(limit::LOG_CHUNK_BYTES)];
        match server.dispatcher.append_log(job, token, offset, piece).await {
            AppendReply::Appended { cancel, .. } => {
                rest = &rest[piece.len()..];
                offset += piece.len() as u64;
                if rest.is_empty() {
                    return Ok(Appended::Goes { cancel: cancel.is_requested() });
                }
            }
            AppendReply::Refused(AppendError::Gap { expected }) => {
                let missing = usize::try_from(offset - expected).unwrap_or(usize::MAX);
                let zeros = &ZEROS[..missing.min(ZEROS.len())];
                match server.dispatcher.append_log(job, token, expected, zeros).await {
                    AppendReply::Appended { .. } => {}
                    AppendReply::Fenced(_) | AppendReply::Refused(AppendError::Closed) => {
                        return Ok(Appended::Fenced);
                    }
                    AppendReply::Refused(AppendError::Log(error)) => {
                        return Err(Status::internal(&error));
                    }
                    // It does not fit, so what lies behind it does not either.
                    AppendReply::Refused(
                        AppendError::TooLong { .. }
                        | AppendError::Gap { .. }
                        | AppendError::Conflict { .. },
                    ) => {
                        rest = &[];
                        offset = 0;
                    }
                }
            }
            AppendReply::Refused(AppendError::Conflict { expected }) => {
                // Sent before, in another form: what is stored counts.
                let known = usize::try_from(expected.saturating_sub(offset)).unwrap_or(usize::MAX);
                if known == 0 || known >= rest.len() {
                    rest = &[];
                    offset = 0;
                } else {
                    rest = &rest[known..];
                    offset = expected;
                }
            }
            AppendReply::Refused(AppendError::TooLong { .. }) => {
                rest = &[];
                offset = 0;
            }
            AppendReply::Refused(AppendError::Closed) | AppendReply::Fenced(_) => {
                return Ok(Appended::Fenced);
            }
            AppendReply::Refused(AppendError::Log(error)) => return Err(Status::internal(&error)),
        }
    }
}

/// How the task ended, as recorded. `None` when it was not this bot's any more.
async fn complete(
    server: &Server,
    job: JobId,
    token: LeaseToken,
    update: &TaskUpdateRequest,
) -> Result<Option<Outcome>, Status> {
    let outcome = if update.canceled == Some(true) {
        Outcome::Canceled
    } else if update.hard_timeout == Some(true) {
        Outcome::TimedOut { which: TimeoutKind::Job }
    } else if update.io_timeout == Some(true) {
        Outcome::TimedOut { which: TimeoutKind::Step }
    } else {
        match update.exit_code.unwrap_or_default() {
            0 => Outcome::Succeeded,
            code => Outcome::Failed {
                exit: i32::try_from(code).unwrap_or(if code < 0 { i32::MIN } else { i32::MAX }),
            },
        }
    };
    end(server, job, token, outcome, report(update), None).await
}

/// Ends a task's attempt with what its bot reported.
pub(super) async fn end(
    server: &Server,
    job: JobId,
    token: LeaseToken,
    outcome: Outcome,
    report: Report,
    message: Option<Arc<str>>,
) -> Result<Option<Outcome>, Status> {
    let report: Arc<[u8]> = report.encode_to_vec().into();
    if report.len() > limit::REPORT_BYTES {
        return Err(Status::invalid("the report of the task's end is too long"));
    }
    loop {
        let (log_bytes, log_crc32) = server.dispatcher.logs().summary(job, token.attempt());
        let evidence = Evidence {
            log_bytes,
            log_crc32,
            message: message.clone(),
            report: Some(report.clone()),
            ..Evidence::default()
        };
        match server.dispatcher.complete(job, token, outcome.clone(), evidence).await {
            CompleteReply::Finished { recorded }
            | CompleteReply::Already { recorded }
            | CompleteReply::Conflict { recorded } => return Ok(Some(recorded)),
            // A copy of an update came in between.
            CompleteReply::LogIncomplete { .. } => {}
            CompleteReply::Fenced(_) => return Ok(None),
        }
    }
}

fn report(update: &TaskUpdateRequest) -> Report {
    let root = update.cas_output_root.clone().map(proto::CasReference::from);
    // A client that finds a reference without a digest breaks.
    let root = root.filter(|root| root.digest.as_ref().is_some_and(|d| !d.hash.is_empty()));
    Report {
        exit_code: update.exit_code,
        duration: update.duration,
        cost_usd: update.cost_usd.unwrap_or_default(),
        cas_output_root: root,
        cipd_pins: update.cipd_pins.clone().map(Into::into),
        performance_stats: update.bot_overhead.map(|_| update.performance_stats()),
        ..Report::default()
    }
}
