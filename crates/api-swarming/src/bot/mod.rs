//! What bots send, whether it is right, and what they are told.
//!
//! Facts: luci-go `swarming/server/botapi`, and for bots that ask for work themselves luci-py
//! `appengine/swarming/handlers_bot.py`.

pub(crate) mod caches;
pub mod check;
mod code;
pub(crate) use code::answer as code;
mod event;
mod handshake;
pub mod manifest;
mod poll;
mod results;
pub mod task;
mod task_error;
mod task_update;
mod tokens;
pub mod wire;

use std::sync::Arc;

use bytes::Bytes;
use fleet::Update;
use http::{HeaderMap, Method, Response, StatusCode, header, request};
use model::{RunnerName, limit};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::wire::BotRequest;
use crate::config::{Admission, BotGroup, Config};
use crate::prpc::{Code, Status};
use crate::server::{Server, bearer};
use crate::validate::TaskId;
use crate::validate::text::quote;

/// Who a bot proved to be, and from where it called.
pub(crate) struct BotCaller {
    pub identity: &'static str,
    pub address: Arc<str>,
}

const CALLS: &str = "/swarming/api/v1/bot/";

/// Whether a path is that of a call; see [`answer`].
pub(crate) fn serves(path: &str) -> bool {
    path.starts_with(CALLS) && !code::serves(path)
}

/// Answers a call of a bot's.
pub(crate) async fn answer(
    server: &Arc<Server>,
    request: request::Parts,
    body: Bytes,
    address: &str,
) -> Response<Bytes> {
    if request.method != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "use POST");
    }
    let call = request.uri.path().strip_prefix(CALLS).unwrap_or_default();
    let (call, id) = match call.split_once('/') {
        Some((call, id)) => (call, Some(id)),
        None => (call, None),
    };
    let Some(caller) = bot_caller(server, &request.headers, address) else {
        let why = "a bot needs a token of this server: `Authorization: Bearer …`";
        return text(StatusCode::UNAUTHORIZED, why);
    };
    // A bot says little of itself; only a task's output is long.
    if call != "task_update" && body.len() > limit::REPORT_BYTES {
        let why = format!("the request is longer than {} bytes", limit::REPORT_BYTES);
        return text(StatusCode::PAYLOAD_TOO_LARGE, &why);
    }
    let result = if (call, id) == ("poll", None) {
        // It waits: its head, which holds the buffer that it was read into, must not.
        drop(request);
        poll::handle(server, &caller, body).await
    } else {
        Box::pin(quick(server, &caller, call, id, &body)).await
    };
    result.unwrap_or_else(|status| text(status.code.http(), &status.message))
}

/// Calls that are answered at once.
async fn quick(
    server: &Arc<Server>,
    caller: &BotCaller,
    call: &str,
    id: Option<&str>,
    body: &[u8],
) -> Result<Response<Bytes>, Status> {
    match (call, id) {
        ("handshake", None) => handshake::handle(server, caller, body).await,
        ("event", None) => event::handle(server, caller, body).await,
        ("task_update", id) => task_update::handle(server, caller, id, body).await,
        ("task_error", id) => task_error::handle(server, caller, id, body).await,
        ("oauth_token" | "id_token", None) => tokens::handle(body),
        _ => Ok(text(StatusCode::NOT_FOUND, "no such call")),
    }
}

/// SECURITY: off loopback a bot shows a bot's token; its name alone proves nothing.
fn bot_caller(server: &Server, headers: &HeaderMap, address: &str) -> Option<BotCaller> {
    let address = address.into();
    let shown = bearer(headers).is_some_and(|token| server.is_bot_token(token));
    if shown {
        return Some(BotCaller { identity: "bot:phalanx", address });
    }
    if server.access.open {
        return Some(BotCaller { identity: "bot:whitelisted-ip", address });
    }
    None
}

/// The group that a bot is in, if it is in one.
fn group<'a>(
    server: &Server,
    config: &'a Config,
    request: &BotRequest,
) -> Result<&'a BotGroup, Status> {
    let bot = check::bot_id(request)?;
    if server.fleet.len() >= limit::RUNNERS && server.fleet.get(&RunnerName::new(bot)).is_none() {
        let why = format!("there are {} bots already; delete some", limit::RUNNERS);
        return Err(Status::new(Code::ResourceExhausted, why));
    }
    let group = config.bots.find(bot);
    match group.admission {
        Admission::Nobody => {
            Err(Status::denied(format!("bot {} is in no group of the configuration", quote(bot))))
        }
        // How a group of upstream's files wants its bots to show who they are is Google's; here it is a token of this server.
        Admission::AsServer | Admission::OneOf(_) => Ok(group),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(body).map_err(|error| Status::invalid(format!("bad JSON: {error}")))
}

/// An event of a bot, from which it is told what became of the task that the bot had.
pub(crate) fn said_of(kind: &'static str) -> Update {
    let lost = |id| {
        let id = i64::try_from(id).ok().and_then(TaskId::of_number);
        format!("Abandoned {}", id.map(TaskId::run).unwrap_or_default())
    };
    Update { lost: Some(lost), ..Update::new(kind) }
}

/// The same for an event that is told twice. Those without a name are never the same.
fn event_key(kind: &str, name: Option<&str>) -> u64 {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return 0 };
    short_hash(&format!("{kind}:{name}")).max(1)
}

fn short_hash(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight of thirty-two bytes"))
}

fn json(value: &impl Serialize) -> Result<Response<Bytes>, Status> {
    let body = serde_json::to_vec(value).map_err(|error| Status::internal(&error))?;
    let mut response = Response::new(body.into());
    let kind = header::HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

pub(crate) fn text(status: StatusCode, text: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{text}\n")));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
