//! One token for people and their tools. Runners have another, which opens nothing here.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use subtle::ConstantTimeEq;

use crate::Door;
use crate::status::Failure;

/// The digest of the token that opens this door.
pub struct Token([u8; 32]);

impl Token {
    pub fn new(token: &str) -> Self {
        Self(*blake3::hash(token.as_bytes()).as_bytes())
    }

    pub(crate) fn accepts(&self, token: &str) -> bool {
        let digest: [u8; 32] = *blake3::hash(token.as_bytes()).as_bytes();
        self.0.ct_eq(&digest).into()
    }
}

pub(crate) async fn require(
    State(door): State<Arc<Door>>,
    request: Request,
    next: Next,
) -> Response {
    let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match value.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) if door.token.accepts(token) => next.run(request).await,
        Some(_) => {
            Failure::new(StatusCode::UNAUTHORIZED, "the token is not this server's").into_response()
        }
        None => Failure::new(
            StatusCode::UNAUTHORIZED,
            "no token: send `Authorization: Bearer TOKEN`; `phalanx up` prints it",
        )
        .into_response(),
    }
}
