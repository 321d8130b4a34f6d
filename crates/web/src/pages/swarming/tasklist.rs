//! The list of tasks: of a time, with some tags, in some state.

use futures::future::try_join_all;
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::filter::{self, Filter};
use super::on;
use super::task_row::{ORDER, OTHERS, USUAL, cell, sort, word};
use super::wire::{Count, Dimensions, TaskPage};
use crate::backend::Topic;
use crate::cx::{Answer, Cx, Refusal};
use crate::pages::failure;
use crate::types::PageInfo;
use crate::view::form::form;
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::text::{count, counted, shown};
use crate::view::time::exact;

const HOURS: [(&str, &str); 5] = [
    ("1", "1 hour"),
    ("24", "24 hours"),
    ("168", "7 days"),
    ("720", "30 days"),
    ("8760", "1 year"),
];

/// State of the query, and its word.
const STATES: [(&str, &str); 13] = [
    ("ALL", "All"),
    ("PENDING", "Pending"),
    ("RUNNING", "Running"),
    ("COMPLETED_SUCCESS", "Success"),
    ("COMPLETED_FAILURE", "Failure"),
    ("TIMED_OUT", "Timed out"),
    ("BOT_DIED", "Bot died"),
    ("EXPIRED", "Expired"),
    ("NO_RESOURCE", "No resource"),
    ("CANCELED", "Canceled"),
    ("KILLED", "Killed"),
    ("CLIENT_ERROR", "Client error"),
    ("DEDUPED", "Deduplicated"),
];

/// States of several words, which only addresses ask for.
const SUMS: [&str; 2] = ["PENDING_RUNNING", "COMPLETED"];

/// From when to when tasks were made: a number of hours until now, or two moments. A day, when nothing is said.
struct Range {
    start: Timestamp,
    end: Option<Timestamp>,
    /// The chosen hours.
    hours: Option<String>,
}

impl Range {
    fn of(cx: &Cx) -> Self {
        let moment = |ms: &str, text: &str| {
            let ms = cx.params.get(ms).and_then(|ms| ms.parse().ok());
            let typed = cx.params.get(text).and_then(|text| format!("{text}Z").parse().ok());
            typed.or(ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()))
        };
        // `n` says that the end is now, whatever `et` says.
        let end = moment("et", "to").filter(|_| cx.params.get("n") != Some("true"));
        if let Some(start) = moment("st", "from").filter(|_| cx.params.get("h").is_none()) {
            return Self { start, end, hours: None };
        }
        let hours = cx
            .params
            .get("h")
            .filter(|text| text.parse::<u32>().is_ok_and(|h| (1..=87_600).contains(&h)));
        let hours = hours.unwrap_or("24");
        let ago = jiff::SignedDuration::from_hours(hours.parse().unwrap_or(24));
        let start = Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH);
        Self { start, end: None, hours: Some(hours.to_owned()) }
    }
}

/// The request for lists and counts.
fn search(range: &Range, tags: &[String], state: &str) -> Value {
    let mut request =
        json!({ "start": range.start, "tags": tags, "state": format!("QUERY_{state}") });
    if let Some(end) = range.end {
        request["end"] = json!(end);
    }
    request
}

