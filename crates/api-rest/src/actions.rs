//! What other machines call: a pipeline that runs an action, and a code host that tells what happened.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use campaign::action::Reason;
use campaign::service::{Caller, NewRun, Refusal};
use http::{HeaderMap, StatusCode, header};
use model::CodeHostId;

use crate::Door;
use crate::status::Failure;
use crate::types::StartedAction;

fn refuse(refusal: Refusal) -> Failure {
    let status = match &refusal {
        Refusal::NotFound(_) => StatusCode::NOT_FOUND,
        Refusal::Forbidden { .. } => StatusCode::FORBIDDEN,
        Refusal::Conflict(_) | Refusal::NameTaken { .. } => StatusCode::CONFLICT,
        Refusal::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Store(error) => return Failure::internal(error),
    };
    match refusal {
        Refusal::Invalid { diagnostics, .. } if !diagnostics.is_empty() => {
            Failure::diagnostics(diagnostics)
        }
        refusal => Failure::new(status, refusal.to_string()),
    }
}

/// `POST /actions/{name}/run` with an access token. The same `Idempotency-Key` again runs nothing twice.
pub(crate) async fn run(
    State(door): State<Arc<Door>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Json<StartedAction>, Failure> {
    let text = |name: header::HeaderName| headers.get(name)?.to_str().ok();
    let token = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let refused = || Failure::new(StatusCode::UNAUTHORIZED, "send `Authorization: Bearer TOKEN`");
    let token = token.ok_or_else(refused)?;
    let caller = match door.token.accepts(token) {
        true => Some(Caller::operator()),
        false => door.service.caller(token).await.map_err(refuse)?,
    };
    let caller = caller.ok_or_else(refused)?;
    let known = name.clone();
    let action = door.service.blocking(move |it| it.store.action_named(&known)).await?;
    let action =
        action.ok_or_else(|| Failure::not_found(format!("there is no action `{name}`")))?;
    let key = text(header::HeaderName::from_static("idempotency-key"));
    let run = NewRun {
        reason: Reason::Webhook,
        detail: format!("a request with the token of {}", caller.name),
        only: None,
        key: key.map(|key| format!("action/{}/request/{key}", action.id)),
    };
    let started = door.service.run_action(&caller, action.id, run).await.map_err(refuse)?;
    Ok(Json(StartedAction { execution: started.0 }))
}

/// `POST /webhooks/{code host's number}`: a delivery, signed with the host's webhook secret.
pub(crate) async fn webhook(
    State(door): State<Arc<Door>>,
    Path(host): Path<u64>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let host = CodeHostId(host);
    door.service.webhook(host, &headers, &body).await.map_err(refuse)?;
    Ok(StatusCode::NO_CONTENT)
}
