//! The list of actions, and one action: what it does, when it runs, how it went.

use axum::extract::Path;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use crate::backend::Topic;
use crate::cx::{Answer, Cx};
use crate::pages::executions;
use crate::types::{Connection, ExecutionRow, Named, Status, User};
use crate::view::form::{grave, operation};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::state::{badge, tagged};
use crate::view::text::shown;
use crate::view::time::{ago, exact, in_zone};

#[derive(Deserialize)]
struct List {
    actions: Connection<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    name: String,
    url: String,
    description: String,
    schedule: Option<String>,
    schedule_paused: bool,
    next_runs: Vec<Timestamp>,
    saved_search: Option<Named>,
    campaign: Option<Named>,
    last_execution: Option<Last>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Last {
    number: u64,
    url: String,
    status: Status,
    created_at: Timestamp,
}

pub(crate) async fn list(cx: Cx) -> Answer {
    let variables =
        json!({ "first": ROWS, "after": cx.params.get("after"), "query": cx.params.get("q") });
    let data: List = cx.ask(include_str!("../../queries/actions.graphql"), variables).await?;
    let all = &data.actions;
    let body = html! {
        (title(&[], html! { "Actions" }, html! { "Commands to run over many repositories, by hand, on a schedule, or when a saved search finds something new." },
            html! { @if cx.may_write() { a.button.primary href="/actions/new" { "New action" } } }))
        (list::query_box(&cx, "Filter actions", "name or description"))
        section data-live id="actions" {
            @if all.nodes.is_empty() {
                (list::empty("No action is here.", html! { a href="/actions/new" { "Write the first" } ": a few lines say which repositories, and what to run in each." }))
            } @else {
                (list::table("Actions", &["Action", "Last execution", "Runs by itself", "Campaign", ""], html! { @for row in &all.nodes { (one(&cx, row)) } }))
            }
            (list::pager(&cx, &all.page_info, all.total_count, all.nodes.len()))
        }
    };
    Ok(cx.page(&Page::new("Actions").live(Topic::Everything), body))
}

fn one(cx: &Cx, row: &Row) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(row.url) { (shown(&row.name)) } span.dim.sub { (shown(&row.description)) } }
            td { @if let Some(last) = &row.last_execution { (badge(&last.status.state)) " " a href=(last.url) { "#" (last.number) } span.dim.sub { (ago(last.created_at)) } } @else { span.dim { "never ran" } } }
            td {
                @if let Some(schedule) = &row.schedule {
                    code { (shown(schedule)) }
                    @if row.schedule_paused { " " (tagged("wait", "clock", "Paused")) }
                    @else if let Some(next) = row.next_runs.first() { span.dim.sub { "next " (ago(*next)) } }
                }
                @if let Some(search) = &row.saved_search { span.sub { "when " a href=(search.url) { (shown(&search.name)) } " changes" } }
                @if row.schedule.is_none() && row.saved_search.is_none() { span.dim { "by hand only" } }
            }
            td { @if let Some(campaign) = &row.campaign { a href=(campaign.url) { (shown(&campaign.name)) } } @else { span.dim { "–" } } }
            td { @if cx.may_write() { (operation(cx, "createActionExecution", &[("action", &row.id)], html! { (icon("play")) "Run" span.hide { " " (shown(&row.name)) } }, "")) } }
        }
    }
}

#[derive(Deserialize)]
struct One {
    action: Option<Action>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    id: String,
    name: String,
    url: String,
    description: String,
    text: String,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    author: Option<User>,
    schedule: Option<String>,
    time_zone: String,
    schedule_paused: bool,
    overlap_policy: String,
    next_runs: Vec<Timestamp>,
    saved_search: Option<Named>,
    trigger: String,
    only_new_repositories: bool,
    campaign: Option<Named>,
    autoupdate: bool,
    #[serde(rename = "webhookURL")]
    webhook_url: String,
    viewer_can_administer: bool,
    action_executions: Connection<ExecutionRow>,
}

