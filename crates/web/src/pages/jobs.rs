//! The list of jobs, and how other pages show jobs.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use crate::backend::Topic;
use crate::cx::{Answer, Cx};
use crate::types::{Connection, JobRow};
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::state::{badge, diff_stat, tagged};
use crate::view::text::{path, shown};
use crate::view::time::{ago_or, took};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    action_jobs: Connection<JobRow>,
}

pub(crate) async fn list(cx: Cx) -> Answer {
    let variables =
        json!({ "first": ROWS, "after": cx.params.get("after"), "states": list::states(&cx) });
    let data: Data = cx.ask(include_str!("../../queries/jobs.graphql"), variables).await?;
    let all = &data.action_jobs;
    let body = html! {
        (title(&[], html! { "Jobs" }, html! { "One command in one repository each, newest first." }, html! {}))
        (list::filters(&cx, "State", "state", &[("", "All", None), ("PENDING", "Queued", None), ("RUNNING", "Running", None), (list::FAILED, "Failed or timed out", None), ("ERRORED", "Failed", None),
            ("TIMEOUT", "Timed out", None), ("COMPLETED", "Completed", None), ("CANCELED", "Canceled", None)]))
        section data-live id="jobs" {
            @if all.nodes.is_empty() {
                (list::empty("No job is here.", html! { "Jobs are made by " a href="/executions" { "executions" } "." }))
            } @else { (table(&all.nodes, true)) }
            (list::pager(&cx, &all.page_info, all.total_count, all.nodes.len()))
        }
    };
    Ok(cx.page(&Page::new("Jobs").live(Topic::Everything), body))
}

/// With the execution that each belongs to, where the page is not of one.
pub(crate) fn table(rows: &[JobRow], executions: bool) -> Markup {
    let columns: &[&str] = if executions {
        &["Repository", "State", "Why", "Patch", "Execution", "When", "Took"]
    } else {
        &["Repository", "State", "Why", "Patch", "When", "Took"]
    };
    list::table(
        "Jobs",
        columns,
        html! {
            @for row in rows {
                tr {
                    th scope="row" {
                        a href=(row.url) { (path(&row.repository.name)) @if !row.path.is_empty() { "/" wbr; (path(&row.path)) } }
                        " " span.dim { "#" (row.number) }
                    }
                    td { (state(row)) }
                    td.wide { @if row.outcome != "succeeded" { span.clip title=(row.explain) { (shown(&row.explain)) } } }
                    td { @if let Some(stat) = row.diff_stat.filter(|stat| stat.files > 0) { a href={ (row.url) "?tab=diff" } { (diff_stat(&stat)) } } @else { span.dim { "–" } } }
                    @if executions { td { @if let Some(execution) = &row.execution { a href=(execution.url) { (shown(&execution.name)) } } } }
                    td { (ago_or(row.execution_end_at.or(row.execution_start_at).or(row.queued_at), "–")) }
                    td { (took(row.execution_start_at, row.execution_end_at)) }
                }
            }
        },
    )
}

pub(crate) fn state(row: &JobRow) -> Markup {
    html! {
        @if row.canceling { (tagged("off", "slash", "Canceling")) } @else { (badge(&row.outcome)) }
        @if row.cached { " " span.tag { "cached" } }
        @if let Some(code) = row.exit_code.filter(|code| *code != 0) { " " span.tag { "exit " (code) } }
    }
}
