//! One task: how it stands and why, what it cost in time, what it wrote, what was asked for.

use maud::{Markup, html};
use serde_json::json;

use super::wire::{TaskRequest, TaskResult, WhyPending};
use super::{bot_link, list_address, on, output, request, task_link, task_state, timing, why};
use crate::backend::Topic;
use crate::cx::{Answer, Cx};
use crate::view::form::{grave, operation};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::copy;
use crate::view::text::shown;
use crate::view::time::{ago_or, took};

pub(crate) async fn show(cx: Cx) -> Answer {
    on(&cx)?;
    let Some(id) = cx.params.get("id") else { return Ok(ask(&cx)) };
    let asked = json!({ "taskId": id, "includePerformanceStats": true });
    let task: TaskResult = cx.call("swarming.v2.Tasks/GetResult", asked).await?;
    let made: TaskRequest =
        cx.call("swarming.v2.Tasks/GetRequest", json!({ "taskId": id })).await?;
    let waits = match task.state.as_str() {
        "PENDING" | "NO_RESOURCE" | "EXPIRED" => Some(
            cx.call::<WhyPending>("phalanx.Swarming/WhyPending", json!({ "taskId": id })).await?,
        ),
        _ => None,
    };
    let place = output::find(&cx, id).await?;
    let slice = task.current_task_slice;
    let body = html! {
        (title(&[("/tasklist", "Tasks")], html! { (shown(&task.name)) }, facts(&task, &made), buttons(&cx, &task, &made)))
        section data-live id="explain" aria-label="Why" { (explain(&task)) @if let Some(waits) = &waits { (why::show(waits, &made)) } }
        section data-live id="times" { @if task.state != "PENDING" { (timing::show(&task)) } }
        (output::show(&cx, &task, &place).await)
        section data-live id="slices" { (request::slices(&made, &task, waits.as_ref(), slice)) }
        div.columns {
            section.card data-live id="about" { h2 { "Request" } (request::about(&made, &task)) }
            section.card data-live id="result" { h2 { "Result" } (request::result(&task)) }
        }
        @if !terminates(&task) { (reproduce(&cx, &task)) }
    };
    let page =
        Page::new(format!("{} · {}", task.name, task.state.to_lowercase().replace('_', " ")));
    let page = if place.is_there() { page.scripts(&["log.js"]) } else { page };
    Ok(cx.page(&page.live(Topic::Swarming), body))
}

/// Without an id: which one?
fn ask(cx: &Cx) -> axum::response::Response {
    let body = html! {
        (title(&[("/tasklist", "Tasks")], html! { "Task" }, html! { "Which one? Its id is enough." }, html! {}))
        form.query method="get" action="/task" { input type="search" name="id" aria-label="Id of a task" placeholder="Id of a task" required; button { "Show" } }
    };
    cx.page(&Page::new("Task"), body)
}

fn facts(task: &TaskResult, made: &TaskRequest) -> Markup {
    let pool = task.tag("pool");
    html! {
        (task_state(task))
        span { "made " (ago_or(task.created_ts, "–")) @if !made.user.is_empty() { " for " (shown(&made.user)) } }
        @if task.deduped_from.is_empty() && task.started_ts.is_some() { span { "ran " (took(task.started_ts, task.end())) } }
        @if !task.bot_id.is_empty() { span { "on " (bot_link(&task.bot_id)) } }
        @if let Some(pool) = pool { span { "pool " a href=(list_address("/tasklist", &[("pool", pool)])) { (shown(pool)) } } }
        span { "priority " (made.priority) }
        span { code { (shown(&task.task_id)) } " " (copy(&task.task_id, "Copy")) }
    }
}

fn buttons(cx: &Cx, task: &TaskResult, made: &TaskRequest) -> Markup {
    let id = [("task", task.task_id.as_str())];
    html! {
        @if cx.may_write() {
            @match task.state.as_str() {
                "PENDING" => (grave(cx, "swarming/cancel", &id, "Cancel", "The task will not start.")),
                "RUNNING" if task.abandoned_ts.is_none() => (grave(cx, "swarming/kill", &id, "Kill", "The bot is told to stop it; what it has written so far is kept.")),
                _ => {}
            }
            @if !terminates(task) {
                @if request::has_secret(made) {
                    span.small.dim { "It has a secret, which is shown to bots only: it cannot be copied from here." }
                } @else {
                    (operation(cx, "swarming/retry", &id, html! { (icon("retry")) "Retry" }, if task.is_live() { "" } else { "primary" }))
                    @if !task.bot_id.is_empty() {
                        (operation(cx, "swarming/retry", &[("task", &task.task_id), ("bot", &task.bot_id)], html! { "Retry on this bot" }, ""))
                    }
                }
            }
        }
    }
}

/// Whether it does nothing but end its bot.
fn terminates(task: &TaskResult) -> bool {
    task.tags.iter().any(|tag| tag == "swarming.terminate:1")
}

/// What the state does not say by itself.
fn explain(task: &TaskResult) -> Markup {
    let says = match task.state.as_str() {
        "TIMED_OUT" => "It ran or was silent for longer than it may.",
        "BOT_DIED" => "Its bot went silent, or gave it up, while it ran.",
        "CLIENT_ERROR" => "Its bot could not begin it: what the request asks for is not there.",
        "KILLED" => "Somebody had it killed while it ran.",
        "CANCELED" => "Somebody canceled it before it ran.",
        _ => "",
    };
    html! {
        @if !task.deduped_from.is_empty() {
            p.note.plain { (icon("saved")) span { "An equal task had succeeded before, so this one was not run: its result is that of " (task_link(&task.deduped_from, "")) "." } }
        }
        @if terminates(task) { p.note.plain { (icon("slash")) span { "It ends the process of its bot, after what that runs." } } }
        @if !says.is_empty() {
            p.note.(if matches!(task.state.as_str(), "KILLED" | "CANCELED") { "plain" } else { "bad" }) { (icon("alert")) span { (says) } }
        }
    }
}

fn reproduce(cx: &Cx, task: &TaskResult) -> Markup {
    // SECURITY: a word of a shell: an id of a task is hexadecimal, whatever was asked for.
    let id: String = task.task_id.chars().filter(char::is_ascii_hexdigit).collect();
    let run = format!("swarming reproduce -S {} {id}", cx.origin);
    let collect = format!("swarming collect -S {} -output-dir=out {id}", cx.origin);
    html! {
        section.card {
            h2 { "By hand" }
            p.small { "The same on your machine:" } div.command { pre.text tabindex="0" { (shown(&run)) } (copy(&run, "Copy")) }
            p.small { "Its results:" } div.command { pre.text tabindex="0" { (shown(&collect)) } (copy(&collect, "Copy")) }
        }
    }
}
