//! One client of a host's JSON API. SECURITY: whatever the host answers is hostile: sizes are bounded, no redirect or next page
//! leaves the host, what is wrong becomes a sentence without control characters.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, LINK, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::HostError;
use crate::connect::{ConnectError, Options};
use crate::limiter::{Limiter, PATIENCE, Said, said};

/// Longest answer, in bytes.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Longest list, in bytes of all its pages.
const LIST_BYTES: usize = 256 * 1024 * 1024;
/// Most pages of one list.
const PAGES: usize = 1000;
/// How often a read is tried again.
const RETRIES: u32 = 3;
const REDIRECTS: u32 = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);

/// Clones share the limiter.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    host: Arc<str>,
    base: Url,
    authorization: Option<HeaderValue>,
    limiter: Arc<Limiter>,
    retry_pause: Duration,
}

/// One answer that was read whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Client {
    /// `base` ends with a slash.
    pub fn new(
        host: &str,
        base: Url,
        headers: HeaderMap,
        write_distance: Duration,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .user_agent(concat!("phalanx/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT);
        if base.scheme() == "http" {
            // The machine's certificates take a while to read.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            http: builder.build().map_err(|error| ConnectError::Client(cause(&error)))?,
            host: host.into(),
            base,
            authorization: None,
            limiter: Arc::new(Limiter::new(options.write_distance.unwrap_or(write_distance))),
            retry_pause: options.retry_pause,
        })
    }

    /// The same client as somebody else: `scheme` is `Bearer`, `token` or `Basic`.
    pub fn with_authorization(&self, scheme: &str, secret: &str) -> Result<Self, HostError> {
        let header = HeaderValue::from_str(&format!("{scheme} {secret}"));
        let mut header = header.map_err(|_| HostError::Unauthorized {
            host: self.host(),
            message: "it has characters that no header can carry".to_owned(),
        })?;
        header.set_sensitive(true);
        Ok(Self { authorization: Some(header), ..self.clone() })
    }

    pub fn waiting(&self) -> Option<Duration> {
        self.limiter.waiting()
    }

    pub fn host(&self) -> String {
        self.host.to_string()
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, HostError> {
        let answer = self.send(&Method::GET, self.url(path)?, None).await?;
        self.json(&answer.body)
    }

    /// A list of several pages.
    pub async fn pages<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, HostError> {
        self.pages_of(path, |page: Vec<T>| page).await
    }

    /// The same, where a page is an object that holds the list.
    pub async fn pages_of<P: DeserializeOwned, T>(
        &self,
        path: &str,
        list: impl Fn(P) -> Vec<T>,
    ) -> Result<Vec<T>, HostError> {
        let mut all = Vec::new();
        let mut next = Some(self.url(path)?);
        let mut bytes = 0;
        for page in 1..=PAGES {
            let Some(url) = next else { return Ok(all) };
            let answer = self.send(&Method::GET, url.clone(), None).await?;
            bytes += answer.body.len();
            if bytes > LIST_BYTES {
                let most = LIST_BYTES / 1024 / 1024;
                return Err(self.unavailable(format!("a list is longer than {most} MiB")));
            }
            let part = list(self.json(&answer.body)?);
            let is_last = part.is_empty();
            all.extend(part);
            next = match next_page(&answer.headers, &self.base) {
                Some(Ok(url)) => Some(url),
                Some(Err(to)) => return Err(self.leads_away(&to)),
                // Gitea links only some lists; of the others it says how long they are.
                None if !is_last && total(&answer.headers) > all.len() => {
                    Some(numbered(url, page + 1))
                }
                None => None,
            };
        }
        Err(self.unavailable(format!("a list has more than {PAGES} pages")))
    }

    pub async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, HostError> {
        let answer = self.send_json(&method, path, body).await?;
        self.json(&answer.body)
    }

    /// A write whose answer says nothing of use.
    pub async fn do_write(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(), HostError> {
        self.send_json(&method, path, body).await.map(drop)
    }

    async fn send_json(
        &self,
        method: &Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer, HostError> {
        let body = serde_json::to_vec(body).expect("our requests are JSON");
        self.send(method, self.url(path)?, Some(body)).await
    }

    fn url(&self, path: &str) -> Result<Url, HostError> {
        self.base.join(path).map_err(|_| HostError::NotFound {
            host: self.host(),
            what: format!("`{}`", clean(path)),
        })
    }

    /// Sends until it is answered for good. Writes are sent again only when the host said that it did nothing.
    async fn send(
        &self,
        method: &Method,
        mut url: Url,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, HostError> {
        let is_read = *method == Method::GET;
        let (mut tries, mut redirects) = (0, 0);
        loop {
            let answer = match self.once(method, &url, body.as_deref()).await {
                Ok(answer) => answer,
                Err(error) => {
                    // A short wait is waited for in front of the next try.
                    let again = match error {
                        HostError::RateLimited { retry_after, .. } => retry_after <= PATIENCE,
                        HostError::Unavailable { .. } => is_read,
                        _ => false,
                    };
                    if !again || tries == RETRIES {
                        return Err(error);
                    }
                    if !matches!(error, HostError::RateLimited { .. }) {
                        let pause = self.retry_pause * 2u32.pow(tries);
                        tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    }
                    tries += 1;
                    continue;
                }
            };
            if !answer.status.is_redirection() {
                return Ok(answer);
            }
            // A renamed repository. 301 and 302 do not say whether the method stays.
            let stays = matches!(answer.status.as_u16(), 307 | 308);
            let to = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("");
            match url.join(to) {
                Ok(to) if to.origin() != self.base.origin() => return Err(self.leads_away(&to)),
                Ok(to) if (is_read || stays) && redirects < REDIRECTS => url = to,
                _ => return Err(self.unavailable(format!("it answers {}", answer.status))),
            }
            redirects += 1;
        }
    }

    async fn once(
        &self,
        method: &Method,
        url: &Url,
        body: Option<&[u8]>,
    ) -> Result<Answer, HostError> {
        let limited = |retry_after| HostError::RateLimited { host: self.host(), retry_after };
        let _pass = self.limiter.enter(*method != Method::GET).await.map_err(limited)?;
        let mut request = self.http.request(method.clone(), url.clone());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_vec());
        }
        let broken = |error: reqwest::Error| self.unavailable(cause(&error));
        let mut response = request.send().await.map_err(broken)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > ANSWER_BYTES {
                let most = ANSWER_BYTES / 1024 / 1024;
                return Err(self.unavailable(format!("an answer is longer than {most} MiB")));
            }
            body.extend_from_slice(&chunk);
        }
        let is_error = status.is_client_error() || status.is_server_error();
        let message = if is_error { message_of(status, &body) } else { String::new() };
        match said(status, &headers, &message, jiff::Timestamp::now()) {
            Said::Nothing => {}
            Said::NextWaits(wait) => drop(self.limiter.block(Some(wait))),
            Said::Limited(wait) => return Err(limited(self.limiter.block(wait))),
        }
        if is_error {
            return Err(self.refusal(status, url, message));
        }
        self.limiter.served();
        Ok(Answer { status, headers, body })
    }

    fn refusal(&self, status: StatusCode, url: &Url, message: String) -> HostError {
        let host = self.host();
        match status.as_u16() {
            401 => HostError::Unauthorized { host, message },
            404 | 410 => {
                let path = url.path().strip_prefix(self.base.path()).unwrap_or(url.path());
                HostError::NotFound { host, what: format!("`{}`: {message}", clean(path)) }
            }
            400 | 409 | 422 if message.to_ascii_lowercase().contains("already exists") => {
                HostError::Exists { host, message }
            }
            400..500 => HostError::Refused { host, message },
            _ => HostError::Unavailable { host, message },
        }
    }

    /// A limit that was told by other means than the status.
    pub fn limited(&self) -> HostError {
        HostError::RateLimited { host: self.host(), retry_after: self.limiter.block(None) }
    }

    pub fn unavailable(&self, message: String) -> HostError {
        HostError::Unavailable { host: self.host(), message }
    }

    fn leads_away(&self, to: &Url) -> HostError {
        let origin = clean(&to.origin().ascii_serialization());
        let message = format!("it points to another host, `{origin}`, which is not followed");
        HostError::Refused { host: self.host(), message }
    }

    fn json<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, HostError> {
        serde_json::from_slice(body).map_err(|error| {
            self.unavailable(clean(&format!("its answer is not what its API promises: {error}")))
        })
    }
}

/// The next page of a list, or where it wrongly leads.
fn next_page(headers: &HeaderMap, base: &Url) -> Option<Result<Url, Url>> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    // A `<` begins each link; commas also stand inside of URLs.
    let next = links.flat_map(|value| value.split('<')).find_map(|link| {
        let (url, rest) = link.split_once('>')?;
        let is_next = |part: &str| matches!(part.trim(), "rel=\"next\"" | "rel=next");
        rest.split([';', ',']).any(is_next).then_some(url)
    })?;
    let url = base.join(next).ok()?;
    Some(if url.origin() == base.origin() { Ok(url) } else { Err(url) })
}

