//! The list of bots: how many are in each state, which match, and what each of them does.

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::filter::{self, Filter};
use super::wire::{Bot, BotPage, BotStates, Dimensions};
use super::{bot_address, bot_state, on, task_link, why_quarantined};
use crate::backend::Topic;
use crate::cx::{Answer, Cx};
use crate::types::PageInfo;
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::text::{bytes, shown};
use crate::view::time::{ago_or, span};

const USUAL: [&str; 6] = ["id", "status", "task", "os", "pool", "last_seen"];
/// What is no dimension. The last are in what a bot says of its state, by which nothing is ordered.
const OTHERS: [&str; 10] = [
    "id",
    "status",
    "task",
    "last_seen",
    "first_seen",
    "version",
    "external_ip",
    "uptime",
    "running_time",
    "disk_space",
];
const ORDER: (&str, bool) = ("id", false);

fn word(column: &str) -> String {
    match column {
        "id" => "Bot".to_owned(),
        "status" => "State".to_owned(),
        "task" => "Task".to_owned(),
        "last_seen" => "Last seen".to_owned(),
        "first_seen" => "First seen".to_owned(),
        "external_ip" => "Address".to_owned(),
        "version" => "Version".to_owned(),
        "uptime" => "Uptime".to_owned(),
        "disk_space" => "Free on disks".to_owned(),
        "running_time" => "Bot runs for".to_owned(),
        other => other.to_owned(),
    }
}

/// Upstream's names of columns, where ours are others.
fn column(name: &str) -> &str {
    match name {
        "lastSeenTs" => "last_seen",
        "firstSeenTs" => "first_seen",
        "externalIp" => "external_ip",
        other => other,
    }
}

/// The request that finds what the address asks for.
fn search(cx: &Cx, filters: &[Filter]) -> Value {
    let (mut dimensions, mut states, mut text) = (Vec::new(), Vec::new(), "");
    for Filter { key, value } in filters {
        match key.as_str() {
            "" => text = value,
            "status" | "task" => states.push(value.as_str()),
            _ => dimensions.push(json!({ "key": key, "value": value })),
        }
    }
    let (sort, descending) = filter::order(cx, ORDER);
    json!({ "dimensions": dimensions, "states": states, "text": text, "sort": column(sort), "descending": descending, "limit": ROWS, "cursor": cx.params.get("after").unwrap_or_default() })
}

pub(crate) async fn list(cx: Cx) -> Answer {
    on(&cx)?;
    let filters = filter::filters(&cx);
    let found: BotPage = cx.call("phalanx.Swarming/SearchBots", search(&cx, &filters)).await?;
    // What may be filtered by does not change while one looks.
    let known = match cx.fragment {
        true => Dimensions::default(),
        false => cx.call("swarming.v2.Bots/GetBotDimensions", json!({})).await?,
    };
    let columns: Vec<&str> = filter::columns(&cx, &USUAL).into_iter().map(column).collect();
    let mut offered: Vec<&str> = OTHERS.to_vec();
    offered.extend(known.bots_dimensions.iter().map(|dimension| dimension.key.as_str()));
    let info = PageInfo {
        has_next_page: !found.cursor.is_empty(),
        end_cursor: Some(found.cursor.clone()),
    };
    let body = html! {
        (title(&[], html! { "Bots" }, html! { "Machines that run tasks." }, html! { a.button href="/fleet" { "Over time" } }))
        (counts(&cx, &filters, &found.counts))
        div.bar-row {
            (filter::bar(&cx, &filters, "os:Ubuntu-24.04, or a part of a bot's id", &known.bots_dimensions))
            (filter::picker(&cx, &columns, &offered, word))
        }
        section data-live id="bots" {
            @if found.items.is_empty() { (nobody(&cx, &filters)) }
            @else {
                div.scroll tabindex="0" role="region" aria-label="Bots" {
                    table {
                        thead { tr { @for column in &columns { (filter::head(&cx, column, &word(column), ORDER, !matches!(*column, "uptime" | "running_time" | "disk_space"))) } } }
                        tbody { @for (bot, standing) in found.items.iter().zip(&found.standings) { (row(bot, &columns, found.draining.contains(&bot.bot_id), standing)) } }
                    }
                }
            }
            (list::pager(&cx, &info, found.matched, found.items.len()))
        }
    };
    Ok(cx.page(&Page::new("Bots").live(Topic::Swarming), body))
}

