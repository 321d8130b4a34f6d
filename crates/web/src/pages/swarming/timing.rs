//! Where a task's time went: a bar, and the same as a table.

use jiff::Timestamp;
use maud::{Markup, html};

use super::wire::{CasOperation, Operation, Performance, TaskResult};
use crate::view::text::{bytes, count};
use crate::view::time::{exact, span};

/// Tone, word, seconds.
type Part = (&'static str, &'static str, f64);

fn seconds(number: f64) -> String {
    match number {
        number if number < 0.0005 => "0 s".to_owned(),
        number if number < 1.0 => format!("{:.0} ms", number * 1000.0),
        number if number < 60.0 => format!("{number:.1} s"),
        number if number < 3600.0 => format!("{} min {} s", number as i64 / 60, number as i64 % 60),
        number => span(number as i64),
    }
}

fn between(start: Option<Timestamp>, end: Option<Timestamp>) -> f64 {
    let (Some(start), Some(end)) = (start, end) else { return 0.0 };
    (end.as_millisecond() - start.as_millisecond()).max(0) as f64 / 1000.0
}

/// What followed what. The bot's own steps are known when it is over; what is left of the time is the bot's overhead.
fn parts(task: &TaskResult) -> Vec<Part> {
    let now = Timestamp::now();
    let end = task.end().unwrap_or(now);
    let pending = between(task.created_ts, Some(task.started_ts.unwrap_or(end)));
    if task.started_ts.is_none() {
        return vec![("wait", "Pending", pending)];
    }
    let whole = between(task.started_ts, Some(end));
    if task.completed_ts.is_none() {
        return vec![("wait", "Pending", pending), ("live", "Running", whole)];
    }
    let none = Performance::default();
    let stats = task.performance_stats.as_ref().unwrap_or(&none);
    let setup = stats.package_installation.duration
        + stats.named_caches_install.duration
        + stats.isolated_download.duration
        + stats.cache_trim.duration;
    let after = stats.isolated_upload.duration
        + stats.named_caches_uninstall.duration
        + stats.cleanup.duration;
    let overhead = (whole - setup - task.duration - after).max(0.0);
    vec![
        ("wait", "Pending", pending),
        ("late", "Setting up", setup),
        ("good", "Running", task.duration),
        ("done", "Cleaning up", after),
        ("off", "Other overhead", overhead),
    ]
}

pub(super) fn show(task: &TaskResult) -> Markup {
    // The times of a result that was taken over are another task's.
    if !task.deduped_from.is_empty() {
        return html! {};
    }
    let parts = parts(task);
    let total: f64 = parts.iter().map(|part| part.2).sum::<f64>().max(0.001);
    let said: Vec<String> =
        parts.iter().map(|(_, word, time)| format!("{word} {}", seconds(*time))).collect();
    let mut at = 0.0;
    html! {
        div.card.timing {
            h2 { "Time" span.n { (seconds(total)) " in all" } }
            svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label=(said.join(", ")) {
                @for (tone, _, time) in &parts {
                    @if *time > 0.0 {
                        @let width = time / total * 1000.0;
                        rect class=(tone) x=(format!("{at:.1}")) y="0" width=(format!("{:.1}", width.max(2.0))) height="10" {}
                        ({ at += width; "" })
                    }
                }
            }
            ul.legend { @for (tone, word, time) in &parts { li { span.key.(tone) {} (word) ": " b { (seconds(*time)) } } } }
            details {
                summary { "Moments and steps" }
                dl.facts-list { @for (word, at) in moments(task) { @if let Some(at) = at { dt { (word) } dd { (exact(at)) } } } }
                @if let Some(stats) = &task.performance_stats { (steps(stats)) }
            }
        }
    }
}

fn moments(task: &TaskResult) -> [(&'static str, Option<Timestamp>); 5] {
    [
        ("Bot idle since", task.bot_idle_since_ts),
        ("Created", task.created_ts),
        ("Started", task.started_ts),
        ("Completed", task.completed_ts),
        ("Given up", task.abandoned_ts),
    ]
}

fn steps(stats: &Performance) -> Markup {
    let plain: [(&str, &Operation); 5] = [
        ("Packages installed", &stats.package_installation),
        ("Caches trimmed", &stats.cache_trim),
        ("Named caches put in place", &stats.named_caches_install),
        ("Named caches put away", &stats.named_caches_uninstall),
        ("Cleaned up", &stats.cleanup),
    ];
    let files: [(&str, &CasOperation); 2] =
        [("Inputs fetched", &stats.isolated_download), ("Outputs stored", &stats.isolated_upload)];
    html! {
        dl.facts-list {
            dt { "All overhead of the bot" } dd { (seconds(stats.bot_overhead)) }
            @for (word, step) in plain { dt { (word) } dd { (seconds(step.duration)) } }
            @for (word, step) in files { dt { (word) } dd { (seconds(step.duration)) (moved(step)) } }
        }
    }
}

/// Files that had to be moved, and those that were there.
fn moved(step: &CasOperation) -> Markup {
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    let (cold, hot) = (number(&step.num_items_cold), number(&step.num_items_hot));
    html! {
        @if cold + hot > 0 {
            ": " (count(cold)) " files moved (" (bytes(number(&step.total_bytes_items_cold))) "), " (count(hot)) " there already (" (bytes(number(&step.total_bytes_items_hot))) ")"
        }
    }
}
