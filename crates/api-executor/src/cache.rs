//! `GET` and `PUT /.executors/phalanx/cache/{key}`: results of steps.

use campaign::CacheError;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use model::limit;

use crate::status::{self, Answer, Refusal};
use crate::{Door, auth, body};

pub(crate) async fn handle(door: &Door, request: Request<Incoming>, key: &str) -> Answer {
    auth::executor(door, request.headers())?;
    let refuse = |error: CacheError| match error {
        CacheError::BadKey(_) => Refusal::text(StatusCode::BAD_REQUEST, error.to_string()),
        CacheError::Io(_) => Refusal::internal(&error),
    };
    if request.method() == Method::PUT {
        let step = body::read_json(request.into_body(), limit::REQUEST_BYTES).await?;
        door.step_cache.put(key, &step).map_err(refuse)?;
        return status::no_content();
    }
    match door.step_cache.get(key).map_err(refuse)? {
        Some(step) => status::json(StatusCode::OK, &step),
        None => Err(Refusal::not_found()),
    }
}