pub(crate) async fn list(cx: Cx) -> Answer {
    on(&cx)?;
    let mut filters = filter::filters(&cx);
    // Which is what no filter means.
    filters.retain(|one| one.key != "state" || !matches!(one.value.as_str(), "ALL" | "QUERY_ALL"));
    let range = Range::of(&cx);
    let is_tag = |one: &&Filter| one.key != "state" && !one.key.is_empty();
    let tags: Vec<String> =
        filters.iter().filter(is_tag).map(|one| format!("{}:{}", one.key, one.value)).collect();
    let state = filters.iter().rev().find(|one| one.key == "state");
    let state =
        state.map_or("ALL".to_owned(), |one| one.value.trim_start_matches("QUERY_").to_uppercase());
    if !STATES.iter().any(|(known, _)| *known == state) && !SUMS.contains(&state.as_str()) {
        let all = [STATES.map(|(known, _)| known).join(", "), SUMS.join(", ")].join(", ");
        let why = format!("No task is in the state `{state}`. The states are {all}.");
        return Err(failure::not_understood(&cx, &why).into());
    }
    let mut request = search(&range, &tags, &state);
    if range.hours.is_some() && cx.params.get("after").is_some() {
        // The time moves on while somebody reads, and where a page behind the first begins must stay within it.
        let earlier = range.start.checked_sub(jiff::SignedDuration::from_hours(1));
        request["start"] = json!(earlier.unwrap_or(range.start));
    }
    request["limit"] = json!(ROWS);
    request["cursor"] = json!(cx.params.get("after").unwrap_or_default());
    let mut found: TaskPage = cx.call("swarming.v2.Tasks/ListTasks", request).await?;
    sort(&mut found.items, filter::order(&cx, ORDER));
    let mut states: Vec<&str> = match cx.fragment {
        // Once for each look at the page, not as often as it is brought up to date.
        true => Vec::new(),
        false => STATES.iter().map(|(state, _)| *state).collect(),
    };
    if !states.contains(&state.as_str()) {
        states.push(&state);
    }
    let counts = counts(&cx, &range, &tags, &states).await?;
    let known = match cx.fragment {
        true => Dimensions::default(),
        false => cx.call("swarming.v2.Bots/GetBotDimensions", json!({})).await?,
    };
    let columns = filter::columns(&cx, &USUAL);
    let mut offered: Vec<&str> = OTHERS.to_vec();
    offered.extend(known.bots_dimensions.iter().map(|dimension| dimension.key.as_str()));
    let total = counts.iter().find(|(of, _)| *of == state).map_or(0, |(_, number)| *number);
    let info = PageInfo {
        has_next_page: !found.cursor.is_empty(),
        end_cursor: Some(found.cursor.clone()),
    };
    let canceled = cx.params.get("canceled").and_then(|number| number.parse::<u32>().ok());
    let body = html! {
        // A renewal does not count the tasks that wait and run, which its buttons say.
        @if !cx.fragment { (title(&[], html! { "Tasks" }, html! { "Newest first, of " (said(&range)) "." }, html! { a.button href="/fleet" { "Over time" } @if cx.may_write() { (mass_cancel(&cx, &range, &tags, &counts)) } })) }
        @if let Some(number) = canceled { p.note.good role="status" { (icon("check")) span { (counted(number, "task was", "tasks were")) " told to stop." } } }
        nav.filters aria-label="State" {
            @for (of, number) in &counts {
                (filter::choice(&cx, &filters, "state", if *of == "ALL" { "" } else { of }, STATES.iter().find(|(state, _)| state == of).map_or(*of, |(_, word)| word), Some(*number)))
            }
        }
        div.bar-row {
            (filter::bar(&cx, &filters, "pool:default, or any other tag", &known.bots_dimensions))
            (filter::picker(&cx, &columns, &offered, word))
            (times(&cx, &range))
        }
        @if filters.iter().any(|one| one.key.is_empty()) { p.note.wait { (icon("alert")) span { "Tasks are found by their tags: write " code { "key:value" } "." } } }
        @if filter::order(&cx, ORDER) != ORDER { p.small.dim { "Ordered within this page only: which tasks are on it is by the time at which they were made." } }
        section data-live id="tasks" {
            @if found.items.is_empty() { (list::empty("No task is here.", html! { "Look at a longer time, or take a filter off. Tasks are made by " code { "swarming trigger -S " (shown(&cx.origin)) } "." })) }
            @else {
                div.scroll tabindex="0" role="region" aria-label="Tasks" {
                    table {
                        thead { tr { @for column in &columns { (filter::head(&cx, column, &word(column), ORDER, true)) } } }
                        tbody { @for task in &found.items { tr { @for column in &columns { (cell(task, column)) } } } }
                    }
                }
            }
            (list::pager(&cx, &info, total, found.items.len()))
        }
    };
    Ok(cx.page(&Page::new("Tasks").live(Topic::Swarming), body))
}

