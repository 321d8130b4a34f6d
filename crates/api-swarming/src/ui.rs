//! Upstream's own pages, where a site has a built copy of them and names it.
//!
//! Facts: luci-py `appengine/swarming/ui2/dist`, luci-go `swarming/server/cmd/default/main.go`. The pages call pRPC under
//! `https://`, whatever they were loaded by, unless `window.LIVE_DEMO` is set.

use std::path::Path;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request};
use serde_json::json;

use crate::bot::text;
use crate::server::{Server, now};

/// Larger than every file of upstream's; one that is larger is none of them.
const FILE_BYTES: u64 = 16 << 20;

/// SECURITY: the pages have inline scripts and styles, and load nothing but from here: what they try elsewhere is not needed.
const POLICY: &str = "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Whether a path is one of upstream's pages.
pub(crate) fn serves(path: &str) -> bool {
    matches!(path, "/botlist" | "/bot" | "/tasklist" | "/task" | "/auth/openid/state")
        || path.starts_with("/newres/")
        || moved(path, "").is_some()
}

/// Where a page was in older days.
fn moved(path: &str, query: &str) -> Option<String> {
    let id = |rest: &str| url::form_urlencoded::byte_serialize(rest.as_bytes()).collect::<String>();
    if let Some(bot) = path.strip_prefix("/restricted/bot/") {
        return Some(format!("/bot?id={}", id(bot)));
    }
    let task = path.strip_prefix("/user/task/").or_else(|| path.strip_prefix("/tasks/"));
    if let Some(task) = task {
        return Some(format!("/task?id={}", id(task)));
    }
    match path {
        "/restricted/bots" => Some(moved_list("/botlist", "dimensions", query)),
        "/user/tasks" => Some(moved_list("/tasklist", "task_tag", query)),
        _ => None,
    }
}

/// A list with what was asked for, which had other names.
fn moved_list(page: &str, filter: &str, query: &str) -> String {
    let mut to = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "limit" => to.append_pair("l", value.trim()),
            key if key == filter && !value.trim().is_empty() => to.append_pair("f", value.trim()),
            _ => &mut to,
        };
    }
    match &*to.finish() {
        "" => page.to_owned(),
        query => format!("{page}?{query}"),
    }
}

/// `None` when the site has no copy, or the path is another.
pub(crate) fn answer(server: &Server, request: &request::Parts) -> Option<Response<Bytes>> {
    let folder = server.ui()?;
    let path = request.uri.path();
    if !serves(path) {
        return None;
    }
    if let Some(to) = moved(path, request.uri.query().unwrap_or_default()) {
        let mut response = text(StatusCode::FOUND, "the page is there");
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_str(&to).ok()?);
        return Some(response);
    }
    if path == "/auth/openid/state" {
        return Some(state(server));
    }
    if let Some(name) = path.strip_prefix("/newres/") {
        return Some(
            file(folder, name).unwrap_or_else(|| text(StatusCode::NOT_FOUND, "no such file")),
        );
    }
    let page = format!("public_{}_index.html", path.trim_start_matches('/'));
    let Some(html) = read(folder, &page) else {
        let why = "the folder that `swarming.ui` names has no such page";
        return Some(text(StatusCode::NOT_FOUND, why));
    };
    let plain = server.url.starts_with("http://");
    let first = if plain { "<script>window.LIVE_DEMO=true</script>" } else { "" };
    let mut body = first.as_bytes().to_vec();
    body.extend(html);
    let mut response = Response::new(Bytes::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Some(response)
}

/// Who looks: with an open door everybody is somebody, or the pages would ask nothing.
fn state(server: &Server) -> Response<Bytes> {
    let state = if server.access.open {
        json!({
            "identity": "user:anyone@localhost",
            "email": "anyone@localhost",
            "picture": "",
            "accessToken": "open",
            "accessTokenExpiry": now().0 / 1000 + 24 * 60 * 60,
        })
    } else {
        json!({"identity": "anonymous:anonymous"})
    };
    let mut response = Response::new(Bytes::from(state.to_string()));
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn file(folder: &Path, name: &str) -> Option<Response<Bytes>> {
    let kind = match name.rsplit_once('.')?.1 {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        _ => return None,
    };
    let mut response = Response::new(Bytes::from(read(folder, name)?));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(response)
}

/// SECURITY: a file right in the folder, by a name of harmless letters: no path leads out of it.
fn read(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(harmless) {
        return None;
    }
    let path = folder.join(name);
    let size = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?.len();
    if size > FILE_BYTES { None } else { std::fs::read(path).ok() }
}
