//! The list of executions, and how other pages show a few of them.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use crate::backend::Topic;
use crate::cx::{Answer, Cx};
use crate::types::{Connection, ExecutionRow};
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::state::{badge, bar, diff_stat, tagged};
use crate::view::text::{count, shown};
use crate::view::time::{ago, took};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    action_executions: Connection<ExecutionRow>,
}

pub(crate) async fn list(cx: Cx) -> Answer {
    let variables =
        json!({ "first": ROWS, "after": cx.params.get("after"), "state": cx.params.get("state") });
    let data: Data = cx.ask(include_str!("../../queries/executions.graphql"), variables).await?;
    let all = &data.action_executions;
    let body = html! {
        (title(&[], html! { "Executions" }, html! { "Each run of an action over its repositories." },
            html! { @if cx.may_write() { a.button.primary href="/actions" { "Run an action" } } }))
        (list::filters(&cx, "State", "state", &[("", "All", None), ("PROCESSING", "In progress", None), ("ERRORED", "Failed", None), ("COMPLETED", "Completed", None), ("CANCELED", "Canceled", None)]))
        section data-live id="executions" {
            @if all.nodes.is_empty() {
                (list::empty("No execution is here.", html! { "Run an " a href="/actions" { "action" } ", or look at " a href="/executions" { "all executions" } "." }))
            } @else { (table(&all.nodes)) }
            (list::pager(&cx, &all.page_info, all.total_count, all.nodes.len()))
        }
    };
    Ok(cx.page(&Page::new("Executions").live(Topic::Everything), body))
}

pub(crate) fn table(rows: &[ExecutionRow]) -> Markup {
    list::table(
        "Executions",
        &["Execution", "State", "Jobs", "Patches", "Why it ran", "Started", "Took"],
        html! {
            @for row in rows {
                tr {
                    th scope="row" { a href=(row.url) { (shown(&row.name)) } " " span.dim { "#" (row.number) } }
                    td { (state(row)) }
                    td.wide { (bar(&row.counts)) (progress(row)) }
                    td { (count(row.counts.with_patch)) " " (diff_stat(&row.diff_stat)) }
                    td { (reason(&row.invocation_reason)) span.dim.sub { (shown(&row.reason_detail)) } }
                    td { (ago(row.created_at)) }
                    td { (took(row.execution_start_at, row.execution_end_at)) }
                }
            }
        },
    )
}

/// A few executions in a narrow place.
pub(crate) fn cards(rows: &[ExecutionRow]) -> Markup {
    html! {
        ul.cards {
            @for row in rows {
                li {
                    div.line { a.name href=(row.url) { (shown(&row.name)) } span.dim { "#" (row.number) } span.push { (state(row)) } }
                    (bar(&row.counts))
                    div.line.small { (progress(row)) span.push.dim { (reason(&row.invocation_reason)) " · " (ago(row.execution_end_at.unwrap_or(row.created_at))) } }
                }
            }
        }
    }
}

pub(crate) fn state(row: &ExecutionRow) -> Markup {
    match row.status.state.as_str() {
        "ERRORED" if row.counts.completed > 0 => tagged("bad", "cross", "Partly failed"),
        state => badge(state),
    }
}

pub(crate) fn progress(row: &ExecutionRow) -> Markup {
    let counts = &row.counts;
    let ended = counts.total - counts.pending - counts.running;
    html! {
        span.progress {
            @if ended < counts.total { (count(ended)) " of " }
            (count(counts.total)) " jobs"
            @if counts.errored + counts.timeout > 0 { ", " b.bad { (count(counts.errored + counts.timeout)) " failed" } }
        }
    }
}

pub(crate) fn reason(reason: &str) -> &str {
    match reason {
        "MANUAL" => "By hand",
        "SCHEDULE" => "Schedule",
        "SAVED_SEARCH" => "Saved search",
        "WEBHOOK" => "Webhook",
        other => other,
    }
}
