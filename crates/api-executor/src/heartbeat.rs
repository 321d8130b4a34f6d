//! `POST /.executors/queue/heartbeat` and `…/queue/{queue}/heartbeat`: what the caller runs goes on; what is to stop.
//!
//! Extension: `Prefer: wait=SECONDS` holds the answer until one of the jobs is to stop.

use engine::ops::{RenewOp, RenewOutcome};
use executor_protocol::{HeartbeatRequest, HeartbeatResponse, WireId};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use model::{JobId, LeaseToken, RunnerName, Session, limit};

use crate::status::{self, Answer, Refusal};
use crate::{Door, auth, body, dequeue};

pub(crate) async fn handle(
    door: &Door,
    queue: Option<String>,
    request: Request<Incoming>,
) -> Answer {
    auth::executor(door, request.headers())?;
    let wait = body::preferred_wait(request.headers());
    let asked: HeartbeatRequest =
        body::read_json(request.into_body(), limit::REQUEST_BYTES).await?;
    if asked.executor_name.is_empty() {
        let text = "worker hostname cannot be empty";
        return Err(Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    // The ids as the caller wrote them, each with the form in which it wants it back.
    let mut named: Vec<(JobId, String)> = Vec::new();
    let mut name = |id: &WireId, suffix: &str| {
        if let Ok(job) = id.0.parse() {
            named.push((job, format!("{}{suffix}", id.0)));
        }
    };
    match queue {
        Some(_) => asked.job_ids.iter().for_each(|id| name(id, "")),
        None => {
            if asked.queue_names.is_empty() {
                let text = "queueNames must be set for multi-queue heartbeats";
                return Err(Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, text));
            }
            for of_queue in &asked.job_ids_by_queue {
                if !asked.queue_names.contains(&of_queue.queue_name) {
                    let text = format!(
                        "unsupported queue name '{}' in jobIdsByQueue",
                        of_queue.queue_name
                    );
                    return Err(Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, text));
                }
                let suffix = format!("-{}", of_queue.queue_name);
                of_queue.job_ids.iter().for_each(|id| name(id, &suffix));
            }
        }
    }
    let extension = asked.phalanx.unwrap_or_default();
    let token = |job: JobId| {
        let text = extension.tokens.get(&job.to_string())?;
        // A token that does not parse fences like a wrong one.
        Some(LeaseToken::parse_hex(text).unwrap_or(LeaseToken([0; 20])))
    };
    let op = RenewOp {
        runner: RunnerName::new(&asked.executor_name),
        session: Session(extension.session),
        jobs: named.iter().map(|(job, _)| (*job, token(*job))).collect(),
    };
    let outcome = if wait.is_zero() {
        door.dispatcher.renew(op).await
    } else {
        door.dispatcher.renew_and_wait(op, wait).await
    };
    let (known, cancel) = match outcome {
        RenewOutcome::Renewed { known, cancel } => (known, cancel),
        // A first heartbeat comes before the first dequeue, which registers.
        RenewOutcome::UnknownRunner => (Vec::new(), Vec::new()),
        RenewOutcome::SessionSuperseded => return Err(dequeue::superseded()),
    };
    let ids = |jobs: &[JobId]| {
        let wanted = named.iter().filter(|(job, _)| jobs.contains(job));
        wanted.map(|(_, text)| WireId(text.clone())).collect()
    };
    let response = HeartbeatResponse { known_ids: ids(&known), cancel_ids: ids(&cancel) };
    status::json(StatusCode::OK, &response)
}
