//! States as people see them: an icon, a word and a colour, never the colour alone.

use maud::{Markup, html};

use super::icon::icon;
use super::text::{count, shown};
use crate::types::{DiffStat, JobCounts};

/// Word, tone and icon of a state, by its GraphQL name or its outcome.
pub(crate) fn look(state: &str) -> (&str, &'static str, &'static str) {
    match state {
        "PENDING" | "QUEUED" | "queued" => ("Queued", "wait", "clock"),
        "RUNNING" | "running" => ("Running", "live", "run"),
        "PROCESSING" => ("In progress", "live", "run"),
        "COMPLETED" | "completed" => ("Completed", "good", "check"),
        "succeeded" => ("Succeeded", "good", "check"),
        "ERRORED" | "FAILED" | "failed" | "errored" => ("Failed", "bad", "cross"),
        "TIMEOUT" | "timed_out" => ("Timed out", "bad", "hourglass"),
        "CANCELED" | "canceled" => ("Canceled", "off", "slash"),
        "killed" => ("Killed", "off", "slash"),
        "expired" => ("Expired", "bad", "hourglass"),
        "no_resource" => ("No runner for it", "bad", "alert"),
        "runner_lost" => ("Runner lost", "bad", "alert"),
        "rejected" => ("Rejected", "bad", "slash"),
        "skipped" => ("Skipped", "off", "slash"),
        "cached" => ("Cached", "good", "saved"),
        "ONLINE" => ("Online", "good", "check"),
        "OFFLINE" => ("Offline", "off", "slash"),
        "OPEN" => ("Open", "good", "branch"),
        "MERGED" => ("Merged", "done", "merge"),
        "CLOSED" => ("Closed", "off", "slash"),
        "DELETED" => ("Deleted", "off", "cross"),
        "DRAFT" => ("Draft", "off", "branch"),
        "UNPUBLISHED" => ("Unpublished", "off", "file"),
        "WAITING" => ("Waiting", "wait", "clock"),
        "PUSHED" => ("Pushed", "good", "branch"),
        "DIVERGED" => ("Diverged", "bad", "alert"),
        "DETACHED" => ("Detached", "off", "slash"),
        "APPROVED" => ("Approved", "good", "check"),
        "CHANGES_REQUESTED" => ("Changes requested", "bad", "chat"),
        "COMMENTED" => ("Commented", "off", "chat"),
        "DISMISSED" => ("Dismissed", "off", "slash"),
        "PASSED" => ("Passed", "good", "check"),
        other => (other, "off", "dot"),
    }
}

pub(crate) fn badge(state: &str) -> Markup {
    let (word, tone, name) = look(state);
    html! { span.state.(tone) { (icon(name)) span { (shown(word)) } } }
}

/// With a word of one's own for the state.
pub(crate) fn tagged(tone: &str, name: &str, word: &str) -> Markup {
    html! { span.state.(tone) { (icon(name)) span { (word) } } }
}

pub(crate) fn diff_stat(stat: &DiffStat) -> Markup {
    html! {
        span.stat {
            span.add { "+" (count(stat.added + stat.changed)) } " "
            span.del { "−" (count(stat.deleted + stat.changed)) }
        }
    }
}

/// What every bar of an execution shows, in the order of the bar: tone, word, how many, and the filter that lists them.
pub(crate) fn parts(counts: &JobCounts) -> [(&'static str, &'static str, i64, &'static str); 6] {
    [
        ("good", "Completed", counts.completed, "COMPLETED"),
        ("bad", "Failed", counts.errored, "ERRORED"),
        ("late", "Timed out", counts.timeout, "TIMEOUT"),
        ("off", "Canceled", counts.canceled, "CANCELED"),
        ("live", "Running", counts.running, "RUNNING"),
        ("wait", "Queued", counts.pending, "PENDING"),
    ]
}

/// A bar of all jobs. It is drawn with SVG, as a style attribute would be refused; the words beside it are for everyone.
pub(crate) fn bar(counts: &JobCounts) -> Markup {
    let total = counts.total.max(1) as f64;
    let ended = counts.total - counts.pending - counts.running;
    let said = format!(
        "{} of {} jobs ended, {} failed",
        count(ended),
        count(counts.total),
        count(counts.errored + counts.timeout)
    );
    let mut at = 0.0;
    html! {
        svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label=(said) {
            @for (tone, _, number, _) in parts(counts) {
                @if number > 0 {
                    @let width = number as f64 / total * 1000.0;
                    // What is there must be seen, however few of many.
                    rect class=(tone) x=(format!("{at:.1}")) y="0" width=(format!("{:.1}", width.max(4.0))) height="10" {}
                    ({ at += width; "" })
                }
            }
        }
    }
}
