//! `POST /.executors/phalanx/work`: log chunks and completions of one job or many, and the next claim, in one request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatcher::{CompleteReply, Poll, PollReply};
use executor_protocol::{
    Completion, JobReply, JobReport, JobStatus, LogReply, WorkReply, WorkRequest,
};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use model::{JobId, LeaseToken, RunnerName, Session, limit};

use crate::status::{self, Answer, Refusal};
use crate::{Door, auth, body, convert, dequeue, log};

pub(crate) async fn handle(door: &Door, request: Request<Incoming>) -> Answer {
    auth::executor(door, request.headers())?;
    let wait = body::preferred_wait(request.headers());
    let asked: WorkRequest = body::read_json(request.into_body(), limit::REQUEST_BYTES).await?;
    // All reports are in the engine before the first commit is awaited, so they share one.
    let reports = futures::future::join_all(asked.jobs.iter().map(|job| report(door, job)));
    let Some(claim) = &asked.claim else {
        let jobs = reports.await.into_iter().collect::<Result<Vec<_>, Refusal>>()?;
        return status::json(StatusCode::OK, &WorkReply { jobs, claimed: Vec::new() });
    };
    let poll = Poll {
        runner: RunnerName::new(&asked.executor_name),
        session: Session(asked.session),
        poll: claim.poll,
        want: claim.want,
        facts: None,
        idle: false,
    };
    let jobs = if asked.jobs.is_empty() {
        Vec::new()
    } else if wait.is_zero() {
        // The slots of what is completed are free in memory at once: claim in the same commit.
        let poll = door.dispatcher.poll(poll, wait);
        let (jobs, reply) = futures::future::join(reports, poll).await;
        let jobs = jobs.into_iter().collect::<Result<Vec<_>, Refusal>>()?;
        return answer(door, jobs, reply).await;
    } else {
        reports.await.into_iter().collect::<Result<Vec<_>, Refusal>>()?
    };
    let reply = door.dispatcher.poll(poll, wait).await;
    answer(door, jobs, reply).await
}

async fn answer(door: &Door, jobs: Vec<JobReply>, reply: PollReply) -> Answer {
    let granted = match reply {
        PollReply::Jobs(granted) => granted,
        PollReply::UnknownRunner => {
            let text = "the runner is not registered; register and ask again";
            return Err(Refusal::error(StatusCode::PRECONDITION_FAILED, text));
        }
        PollReply::SessionSuperseded => return Err(dequeue::superseded()),
    };
    let claimed = convert::jobs(door, granted, true).await?;
    status::json(StatusCode::OK, &WorkReply { jobs, claimed })
}

async fn report(door: &Door, report: &JobReport) -> Result<JobReply, Refusal> {
    let job = JobId(report.id);
    let reply = |status, log| Ok(JobReply { id: report.id, status, log });
    let Ok(token) = LeaseToken::parse_hex(&report.token) else {
        return reply(JobStatus::Fenced, None);
    };
    let mut at = None;
    if let Some(chunk) = &report.log {
        let refuse = |_| Refusal::text(StatusCode::BAD_REQUEST, "a log chunk is not base64");
        let bytes = STANDARD.decode(&chunk.data).map_err(refuse)?;
        if bytes.len() > limit::LOG_CHUNK_BYTES {
            let most = limit::LOG_CHUNK_BYTES;
            let text = format!("the log chunk of job {} is longer than {most} bytes", report.id);
            return Err(Refusal::text(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        match log::append(door, job, token, chunk.offset, &bytes).await {
            Ok((StatusCode::OK, log)) => at = Some(log),
            Ok((_, log)) => return reply(JobStatus::LogRefused, Some(log)),
            // The job may be complete by an earlier copy of this request: that is found below.
            Err(_) if report.complete.is_some() => {}
            Err(_) => return reply(JobStatus::Fenced, None),
        }
    }
    let Some(completion) = &report.complete else {
        if report.log.is_none() {
            // Asks whether the lease still is its own.
            return match log::append(door, job, token, 0, &[]).await {
                Ok((_, log)) => reply(JobStatus::Running, Some(log)),
                Err(_) => reply(JobStatus::Fenced, None),
            };
        }
        return reply(JobStatus::Running, at);
    };
    complete(door, job, token, completion, at).await
}

async fn complete(
    door: &Door,
    job: JobId,
    token: LeaseToken,
    completion: &Completion,
    at: Option<LogReply>,
) -> Result<JobReply, Refusal> {
    let evidence = convert::evidence(completion)?;
    // I25: what a success names is there, with its size.
    let missing = |output: &model::Output| door.cas.size(output.digest) != Some(output.size);
    if evidence.outputs.iter().any(missing) {
        return Ok(JobReply { id: job.0, status: JobStatus::OutputMissing, log: at });
    }
    let outcome = convert::outcome(completion.outcome.clone());
    let reply = door.dispatcher.complete(job, token, outcome, evidence).await;
    let (status, log) = match reply {
        CompleteReply::Finished { .. } | CompleteReply::Already { .. } => (JobStatus::Finished, at),
        CompleteReply::Conflict { .. } => (JobStatus::Conflict, at),
        CompleteReply::Fenced(_) => (JobStatus::Fenced, None),
        CompleteReply::LogIncomplete { have, .. } => {
            (JobStatus::LogIncomplete, Some(LogReply { received: have, durable: 0, cancel: false }))
        }
    };
    Ok(JobReply { id: job.0, status, log })
}
