//! One bot: what it is, what it does, what it did, what happened to it.

use http::StatusCode;
use maud::{Markup, html};
use serde_json::json;

use super::wire::{Bot, BotEvents, Standing, TaskPage};
use super::{bot_state, list_address, on, pretty, task_link, task_state, why_quarantined};
use crate::backend::{Role, Topic};
use crate::cx::{Answer, Cx, Refusal, segment};
use crate::pages::failure;
use crate::view::form::{grave, operation};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::{self, copy};
use crate::view::text::{counted, shown};
use crate::view::time::{ago_or, took};

/// Rows of a tab.
const MOST: u32 = 50;

pub(crate) async fn show(cx: Cx) -> Answer {
    on(&cx)?;
    let Some(id) = cx.params.get("id") else { return Ok(ask(&cx)) };
    let found = cx.try_call("swarming.v2.Bots/GetBot", json!({ "botId": id })).await;
    let bot: Bot = match found {
        Ok(bot) => bot,
        Err(error) if error.code() == "NOT_FOUND" => return Ok(none(&cx, id)),
        Err(error) => return Err(failure::errors(&cx, &[error]).into()),
    };
    let standing: Standing =
        cx.call("phalanx.Swarming/GetStanding", json!({ "botId": id })).await?;
    let draining = standing.draining;
    let tab = cx.params.get("tab").unwrap_or("tasks");
    let tabs = [("", "Tasks"), ("events", "Events"), ("state", "State")];
    let body = html! {
        (title(&[("/botlist", "Bots")], html! { (shown(&bot.bot_id)) }, facts(&bot, &standing), buttons(&cx, &bot, draining)))
        section data-live id="explain" aria-label="How it is" { (notes(&bot, draining)) }
        div.columns {
            section.card data-live id="dimensions" { h2 { "Dimensions" } (dimensions(&bot)) }
            section.card data-live id="about" { h2 { "About" } (about(&bot)) }
        }
        nav.tabs aria-label="Views of this bot" {
            @for (value, word) in tabs {
                a href=(cx.with(&[("tab", value), ("after", ""), ("at", ""), ("view", "")])) aria-current=[(value == tab || (value.is_empty() && tab == "tasks")).then_some("page")] { (word) }
            }
        }
        @match tab {
            "events" => (events(&cx, id).await?),
            "state" => section.card data-live id="state" { h2 { "What the bot says of itself" (copy(&bot.state, "Copy")) } pre.text tabindex="0" aria-label="State" { (shown(&pretty(&bot.state))) } },
            _ => (tasks(&cx, id).await?),
        }
    };
    Ok(cx.page(&Page::new(bot.bot_id.clone()).live(Topic::Swarming), body))
}

/// Without an id: which one?
fn ask(cx: &Cx) -> axum::response::Response {
    let body = html! {
        (title(&[("/botlist", "Bots")], html! { "Bot" }, html! { "Which one? Its id is enough." }, html! {}))
        form.query method="get" action="/bot" { input type="search" name="id" aria-label="Id of a bot" placeholder="Id of a bot" required; button { "Show" } }
    };
    cx.page(&Page::new("Bot"), body)
}

/// Runners of ours run tasks too, and are no bots.
fn none(cx: &Cx, id: &str) -> axum::response::Response {
    let body = html! {
        (title(&[("/botlist", "Bots")], html! { "There is no such thing" }, html! {}, html! {}))
        div.card { p { "No bot has the id " code { (shown(id)) } ". A task may also have run on a " a href={ "/runners/" (segment(id)) } { "runner of this name" } "." } }
    };
    cx.page_with(StatusCode::NOT_FOUND, &Page::new("No such bot"), body)
}

fn facts(bot: &Bot, standing: &Standing) -> Markup {
    html! {
        (bot_state(bot, standing.draining, &standing.standing))
        span { "last seen " (ago_or(bot.last_seen_ts, "never")) }
        @if !bot.task_id.is_empty() { span { @if bot.is_dead { "ran " } @else { "runs " } (task_link(&bot.task_id, &bot.task_name)) } }
    }
}

fn buttons(cx: &Cx, bot: &Bot, draining: bool) -> Markup {
    let id = [("bot", bot.bot_id.as_str())];
    html! {
        @if cx.caller.role == Role::Admin && !bot.deleted {
            @if bot.is_dead {
                (grave(cx, "swarming/delete", &id, "Delete", "The bot is forgotten until it comes again. Its tasks and events stay."))
            } @else {
                (operation(cx, "swarming/drain", &[("bot", &bot.bot_id), ("drain", if draining { "false" } else { "true" })], html! { @if draining { "Take tasks again" } @else { "Drain" } }, ""))
                @if bot.termination_task_id.is_empty() {
                    (grave(cx, "swarming/terminate", &id, "Terminate", "The bot ends what it runs, and then its process ends. It comes back when somebody starts it."))
                }
            }
        }
    }
}

