//! `markComplete`, `markErrored`, `markFailed`: how an unmodified executor ends a job. 204, or 404 when it is not the caller's.

use dispatcher::CompleteReply;
use executor_protocol::MarkRequest;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use model::{Evidence, JobId, Outcome, RunnerName, TimeoutKind, limit};

use crate::status::{self, Answer, Refusal};
use crate::{Door, auth, body, convert};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Complete,
    Errored,
    Failed,
}

pub(crate) async fn handle(door: &Door, request: Request<Incoming>, mark: Mark) -> Answer {
    let caller = auth::job(door, request.headers())?;
    let asked: MarkRequest = body::read_json(request.into_body(), limit::REQUEST_BYTES).await?;
    let job = JobId(asked.job_id);
    let runner = RunnerName::new(&asked.executor_name);
    let not_the_callers = || status::json(StatusCode::NOT_FOUND, &serde_json::Value::Null);
    let Ok(token) = caller.token_for(door, job, &runner) else { return not_the_callers() };
    let message = convert::clip(&asked.error_message, 4096);
    let outcome = match mark {
        Mark::Complete => Outcome::Succeeded,
        Mark::Errored if message.contains("exceeded maximum execution time") => {
            Outcome::TimedOut { which: TimeoutKind::Job }
        }
        Mark::Errored | Mark::Failed => {
            Outcome::Failed { exit: door.entries.last_failure(job).unwrap_or(1) }
        }
    };
    // The original says nothing of its log's length: what arrived is what there is.
    let (log_bytes, log_crc32) = door.dispatcher.logs().summary(job, token.attempt());
    let evidence = Evidence {
        log_bytes,
        log_crc32,
        message: (!message.is_empty()).then(|| message.into()),
        ..Evidence::default()
    };
    match door.dispatcher.complete(job, token, outcome, evidence).await {
        CompleteReply::Finished { .. } => {
            door.entries.forget(job);
            status::no_content()
        }
        CompleteReply::Already { .. } => status::no_content(),
        CompleteReply::Conflict { .. } | CompleteReply::Fenced(_) => not_the_callers(),
        CompleteReply::LogIncomplete { .. } => {
            Err(Refusal::error(StatusCode::CONFLICT, "the log grew while the job ended; try again"))
        }
    }
}
