//! The rows of the list of tasks: which columns there are, what they say, and how a page is ordered by them.

use std::cmp::Ordering;

use jiff::Timestamp;
use maud::{Markup, html};

use super::wire::TaskResult;
use super::{bot_link, task_link, task_state};
use crate::view::text::shown;
use crate::view::time::{ago_or, span, took};

pub(super) const USUAL: [&str; 7] =
    ["name", "state", "bot", "createdTs", "pendingTime", "duration", "pool"];
/// What is no tag.
pub(super) const OTHERS: [&str; 13] = [
    "name",
    "state",
    "bot",
    "createdTs",
    "pendingTime",
    "duration",
    "startedTs",
    "completedTs",
    "abandonedTs",
    "user",
    "exitCode",
    "costsUsd",
    "dedupedFrom",
];
pub(super) const ORDER: (&str, bool) = ("createdTs", true);

pub(super) fn word(column: &str) -> String {
    let word = match column {
        "name" => "Task",
        "state" => "State",
        "bot" => "Bot",
        "createdTs" => "Created",
        "pendingTime" => "Waited",
        "duration" => "Ran",
        "startedTs" => "Started",
        "completedTs" => "Ended",
        "abandonedTs" => "Given up",
        "user" => "User",
        "exitCode" => "Exit code",
        "costsUsd" => "Cost",
        "dedupedFrom" => "Result of",
        tag => return tag.strip_suffix("-tag").unwrap_or(tag).to_owned(),
    };
    word.to_owned()
}

pub(super) fn cell(task: &TaskResult, column: &str) -> Markup {
    let end = task.end();
    match column {
        "name" => html! { th scope="row" { (task_link(&task.task_id, &task.name)) } },
        "state" => html! { td { (task_state(task)) } },
        "bot" => {
            html! { td { @if task.bot_id.is_empty() { span.dim { "–" } } @else { (bot_link(&task.bot_id)) } } }
        }
        "createdTs" => html! { td { (ago_or(task.created_ts, "–")) } },
        "startedTs" => html! { td { (ago_or(task.started_ts, "–")) } },
        "completedTs" => html! { td { (ago_or(task.completed_ts, "–")) } },
        "abandonedTs" => html! { td { (ago_or(task.abandoned_ts, "–")) } },
        // What took another's result never waited.
        "pendingTime" => {
            html! { td { @if task.deduped_from.is_empty() { (took(task.created_ts, task.started_ts.or(end))) } @else { span.dim { "–" } } } }
        }
        "duration" => html! { td {
            @if task.duration > 0.0 { span.num { (seconds(task.duration)) } }
            @else { (took(task.started_ts, end)) }
        } },
        "user" => html! { td { (shown(&task.user)) } },
        "exitCode" => html! { td.num { (shown(task.exit_code.as_deref().unwrap_or("–"))) } },
        "costsUsd" => {
            html! { td.num { @if let Some(cost) = task.costs_usd.first() { (format!("${cost:.4}")) } @else { span.dim { "–" } } } }
        }
        "dedupedFrom" => {
            html! { td { @if task.deduped_from.is_empty() { span.dim { "–" } } @else { (task_link(&task.deduped_from, "")) } } }
        }
        tag => {
            html! { td.dimension { (shown(task.tag(tag.strip_suffix("-tag").unwrap_or(tag)).unwrap_or("–"))) } }
        }
    }
}

fn seconds(number: f64) -> String {
    if number < 60.0 { format!("{number:.1} s") } else { span(number as i64) }
}

/// The rows of one page by another column.
pub(super) fn sort(tasks: &mut [TaskResult], (by, down): (&str, bool)) {
    let length = |start: Option<Timestamp>, end: Option<Timestamp>| {
        start.map(|start| {
            end.unwrap_or_else(Timestamp::now).as_millisecond() - start.as_millisecond()
        })
    };
    let tag = |task: &TaskResult, key: &str| {
        task.tag(key.strip_suffix("-tag").unwrap_or(key)).map(str::to_owned)
    };
    tasks.sort_by(|a, b| {
        let order = match by {
            "createdTs" => a.created_ts.cmp(&b.created_ts),
            "startedTs" => a.started_ts.cmp(&b.started_ts),
            "completedTs" => a.completed_ts.cmp(&b.completed_ts),
            "abandonedTs" => a.abandoned_ts.cmp(&b.abandoned_ts),
            "name" => a.name.cmp(&b.name),
            "state" => (&a.state, a.failure).cmp(&(&b.state, b.failure)),
            "bot" => a.bot_id.cmp(&b.bot_id),
            "user" => a.user.cmp(&b.user),
            "dedupedFrom" => a.deduped_from.cmp(&b.deduped_from),
            "exitCode" => number(a).cmp(&number(b)),
            "costsUsd" => {
                a.costs_usd.first().partial_cmp(&b.costs_usd.first()).unwrap_or(Ordering::Equal)
            }
            "duration" => length(a.started_ts, a.end()).cmp(&length(b.started_ts, b.end())),
            "pendingTime" => length(a.created_ts, a.started_ts.or(a.end()))
                .cmp(&length(b.created_ts, b.started_ts.or(b.end()))),
            key => tag(a, key).cmp(&tag(b, key)),
        };
        if down { order.reverse() } else { order }
    });
}

fn number(task: &TaskResult) -> Option<i64> {
    task.exit_code.as_deref().and_then(|code| code.parse().ok())
}
