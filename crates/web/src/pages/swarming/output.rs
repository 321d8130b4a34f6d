//! What a task writes. It is kept as the log of a job, so it is shown by the same viewer, which loads what one looks at.

use maud::{Markup, html};
use serde_json::json;

use super::wire::{Place, TaskResult};
use crate::cx::{Cx, Refusal};
use crate::log_door::SHOWN_BYTES;
use crate::view::list;
use crate::view::text::{bytes, plain_log, shown};

impl Place {
    pub fn is_there(&self) -> bool {
        self.attempt > 0 && self.job.parse::<u64>().is_ok()
    }
}

pub(super) async fn find(cx: &Cx, id: &str) -> Result<Place, Refusal> {
    cx.call("phalanx.Swarming/FindOutput", json!({ "taskId": id })).await
}

pub(super) async fn show(cx: &Cx, task: &TaskResult, place: &Place) -> Markup {
    let number: u64 = place.job.parse().unwrap_or_default();
    let length: u64 = place.bytes.parse().unwrap_or_default();
    let of_attempt = |more: &str| format!("/jobs/{number}/log/raw?attempt={}{more}", place.attempt);
    if !place.is_there() {
        return html! {
            // Empty while it waits, for who looks then will see when there is something.
            @if task.is_live() { section data-live id="output" { @if task.state == "RUNNING" { (list::empty("There is no output yet.", html! { "It appears here when the bot sends some." })) } } }
        };
    }
    if cx.fragment {
        // The viewer is at work, or the page was sent before there was anything to view.
        return html! { section data-live id="output" { (list::empty("Output is there now.", html! { a href=(cx.with(&[])) { "Show it" } })) } };
    }
    // The end is in the page: it is there at once, and without scripts.
    let start = length.saturating_sub(SHOWN_BYTES as u64);
    let backend = &cx.door.backend;
    let piece = backend.log(&cx.caller, number, Some(place.attempt), start, SHOWN_BYTES).await;
    let failed = task.failure || task.internal_failure;
    html! {
        section.log-card aria-label="Output" {
            div.log-head {
                b { "Output" } span.dim { (bytes(length)) }
                span.push { a href=(of_attempt("")) { "Raw" } " · " a href=(of_attempt("&download")) { "Download" } }
            }
            div id="log" data-url=(of_attempt("")) data-topic={ "log:" (number) } data-opens=(if failed && !place.growing { "error" } else { "end" }) {
                noscript { p.small { "This is the end of the output. " a href={ "/jobs/" (number) "/log?attempt=" (place.attempt) "&offset=0" } { "Read it from the start" } } }
                pre.log-plain tabindex="0" aria-label="End of the output" { @if let Some(piece) = &piece { (shown(&plain_log(&String::from_utf8_lossy(&piece.bytes)))) } }
            }
        }
    }
}