/// What is unusual about it, and why.
fn notes(bot: &Bot, draining: bool) -> Markup {
    html! {
        @if bot.deleted { p.note.plain { (icon("cross")) span { "It was deleted. This is what its last event says." } } }
        @else if bot.is_dead { p.note.bad { (icon("alert")) span { "It was silent for too long, or said that it ends. What it ran then is marked as died." } } }
        @if bot.quarantined {
            div.note.bad { (icon("alert")) div {
                "It is quarantined: it gets no tasks until somebody has looked at it."
                @if let Some(why) = why_quarantined(bot) { pre.quote { (shown(&why)) } }
            } }
        }
        @if !bot.maintenance_msg.is_empty() { p.note.wait { (icon("hourglass")) span { "In maintenance: " (shown(&bot.maintenance_msg)) } } }
        @if draining { p.note.wait { (icon("hourglass")) span { "Drained: it finishes what it runs and gets nothing new." } } }
        @if !bot.termination_task_id.is_empty() { p.note.wait { (icon("hourglass")) span { "It was told to end: " (task_link(&bot.termination_task_id, "")) } } }
    }
}

fn dimensions(bot: &Bot) -> Markup {
    html! {
        dl.facts-list {
            @for one in &bot.dimensions {
                dt { (shown(&one.key)) }
                dd { @for value in &one.value { a.tag href=(list_address("/botlist", &[(&one.key, value)])) { (shown(value)) } " " } }
            }
        }
    }
}

fn about(bot: &Bot) -> Markup {
    html! {
        dl.facts-list {
            dt { "First seen" } dd { (ago_or(bot.first_seen_ts, "–")) }
            dt { "Version" } dd { code { (shown(&bot.version)) } }
            dt { "Address" } dd { (shown(&bot.external_ip)) }
            dt { "Proved to be" } dd { (shown(&bot.authenticated_as)) }
            dt { "Lists" } dd {
                a href=(list_address("/tasklist", &[("id-tag", &bot.bot_id)])) { "Tasks that ask for this bot" }
                @for pool in bot.values("pool") { " · " a href=(list_address("/botlist", &[("pool", pool)])) { "Bots of " (shown(pool)) } }
            }
        }
    }
}

async fn tasks(cx: &Cx, id: &str) -> Result<Markup, Refusal> {
    let request = json!({ "botId": id, "limit": MOST, "state": "QUERY_ALL", "sort": "QUERY_STARTED_TS", "cursor": cx.params.get("after").unwrap_or_default() });
    let page: TaskPage = cx.call("swarming.v2.Bots/ListBotTasks", request).await?;
    Ok(html! {
        section data-live id="tasks" {
            @if page.items.is_empty() { (list::empty("It has run no task yet.", html! { "Why a task waits is said on the task's page." })) }
            @else {
                (list::table("Tasks", &["Task", "State", "Started", "Took", "Asked for by", "Pool"], html! {
                    @for task in &page.items {
                        tr {
                            th scope="row" { (task_link(&task.task_id, &task.name)) }
                            td { (task_state(task)) }
                            td { (ago_or(task.started_ts, "–")) }
                            td { (took(task.started_ts, task.end())) }
                            td { (shown(&task.user)) }
                            td { (shown(task.tag("pool").unwrap_or_default())) }
                        }
                    }
                }))
            }
            (more(cx, &page.cursor))
        }
    })
}

async fn events(cx: &Cx, id: &str) -> Result<Markup, Refusal> {
    let request =
        json!({ "botId": id, "limit": MOST, "cursor": cx.params.get("after").unwrap_or_default() });
    let page: BotEvents = cx.call("swarming.v2.Bots/ListBotEvents", request).await?;
    Ok(html! {
        section data-live id="events" {
            @if page.items.is_empty() { (list::empty("Nothing has happened to it.", html! { "Events are kept for four weeks." })) }
            @else {
                (list::table("Events", &["When", "Event", "Says", "Task", "Version", "From"], html! {
                    @for event in &page.items {
                        tr {
                            td { (ago_or(event.ts, "–")) }
                            th.id scope="row" { code { (shown(&event.event_type)) } }
                            td.wide {
                                (shown(&event.message))
                                @if event.quarantined { " " span.tag { "quarantined" } }
                                @if !event.maintenance_msg.is_empty() && event.maintenance_msg != event.message { " " span.tag { "maintenance: " (shown(&event.maintenance_msg)) } }
                            }
                            td { @if event.task_id.is_empty() { span.dim { "–" } } @else { (task_link(&event.task_id, "")) } }
                            td { code title=(event.version) { (shown(event.version.get(..10).unwrap_or(&event.version))) } }
                            td.num { (shown(&event.external_ip)) }
                        }
                    }
                }))
            }
            (more(cx, &page.cursor))
        }
    })
}

/// How many there are is not counted: a bot may have run a hundred thousand tasks.
fn more(cx: &Cx, cursor: &str) -> Markup {
    html! {
        nav.pager aria-label="Pages" {
            @if cx.params.get("after").is_some() { a href=(cx.with(&[("after", "")])) { "First page" } }
            @if !cursor.is_empty() { span { (counted(MOST, "row", "rows")) " a page" } a rel="next" href=(cx.with(&[("after", cursor)])) { "Next page" } }
        }
    }
}
