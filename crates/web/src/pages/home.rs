//! Home: what needs a person first, then what waits and why, what runs, what has ended, and a way to run something.

use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::Topic;
use crate::cx::{Answer, Cx, go};
use crate::pages::{campaigns, executions, jobs};
use crate::session::Posted;
use crate::types::{Connection, ExecutionRow, JobRow, Named};
use crate::view::form::form;
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::{FAILED, empty, in_state};
use crate::view::text::{count, counted, flat, shown};
use crate::view::time::{ago, span};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Home {
    server_status: Status,
    running: Connection<ExecutionRow>,
    failed: Connection<ExecutionRow>,
    completed: Connection<ExecutionRow>,
    failed_jobs: Connection<JobRow>,
    campaigns: Connection<campaigns::Short>,
    actions: Connection<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    version: String,
    started_at: Timestamp,
    queued_jobs: i64,
    running_jobs: i64,
    runners: i64,
    oldest_queued_seconds: Option<i64>,
    waiting_reason: Option<String>,
    attention: Vec<Attention>,
}

#[derive(Deserialize)]
struct Attention {
    text: String,
    url: String,
    since: Option<Timestamp>,
}

pub(crate) async fn show(cx: Cx) -> Answer {
    let home: Home = cx.ask(include_str!("../../queries/home.graphql"), json!({})).await?;
    let status = &home.server_status;
    let body = html! {
        (title(&[], html! { "Overview" },
            html! { span { "Phalanx " (shown(&status.version)) ", started " (ago(status.started_at)) } },
            run_something(&cx, &home.actions)))
        section data-live id="status" aria-label="Now" { (numbers(status, home.failed.total_count)) }
        // Hidden while there is nothing, so that what comes later has its place.
        section.card.attention data-live id="attention" hidden[status.attention.is_empty()] {
            h2 { (icon("alert")) "Needs you" }
            ul {
                @for item in &status.attention {
                    li { a href=(item.url) { (shown(&item.text)) } @if let Some(since) = item.since { " " span.dim { (ago(since)) } } }
                }
            }
        }
        div.columns {
            section.card data-live id="running" {
                h2 { "In progress" span.n { (count(home.running.total_count)) } a.more href="/executions?state=PROCESSING" { "All" } }
                @if home.running.nodes.is_empty() {
                    (empty("Nothing is running.", html! { "Pick an action above, or " a href="/actions/new" { "write one" } "." }))
                } @else { (executions::cards(&home.running.nodes)) }
            }
            section.card data-live id="failed" {
                h2 { "Failed" span.n { (count(home.failed.total_count)) } a.more href="/executions?state=ERRORED" { "All" } }
                @if home.failed.nodes.is_empty() {
                    (empty("No execution has failed.", html! { "Failures appear here with their reason." }))
                } @else { (executions::cards(&home.failed.nodes)) }
            }
        }
        section.card data-live id="failed-jobs" hidden[home.failed_jobs.nodes.is_empty()] {
            h2 { "Latest failed jobs" span.n { (count(home.failed_jobs.total_count)) } a.more href=(in_state("/jobs", FAILED)) { "All" } }
            (jobs::table(&home.failed_jobs.nodes, true))
        }
        div.columns {
            section.card data-live id="campaigns" {
                h2 { "Open campaigns" span.n { (count(home.campaigns.total_count)) } a.more href="/campaigns" { "All" } }
                @if home.campaigns.nodes.is_empty() {
                    (empty("No campaign is open.", html! { "An execution that made patches can become one." }))
                } @else { (campaigns::short(&home.campaigns.nodes)) }
            }
            section.card data-live id="completed" {
                h2 { "Recently completed" a.more href="/executions?state=COMPLETED" { "All" } }
                @if home.completed.nodes.is_empty() {
                    (empty("Nothing has completed yet.", html! { a href="/actions" { "Actions" } " are what runs." }))
                } @else { (executions::cards(&home.completed.nodes)) }
            }
        }
    };
    Ok(cx.page(&Page::new("Overview").live(Topic::Everything), body))
}

/// Runs the action of a name.
pub(crate) async fn run(posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let variables = json!({ "name": fields.get("name").unwrap_or_default().trim() });
    let found: Value = cx.ask(include_str!("../../queries/action_find.graphql"), variables).await?;
    let id =
        found["action"]["id"].as_str().ok_or_else(|| cx.not_found("No action has this name."))?;
    let query = include_str!("../../queries/do/createActionExecution.graphql");
    let done: Value = cx.ask(query, json!({ "action": id })).await?;
    Ok(go(done["done"]["url"].as_str().unwrap_or("/executions")))
}

fn run_something(cx: &Cx, actions: &Connection<Named>) -> Markup {
    html! {
        @if cx.may_write() {
            @if actions.total_count > actions.nodes.len() as i64 {
                // Too many to choose from: the name is typed, and the first ones are suggested.
                (form(cx, "/run", html! {
                    label.hide for="run-action" { "Action to run" }
                    input id="run-action" name="name" list="run-actions" required placeholder={ "One of " (count(actions.total_count)) " actions" } autocomplete="off" spellcheck="false";
                    datalist id="run-actions" { @for action in &actions.nodes { option value=(action.name) {} } }
                    button.primary { (icon("play")) "Run" }
                }))
            } @else if !actions.nodes.is_empty() {
                (form(cx, "/do/createActionExecution", html! {
                    label.hide for="run-action" { "Action to run" }
                    select id="run-action" name="action" { @for action in &actions.nodes { option value=(action.id) { (flat(&action.name)) } } }
                    button.primary { (icon("play")) "Run" }
                }))
            }
            a.button href="/actions/new" { "New action" }
        }
    }
}

fn numbers(status: &Status, failed: i64) -> Markup {
    html! {
        div.tiles {
            a.tile href="/jobs?state=PENDING" { b { (count(status.queued_jobs)) } span { (icon("clock")) "jobs queued" } }
            a.tile href="/jobs?state=RUNNING" { b { (count(status.running_jobs)) } span { (icon("run")) "jobs running" } }
            a.tile href="/executions?state=ERRORED" { b class=[(failed > 0).then_some("bad")] { (count(failed)) } span { (icon("cross")) "executions failed" } }
            a.tile href="/runners" { b class=[(status.runners == 0).then_some("bad")] { (count(status.runners)) } span { (icon("runner")) "runners online" } }
        }
        @if let Some(oldest) = status.oldest_queued_seconds {
            p.note.wait {
                (icon("clock"))
                span {
                    "The oldest of " (counted(status.queued_jobs, "queued job", "queued jobs")) " has waited " b { (span(oldest)) }
                    @if let Some(reason) = &status.waiting_reason { ": " (shown(reason)) } @else { "." }
                }
            }
        }
    }
}
