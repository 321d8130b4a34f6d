//! One execution: how far, what failed and why, what to press next, and its jobs.

use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use axum::extract::Path;

use crate::backend::Topic;
use crate::cx::{Answer, Cx, encoded, node_id};
use crate::pages::{executions, jobs};
use crate::types::{Connection, ExecutionRow, JobRow, Named, Node, User};
use crate::view::form::{grave, operation};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::state::{bar, diff_stat, parts};
use crate::view::text::{count, counted, shown};
use crate::view::time::{ago, took};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Execution {
    id: String,
    #[serde(flatten)]
    row: ExecutionRow,
    version: Option<i64>,
    notices: Vec<String>,
    text: String,
    viewer_can_administer: bool,
    action: Option<OfAction>,
    patch_set: Option<PatchSet>,
    partial_submit: Option<PartialSubmit>,
    jobs: Connection<JobRow>,
}

#[derive(Deserialize)]
struct OfAction {
    name: String,
    url: String,
    campaign: Option<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PatchSet {
    id: String,
    #[serde(rename = "previewURL")]
    preview_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartialSubmit {
    by: User,
    at: Timestamp,
    failed_jobs: i64,
}

pub(crate) async fn show(cx: Cx, Path(number): Path<u64>) -> Answer {
    let variables = json!({
        "id": node_id("ActionExecution", number), "first": ROWS, "after": cx.params.get("after"),
        "states": list::states(&cx), "query": cx.params.get("q"),
    });
    let data: Node<Execution> =
        cx.ask(include_str!("../../queries/execution.graphql"), variables).await?;
    let execution = data.node.ok_or_else(|| cx.not_found("No execution has this number."))?;
    let row = &execution.row;
    let body = html! {
        (title(&[("/executions", "Executions")], html! { (shown(&row.name)) " " span.dim { "#" (row.number) } }, facts(&execution), buttons(&cx, &execution)))
        section data-live id="progress" aria-label="Progress" { (says(&cx, &execution)) (numbers(&cx, row)) }
        section.card {
            h2 { "Jobs" }
            (list::query_box(&cx, "Filter jobs by repository", "repository or path"))
            div data-live id="jobs" {
                @if execution.jobs.nodes.is_empty() {
                    (list::empty("No job is here.", html! { "Try " a href=(row.url) { "all jobs of this execution" } "." }))
                } @else { (jobs::table(&execution.jobs.nodes, false)) }
                (list::pager(&cx, &execution.jobs.page_info, execution.jobs.total_count, execution.jobs.nodes.len()))
            }
        }
        details.card { summary { "Definition as it ran" } pre.text tabindex="0" { (shown(&execution.text)) } }
    };
    let page = Page::new(format!("{} #{} · {}", row.name, row.number, spoken(row)))
        .live(Topic::Execution(number));
    Ok(cx.page(&page, body))
}

/// The state in the page's title, which chats show.
fn spoken(row: &ExecutionRow) -> String {
    let ended = row.counts.total - row.counts.pending - row.counts.running;
    format!(
        "{} of {} jobs, {} failed",
        ended,
        row.counts.total,
        row.counts.errored + row.counts.timeout
    )
}

fn facts(execution: &Execution) -> Markup {
    let row = &execution.row;
    html! {
        (executions::state(row))
        span { (executions::reason(&row.invocation_reason)) ": " (shown(&row.reason_detail)) }
        span { "created " (ago(row.created_at)) }
        span { "took " (took(row.execution_start_at, row.execution_end_at)) }
        @if let Some(action) = &execution.action {
            span { "action " a href=(action.url) { (shown(&action.name)) } @if let Some(version) = execution.version { " version " (version) } }
        }
    }
}

fn buttons(cx: &Cx, execution: &Execution) -> Markup {
    let id = [("actionExecution", execution.id.as_str())];
    let counts = &execution.row.counts;
    let live = counts.pending + counts.running > 0;
    let lost = counts.errored + counts.timeout + counts.canceled;
    let campaign = execution.action.as_ref().and_then(|action| action.campaign.as_ref());
    html! {
        @if execution.viewer_can_administer {
            @if lost > 0 { (operation(cx, "retryActionExecution", &id, html! { (icon("retry")) "Retry " (count(lost)) " not succeeded" }, "primary")) }
            @if let Some(set) = &execution.patch_set {
                @let set = encoded(&set.id);
                @if let Some(campaign) = campaign {
                    a.button.primary href={ (campaign.url) "/preview?patchSet=" (set) } { (icon("campaign")) "Update campaign" }
                }
                a.button.primary[campaign.is_none()] href={ "/campaigns/new?patchSet=" (set) } { (icon("campaign")) "Create campaign" }
            }
            @if execution.patch_set.is_none() && lost > 0 && counts.with_patch > 0 && !live {
                (grave(cx, "submitPartialExecution", &id, "Use what succeeded",
                    &format!("{} made a patch, {} did not succeed. The patches become a patch set, and it is recorded that you decided so. Retrying later is still possible.",
                        counted(counts.with_patch, "job", "jobs"), counted(lost, "job", "jobs"))))
            }
            @if live {
                (grave(cx, "cancelActionExecution", &id, "Cancel",
                    &format!("{} that have not ended will be canceled. What has ended stays.", counted(counts.pending + counts.running, "job", "jobs"))))
            }
        }
        @if let Some(set) = &execution.patch_set { a.button href=(set.preview_url) { "Patches" } }
    }
}

fn says(cx: &Cx, execution: &Execution) -> Markup {
    let row = &execution.row;
    html! {
        @if let Some(partial) = &execution.partial_submit {
            p.note.wait { (icon("alert")) span { b { (shown(&partial.by.username)) } " took the patches that were good " (ago(partial.at)) "; " (counted(partial.failed_jobs, "job", "jobs")) " had not succeeded." } }
        }
        @if !execution.notices.is_empty() {
            details.note.plain open[execution.notices.len() <= 3] {
                summary { (counted(execution.notices.len() as i64, "notice", "notices")) ": repositories that were left out, and warnings" }
                ul { @for notice in &execution.notices { li { (shown(notice)) } } }
            }
        }
        @if row.counts.errored + row.counts.timeout > 0 && cx.params.get("state").is_none() {
            p.note.bad { (icon("cross")) span {
                b { (counted(row.counts.errored + row.counts.timeout, "job", "jobs")) " did not succeed." } " "
                a href=(list::in_state(&row.url, list::FAILED)) { "See why" }
                @if row.counts.with_patch > 0 { ". The " (counted(row.counts.with_patch, "patch", "patches")) " of the others are kept." }
            } }
        }
    }
}

fn numbers(cx: &Cx, row: &ExecutionRow) -> Markup {
    let now = cx.params.get("state").unwrap_or_default();
    html! {
        div.card.sum {
            (bar(&row.counts))
            nav.filters.legend aria-label="Jobs by state" {
                a href=(cx.with(&[("state", ""), ("after", ""), ("at", "")])) aria-current=[now.is_empty().then_some("true")] { "All " span.n { (count(row.counts.total)) } }
                @for (tone, word, number, state) in parts(&row.counts) {
                    @if number > 0 || now == state {
                        a href=(cx.with(&[("state", state), ("after", ""), ("at", "")])) aria-current=[(now == state).then_some("true")] {
                            span.key.(tone) {} (word) " " span.n { (count(number)) }
                        }
                    }
                }
                @if (row.counts.errored > 0 && row.counts.timeout > 0) || now == list::FAILED {
                    a href=(cx.with(&[("state", list::FAILED), ("after", ""), ("at", "")])) aria-current=[(now == list::FAILED).then_some("true")] {
                        "Failed or timed out " span.n { (count(row.counts.errored + row.counts.timeout)) }
                    }
                }
            }
            p.small {
                (counted(row.counts.with_patch, "patch", "patches")) " " (diff_stat(&row.diff_stat))
                " in " (counted(row.diff_stat.files, "file", "files"))
            }
        }
    }
}