fn total(headers: &HeaderMap) -> usize {
    let total = headers.get("x-total-count").and_then(|total| total.to_str().ok()?.parse().ok());
    total.unwrap_or(0)
}

fn numbered(mut url: Url, page: usize) -> Url {
    let pairs: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| name != "page").collect();
    url.query_pairs_mut().clear().extend_pairs(pairs).append_pair("page", &page.to_string());
    url
}

/// What an error's body says, for people. GitHub, GitLab and Gitea put it in `message` or `error`, as text, lists or objects.
fn message_of(status: StatusCode, body: &[u8]) -> String {
    let mut parts = Vec::new();
    if let Ok(Value::Object(fields)) = serde_json::from_slice(body) {
        for name in ["message", "error", "error_description", "errors"] {
            fields.get(name).into_iter().for_each(|value| texts(value, 4, &mut parts));
        }
    }
    parts.retain(|part: &String| !part.trim().is_empty());
    parts.dedup();
    match parts.is_empty() {
        true => status.to_string(),
        false => clean(&parts.join("; ")),
    }
}

fn texts(value: &Value, depth: usize, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(list) if depth > 0 => list.iter().for_each(|v| texts(v, depth - 1, into)),
        Value::Object(fields) if depth > 0 => match fields.get("message") {
            Some(message) => texts(message, depth - 1, into),
            None => fields.values().for_each(|v| texts(v, depth - 1, into)),
        },
        _ => {}
    }
}

