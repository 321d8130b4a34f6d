//! Bots and tasks of the Swarming door. The addresses and their parameters are upstream's, so that bookmarks go on working.
//! Each page shows the answers of Swarming's own calls, which the wiring runs with the caller's rights.

pub(crate) mod act;
pub(crate) mod bot;
pub(crate) mod botlist;
mod filter;
pub(crate) mod fleet;
pub(crate) mod old;
mod output;
mod request;
pub(crate) mod task;
mod task_row;
pub(crate) mod tasklist;
mod timing;
mod why;
mod wire;

use http::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

use crate::cx::{Cx, Refusal, encoded};
use crate::view::layout::{Page, title};
use crate::view::state::tagged;
use crate::view::text::shown;
use wire::{Bot, Pair, TaskResult};

/// Nothing is shown where there is no such door.
fn on(cx: &Cx) -> Result<(), Refusal> {
    if cx.door.backend.has_swarming() {
        return Ok(());
    }
    let body = html! {
        (title(&[], html! { "There are no bots and tasks here" }, html! {}, html! {}))
        div.card { p { "This server has no door for Swarming: " code { "off = true" } " stands in the section " code { "[swarming]" } " of its settings." } }
    };
    Err(cx.page_with(StatusCode::NOT_FOUND, &Page::new("No Swarming"), body).into())
}

fn bot_address(id: &str) -> String {
    format!("/bot?id={}", encoded(id))
}

fn task_address(id: &str) -> String {
    format!("/task?id={}", encoded(id))
}

fn bot_link(id: &str) -> Markup {
    html! { a href=(bot_address(id)) { (shown(id)) } }
}

fn task_link(id: &str, name: &str) -> Markup {
    html! { a href=(task_address(id)) { (shown(if name.is_empty() { id } else { name })) } }
}

/// A list with these filters.
fn list_address(path: &str, filters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(filters.iter().map(|(key, value)| ("f", format!("{key}:{value}"))));
    format!("{path}?{}", query.finish())
}

/// Bots that meet all of these. One filter for each dimension, as the request has them.
fn bots_with(dimensions: &[Pair]) -> String {
    let pairs: Vec<(&str, &str)> =
        dimensions.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
    list_address("/botlist", &pairs)
}

/// A bot's state. `standing` is that of our own calls, and knows one that has no task and does not poll for
/// one: it has just ended one, or has just started.
fn bot_state(bot: &Bot, draining: bool, standing: &str) -> Markup {
    html! {
        @if bot.deleted { (tagged("off", "cross", "Deleted")) }
        @else if bot.is_dead { (tagged("off", "slash", "Dead")) }
        @else {
            @if bot.quarantined { (tagged("bad", "alert", "Quarantined")) " " }
            @if !bot.maintenance_msg.is_empty() { (tagged("wait", "hourglass", "Maintenance")) " " }
            @if draining { (tagged("wait", "hourglass", "Draining")) " " }
            @if !bot.task_id.is_empty() { (tagged("live", "run", "Busy")) }
            @else if standing == "free" { (tagged("good", "check", "Idle")) }
            @else if standing == "busy" { (tagged("off", "clock", "Not polling")) }
        }
    }
}

/// What it says of itself, or what the server says of it.
fn why_quarantined(bot: &Bot) -> Option<String> {
    let state: Value = serde_json::from_str(&bot.state).unwrap_or_default();
    let why = state.get("quarantined").or(state.get("error")).and_then(Value::as_str);
    why.or_else(|| bot.values("error").first().map(String::as_str)).map(str::to_owned)
}

fn task_state(task: &TaskResult) -> Markup {
    let (tone, icon, word) = match task.state.as_str() {
        "PENDING" => ("wait", "clock", "Pending"),
        "RUNNING" if task.abandoned_ts.is_some() => ("off", "slash", "Being killed"),
        "RUNNING" => ("live", "run", "Running"),
        "COMPLETED" if task.failure => ("bad", "cross", "Failed"),
        "COMPLETED" => ("good", "check", "Succeeded"),
        "TIMED_OUT" => ("bad", "hourglass", "Timed out"),
        "EXPIRED" => ("bad", "hourglass", "Expired"),
        "BOT_DIED" => ("bad", "alert", "Bot died"),
        "NO_RESOURCE" => ("bad", "alert", "No resource"),
        "CLIENT_ERROR" => ("bad", "alert", "Client error"),
        "CANCELED" => ("off", "slash", "Canceled"),
        "KILLED" => ("off", "slash", "Killed"),
        _ => ("off", "dot", "Unknown"),
    };
    html! {
        (tagged(tone, icon, word))
        @if !task.deduped_from.is_empty() { " " span.tag { "deduplicated" } }
        @if let Some(code) = task.exit_code.as_deref().filter(|code| *code != "0" && *code != "-1") { " " span.tag { "exit " (shown(code)) } }
    }
}

/// Text that should be JSON, laid out; as it is when it is none.
fn pretty(text: &str) -> String {
    let value: Option<Value> = serde_json::from_str(text).ok();
    value
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| text.to_owned())
}
