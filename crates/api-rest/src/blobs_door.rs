//! Bytes by digest: patches to fetch, mounted files to send.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use blobs::CasError;
use futures::StreamExt;
use http::StatusCode;
use model::Digest;

use crate::Door;
use crate::status::Failure;

pub(crate) fn parse(digest: &str) -> Result<Digest, Failure> {
    Digest::parse_hex(digest).map_err(|error| Failure::bad(error.to_string()))
}

pub(crate) async fn get(
    State(door): State<Arc<Door>>,
    Path(digest): Path<String>,
) -> Result<Bytes, Failure> {
    let digest = parse(&digest)?;
    match door.cas.get(digest) {
        Ok(bytes) => Ok(bytes.into()),
        Err(CasError::Missing(_)) => {
            Err(Failure::not_found(format!("there is no blob `{digest}`")))
        }
        Err(error) => Err(Failure::internal(&error)),
    }
}

pub(crate) async fn put(
    State(door): State<Arc<Door>>,
    Path(digest): Path<String>,
    body: Body,
) -> Result<StatusCode, Failure> {
    let digest = parse(&digest)?;
    let refuse = |error: CasError| match error {
        CasError::Mismatch { .. } | CasError::TooLong => Failure::bad(error.to_string()),
        error => Failure::internal(&error),
    };
    let mut upload = door.cas.begin().map_err(refuse)?;
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Failure::bad("the body did not arrive whole"))?;
        tokio::task::block_in_place(|| upload.write(&chunk)).map_err(refuse)?;
    }
    tokio::task::block_in_place(|| upload.finish(Some(digest))).map_err(refuse)?;
    Ok(StatusCode::NO_CONTENT)
}
