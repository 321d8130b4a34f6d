//! Why a task waits: the conclusion first, then what each constraint leaves of the fleet.

use maud::{Markup, html};

use super::wire::{BotTally, ConstraintReason, Pair, SliceReason, TaskRequest, WhyPending};
use super::{bot_link, bots_with, list_address};
use crate::view::icon::icon;
use crate::view::text::{count, counted, shown};
use crate::view::time::{ago, exact};

pub(super) fn show(why: &WhyPending, made: &TaskRequest) -> Markup {
    let waits = why.state == "PENDING";
    html! {
        div.note.(if waits { "wait" } else { "bad" }) { (icon(if waits { "clock" } else { "alert" })) div { (shown(&why.conclusion)) } }
        @for (at, slice) in why.slices.iter().enumerate() {
            // What waits is open; the others are there for who asks why they did not help.
            details.card.why open[at == why.current_slice] {
                summary {
                    h2 {
                        @if why.slices.len() > 1 { "Why: slice " (at + 1) " of " (why.slices.len()) } @else { "Why" }
                    }
                    " " span.dim { (tally(&slice.matching)) }
                    @if let Some(expires) = slice.expires_ts { " " span.tag title=(exact(expires)) { "ends " (ago(expires)) } }
                    @if waits && at < why.current_slice { " " span.tag { "over" } }
                }
                (one(slice, made.task_slices.get(at).map_or(&[], |slice| &slice.properties.dimensions)))
            }
        }
    }
}

/// `4 match: 3 busy, 1 quarantined`
fn tally(tally: &BotTally) -> Markup {
    let parts = parts(tally);
    html! {
        (counted(tally.live, "bot matches", "bots match"))
        @for (at, (word, number)) in parts.iter().filter(|(_, number)| *number > 0).enumerate() { @if at == 0 { ": " } @else { ", " } (count(*number)) " " (word) }
    }
}

fn parts(tally: &BotTally) -> [(&'static str, i64); 6] {
    [
        ("free", tally.free),
        ("busy", tally.busy),
        ("draining", tally.draining),
        ("in maintenance", tally.maintenance),
        ("quarantined", tally.quarantined),
        ("dead", tally.dead),
    ]
}

fn one(slice: &SliceReason, dimensions: &[Pair]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="What each constraint leaves" {
            table.reasons {
                thead { tr {
                    th scope="col" { "Asks for" } th scope="col" { "Bots that have it" } th scope="col" { "Free" } th scope="col" { "Busy" }
                    th scope="col" { "Draining" } th scope="col" { "Maintenance" } th scope="col" { "Quarantined" } th scope="col" { "Dead" }
                    th scope="col" { "Without it, more match" }
                } }
                tbody {
                    @for constraint in &slice.constraints { (row(constraint)) }
                    tr.sum-row {
                        th scope="row" { a href=(bots_with(dimensions)) { "All of these" } }
                        (numbers(&slice.matching)) td {}
                    }
                }
            }
        }
        @if !slice.sample_bots.is_empty() {
            p.small { "Bots that match: " @for (at, bot) in slice.sample_bots.iter().enumerate() { @if at > 0 { ", " } (bot_link(bot)) }
                @if slice.matching.live as usize > slice.sample_bots.len() { ", " a href=(bots_with(dimensions)) { "and " (count(slice.matching.live - slice.sample_bots.len() as i64)) " more" } } }
        }
        @if slice.runners > 0 {
            p.small { a href="/runners" { (counted(slice.runners, "runner that is no bot", "runners that are no bots")) } @if slice.runners == 1 { " matches" } @else { " match" } @if slice.matching.live > 0 { " too" } "." }
        }
        @if slice.ahead > 0 {
            p.small { (counted(slice.ahead, "task asks", "tasks ask")) " for the same and " @if slice.ahead == 1 { "goes" } @else { "go" } " first." }
        }
    }
}

fn row(constraint: &ConstraintReason) -> Markup {
    let text = |value: &str| format!("{}:{value}", constraint.key);
    let several = constraint.values.len() > 1;
    html! {
        tr.none-row[constraint.bots.live == 0] {
            th scope="row" {
                @for (at, value) in constraint.values.iter().enumerate() {
                    @if at > 0 { span.dim { " or " } }
                    a href=(list_address("/botlist", &[(&constraint.key, &value.value)])) { (shown(&text(&value.value))) }
                    @if several { span.dim { " (" (count(value.bots)) ")" } }
                }
            }
            (numbers(&constraint.bots))
            td.wide {
                @if constraint.without == 0 { span.dim { "–" } }
                @else {
                    b { (count(constraint.without)) }
                    span.sub { @for (at, bot) in constraint.sample_without.iter().take(3).enumerate() { @if at > 0 { ", " } (bot_link(bot)) } @if constraint.without > 3 { " …" } }
                }
            }
        }
    }
}

fn numbers(tally: &BotTally) -> Markup {
    let zero = |number: i64| html! { td.num { @if number == 0 { span.dim { "0" } } @else { (count(number)) } } };
    html! {
        td.num { @if tally.live == 0 { b.bad { "none" } } @else { b { (count(tally.live)) } } }
        @for (_, number) in parts(tally) { (zero(number)) }
    }
}
