//! One job: why it is as it is, its log, its patch, its attempts, and how to do the same by hand.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::{LogPiece, Topic};
use crate::cx::{Answer, Cx, node_id};
use crate::log_door::SHOWN_BYTES;
use crate::pages::jobs;
use crate::types::{Comparison, JobRow, Named, Node};
use crate::view::diff::diff;
use crate::view::form::{grave, operation};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list;
use crate::view::state::{badge, diff_stat, tagged};
use crate::view::text::{bytes, plain_log, shown};
use crate::view::time::{ago, millis, took};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    id: String,
    #[serde(flatten)]
    row: JobRow,
    branch: String,
    base_revision: Commit,
    priority: i64,
    error: Option<String>,
    reproduce_command: String,
    agent: Option<Named>,
    steps: Vec<Step>,
    attempts: Vec<Attempt>,
    changesets: Vec<Rendered>,
    diff: Option<Comparison>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Commit {
    oid: String,
    #[serde(rename = "abbreviatedOID")]
    short: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    number: i64,
    run: String,
    container: Option<String>,
    state: String,
    exit_code: Option<i64>,
    duration_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    number: u32,
    agent: String,
    state: String,
    exit_code: Option<i64>,
    message: Option<String>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    log_bytes: u64,
    log_incomplete: bool,
    live: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rendered {
    branch: String,
    title: String,
    body: String,
    commit_message: String,
    files: Vec<String>,
}

pub(crate) async fn show(cx: Cx, Path(number): Path<u64>) -> Answer {
    let tab = cx.params.get("tab").unwrap_or("log");
    let variables = json!({ "id": node_id("ActionJob", number), "diff": tab == "diff", "files": cx.params.get("files") });
    let data: Node<Job> = cx.ask(include_str!("../../queries/job.graphql"), variables).await?;
    let job = data.node.ok_or_else(|| cx.not_found("No job has this number."))?;
    let row = &job.row;
    let tabs = [("", "Log"), ("diff", "Patch"), ("details", "Details")];
    let mut crumbs = vec![("/jobs", "Jobs")];
    if let Some(execution) = &row.execution {
        crumbs =
            vec![("/executions", "Executions"), (execution.url.as_str(), execution.name.as_str())];
    }
    let body = html! {
        (title(&crumbs, html! { (shown(&row.repository.name)) @if !row.path.is_empty() { "/" (shown(&row.path)) } " " span.dim { "#" (row.number) } },
            facts(&job), buttons(&cx, &job)))
        section data-live id="explain" aria-label="Why" { (explain(&job)) (steps(&job)) }
        nav.tabs aria-label="Views of this job" {
            @for (value, word) in tabs {
                a href=(cx.with(&[("tab", value), ("view", ""), ("files", "")])) aria-current=[(value == tab || (value.is_empty() && tab == "log")).then_some("page")] {
                    (word)
                    @if let (true, Some(stat)) = (value == "diff", &row.diff_stat) { " " (diff_stat(stat)) }
                }
            }
        }
        @match tab {
            "diff" => section.card aria-label="Patch" {
                @if let Some(comparison) = &job.diff { (diff(&cx, &comparison.file_diffs, Some(&format!("/jobs/{number}/diff/raw")))) }
                @else { (list::empty("This job made no patch.", html! { "Its commands changed no file." })) }
            },
            "details" => (details(&job)),
            _ => (log(&cx, &job).await),
        }
    };
    let page = Page::new(format!("{} #{} · {}", row.repository.name, row.number, row.outcome))
        .live(Topic::Job(number));
    let page = if tab == "log" { page.scripts(&["log.js"]) } else { page };
    Ok(cx.page(&page, body))
}

fn facts(job: &Job) -> Markup {
    let row = &job.row;
    html! {
        (jobs::state(row))
        @if let Some(queued) = row.queued_at { span { "queued " (ago(queued)) } }
        span { "took " (took(row.execution_start_at, row.execution_end_at)) }
        @if let Some(agent) = &job.agent { span { "on " a href=(agent.url) { (shown(&agent.name)) } } }
        span { (shown(&job.branch)) " at " code title=(job.base_revision.oid) { (shown(&job.base_revision.short)) } }
    }
}

fn buttons(cx: &Cx, job: &Job) -> Markup {
    let id = [("actionJob", job.id.as_str())];
    let live = matches!(job.row.outcome.as_str(), "queued" | "running");
    html! {
        @if cx.may_write() {
            @if live && !job.row.canceling {
                (grave(cx, "cancelActionJob", &id, "Cancel", "The job is told to stop; what it has written so far is kept in the log."))
            }
            @if !live && job.row.outcome != "succeeded" {
                (operation(cx, "retryActionJob", &id, html! { (icon("retry")) "Retry" }, "primary"))
            }
        }
    }
}

fn explain(job: &Job) -> Markup {
    // The badge above says it.
    if job.row.outcome == "succeeded" && job.error.is_none() {
        return html! {};
    }
    let tone = match job.row.outcome.as_str() {
        "succeeded" => "good",
        "queued" => "wait",
        "running" => "plain",
        "canceled" | "killed" => "plain",
        _ => "bad",
    };
    let name = match tone {
        "good" => "check",
        "bad" => "cross",
        "wait" => "clock",
        _ => "run",
    };
    html! {
        div.note.(tone) {
            (icon(name))
            div {
                (shown(&job.row.explain))
                @if let Some(error) = job.error.as_ref().filter(|error| **error != job.row.explain) { pre.quote { (shown(error)) } }
            }
        }
    }
}

fn steps(job: &Job) -> Markup {
    html! {
        @if !job.steps.is_empty() {
            ol.steps aria-label="Steps" {
                @for step in &job.steps {
                    li {
                        span.no { (step.number) }
                        (badge(&step.state))
                        code.clip title=(step.run) { (shown(step.run.lines().next().unwrap_or_default())) }
                        span.push.dim {
                            @if let Some(container) = &step.container { (shown(container)) " " }
                            @if let Some(code) = step.exit_code.filter(|code| *code != 0) { span.tag { "exit " (code) } " " }
                            @if let Some(duration) = step.duration_ms { span.num { (millis(duration)) } }
                        }
                    }
                }
            }
        }
    }
}

async fn log(cx: &Cx, job: &Job) -> Markup {
    let number = job.row.number;
    let asked = cx.params.get("attempt").and_then(|attempt| attempt.parse::<u32>().ok());
    let attempt = asked.map_or_else(
        || job.attempts.first(),
        |asked| job.attempts.iter().find(|attempt| attempt.number == asked),
    );
    let Some(attempt) = attempt else {
        return list::empty(
            "There is no log yet.",
            html! { "It appears here when a runner takes the job." },
        );
    };
    let of_attempt =
        |more: &str| format!("/jobs/{number}/log/raw?attempt={}{more}", attempt.number);
    // The end of the log is in the page: it is there at once, and without scripts.
    let start = attempt.log_bytes.saturating_sub(SHOWN_BYTES as u64);
    let piece =
        cx.door.backend.log(&cx.caller, number, Some(attempt.number), start, SHOWN_BYTES).await;
    let failed = !matches!(job.row.outcome.as_str(), "succeeded" | "queued" | "running");
    html! {
        section.log-card aria-label="Log" {
            div.log-head {
                @if job.attempts.len() > 1 {
                    nav.filters aria-label="Attempts" {
                        @for one in &job.attempts {
                            a href=(cx.with(&[("attempt", &one.number.to_string())])) aria-current=[(one.number == attempt.number).then_some("true")] { "Attempt " (one.number) }
                        }
                    }
                }
                span.dim { (bytes(attempt.log_bytes)) }
                @if attempt.log_incomplete { (tagged("bad", "alert", "The log is incomplete")) }
                span.push { a href=(of_attempt("")) { "Raw" } " · " a href=(of_attempt("&download")) { "Download" } }
            }
            div id="log" data-url=(of_attempt("")) data-topic={ "log:" (number) } data-opens=(if attempt.live { "end" } else if failed { "error" } else { "end" }) {
                noscript { p.small {
                    "This is the end of the log. " a href={ "/jobs/" (number) "/log?attempt=" (attempt.number) "&offset=0" } { "Read it from the start" }
                } }
                pre.log-plain tabindex="0" aria-label="End of the log" { @if let Some(piece) = &piece { (shown(&plain(piece))) } }
            }
        }
    }
}

fn plain(piece: &LogPiece) -> String {
    plain_log(&String::from_utf8_lossy(&piece.bytes))
}

/// A page of one piece, with links to the ones around it.
pub(crate) fn log_piece(
    cx: &Cx,
    number: u64,
    attempt: Option<u32>,
    offset: u64,
    piece: &LogPiece,
) -> Response {
    let end = offset + piece.bytes.len() as u64;
    let back = offset.saturating_sub(SHOWN_BYTES as u64);
    let job = format!("/jobs/{number}");
    let attempt = attempt.map(|attempt| format!("&attempt={attempt}")).unwrap_or_default();
    let links = |label: &str| {
        html! {
            nav.pager aria-label=(label) {
                span { "Bytes " (offset) "–" (end) " of " (piece.total) }
                @if offset > 0 { a href={ (job) "/log?offset=" (back) (attempt) } { "Earlier" } a href={ (job) "/log?offset=0" (attempt) } { "Start" } }
                @if end < piece.total { a rel="next" href={ (job) "/log?offset=" (end) (attempt) } { "Next piece" } }
                a href={ (job) "/log/raw?" (attempt.trim_start_matches('&')) } { "Raw" }
            }
        }
    };
    let body = html! {
        (title(&[("/jobs", "Jobs"), (job.as_str(), &format!("#{number}"))], html! { "Log" }, html! {}, html! {}))
        (links("Pieces of the log"))
        pre.log-plain tabindex="0" aria-label="Log" { (shown(&plain(piece))) }
        (links("Pieces of the log, at its end"))
    };
    cx.page(&Page::new(format!("Log of job {number}")), body)
}

fn details(job: &Job) -> Markup {
    html! {
        section.card {
            h2 { "Do the same on your machine" }
            (list::copy(&job.reproduce_command, "Copy"))
            pre.text tabindex="0" { (shown(&job.reproduce_command)) }
        }
        section.card {
            h2 { "Attempts" }
            @if job.attempts.is_empty() { (list::empty("No runner has taken it yet.", html! { "The reason is above." })) }
            @else {
                (list::table("Attempts", &["Attempt", "State", "Runner", "Message", "Started", "Took", "Log"], html! {
                    @for attempt in &job.attempts {
                        tr {
                            th scope="row" { (attempt.number) }
                            td { (badge(&attempt.state)) @if let Some(code) = attempt.exit_code.filter(|code| *code != 0) { " " span.tag { "exit " (code) } } }
                            td { (shown(&attempt.agent)) }
                            td.wide { @if let Some(message) = &attempt.message { (shown(message)) } }
                            td { @if let Some(at) = attempt.started_at { (ago(at)) } }
                            td { (took(attempt.started_at, attempt.ended_at)) }
                            td { a href={ (job.row.url) "?attempt=" (attempt.number) } { (bytes(attempt.log_bytes)) } }
                        }
                    }
                }))
            }
        }
        @if !job.changesets.is_empty() {
            section.card {
                h2 { "Pull requests it would make" }
                @for changeset in &job.changesets {
                    article {
                        h3 { (shown(&changeset.title)) }
                        p.small { "from branch " code { (shown(&changeset.branch)) } ", " (changeset.files.len()) " files" }
                        pre.text tabindex="0" { (shown(&changeset.body)) }
                        @if !changeset.commit_message.is_empty() { p.small { "Commit message" } pre.text tabindex="0" { (shown(&changeset.commit_message)) } }
                    }
                }
            }
        }
        section.card {
            h2 { "Facts" }
            dl.facts-list {
                dt { "Repository" } dd { a href=(job.row.repository.url) { (shown(&job.row.repository.name)) } }
                dt { "Revision" } dd { code { (shown(&job.base_revision.oid)) } }
                dt { "Priority" } dd { (job.priority) }
            }
        }
    }
}

pub(crate) async fn raw_diff(cx: Cx, Path(number): Path<u64>) -> Answer {
    let variables = json!({ "id": node_id("ActionJob", number) });
    let data: Value = cx.ask(include_str!("../../queries/job_diff_raw.graphql"), variables).await?;
    raw(&cx, &data)
}

/// The whole difference as text, out of `node.diff`.
pub(crate) fn raw(cx: &Cx, data: &Value) -> Answer {
    let text = data["node"]["diff"]["fileDiffs"]["rawDiff"].as_str();
    let text = text.ok_or_else(|| cx.not_found("There is no difference here."))?;
    Ok(text.to_owned().into_response())
}
