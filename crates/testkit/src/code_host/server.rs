//! The door of the forge: who may come in, which fault it meets, and the ledger.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::state::{Fault, Request, State};
use super::wire::{Asked, Reply, no};
use super::{Dialect, git, gitea, github, gitlab};

type Shared = Arc<Mutex<State>>;

pub(super) async fn serve(listener: TcpListener, state: Shared) {
    listener.set_nonblocking(true).expect("a port can be set up");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a port can be listened on");
    loop {
        // A client that is killed while it connects is no reason to end.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| one(state.clone(), request));
            // An error is a client that went away, or a connection that a fault ends.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An error ends the connection without an answer.
async fn one(
    state: Shared,
    request: http::Request<Incoming>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let (latency, dialect) = {
        let state = state.lock();
        (state.latency, state.dialect)
    };
    let _held = head.uri.path().contains(".git/").then(|| Held::new(&state));
    // Half before it is done and half after: a client that is killed meanwhile may find it either way.
    tokio::time::sleep(latency / 2).await;
    let answered = done(&state, dialect, head, body).await;
    tokio::time::sleep(latency / 2).await;
    answered
}

/// A request of git while it is being served.
struct Held(Shared);

impl Held {
    fn new(shared: &Shared) -> Self {
        let mut state = shared.lock();
        state.git_now += 1;
        state.ledger.git_at_once = state.ledger.git_at_once.max(state.git_now);
        Self(shared.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().git_now -= 1;
    }
}

async fn done(
    state: &Shared,
    dialect: Dialect,
    head: http::request::Parts,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let root = match dialect {
        Dialect::GitHub => "/api/",
        Dialect::GitLab => "/api/v4/",
        Dialect::Gitea => "/api/v1/",
    };
    let path = head.uri.path().to_owned();
    let fault = fault_of(state, head.method.as_str(), &path, path.starts_with(root));
    let Some(path) = path.strip_prefix(root) else {
        let response = by_git(state, http::Request::from_parts(head, body), fault.as_ref()).await;
        return response.map(|response| response.map(Full::new));
    };
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let asked = Asked {
        method: head.method.to_string(),
        path: path.split('/').map(plain).collect(),
        query: url::form_urlencoded::parse(query).into_owned().collect(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let mut state = state.lock();
    let was_done = !matches!(fault, Some(Fault::Answer { .. } | Fault::Drop));
    let (status, mut headers, mut body) = match &fault {
        Some(Fault::Answer { status, headers, body }) => {
            let pairs = headers.iter().map(|(name, value)| {
                let value = value.parse().expect("a fault's header has a value");
                (http::HeaderName::from_static(name), value)
            });
            (*status, pairs.collect(), body.clone())
        }
        Some(Fault::Drop) => (0, HeaderMap::new(), String::new()),
        _ => answer(&mut state, &asked, &head.headers, head.uri.path()),
    };
    let (status, keep) = match fault {
        Some(Fault::DoneBut { status }) => (status, false),
        Some(Fault::DoneThenDrop) => (0, false),
        _ => (status, true),
    };
    if !keep {
        (headers, body) = (HeaderMap::new(), String::new());
    }
    state.ledger.requests.push(Request {
        method: asked.method,
        path: head.uri.path().to_owned(),
        query: asked.query,
        body: asked.body,
        was_done,
        status,
        answer: serde_json::from_str(&body).unwrap_or(Value::Null),
    });
    if status == 0 {
        return Err(io::Error::other("a fault ends this connection"));
    }
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    *response.headers_mut() = headers;
    Ok(response)
}

fn fault_of(state: &Shared, method: &str, path: &str, is_api: bool) -> Option<Fault> {
    let mut state = state.lock();
    let hits = |(m, p, _): &(String, String, Fault)| {
        let any = m.is_empty() && p.is_empty();
        if any { is_api } else { (m.is_empty() || m == method) && path.contains(p.as_str()) }
    };
    let index = state.faults.iter().position(hits)?;
    state.faults.remove(index).map(|(_, _, fault)| fault)
}

async fn by_git(
    state: &Shared,
    request: http::Request<Bytes>,
    fault: Option<&Fault>,
) -> Result<Response<Bytes>, io::Error> {
    let (is_known, root) = {
        let state = state.lock();
        (is_known(&state, request.headers()), state.root.clone())
    };
    let empty = |status: u16| {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        response
    };
    match fault {
        Some(Fault::Answer { status, .. }) => return Ok(empty(*status)),
        Some(Fault::Drop) => return Err(io::Error::other("a fault ends this connection")),
        _ => {}
    }
    if !is_known {
        let mut response = empty(401);
        let value = http::HeaderValue::from_static("Basic realm=\"forge\"");
        response.headers_mut().insert("www-authenticate", value);
        return Ok(response);
    }
    // On its own: what a client began that is killed now is still done, as on a real host.
    let served = tokio::spawn(async move { git::serve(&root, request).await });
    let response = served.await.map_err(io::Error::other)?;
    match fault {
        Some(Fault::DoneBut { status }) => Ok(empty(*status)),
        Some(Fault::DoneThenDrop) => Err(io::Error::other("a fault ends this connection")),
        _ => Ok(response),
    }
}

fn plain(part: &str) -> String {
    percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// The secret of any of the ways in which hosts take one.
fn secret(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    if let Some(token) = text("private-token") {
        return Some(token.to_owned());
    }
    let (scheme, secret) = text("authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Some(secret.to_owned());
    }
    let pair = String::from_utf8(STANDARD.decode(secret).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

fn is_known(state: &State, headers: &HeaderMap) -> bool {
    state.options.token.is_none()
        || secret(headers).is_some_and(|secret| state.tokens.contains(&secret))
}

fn answer(
    state: &mut State,
    asked: &Asked,
    headers: &HeaderMap,
    path: &str,
) -> (u16, HeaderMap, String) {
    let dialect = state.dialect;
    // An App's own requests are signed, not known by a token.
    let is_app = dialect == Dialect::GitHub
        && asked.path.get(1).is_some_and(|part| part == "app")
        && secret(headers).is_some_and(|secret| secret.split('.').count() == 3);
    let reply = if !is_app && !is_known(state, headers) {
        Reply::Json(401, json!({"message": "Bad credentials"}))
    } else {
        let answer = match dialect {
            Dialect::GitHub => github::answer(state, asked),
            Dialect::GitLab => gitlab::answer(state, asked),
            Dialect::Gitea => gitea::answer(state, asked),
        };
        answer.unwrap_or_else(|why| no(dialect, why))
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    match reply {
        Reply::Empty(status) => (status, headers, String::new()),
        Reply::Json(status, value) => (status, headers, value.to_string()),
        Reply::List(list, field) => {
            let number = |name| asked.query(name).and_then(|n| n.parse::<usize>().ok());
            let size = number("per_page").or(number("limit")).unwrap_or(30);
            let size = size.clamp(1, state.options.page_size);
            let page = number("page").unwrap_or(1).max(1);
            let total = list.len();
            let slice: Vec<_> = list.into_iter().skip((page - 1) * size).take(size).collect();
            if dialect == Dialect::Gitea {
                headers.insert("x-total-count", total.into());
            }
            // Gitea links only some of its lists.
            let is_linked =
                dialect != Dialect::Gitea || path.ends_with("/pulls") || path.ends_with("/repos");
            if page * size < total && is_linked {
                let kept = asked.query.iter().filter(|(name, _)| name != "page");
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(kept)
                    .append_pair("page", &(page + 1).to_string())
                    .finish();
                let link = format!("<{}{path}?{query}>; rel=\"next\"", state.url);
                headers.insert("link", link.parse().expect("a URL is a header"));
            }
            let body = match field {
                Some(field) => json!({"total_count": total, field: slice}),
                None => Value::Array(slice),
            };
            (200, headers, body.to_string())
        }
    }
}
