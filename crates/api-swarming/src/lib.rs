//! The door of LUCI Swarming's clients and bots.

pub mod archive;
mod background;
pub mod bot;
pub mod config;
mod export;
pub mod hands;
mod legacy;
mod notices;
pub mod proto;
pub mod prpc;
mod rpcs;
mod search;
mod series;
mod server;
mod tasks;
mod ui;
pub mod validate;
mod why;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use dispatcher::StoreError;
use http::{Response, StatusCode, header, request};
use serde_json::Value;

use crate::archive::Archive;
use crate::config::Config;
pub use crate::export::Pieces;
pub use crate::notices::Post;
use crate::prpc::{Incoming, Status, Writer};
pub use crate::series::Stand;
pub use crate::server::{Access, Caller, Parts, Role};

/// Answers everything that Swarming's clients and bots ask.
#[derive(Clone)]
pub struct Door(Arc<server::Server>);

impl Door {
    /// Must be called in a tokio runtime: what keeps the fleet in order starts here.
    pub fn new(parts: Parts) -> Result<Self, StoreError> {
        let server = Arc::new(server::Server::new(parts)?);
        background::start(&server);
        Ok(Self(server))
    }

    /// Whether a path is this door's.
    pub fn serves(&self, path: &str) -> bool {
        const ROOTS: [&str; 4] = ["/prpc/", "/swarming/api/", "/_ah/api/", "/bot_code/"];
        self.0.enabled
            && (matches!(path, "/bot_code" | "/bootstrap")
                || ROOTS.iter().any(|root| path.starts_with(root))
                || (self.0.ui().is_some() && ui::serves(path)))
    }

    /// Whether there is such a door at all.
    pub fn is_on(&self) -> bool {
        self.0.enabled
    }

    /// Runs a call for somebody whose rights are known, without a request of HTTP. `method` is as in the path of one, such as
    /// `swarming.v2.Tasks/GetResult`; request and answer are pRPC's JSON.
    pub async fn call(
        &self,
        caller: &Caller,
        method: &str,
        request: &Value,
    ) -> Result<Value, Status> {
        let (service, method) = method.split_once('/').unwrap_or((method, ""));
        let (rpcs, message) = (rpcs::Rpcs(self.0.clone()), Incoming::of_json(request));
        let asked = rpcs::Asked::Known(caller);
        rpcs.run(service, method, asked, message, Writer::JSON).await?.json()
    }

    /// SECURITY: how much a caller may send: little, before it shows who it is.
    pub async fn request_bytes(&self, request: &request::Parts) -> usize {
        let bot = server::bearer(&request.headers).is_some_and(|token| self.0.is_bot_token(token));
        let known = self.0.access.open
            || bot
            || self.0.caller(&request.headers).await.is_ok_and(|c| c.role > Role::Nobody);
        if known { prpc::REQUEST_BYTES } else { 64 << 10 }
    }

    /// From now on the configuration is this one.
    pub fn set_config(&self, config: Config) {
        self.0.set_config(config);
    }

    /// From now on this is the bot to hand out, and bots that are another update themselves when they ask for work.
    pub fn set_archive(&self, archive: Option<Archive>) {
        self.0.set_archive(archive);
    }

    /// Where clients find the server.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    pub async fn handle(
        &self,
        request: request::Parts,
        body: Bytes,
        from: Option<IpAddr>,
    ) -> Response<Bytes> {
        if self.0.access.open && is_foreign(&request) {
            let why = "a page of another site may not use a server that asks for no token";
            return bot::text(StatusCode::FORBIDDEN, why);
        }
        let from = from.map(|address| address.to_string()).unwrap_or_default();
        // A fleet waits in here: what is not needed for that is gone by then, and the rest of this is not part of it.
        if bot::serves(request.uri.path()) {
            return bot::answer(&self.0, request, body, &from).await;
        }
        Box::pin(self.handle_people(request, body)).await
    }

    async fn handle_people(&self, request: request::Parts, body: Bytes) -> Response<Bytes> {
        if let Some(response) = bot::code(&self.0, &request) {
            return response;
        }
        if let Some(response) = ui::answer(&self.0, &request) {
            return response;
        }
        if let Some(response) = legacy::answer(&self.0, &request).await {
            return response;
        }
        let rpcs = rpcs::Rpcs(self.0.clone());
        match prpc::answer(&request, body, &rpcs).await {
            Some(response) => response,
            None => bot::text(StatusCode::NOT_FOUND, "no such page"),
        }
    }

    /// Whether a path is answered by [`export`](Self::export) and not by [`handle`](Self::handle).
    pub fn exports(&self, path: &str) -> bool {
        self.0.enabled && path == export::PATH
    }

    /// Tasks that are over, as many as there are.
    pub async fn export(&self, request: &request::Parts) -> Response<Pieces> {
        export::answer(&self.0, request).await
    }

    /// Deletes what is older than the site wants to keep; the server itself does so every ten minutes.
    pub async fn keep_house(&self) {
        background::delete_old(&self.0).await;
    }

    /// How fleet and queue stand now.
    pub fn stand(&self) -> Stand {
        series::stand(&self.0)
    }

    /// Writes down what bots said last: at the end of the process.
    pub fn flush(&self) {
        self.0.fleet.mark_all();
        background::flush(&self.0);
    }
}

/// SECURITY: whether a browser sends this for a page of another site. Such a page could otherwise have commands run on the
/// machine of whoever looks at it.
fn is_foreign(request: &request::Parts) -> bool {
    let Some(origin) = request.headers.get(header::ORIGIN) else { return false };
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri.authority().map(|authority| authority.as_str()));
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    !matches!((origin, host), (Some((_, of)), Some(host)) if of.eq_ignore_ascii_case(host))
}
