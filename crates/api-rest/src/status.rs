//! Failures on the wire, and the server's own state.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use campaign::service::Refusal;
use engine::ops::Refused;
use http::StatusCode;

use crate::Door;
use crate::types::{Problem, ServerStatus};

/// A request that is not done. The body is a [`Problem`].
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    problem: Problem,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, problem: Problem { error: error.into(), diagnostics: Vec::new() } }
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    pub(crate) fn bad(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what)
    }

    /// The spec or what it names is wrong, in these places.
    pub(crate) fn diagnostics(diagnostics: Vec<spec::Diagnostic>) -> Self {
        let error = match diagnostics.len() {
            1 => "the spec has an error".to_owned(),
            n => format!("the spec has {n} errors"),
        };
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, problem: Problem { error, diagnostics } }
    }

    /// Detail goes to the log, never to the client.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says more")
    }
}

impl From<dispatcher::StoreError> for Failure {
    fn from(error: dispatcher::StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Store(error) => return Self::internal(&error),
            Refusal::Invalid { diagnostics, .. } if !diagnostics.is_empty() => {
                return Self::diagnostics(diagnostics);
            }
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::Forbidden { .. } => StatusCode::FORBIDDEN,
            Refusal::Conflict(_) | Refusal::NameTaken { .. } => StatusCode::CONFLICT,
            Refusal::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, refusal.to_string())
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::KeyReused => Self::new(
                StatusCode::CONFLICT,
                "the idempotency key was used for another request before",
            ),
            Refused::TooMany { what, max } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, format!("more than {max} {what}"))
            }
            Refused::Invalid { what } => Self::bad(what),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.problem)).into_response()
    }
}

/// `GET /api/v1/status`
pub(crate) async fn show(State(door): State<Arc<Door>>) -> Json<ServerStatus> {
    let (queued, running, parked) = door.dispatcher.sizes();
    let counts = door.dispatcher.counts();
    Json(ServerStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        queued: queued as u64,
        running: running as u64,
        parked_polls: parked as u64,
        runners: door.dispatcher.runners().len() as u64,
        submitted: counts.submitted,
        granted: counts.granted,
        finished: counts.finished,
        requeued: counts.requeued,
        fenced: counts.fenced,
        duplicates: counts.duplicates,
    })
}