/// How many there are in each state.
async fn counts<'a>(
    cx: &Cx,
    range: &Range,
    tags: &[String],
    states: &[&'a str],
) -> Result<Vec<(&'a str, i64)>, Refusal> {
    let asked = states.iter().map(|state| async move {
        let counted: Count =
            cx.call("swarming.v2.Tasks/CountTasks", search(range, tags, state)).await?;
        Ok::<_, Refusal>((*state, counted.count))
    });
    try_join_all(asked).await
}

fn said(range: &Range) -> Markup {
    html! {
        @match (&range.hours, range.end) {
            (Some(hours), _) => { "the last " (HOURS.iter().find(|(of, _)| of == hours).map_or_else(|| format!("{hours} hours"), |(_, word)| (*word).to_owned())) },
            (None, Some(end)) => { (exact(range.start)) " to " (exact(end)) },
            (None, None) => { (exact(range.start)) " until now" },
        }
    }
}

fn times(cx: &Cx, range: &Range) -> Markup {
    let typed = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M").to_string();
    let clear = |hours: &str| {
        cx.with(&[
            ("h", hours),
            ("st", ""),
            ("et", ""),
            ("n", ""),
            ("from", ""),
            ("to", ""),
            ("after", ""),
            ("at", ""),
        ])
    };
    html! {
        details.columns-pick {
            summary.button { (icon("clock")) "Time" }
            form.pop method="get" action=(cx.path) {
                nav.filters aria-label="Time" { @for (hours, word) in HOURS { a href=(clear(hours)) aria-current=[(range.hours.as_deref() == Some(hours)).then_some("true")] { (word) } } }
                (filter::hidden(cx, &["h", "st", "et", "n", "from", "to"]))
                div.field { label for="from" { "From (UTC)" } input id="from" type="datetime-local" name="from" value=(typed(range.start)) required; }
                div.field { label for="to" { "To (UTC), or until now" } input id="to" type="datetime-local" name="to" value=[range.end.map(typed)]; }
                button.primary { "Show" }
            }
        }
    }
}

/// Everything that the tags find and that is not over, of the time that is shown: what is made later stays.
fn mass_cancel(cx: &Cx, range: &Range, tags: &[String], counts: &[(&str, i64)]) -> Markup {
    let of = |state: &str| {
        counts.iter().find(|(known, _)| *known == state).map_or(0, |(_, number)| *number)
    };
    let (pending, running) = (of("PENDING"), of("RUNNING"));
    let end = range.end.unwrap_or_else(Timestamp::now);
    html! {
        @if !tags.is_empty() && pending + running > 0 {
            details.grave {
                summary.button { "Cancel all…" }
                div.pop {
                    p { "With these tags " (counted(pending, "task waits", "tasks wait")) " and " (counted(running, "runs", "run")) ". What is made from now on is not touched." }
                    (form(cx, "/do/swarming/cancel-all", html! {
                        input type="hidden" name="back" value=(cx.with(&[("canceled", ""), ("after", ""), ("at", "")]));
                        input type="hidden" name="start" value=(range.start);
                        input type="hidden" name="end" value=(end);
                        @for tag in tags { input type="hidden" name="tag" value=(tag); }
                        div.pair {
                            @if pending > 0 { button.danger name="kill" value="false" { "Cancel " (counted(pending, "pending task", "pending tasks")) } }
                            @if running > 0 { button.danger name="kill" value="true" { "Cancel all " (count(pending + running)) ", kill what runs" } }
                        }
                    }))
                }
            }
        }
    }
}
