//! `POST /.executors/phalanx/register`: who a runner is and what it offers.

use engine::ops::{RegisterOp, RunnerSpec};
use executor_protocol::RegisterRequest;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use model::{RunnerName, Session, limit};

use crate::status::{self, Answer, Refusal};
use crate::{Door, auth, body, convert, dequeue};

pub(crate) async fn handle(door: &Door, request: Request<Incoming>) -> Answer {
    auth::executor(door, request.headers())?;
    let asked: RegisterRequest = body::read_json(request.into_body(), limit::REQUEST_BYTES).await?;
    let mut dimensions = convert::dimensions(&asked.dimensions)?;
    let taken = dimensions.add("protocol", "phalanx");
    taken.map_err(|error| Refusal::text(StatusCode::BAD_REQUEST, error.to_string()))?;
    let runner = RunnerSpec {
        name: RunnerName::new(&asked.executor_name),
        session: Session(asked.session),
        queues: asked.queues.iter().map(|queue| queue.as_str().into()).collect(),
        dimensions,
        slots: asked.slots,
        keep: false,
    };
    dequeue::registered(door.dispatcher.register(RegisterOp { runner }).await)?;
    status::no_content()
}
