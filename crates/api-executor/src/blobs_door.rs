//! `GET`, `HEAD` and `PUT /.executors/phalanx/blobs/{digest}`: bytes by their SHA-256. What is uploaded is checked while it
//! streams, and visible only when it is durable.

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use model::Digest;

use blobs::CasError;

use crate::status::{self, Answer, Refusal};
use crate::{Door, auth, full};

pub(crate) async fn handle(door: &Door, request: Request<Incoming>, digest: &str) -> Answer {
    auth::executor(door, request.headers())?;
    let bad =
        |error: &dyn std::fmt::Display| Refusal::text(StatusCode::BAD_REQUEST, error.to_string());
    let digest = Digest::parse_hex(digest).map_err(|error| bad(&error))?;
    let method = request.method().clone();
    if method == Method::PUT {
        put(door, digest, request.into_body()).await?;
        return status::no_content();
    }
    if method == Method::HEAD {
        let size = door.cas.size(digest).ok_or_else(Refusal::not_found)?;
        let mut response = Response::new(full(""));
        response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
        return Ok(response);
    }
    if method != Method::GET {
        return Err(Refusal::text(StatusCode::METHOD_NOT_ALLOWED, "use GET, HEAD or PUT"));
    }
    let cas = door.cas.clone();
    let read = tokio::task::spawn_blocking(move || cas.get(digest)).await;
    match read.expect("reading a blob does not panic") {
        Ok(bytes) => Ok(Response::new(full(bytes))),
        Err(CasError::Missing(_)) => Err(Refusal::not_found()),
        Err(error) => Err(Refusal::internal(&error)),
    }
}

async fn put(door: &Door, digest: Digest, mut body: Incoming) -> Result<(), Refusal> {
    if door.cas.contains(digest) {
        // What is not read is cut off by closing the connection; a small rest is read.
        return Ok(());
    }
    let refuse = |error: CasError| match error {
        CasError::Mismatch { .. } => Refusal::text(StatusCode::BAD_REQUEST, error.to_string()),
        CasError::TooLong => Refusal::text(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        error => Refusal::internal(&error),
    };
    let mut upload = door.cas.begin().map_err(refuse)?;
    while let Some(frame) = body.frame().await {
        let broken = |_| Refusal::text(StatusCode::BAD_REQUEST, "the body did not arrive whole");
        if let Ok(bytes) = frame.map_err(broken)?.into_data() {
            tokio::task::block_in_place(|| upload.write(&bytes)).map_err(refuse)?;
        }
    }
    tokio::task::block_in_place(|| upload.finish(Some(digest))).map_err(refuse)?;
    Ok(())
}
