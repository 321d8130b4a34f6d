//! Credentials to a caller: the server's own token, which is an administrator's, or an access token.

use std::sync::Arc;

use campaign::service::{Caller, Refusal, Service};
use http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use crate::Graph;

/// Everything the endpoint needs.
pub struct Door {
    graph: Graph,
    service: Arc<Service>,
    /// The digest of the server's own token.
    token: [u8; 32],
}

impl Door {
    pub fn new(service: Arc<Service>, token: &str) -> Self {
        let graph = crate::schema(service.clone());
        Self { graph, service, token: *blake3::hash(token.as_bytes()).as_bytes() }
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Whom a token belongs to.
    pub async fn caller(&self, token: &str) -> Result<Option<Caller>, Refusal> {
        let digest: [u8; 32] = *blake3::hash(token.as_bytes()).as_bytes();
        if bool::from(digest.ct_eq(&self.token)) {
            return Ok(Some(Caller::operator()));
        }
        self.service.caller(token).await
    }

    /// The token of a request, as `Bearer TOKEN` or, as Sourcegraph's tools send it, `token TOKEN`.
    pub(crate) fn token_of(headers: &HeaderMap) -> Option<&str> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("token "))
    }
}
