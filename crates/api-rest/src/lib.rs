//! The command line's door: plain JSON over HTTP under `/api/v1/` (ADR 2).
//!
//! It parses, authorises, calls `campaign` and the dispatcher, and converts. Its request and response types are public, and the
//! command line uses the same ones.

mod actions;
mod auth;
mod blobs_door;
mod executions;
mod jobs;
mod repositories;
mod runners;
mod status;
pub mod types;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use dispatcher::Dispatcher;

pub use auth::Token;

/// Everything the endpoints need.
pub struct Door {
    pub dispatcher: Dispatcher,
    pub cas: Arc<blobs::Cas>,
    pub repositories: Arc<codehost::git::Repositories>,
    pub searcher: Arc<campaign::scope::Searcher>,
    pub token: Token,
    pub service: Arc<campaign::service::Service>,
    /// Whether a request may name a folder of this host as a repository: on loopback only.
    pub local_paths: bool,
}

/// The routes. Every one but the health check asks for the token.
pub fn router(door: Arc<Door>) -> Router {
    let hooked = door.clone();
    let small = DefaultBodyLimit::max(model::limit::REQUEST_BYTES);
    let upload = DefaultBodyLimit::disable();
    let api = Router::new()
        .route("/executions", get(executions::list).post(executions::create))
        .route("/executions/{id}", get(executions::show))
        .route("/executions/{id}/progress", get(executions::progress))
        .route("/executions/{id}/report", get(executions::report))
        .route("/executions/{id}/cancel", post(executions::cancel))
        .route("/executions/{id}/retry", post(executions::retry))
        .route("/jobs", get(jobs::list).post(jobs::create))
        .route("/jobs/{id}", get(jobs::show))
        .route("/jobs/{id}/log", get(jobs::log))
        .route("/jobs/{id}/explain", get(jobs::explain))
        .route("/jobs/{id}/cancel", post(jobs::cancel))
        .route("/jobs/{id}/retry", post(jobs::retry))
        .route("/runners", get(runners::list))
        .route("/runners/{name}/drain", post(runners::drain))
        .route("/status", get(status::show))
        .layer(small)
        .merge(
            Router::new()
                .route("/repositories", get(repositories::list).post(repositories::add))
                .route("/repositories/bundle", put(repositories::bundle))
                .route("/blobs/{digest}", get(blobs_door::get).put(blobs_door::put))
                .layer(upload),
        )
        .layer(axum::middleware::from_fn_with_state(door.clone(), auth::require))
        .with_state(door);
    // A code host signs what it sends, and a pipeline has an access token of its own.
    let hooks = Router::new()
        .route("/api/v1/actions/{name}/run", post(actions::run))
        .route("/api/v1/webhooks/{host}", post(actions::webhook))
        .layer(DefaultBodyLimit::max(model::limit::REQUEST_BYTES))
        .with_state(hooked);
    Router::new().route("/healthz", get(|| async { "ok\n" })).nest("/api/v1", api).merge(hooks)
}

/// A wait that a client asked for, in seconds.
fn seconds(asked: Option<f64>, most: f64) -> std::time::Duration {
    let asked = asked.filter(|seconds| seconds.is_finite()).unwrap_or(0.0);
    std::time::Duration::from_secs_f64(asked.clamp(0.0, most))
}
