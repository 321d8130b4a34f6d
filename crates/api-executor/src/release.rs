//! `POST /.executors/phalanx/release`: a runner gives a job back.

use engine::ops::{ReleaseOp, ReleaseOutcome};
use executor_protocol::ReleaseRequest;
use http::Request;
use hyper::body::Incoming;
use model::{JobId, LeaseToken, limit};

use crate::status::{self, Answer, Refusal};
use crate::{Door, auth, body, convert};

pub(crate) async fn handle(door: &Door, request: Request<Incoming>) -> Answer {
    auth::executor(door, request.headers())?;
    let asked: ReleaseRequest = body::read_json(request.into_body(), limit::REQUEST_BYTES).await?;
    let token = LeaseToken::parse_hex(&asked.token).map_err(|_| Refusal::fenced())?;
    let why = convert::clip(&asked.why, 1024).to_owned();
    let op = ReleaseOp { job: JobId(asked.id), token, why, undelivered: false };
    match door.dispatcher.release(op).await {
        ReleaseOutcome::Released => status::no_content(),
        ReleaseOutcome::Fenced(_) => Err(Refusal::fenced()),
    }
}
