//! GraphQL over HTTP: a query in a POST, a subscription as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use async_graphql::Request;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use campaign::service::Caller;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use crate::Door;

pub fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/api/graphql", post(answer).get(schema))
        .route("/.api/graphql", post(answer))
        .layer(DefaultBodyLimit::max(model::limit::REQUEST_BYTES))
        .with_state(door)
}

/// Anybody may read the schema: it is the same everywhere.
async fn schema() -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))];
    (kind, crate::sdl()).into_response()
}

fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "errors": [{ "message": message }] }))).into_response()
}

async fn authorised(door: &Door, headers: &HeaderMap) -> Result<Caller, Response> {
    let Some(token) = Door::token_of(headers) else {
        let text = "no token: send `Authorization: Bearer TOKEN`; `phalanx token` makes one";
        return Err(problem(StatusCode::UNAUTHORIZED, text));
    };
    match door.caller(token).await {
        Ok(Some(caller)) => Ok(caller),
        Ok(None) => Err(problem(StatusCode::UNAUTHORIZED, "the token is not one of this server's")),
        Err(error) => {
            tracing::error!("failed to look a token up: {error}");
            Err(problem(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why"))
        }
    }
}

async fn answer(State(door): State<Arc<Door>>, headers: HeaderMap, body: Bytes) -> Response {
    let caller = match authorised(&door, &headers).await {
        Ok(caller) => caller,
        Err(response) => return response,
    };
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let text = format!("the body is not a GraphQL request: {error}");
            return problem(StatusCode::BAD_REQUEST, &text);
        }
    };
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/event-stream")) {
        return events(&door, caller, request);
    }
    Json(door.run(caller, request).await).into_response()
}

/// The protocol of `graphql-sse` with one operation a connection: `next` for each result, `complete` at the end.
fn events(door: &Door, caller: Caller, request: Request) -> Response {
    let results = door.graph().execute_stream(door.with_data(caller, request));
    let events = results.map(|result| {
        let data = serde_json::to_string(&result).unwrap_or_else(|_| "{}".to_owned());
        Ok::<_, Infallible>(format!("event: next\ndata: {data}\n\n"))
    });
    let end = futures::stream::once(async { Ok("event: complete\ndata:\n\n".to_owned()) });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from_stream(events.chain(end))).into_response()
}