/// One line of a text from outside, as it may be shown.
pub(crate) fn clean(text: &str) -> String {
    let text = text.replace(['\n', '\t'], " ");
    text.chars().filter(|c| !is_hostile(*c)).take(400).collect()
}

/// Characters that move a terminal's cursor or turn a text around.
pub(crate) fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The innermost cause: `reqwest` puts it last, and the URL first.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    match error.is_timeout() {
        true => format!("no answer within {} s", TIMEOUT.as_secs()),
        false => clean(&inner.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_stays_on_the_host() {
        let base = Url::parse("https://h.example/api/").unwrap();
        let next = |link: &str| {
            let headers = HeaderMap::from_iter([(LINK, link.parse().unwrap())]);
            next_page(&headers, &base).map(|url| url.map(String::from).map_err(String::from))
        };
        let same = "https://h.example/api/r?page=2,3&x=a;b";
        let link =
            format!("<https://h.example/api/r?page=1>; rel=\"prev\", <{same}>; rel=\"next\"");
        assert_eq!(next(&link), Some(Ok(same.to_owned())));
        assert_eq!(next("<https://h.example/r>; rel=\"last\""), None);
        assert_eq!(next("</r?page=2>; rel=next"), Some(Ok("https://h.example/r?page=2".into())));
        for away in ["https://other.example/", "http://h.example/", "https://h.example:8443/"] {
            assert_eq!(next(&format!("<{away}>; rel=\"next\"")), Some(Err(away.to_owned())));
        }
    }

    #[test]
    fn errors_become_sentences() {
        let say = |body: &str| message_of(StatusCode::UNPROCESSABLE_ENTITY, body.as_bytes());
        let github = r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest",
            "code":"custom","message":"A pull request already exists for o:b."}]}"#;
        assert_eq!(say(github), "Validation Failed; A pull request already exists for o:b.");
        assert_eq!(
            say(r#"{"message":["Another open merge request"]}"#),
            "Another open merge request"
        );
        assert_eq!(say(r#"{"message":{"base":["no \u001b[31mred\u202e"]}}"#), "no [31mred");
        assert_eq!(say(r#"{"error":"insufficient_scope"}"#), "insufficient_scope");
        assert_eq!(say("<html>"), "422 Unprocessable Entity");
        assert!(say(&format!(r#"{{"message":"{}"}}"#, "x".repeat(100_000))).len() <= 400);
    }
}
