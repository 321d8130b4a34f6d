//! Where a bot's program comes from.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request};

use super::text;
use crate::archive::bootstrap;
use crate::server::{Server, bearer};

const CODE: &str = "/swarming/api/v1/bot/bot_code";

/// Whether a path is one of `server_ping`, `bot_code` and `bootstrap`.
pub(super) fn serves(path: &str) -> bool {
    matches!(path, "/bot_code" | "/bootstrap" | "/swarming/api/v1/bot/server_ping")
        || path == CODE
        || path.strip_prefix(CODE).is_some_and(|rest| rest.starts_with('/'))
}

/// `None` when the path is another.
pub(crate) fn answer(server: &Server, request: &request::Parts) -> Option<Response<Bytes>> {
    let path = request.uri.path();
    if !serves(path) {
        return None;
    }
    if request.method != Method::GET && request.method != Method::HEAD {
        return Some(text(StatusCode::METHOD_NOT_ALLOWED, "use GET"));
    }
    if path == "/swarming/api/v1/bot/server_ping" {
        return Some(text(StatusCode::OK, "Server up"));
    }
    let token = query(request, "tok");
    if path == "/bootstrap" {
        if !may_fetch(server, request, token.as_deref()) {
            return Some(refused());
        }
        let script = bootstrap(&server.url, token.as_deref().unwrap_or_default());
        return Some(file("text/x-python", "swarming_bot_bootstrap.py", script.into()));
    }
    let Some(archive) = server.archive() else {
        let why =
            "this server has no bot to hand out; name one with `swarming.bot` in phalanx.toml";
        return Some(text(StatusCode::NOT_FOUND, why));
    };
    let asked = path.strip_prefix(CODE).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    if asked == archive.version {
        // SECURITY: public, as upstream: whoever knows the digest knows the file.
        let mut response =
            file("application/octet-stream", "swarming_bot.zip", archive.zip.clone().into());
        let kept = HeaderValue::from_static("public, max-age=3600");
        response.headers_mut().insert(header::CACHE_CONTROL, kept);
        return Some(response);
    }
    if !may_fetch(server, request, token.as_deref()) {
        return Some(refused());
    }
    let mut response = text(StatusCode::FOUND, "the bot is there");
    let to = format!("{CODE}/{}", archive.version);
    if let Ok(to) = HeaderValue::from_str(&to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    Some(response)
}

fn may_fetch(server: &Server, request: &request::Parts, token: Option<&str>) -> bool {
    let shown = bearer(&request.headers).is_some_and(|token| server.is_bot_token(token));
    server.access.open || shown || token.is_some_and(|token| server.is_bootstrap_token(token))
}

fn refused() -> Response<Bytes> {
    text(StatusCode::FORBIDDEN, "a bot's code needs a token: `?tok=` or `Authorization: Bearer …`")
}

fn file(kind: &'static str, name: &str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

fn query(request: &request::Parts, key: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes());
    pairs.into_iter().find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
}
