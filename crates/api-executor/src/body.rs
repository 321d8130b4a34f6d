//! Reading request bodies within bounds, and making response bodies.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use crate::Body;
use crate::status::Refusal;

/// A body that is all there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// How long the body of a request that is not an upload may take.
const BODY_TIME: std::time::Duration = std::time::Duration::from_secs(120);

/// The whole body, or a refusal when it is longer than `max`.
pub(crate) async fn read(body: Incoming, max: usize) -> Result<Bytes, Refusal> {
    let all = Limited::new(body, max).collect();
    let Ok(read) = tokio::time::timeout(BODY_TIME, all).await else {
        let text = format!("the body did not arrive in {} s", BODY_TIME.as_secs());
        return Err(Refusal::text(StatusCode::REQUEST_TIMEOUT, text));
    };
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::text(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is longer than {max} bytes"),
        )),
        Err(_) => Err(Refusal::text(StatusCode::BAD_REQUEST, "the body did not arrive whole")),
    }
}

pub(crate) async fn read_json<T: serde::de::DeserializeOwned>(
    body: Incoming,
    max: usize,
) -> Result<T, Refusal> {
    let bytes = read(body, max).await?;
    serde_json::from_slice(&bytes).map_err(|error| Refusal::bad_json(&error))
}

/// `Prefer: wait=SECONDS` (RFC 7240). None when it is absent or not a number.
pub(crate) fn preferred_wait(headers: &HeaderMap) -> std::time::Duration {
    let wait = headers.get_all("prefer").iter().find_map(|value| {
        let mut preferences = value.to_str().ok()?.split([',', ';']);
        preferences.find_map(|one| one.trim().strip_prefix("wait=")?.trim_matches('"').parse().ok())
    });
    let seconds: f64 = wait.unwrap_or(0.0);
    let most = model::limit::POLL_WAIT_MS as f64 / 1000.0;
    std::time::Duration::from_secs_f64(if seconds.is_finite() {
        seconds.clamp(0.0, most)
    } else {
        0.0
    })
}
