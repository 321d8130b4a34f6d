//! `GET` and `HEAD /.executors/files/batch-changes/{spec}/{file}`: files of a workspace. The file is a blob's digest.

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use model::Digest;

use crate::status::{Answer, Refusal};
use crate::{Door, auth, full};

pub(crate) async fn handle(door: &Door, request: Request<Incoming>, rest: &str) -> Answer {
    auth::job(door, request.headers())?;
    let missing = || Refusal::text(StatusCode::NOT_FOUND, "workspace file does not exist");
    let mut parts = rest.split('/');
    let (Some("batch-changes"), Some(spec), Some(file), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(missing());
    };
    let digest = Digest::parse_hex(file).map_err(|_| missing())?;
    let size = door.cas.size(digest).filter(|_| !spec.is_empty()).ok_or_else(missing)?;
    let mut response = if request.method() == Method::HEAD {
        Response::new(full(""))
    } else {
        let bytes = door.cas.get(digest).map_err(|error| Refusal::internal(&error))?;
        Response::new(full(bytes))
    };
    let kind = header::HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
    Ok(response)
}
