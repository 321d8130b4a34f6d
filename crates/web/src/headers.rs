//! The headers of every answer, and what browsers report against the policy.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

/// SECURITY: no inline script or style, nothing of another origin; an escape that was forgotten still runs nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; report-uri /csp-report";

static REPORTS: AtomicU64 = AtomicU64::new(0);

pub(crate) async fn add(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-store");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    response
}

/// Browsers post here what the policy refused. Only the number is kept: the bodies are anyone's.
pub(crate) async fn report() -> StatusCode {
    REPORTS.fetch_add(1, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}

/// How many reports came since the start.
pub(crate) async fn reports() -> Response {
    format!("{}\n", REPORTS.load(Ordering::Relaxed)).into_response()
}