/// States exclude each other here: to look at the dead is not to look at the busy.
fn counts(cx: &Cx, filters: &[Filter], counts: &BotStates) -> Markup {
    let others: Vec<Filter> = filters
        .iter()
        .filter(|one| !matches!(one.key.as_str(), "status" | "task"))
        .cloned()
        .collect();
    let states = [
        ("", "", "All", counts.all),
        ("status", "alive", "Alive", counts.alive),
        ("task", "idle", "Idle", counts.idle),
        ("task", "busy", "Busy", counts.busy),
        ("status", "quarantined", "Quarantined", counts.quarantined),
        ("status", "maintenance", "Maintenance", counts.maintenance),
        ("status", "draining", "Draining", counts.draining),
        ("status", "dead", "Dead", counts.dead),
    ];
    html! {
        nav.filters aria-label="State" data-live id="counts" {
            @for (key, value, word, number) in states {
                @let chosen = if key.is_empty() { others.len() == filters.len() } else { filters.iter().any(|one| one.key == key && one.value == value) };
                @let mut set = others.clone();
                @if !key.is_empty() { ({ set.push(Filter { key: key.to_owned(), value: value.to_owned() }); "" }) }
                a href=(filter::with(cx, &set)) aria-current=[chosen.then_some("true")] { (word) " " span.n { (crate::view::text::count(number)) } }
            }
        }
    }
}

fn nobody(cx: &Cx, filters: &[Filter]) -> Markup {
    if filters.is_empty() {
        return list::empty(
            "No bot is here.",
            html! { "A bot starts with " code { "curl -sSLOJ " (shown(&cx.origin)) "/bot_code && python3 swarming_bot.zip" } },
        );
    }
    list::empty(
        "No bot matches.",
        html! { "Take a filter off, or see " a href="/botlist" { "all bots" } "." },
    )
}

fn row(bot: &Bot, columns: &[&str], draining: bool, standing: &str) -> Markup {
    html! { tr { @for column in columns { (cell(bot, column, draining, standing)) } } }
}

/// As much of a reason as a row has room for.
fn start(why: &str) -> String {
    const MOST: usize = 160;
    let line = why.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn cell(bot: &Bot, column: &str, draining: bool, standing: &str) -> Markup {
    let seconds = |key: &str| {
        let state: Option<Value> = serde_json::from_str(&bot.state).ok();
        state.and_then(|state| state[key].as_f64()).map(|seconds| span(seconds as i64))
    };
    match column {
        "id" => {
            html! { th.id scope="row" { a href=(bot_address(&bot.bot_id)) { (shown(&bot.bot_id)) } } }
        }
        "status" => {
            let why = bot.quarantined.then(|| why_quarantined(bot)).flatten();
            html! { td {
                (bot_state(bot, draining, standing))
                @if let Some(why) = why { span.sub.dim { (shown(&start(&why))) } }
                @if !bot.maintenance_msg.is_empty() { span.sub.dim { (shown(&bot.maintenance_msg)) } }
            } }
        }
        "task" => {
            html! { td.name { @if bot.task_id.is_empty() { span.dim { "–" } } @else { (task_link(&bot.task_id, &bot.task_name)) } } }
        }
        "last_seen" => html! { td { (time(bot.last_seen_ts)) } },
        "first_seen" => html! { td { (time(bot.first_seen_ts)) } },
        "version" => {
            html! { td { code title=(bot.version) { (shown(bot.version.get(..10).unwrap_or(&bot.version))) } } }
        }
        "external_ip" => html! { td.num { (shown(&bot.external_ip)) } },
        "uptime" | "running_time" => {
            html! { td.num { (seconds(column).unwrap_or_else(|| "–".to_owned())) } }
        }
        dimension => values(bot, dimension),
    }
}

fn time(at: Option<Timestamp>) -> Markup {
    ago_or(at, "–")
}

/// The value that says most, and how many more there are.
fn values(bot: &Bot, key: &str) -> Markup {
    let all = bot.values(key);
    let longest = all.iter().max_by_key(|value| value.len());
    html! {
        td.dimension {
            @match longest {
                Some(longest) => { (shown(longest)) @if all.len() > 1 { " " span.dim title=(crate::view::text::flat(&all.join(", "))) { "+" (all.len() - 1) } } }
                None => { @if let Some(text) = of_state(bot, key) { (shown(&text)) } @else { span.dim { "–" } } }
            }
        }
    }
}

/// What the bot says of itself beyond its dimensions.
fn of_state(bot: &Bot, key: &str) -> Option<String> {
    let state: Value = serde_json::from_str(&bot.state).ok()?;
    if key == "disk_space" {
        let free = |(name, disk): (&String, &Value)| {
            let free_mb = disk["free_mb"].as_f64()?;
            Some(format!("{name} {}", bytes((free_mb * 1_048_576.0) as u64)))
        };
        return Some(
            state["disks"].as_object()?.iter().filter_map(free).collect::<Vec<_>>().join(", "),
        );
    }
    match state.get(key)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string().chars().take(80).collect()),
    }
}
