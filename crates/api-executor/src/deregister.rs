//! `POST /.executors/phalanx/deregister`: a runner says that it is gone.

use engine::ops::DeregisterOp;
use executor_protocol::RegisterRequest;
use http::Request;
use hyper::body::Incoming;
use model::{RunnerName, Session, limit};

use crate::status::{self, Answer};
use crate::{Door, auth, body};

pub(crate) async fn handle(door: &Door, request: Request<Incoming>) -> Answer {
    auth::executor(door, request.headers())?;
    let asked: RegisterRequest = body::read_json(request.into_body(), limit::REQUEST_BYTES).await?;
    let runner = RunnerName::new(&asked.executor_name);
    // A process that ends late must not take its successor with it.
    let session = door.dispatcher.runners().into_iter().find(|info| info.name == runner);
    if session.is_some_and(|info| info.session == Session(asked.session)) {
        door.dispatcher.deregister(DeregisterOp { runner }).await;
    }
    status::no_content()
}
