//! `POST /.executors/phalanx/log?offset=N`: bytes of the log at an offset. The body is the bytes; the headers name the job.

use executor_protocol::LogReply;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use model::limit;

use blobs::AppendError;
use dispatcher::AppendReply;

use crate::status::{self, Answer, Refusal};
use crate::{Door, auth, body};

pub(crate) async fn handle(door: &Door, request: Request<Incoming>) -> Answer {
    let caller = auth::job(door, request.headers())?;
    let query = request.uri().query().unwrap_or_default();
    let offset = query.split('&').find_map(|pair| pair.strip_prefix("offset=")?.parse().ok());
    let bad = |text: &str| Refusal::text(StatusCode::BAD_REQUEST, text);
    let offset: u64 = offset.ok_or_else(|| bad("no `offset=N` in the query"))?;
    let (Some(job), Some(runner)) = (caller.job, caller.runner.clone()) else {
        return Err(bad("no X-Sourcegraph-Job-ID or X-Sourcegraph-Executor-Name header"));
    };
    let token = caller.token_for(door, job, &runner)?;
    let bytes = body::read(request.into_body(), limit::LOG_CHUNK_BYTES).await?;
    let (status, reply) = append(door, job, token, offset, &bytes).await?;
    status::json(status, &reply)
}

/// Appends and says where the log stands; a refused chunk is 416 with the same reply, as the range was wrong.
pub(crate) async fn append(
    door: &Door,
    job: model::JobId,
    token: model::LeaseToken,
    offset: u64,
    bytes: &[u8],
) -> Result<(StatusCode, LogReply), Refusal> {
    match door.dispatcher.append_log(job, token, offset, bytes).await {
        AppendReply::Appended { appended, cancel } => Ok((
            StatusCode::OK,
            LogReply {
                received: appended.received,
                durable: appended.durable,
                cancel: cancel.is_requested(),
            },
        )),
        AppendReply::Fenced(_) | AppendReply::Refused(AppendError::Closed) => {
            Err(Refusal::fenced())
        }
        AppendReply::Refused(
            AppendError::Gap { expected }
            | AppendError::Conflict { expected }
            | AppendError::TooLong { expected },
        ) => {
            let reply = LogReply { received: expected, durable: 0, cancel: false };
            Ok((StatusCode::RANGE_NOT_SATISFIABLE, reply))
        }
        AppendReply::Refused(AppendError::Log(error)) => Err(Refusal::internal(&error)),
    }
}
