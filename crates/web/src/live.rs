//! One stream of "look again" for a page. What has changed is not said: the page asks its own query once more.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use http::StatusCode;

use crate::backend::Topic;
use crate::cx::Cx;

pub(crate) async fn stream(cx: Cx) -> Response {
    let Some(topic) = cx.params.get("topic").and_then(Topic::parse) else {
        return (
            StatusCode::BAD_REQUEST,
            "topic is everything, swarming, or execution:, job:, log: or campaign: and which\n",
        )
            .into_response();
    };
    let rings = cx.door.backend.changes(&cx.caller, topic);
    // The first event tells the page that the stream is open, whatever proxies hold back. Without data an event is none at all
    // to a browser.
    let open = futures::stream::once(async { Event::default().event("open").data("open") });
    let events = open.chain(rings.map(|()| Event::default().data("changed")));
    let beat = KeepAlive::new().interval(Duration::from_secs(15));
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(beat).into_response()
}
