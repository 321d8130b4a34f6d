//! `POST /.executors/queue/dequeue` and `…/queue/{queue}/dequeue`: the next job, or 204.
//!
//! Extension: `Prefer: wait=SECONDS` waits for one.

use std::collections::BTreeSet;
use std::sync::Arc;

use dispatcher::{Poll, PollReply};
use engine::ops::{RegisterOp, RegisterOutcome, RunnerSpec};
use executor_protocol::DequeueRequest;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use model::{RunnerName, Session, limit};

use crate::status::{self, Answer, Refusal};
use crate::{Door, auth, body, convert};

/// An unmodified executor does not say how many jobs it takes at once; it simply stops asking.
const UNSTATED_SLOTS: u32 = 1024;

pub(crate) async fn handle(
    door: &Door,
    queue: Option<String>,
    request: Request<Incoming>,
) -> Answer {
    auth::executor(door, request.headers())?;
    let wait = body::preferred_wait(request.headers());
    let asked: DequeueRequest = body::read_json(request.into_body(), limit::REQUEST_BYTES).await?;
    if asked.executor_name.is_empty() {
        let text = "worker hostname cannot be empty";
        return Err(Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    let with_queue = queue.is_none();
    let queues: BTreeSet<Arc<str>> = match queue {
        Some(queue) => [queue.into()].into(),
        None => asked.queues.iter().map(|queue| queue.as_str().into()).collect(),
    };
    if queues.is_empty() {
        return status::no_content();
    }
    let runner = RunnerName::new(&asked.executor_name);
    let extension = asked.phalanx.clone().unwrap_or_default();
    let session = Session(extension.session);
    if asked.phalanx.is_none() {
        // Executors do not register: each dequeue says anew what they are.
        let spec = runner_spec(&asked, queues.clone())?;
        if !door.dispatcher.is_registered(&spec) {
            registered(door.dispatcher.register(RegisterOp { runner: spec }).await)?;
        }
    }
    let poll = || {
        let runner = runner.clone();
        let poll =
            Poll { runner, session, poll: extension.poll, want: 1, facts: None, idle: false };
        door.dispatcher.poll(poll, wait)
    };
    let mut reply = poll().await;
    if matches!(reply, PollReply::UnknownRunner) {
        let spec = runner_spec(&asked, queues)?;
        registered(door.dispatcher.register(RegisterOp { runner: spec }).await)?;
        reply = poll().await;
    }
    match reply {
        PollReply::Jobs(granted) => match convert::jobs(door, granted, with_queue).await?.pop() {
            None => status::no_content(),
            Some(job) => status::json(StatusCode::OK, &job),
        },
        PollReply::UnknownRunner => Err(Refusal::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the runner was removed while it asked; ask again",
        )),
        PollReply::SessionSuperseded => Err(superseded()),
    }
}

/// A newer process has the runner's name.
pub(crate) fn superseded() -> Refusal {
    Refusal::error(
        StatusCode::CONFLICT,
        "another process with this runner's name connected later; give each runner its own name",
    )
}

fn runner_spec(asked: &DequeueRequest, queues: BTreeSet<Arc<str>>) -> Result<RunnerSpec, Refusal> {
    let extension = asked.phalanx.as_ref();
    let mut dimensions =
        convert::dimensions(&extension.map(|e| e.dimensions.clone()).unwrap_or_default())?;
    let protocol = if extension.is_some() { "phalanx" } else { "executor" };
    let taken = dimensions.add("protocol", protocol);
    taken.map_err(|error| Refusal::text(StatusCode::BAD_REQUEST, error.to_string()))?;
    let slots = extension.map(|e| e.slots).filter(|slots| *slots > 0).unwrap_or(UNSTATED_SLOTS);
    Ok(RunnerSpec {
        name: RunnerName::new(&asked.executor_name),
        session: Session(extension.map_or(0, |e| e.session)),
        queues,
        dimensions,
        slots,
        keep: false,
    })
}

pub(crate) fn registered(outcome: RegisterOutcome) -> Result<(), Refusal> {
    match outcome {
        RegisterOutcome::Registered => Ok(()),
        RegisterOutcome::SessionSuperseded => Err(superseded()),
        RegisterOutcome::Refused { what } => Err(Refusal::text(StatusCode::BAD_REQUEST, what)),
    }
}
