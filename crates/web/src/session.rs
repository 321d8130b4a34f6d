//! Sessions: the token in a cookie that scripts cannot read, and the proof that a form was ours.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::response::{Html, IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::Door;
use crate::cx::{Cx, Fields, encoded, go, local};
use crate::pages::failure;
use crate::view::layout;

pub(crate) const COOKIE: &str = "phalanx_session";
const THEME: &str = "phalanx_theme";
/// How long a browser keeps a session, in seconds: a month.
const SESSION_S: u32 = 30 * 24 * 60 * 60;

/// Put into a request's extensions by a listener that speaks TLS: the cookie is then `Secure`. Behind a proxy,
/// `X-Forwarded-Proto: https` says the same.
#[derive(Clone)]
pub struct OverTls;

pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

pub(crate) fn theme_of(headers: &HeaderMap) -> Option<&'static str> {
    match cookie(headers, THEME) {
        Some("dark") => Some("dark"),
        Some("light") => Some("light"),
        _ => None,
    }
}

/// SECURITY: derived from the session's token, which no other site can read.
pub(crate) fn csrf(token: &str) -> String {
    hex(&blake3::derive_key("phalanx web 2026 csrf", token.as_bytes()))
}

fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

/// Whether the browser says that another site sent this. With `Referrer-Policy: no-referrer` browsers send `Origin: null` for
/// our own forms, and none sends `Sec-Fetch-Site` over plain HTTP; so their absence proves nothing and the form's token decides.
fn from_another_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return true;
    }
    match text("origin") {
        None | Some("null") => false,
        Some(origin) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_none() || host != text("host")
        }
    }
}

/// A form of ours, sent by the person whose session it is.
pub(crate) struct Posted {
    pub cx: Cx,
    pub fields: Fields,
}

impl FromRequest<Door> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, door: &Door) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let cx =
            <Cx as axum::extract::FromRequestParts<Door>>::from_request_parts(&mut parts, door)
                .await?;
        if from_another_site(&parts.headers) {
            return Err(failure::refused(&cx, "This form was sent by another site."));
        }
        let fields = form(Request::from_parts(parts, body), door).await?;
        let sent = blake3::hash(fields.get("csrf").unwrap_or_default().as_bytes());
        // Hashes compare in constant time.
        if sent != blake3::hash(cx.csrf().as_bytes()) {
            let why =
                "This form belongs to another session. Open the page again and send it once more.";
            return Err(failure::refused(&cx, why));
        }
        Ok(Self { cx, fields })
    }
}

async fn form(request: Request, door: &Door) -> Result<Fields, Response> {
    let body = Bytes::from_request(request, door).await.map_err(IntoResponse::into_response)?;
    Ok(Fields::parse(&body))
}

/// What a request without a session gets.
pub(crate) fn ask_for_token(parts: &Parts) -> Response {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let is_page = parts.method == http::Method::GET && !parts.headers.contains_key("x-fragment");
    if !is_page {
        return (StatusCode::UNAUTHORIZED, "no session: log in at /login\n").into_response();
    }
    // The cookie is not sent along a link from another site (a chat, say). Asked again from our own page, it is.
    if parts.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Html(layout::again().into_string()).into_response();
    }
    let next = if path == "/" { String::new() } else { format!("?next={}", encoded(path)) };
    go(&format!("/login{next}"))
}

fn over_tls(parts: &Parts) -> bool {
    let forwarded = parts.headers.get("x-forwarded-proto");
    parts.extensions.get::<OverTls>().is_some() || forwarded.is_some_and(|proto| proto == "https")
}

/// How the browser reaches this server.
pub(crate) fn origin(parts: &Parts) -> String {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
    let scheme = if over_tls(parts) { "https" } else { "http" };
    format!("{scheme}://{}", host.unwrap_or("localhost"))
}

fn set_cookie(response: &mut Response, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// SECURITY: a token is a cookie value only if it is made of what one may hold.
fn storable(token: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\');
    !token.is_empty() && token.len() <= 1024 && token.bytes().all(plain)
}

async fn open(door: &Door, parts: &Parts, token: &str, next: &str) -> Option<Response> {
    if !storable(token) || door.backend.caller(token).await.is_none() {
        return None;
    }
    let secure = if over_tls(parts) { "; Secure" } else { "" };
    let mut response = go(next);
    let text =
        format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={SESSION_S}{secure}");
    set_cookie(&mut response, &text);
    Some(response)
}

const WRONG: &str = "That token is not this server's, or it was deleted. `phalanx up` prints one when it starts, \
     and the file `token` in the server's data directory has it.";

pub(crate) async fn login_page(State(door): State<Door>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let params = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let next = params.get("next").and_then(local).unwrap_or("/");
    let theme = theme_of(&parts.headers);
    match params.get("token") {
        // The redirect takes the token out of the address bar and the history.
        Some(token) => match open(&door, &parts, token, next).await {
            Some(response) => response,
            None => wrong(theme, next),
        },
        None => Html(layout::login(theme, next, None).into_string()).into_response(),
    }
}

pub(crate) async fn login(
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    if from_another_site(&parts.headers) {
        return Err((StatusCode::FORBIDDEN, "this form was sent by another site\n").into_response());
    }
    let fields = form(Request::from_parts(parts.clone(), body), &door).await?;
    let next = fields.get("next").and_then(local).unwrap_or("/");
    let token = fields.get("token").unwrap_or_default().trim();
    let answer = open(&door, &parts, token, next).await;
    Ok(answer.unwrap_or_else(|| wrong(theme_of(&parts.headers), next)))
}

fn wrong(theme: Option<&'static str>, next: &str) -> Response {
    let page = layout::login(theme, next, Some(WRONG));
    (StatusCode::UNAUTHORIZED, Html(page.into_string())).into_response()
}

pub(crate) async fn logout(_posted: Posted) -> Response {
    let mut response = go("/login");
    set_cookie(&mut response, &format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"));
    response
}

/// Dark, light, or what the system says; a cookie, so that the server renders it and nothing flashes.
pub(crate) async fn theme(posted: Posted) -> Response {
    let mut response = go(posted.fields.get("back").unwrap_or("/"));
    let text = match posted.fields.get("theme") {
        Some(theme @ ("dark" | "light")) => {
            format!("{THEME}={theme}; SameSite=Strict; Path=/; Max-Age=31536000")
        }
        _ => format!("{THEME}=; SameSite=Strict; Path=/; Max-Age=0"),
    };
    set_cookie(&mut response, &text);
    response
}
