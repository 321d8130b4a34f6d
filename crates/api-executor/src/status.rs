//! Refusals and how the wire says them.

use bytes::Bytes;
use http::{Response, StatusCode, header};

use crate::{Body, full};

/// What an endpoint gives back.
pub(crate) type Answer = Result<Response<Body>, Refusal>;

/// A request that is not done, with the status and text that its client expects.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Empty,
    Text(String),
    Json(String),
}

impl Refusal {
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, content: Content::Empty }
    }

    pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, content: Content::Text(text.into()) }
    }

    /// The shape of an executor endpoint's errors.
    pub(crate) fn error(status: StatusCode, message: impl std::fmt::Display) -> Self {
        let body = serde_json::json!({ "error": message.to_string() });
        Self { status, content: Content::Json(body.to_string()) }
    }

    pub(crate) fn not_found() -> Self {
        Self::text(StatusCode::NOT_FOUND, "there is no such path")
    }

    pub(crate) fn bad_json(error: &serde_json::Error) -> Self {
        Self::text(StatusCode::BAD_REQUEST, format!("Failed to unmarshal payload: {error}"))
    }

    /// The worker is not the job's any more: it must stop (I7). Only our own clients look at the code.
    pub(crate) fn fenced() -> Self {
        Self::error(StatusCode::GONE, "fenced: the job is not yours any more; stop it")
    }

    /// Detail goes to the log, never to the client.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says more")
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let (kind, text) = match self.content {
            Content::Empty => ("text/plain", String::new()),
            Content::Text(text) => ("text/plain; charset=utf-8", text + "\n"),
            Content::Json(text) => ("application/json", text),
        };
        let mut response = Response::new(full(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
        let nosniff = header::HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        response
    }
}

pub(crate) fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    let text = serde_json::to_vec(value).map_err(|error| Refusal::internal(&error))?;
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

pub(crate) fn no_content() -> Answer {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