pub(crate) async fn show(cx: Cx, Path(name): Path<String>) -> Answer {
    let data: One =
        cx.ask(include_str!("../../queries/action.graphql"), json!({ "name": name })).await?;
    let action = data.action.ok_or_else(|| cx.not_found("No action has this name."))?;
    let executions = &action.action_executions;
    let body = html! {
        (title(&[("/actions", "Actions")], html! { (shown(&action.name)) }, html! {
            span { (shown(&action.description)) }
            span { a href={ (action.url) "/versions" } { "version " (action.version) } ", saved " (ago(action.updated_at)) @if let Some(author) = &action.author { " by " (shown(&author.username)) } }
            span { "made " (ago(action.created_at)) }
        }, buttons(&cx, &action)))
        div.columns {
            section.card data-live id="triggers" { h2 { "Runs by itself" a.more href={ (action.url) "/settings" } { "Change" } } (triggers(&action)) }
            section.card { h2 { "Definition" a.more href={ (action.url) "/edit" } { "Edit" } } pre.text.short tabindex="0" aria-label="Definition" { (shown(&action.text)) } }
        }
        section.card data-live id="executions" {
            h2 { "Executions" span.n { (executions.total_count) } }
            @if executions.nodes.is_empty() { (list::empty("It has never run.", html! { "Press Run: what it would do can be previewed in the " a href={ (action.url) "/edit" } { "editor" } "." })) }
            @else { (executions::table(&executions.nodes)) }
        }
    };
    Ok(cx.page(&Page::new(action.name.clone()).live(Topic::Everything), body))
}

fn buttons(cx: &Cx, action: &Action) -> Markup {
    let id = [("action", action.id.as_str())];
    html! {
        @if cx.may_write() { (operation(cx, "createActionExecution", &id, html! { (icon("play")) "Run now" }, "primary")) }
        @if action.viewer_can_administer {
            a.button href={ (action.url) "/edit" } { "Edit" }
            a.button href={ (action.url) "/settings" } { "Schedule and triggers" }
            (grave(cx, "deleteAction", &[("action", &action.id), ("back", "/actions")], "Delete", "The action and its schedule go away. Its executions and their results stay."))
        }
    }
}

fn triggers(action: &Action) -> Markup {
    html! {
        dl.facts-list {
            dt { "Schedule" }
            dd {
                @if let Some(schedule) = &action.schedule {
                    code { (shown(schedule)) } " in " (shown(if action.time_zone.is_empty() { "UTC" } else { &action.time_zone }))
                    @if action.schedule_paused { " " (tagged("wait", "clock", "Paused")) }
                    span.dim.sub { (overlap(&action.overlap_policy)) }
                    (next_runs(&action.next_runs, &action.time_zone))
                } @else { span.dim { "none" } }
            }
            dt { "Saved search" }
            dd {
                @if let Some(search) = &action.saved_search {
                    a href=(search.url) { (shown(&search.name)) }
                    span.dim.sub { (trigger(&action.trigger)) @if action.only_new_repositories { ", only in repositories that are new in it" } }
                } @else { span.dim { "none" } }
            }
            dt { "Campaign" }
            dd {
                @if let Some(campaign) = &action.campaign {
                    a href=(campaign.url) { (shown(&campaign.name)) }
                    span.dim.sub { @if action.autoupdate { "updated when an execution completes" } @else { "updated by hand" } }
                } @else { span.dim { "none" } }
            }
            dt { "Webhook" }
            dd { code.break { (shown(&action.webhook_url)) } " " (list::copy(&action.webhook_url, "Copy")) }
        }
    }
}

/// In the zone of the schedule: where it is 03:00 is what whoever wrote it thinks of.
pub(crate) fn next_runs(times: &[Timestamp], zone: &str) -> Markup {
    html! {
        @if !times.is_empty() {
            ol.times aria-label="Next runs" { @for time in times { li { (ago(*time)) " " span.dim title=(exact(*time)) { (in_zone(*time, zone)) } } } }
        }
    }
}

pub(crate) fn overlap(policy: &str) -> &'static str {
    match policy {
        "QUEUE" => "waits when the last is still running",
        "CANCEL_PREVIOUS" => "cancels the last when it is still running",
        _ => "left out when the last is still running",
    }
}

fn trigger(trigger: &str) -> &'static str {
    match trigger {
        "REMOVED" => "when it finds less than before",
        "ANY" => "when what it finds changes",
        _ => "when it finds something new",
    }
}
