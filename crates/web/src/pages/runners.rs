//! Runners: which are there, what they do, which are drained; and one of them.

use axum::extract::Path;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use crate::backend::{Role, Topic};
use crate::cx::{Answer, Cx, node_id};
use crate::pages::jobs;
use crate::types::{Connection, JobRow, Named, Node};
use crate::view::form::operation;
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::state::{badge, tagged};
use crate::view::text::{count, counted, shown};
use crate::view::time::{ago, span};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    agents: Connection<Row>,
    server_status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    queued_jobs: i64,
    running_jobs: i64,
    oldest_queued_seconds: Option<i64>,
    waiting_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    url: String,
    state: String,
    slots: i64,
    draining: bool,
    waiting: bool,
    queues: Vec<String>,
    last_seen_at: Timestamp,
    specs: String,
    running_jobs: Connection<Running>,
}

#[derive(Deserialize)]
struct Running {
    url: String,
    repository: Named,
}

pub(crate) async fn list(cx: Cx) -> Answer {
    let variables =
        json!({ "first": ROWS, "after": cx.params.get("after"), "state": cx.params.get("state") });
    let data: Data = cx.ask(include_str!("../../queries/runners.graphql"), variables).await?;
    let (all, status) = (&data.agents, &data.server_status);
    let body = html! {
        (title(&[], html! { "Runners" }, html! { "Machines that take jobs." }, html! {}))
        (list::filters(&cx, "State", "state", &[("", "All", None), ("ONLINE", "Online", None), ("OFFLINE", "Offline", None)]))
        section data-live id="runners" {
            p.note.plain { (icon("clock")) span {
                (counted(status.running_jobs, "job", "jobs")) " running, " (count(status.queued_jobs)) " queued"
                @if let Some(oldest) = status.oldest_queued_seconds { ", the oldest for " b { (span(oldest)) } }
                @if let Some(reason) = &status.waiting_reason { ": " (shown(reason)) }
            } }
            @if all.nodes.is_empty() { (list::empty("No runner is here.", html! { "Start one: " code { "phalanx runner --server URL" } })) }
            @else {
                (list::table("Runners", &["Runner", "State", "Slots", "Now", "Queues", "Seen"], html! {
                    @for row in &all.nodes {
                        tr {
                            th scope="row" { a href=(row.url) { (shown(&row.name)) } div.dim.sub { span.clip { (shown(&row.specs)) } } }
                            td { (state(&row.state, row.draining, row.waiting)) }
                            td.num { (row.running_jobs.total_count) " of " (row.slots) }
                            td.wide {
                                @for job in row.running_jobs.nodes.iter().take(3) { a.sub href=(job.url) { (shown(&job.repository.name)) } }
                                @if row.running_jobs.total_count > 3 { span.dim { "and " (row.running_jobs.total_count - 3) " more" } }
                                @if row.running_jobs.nodes.is_empty() { span.dim { "idle" } }
                            }
                            td { @for queue in &row.queues { span.tag { (shown(queue)) } " " } }
                            td { (ago(row.last_seen_at)) }
                        }
                    }
                }))
            }
            (list::pager(&cx, &all.page_info, all.total_count, all.nodes.len()))
        }
    };
    Ok(cx.page(&Page::new("Runners").live(Topic::Everything), body))
}

fn state(state: &str, draining: bool, waiting: bool) -> Markup {
    html! {
        (badge(state))
        @if draining { " " (tagged("wait", "hourglass", "Draining")) }
        @if waiting && !draining { " " span.tag { "asks for work" } }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Runner {
    id: String,
    name: String,
    state: String,
    slots: i64,
    draining: bool,
    waiting: bool,
    queues: Vec<String>,
    last_seen_at: Timestamp,
    specs: String,
    dimensions: Vec<Dimension>,
    running_jobs: Connection<JobRow>,
}

#[derive(Deserialize)]
struct Dimension {
    key: String,
    values: Vec<String>,
}

pub(crate) async fn show(cx: Cx, Path(name): Path<String>) -> Answer {
    let variables = json!({ "id": node_id("Agent", &name) });
    let data: Node<Runner> =
        cx.ask(include_str!("../../queries/runner.graphql"), variables).await?;
    let runner = data.node.ok_or_else(|| cx.not_found("No runner has this name."))?;
    let drain = if runner.draining { "false" } else { "true" };
    let body = html! {
        (title(&[("/runners", "Runners")], html! { (shown(&runner.name)) }, html! {
            (state(&runner.state, runner.draining, runner.waiting)) span { "seen " (ago(runner.last_seen_at)) } span { (runner.running_jobs.total_count) " of " (counted(runner.slots, "slot", "slots")) " used" }
        }, html! {
            @if cx.caller.role == Role::Admin {
                (operation(&cx, "drainAgent", &[("agent", &runner.id), ("drain", drain)], html! { @if runner.draining { "Take jobs again" } @else { "Drain" } }, ""))
            }
        }))
        @if runner.draining { p.note.wait { (icon("hourglass")) span { "It finishes what it runs and takes nothing new." } } }
        section.card data-live id="jobs" { h2 { "Runs now" }
            @if runner.running_jobs.nodes.is_empty() { (list::empty("It is idle.", html! { "Why a job waits is said on the job's page." })) } @else { (jobs::table(&runner.running_jobs.nodes, true)) }
        }
        section.card { h2 { "What it offers" }
            (list::table("Dimensions", &["Dimension", "Values"], html! { @for one in &runner.dimensions { tr { th scope="row" { (shown(&one.key)) } td.wide { @for value in &one.values { span.tag { (shown(value)) } " " } } } } }))
            p { "Queues: " @for queue in &runner.queues { span.tag { (shown(queue)) } " " } }
            @if !runner.specs.is_empty() { pre.text tabindex="0" aria-label="Specs" { (shown(&runner.specs)) } }
        }
    };
    Ok(cx.page(&Page::new(runner.name.clone()).live(Topic::Everything), body))
}
