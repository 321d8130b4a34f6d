//! The runners' door: the executor queue API, and under `/.executors/phalanx/` our extensions of it.
//!
//! It parses, authorises, calls the dispatcher and converts. One file per endpoint, named as the wire names it.

mod add_execution_log_entry;
mod auth;
mod blobs_door;
mod body;
mod cache;
mod convert;
mod dequeue;
mod deregister;
mod files;
mod git;
mod heartbeat;
mod log;
mod mark;
mod register;
mod release;
mod status;
mod work;

use std::sync::Arc;

use bytes::Bytes;
use dispatcher::Dispatcher;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

pub use auth::Tokens;
pub use body::full;
use status::{Answer, Refusal};

/// What every response of the door is made of.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Everything the endpoints need.
pub struct Door {
    pub dispatcher: Dispatcher,
    pub cas: Arc<blobs::Cas>,
    pub step_cache: Arc<campaign::StepCache>,
    pub repositories: Arc<codehost::git::Repositories>,
    /// For the secrets of jobs.
    pub service: Arc<campaign::service::Service>,
    pub tokens: Tokens,
    /// Whether jobs name the server's own folder of a repository to runners on this host.
    pub share_paths: bool,
    foreign: Foreign,
    documents: convert::Documents,
    entries: add_execution_log_entry::Entries,
}

/// Reads jobs of doors whose payloads are not the executors' words: the payload and the slice give the order, or why there
/// is none. `None` when it is not theirs either.
pub type Foreign =
    Box<dyn Fn(&[u8], u32) -> Option<Result<executor_protocol::Order, String>> + Send + Sync>;

impl Door {
    pub fn new(
        dispatcher: Dispatcher,
        cas: Arc<blobs::Cas>,
        step_cache: Arc<campaign::StepCache>,
        repositories: Arc<codehost::git::Repositories>,
        service: Arc<campaign::service::Service>,
        tokens: Tokens,
        share_paths: bool,
    ) -> Self {
        Self {
            dispatcher,
            cas,
            step_cache,
            repositories,
            service,
            tokens,
            share_paths,
            foreign: Box::new(|_, _| None),
            documents: convert::Documents::default(),
            entries: add_execution_log_entry::Entries::default(),
        }
    }

    /// Lets runners serve the jobs of other doors too.
    pub fn with_foreign(self, foreign: Foreign) -> Self {
        Self { foreign, ..self }
    }

    /// Whether a path belongs to this door.
    pub fn serves(path: &str) -> bool {
        path.starts_with("/.executors/") || path == "/.api/src-cli/version"
    }

    pub async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        match self.route(request).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        }
    }

    async fn route(&self, request: Request<Incoming>) -> Answer {
        // Routers of the original have a strict slash: with or without one at the end is the same.
        let path = request.uri().path().trim_end_matches('/').to_owned();
        let post = request.method() == Method::POST;
        if path == "/.api/src-cli/version" || path == "/.executors/queue/.api/src-cli/version" {
            return status::json(StatusCode::OK, &serde_json::json!({ "version": "5.6.0" }));
        }
        let rest = path.strip_prefix("/.executors/").ok_or_else(Refusal::not_found)?;
        if let Some(rest) = rest.strip_prefix("queue/") {
            if rest == ".executors/test/auth" {
                return auth::test(self, &request);
            }
            let (queue, verb) = match rest.rsplit_once('/') {
                Some((queue, verb)) => (Some(queue.to_owned()), verb.to_owned()),
                None => (None, rest.to_owned()),
            };
            if !post {
                return Err(Refusal::text(StatusCode::METHOD_NOT_ALLOWED, "use POST"));
            }
            return match (verb.as_str(), queue) {
                ("dequeue", queue) => dequeue::handle(self, queue, request).await,
                ("heartbeat", queue) => heartbeat::handle(self, queue, request).await,
                ("addExecutionLogEntry", Some(_)) => {
                    add_execution_log_entry::handle(self, request, false).await
                }
                ("updateExecutionLogEntry", Some(_)) => {
                    add_execution_log_entry::handle(self, request, true).await
                }
                ("markComplete", Some(_)) => {
                    mark::handle(self, request, mark::Mark::Complete).await
                }
                ("markErrored", Some(_)) => mark::handle(self, request, mark::Mark::Errored).await,
                ("markFailed", Some(_)) => mark::handle(self, request, mark::Mark::Failed).await,
                // Executors before 4.4 ask here; what they need rides on the heartbeat now.
                ("canceled", Some(_)) => {
                    auth::executor(self, request.headers())?;
                    status::json(StatusCode::OK, &serde_json::json!([]))
                }
                _ => Err(Refusal::not_found()),
            };
        }
        if let Some(rest) = rest.strip_prefix("phalanx/") {
            return match rest {
                "work" if post => work::handle(self, request).await,
                "log" if post => log::handle(self, request).await,
                "register" if post => register::handle(self, request).await,
                "deregister" if post => deregister::handle(self, request).await,
                "release" if post => release::handle(self, request).await,
                _ => match rest.split_once('/') {
                    Some(("blobs", digest)) => {
                        let digest = digest.to_owned();
                        blobs_door::handle(self, request, &digest).await
                    }
                    Some(("cache", key)) => {
                        let key = key.to_owned();
                        cache::handle(self, request, &key).await
                    }
                    _ => Err(Refusal::not_found()),
                },
            };
        }
        if let Some(rest) = rest.strip_prefix("git/") {
            let rest = rest.to_owned();
            return git::handle(self, request, &rest).await;
        }
        if let Some(rest) = rest.strip_prefix("files/") {
            let rest = rest.to_owned();
            return files::handle(self, request, &rest).await;
        }
        if rest == "test/auth" {
            return auth::test(self, &request);
        }
        Err(Refusal::not_found())
    }
}
