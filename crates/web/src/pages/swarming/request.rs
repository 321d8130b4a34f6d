//! What was asked for, slice by slice, and what came of it.

use maud::{Markup, html};

use super::wire::{
    CasReference, CipdInput, Dimension, Package, Pair, Properties, Slice, TaskRequest, TaskResult,
    WhyPending,
};
use super::{bot_link, bots_with, list_address, task_link};
use crate::view::list::copy;
use crate::view::text::shown;
use crate::view::time::{ago, exact, span};

/// SECURITY: a secret is shown to bots only; a request with one cannot be asked for again from here.
pub(super) fn has_secret(made: &TaskRequest) -> bool {
    made.task_slices.iter().any(|slice| !slice.properties.secret_bytes.is_empty())
}

pub(super) fn slices(
    made: &TaskRequest,
    task: &TaskResult,
    waits: Option<&WhyPending>,
    current: usize,
) -> Markup {
    let many = made.task_slices.len();
    html! {
        @for (at, slice) in made.task_slices.iter().enumerate() {
            @let expires = waits.and_then(|why| why.slices.get(at)).and_then(|reason| reason.expires_ts);
            details.card open[at == current] {
                summary {
                    h2 { @if many > 1 { "Slice " (at + 1) " of " (many) } @else { "What it does" } }
                    @if many > 1 && at == current { " " span.tag { @if task.is_live() { "now" } @else { "the last" } } }
                    @if let (Some(expires), "PENDING") = (expires, task.state.as_str()) { " " span.tag title=(exact(expires)) { "ends " (ago(expires)) } }
                }
                (one(slice))
            }
        }
    }
}

fn one(slice: &Slice) -> Markup {
    let of = &slice.properties;
    let command = of.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    html! {
        @if !of.command.is_empty() { div.command { pre.text tabindex="0" aria-label="Command" { (shown(&command)) } (copy(&command, "Copy")) } }
        dl.facts-list {
            dt { "Dimensions" }
            dd {
                @for pair in &of.dimensions { a.tag href=(bots_with(std::slice::from_ref(pair))) { (shown(&pair.key)) ":" (shown(&pair.value)) } " " }
                span.dim { "· " } a href=(bots_with(&of.dimensions)) { "Bots" } " · " a href=(tasks_with(&of.dimensions)) { "Tasks like this" }
            }
            dt { "Waits" } dd { "at most " (span(slice.expiration_secs)) @if slice.wait_for_capacity { ", also when no bot is there that could run it" } @else { "; not at all when no bot is there that could run it" } }
            @if of.execution_timeout_secs > 0 { dt { "Runs" } dd {
                "at most " (span(of.execution_timeout_secs)) @if of.io_timeout_secs > 0 { ", at most " (span(of.io_timeout_secs)) " without output" }
                ", then has " (span(of.grace_period_secs)) " to stop"
            } }
            @if !of.relative_cwd.is_empty() { dt { "In the folder" } dd { code { (shown(&of.relative_cwd)) } } }
            (environment(of))
            @if !of.caches.is_empty() { dt { "Named caches" } dd { @for cache in &of.caches { div { code { (shown(&cache.name)) } " at " code { (shown(&cache.path)) } } } } }
            @if let Some(cipd) = &of.cipd_input { (packages(cipd)) }
            @if let Some(input) = &of.cas_input_root { dt { "Inputs" } dd { (cas(input)) } }
            @if !of.outputs.is_empty() { dt { "Outputs" } dd { @for path in &of.outputs { div { code { (shown(path)) } } } } }
            @if of.idempotent { dt { "Idempotent" } dd { "yes: an equal task that succeeded before gives its result" } }
            @if !of.secret_bytes.is_empty() { dt { "Secret" } dd { "yes, for the bot only" } }
        }
    }
}

fn environment(of: &Properties) -> Markup {
    html! {
        @if !of.env.is_empty() { dt { "Environment" } dd { @for pair in &of.env { div { code { (shown(&pair.key)) "=" (shown(&pair.value)) } } } } }
        @if !of.env_prefixes.is_empty() { dt { "Before these paths" } dd { @for prefix in &of.env_prefixes { div { code { (shown(&prefix.key)) "=" (shown(&prefix.value.join(":"))) } } } } }
    }
}

fn packages(cipd: &CipdInput) -> Markup {
    html! {
        @if !cipd.packages.is_empty() {
            dt { "CIPD packages" }
            dd {
                @for package in &cipd.packages { div { (one_package(package)) @if !package.path.is_empty() { " at " code { (shown(&package.path)) } } } }
                @if !cipd.server.is_empty() { span.small.dim { "from " (shown(&cipd.server)) @if let Some(client) = &cipd.client_package { ", client " (shown(&client.version)) } } }
            }
        }
    }
}

fn one_package(package: &Package) -> Markup {
    html! { code { (shown(&package.package_name)) } " " span.dim { (shown(&package.version)) } }
}

fn cas(reference: &CasReference) -> Markup {
    html! { code { (shown(&reference.digest.hash)) "/" (shown(&reference.digest.size_bytes)) } @if !reference.cas_instance.is_empty() { " in " (shown(&reference.cas_instance)) } }
}

/// Tasks with the tags that these dimensions make. One that asks for one of several has a tag for each.
fn tasks_with(dimensions: &[Pair]) -> String {
    let pairs: Vec<(&str, &str)> =
        dimensions.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
    list_address("/tasklist", &pairs)
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

pub(super) fn about(made: &TaskRequest, task: &TaskResult) -> Markup {
    let run = if task.run_id.is_empty() { &task.task_id } else { &task.run_id };
    html! {
        dl.facts-list {
            dt { "Asked for by" } dd { (shown(&made.authenticated)) @if !made.user.is_empty() { ", for " a href=(list_address("/tasklist", &[("user", &made.user)])) { (shown(&made.user)) } } }
            @if !made.parent_task_id.is_empty() { dt { "Parent" } dd { (task_link(&made.parent_task_id, "")) } }
            dt { "Children" } dd { a href=(list_address("/tasklist", &[("parent_task_id-tag", run)])) { "Tasks that it made" } }
            dt { "Service account" } dd { (shown(&made.service_account)) }
            @if !made.realm.is_empty() { dt { "Realm" } dd { (shown(&made.realm)) } }
            @if !made.pubsub_topic.is_empty() { dt { "Topic" } dd { (shown(&made.pubsub_topic)) } }
            dt { "Bot may be silent" } dd { "for " (span(made.bot_ping_tolerance_secs)) }
            dt { "Tags" } dd { @for tag in &made.tags { a.tag href=(tag_list(tag)) { (shown(tag)) } " " } }
        }
    }
}

fn tag_list(tag: &str) -> String {
    let (key, value) = tag.split_once(':').unwrap_or((tag, ""));
    list_address("/tasklist", &[(&format!("{key}-tag"), value)])
}

pub(super) fn result(task: &TaskResult) -> Markup {
    html! {
        @if task.started_ts.is_none() { p.dim { "There is none yet." } }
        @else {
            dl.facts-list {
                @if !task.is_live() { dt { "Exit code" } dd.num { (shown(task.exit_code.as_deref().unwrap_or("0"))) } }
                dt { "Bot" } dd { (bot_link(&task.bot_id)) }
                dt { "Version of the bot" } dd { code { (shown(&task.bot_version)) } }
                @if let Some(cost) = task.costs_usd.first() { dt { "Cost" } dd { (format!("${cost:.4}")) } }
                @if task.cost_saved_usd > 0.0 { dt { "Saved" } dd { (format!("${:.4}", task.cost_saved_usd)) } }
                @if let Some(root) = &task.cas_output_root { dt { "Outputs" } dd { (cas(root)) } }
                @if !task.missing_cas.is_empty() { dt { "Inputs that are missing" } dd { @for one in &task.missing_cas { div.bad { (cas(one)) } } } }
                @if !task.missing_cipd.is_empty() { dt { "Packages that are missing" } dd { @for one in &task.missing_cipd { div.bad { (one_package(one)) } } } }
                @if let Some(pins) = &task.cipd_pins { dt { "Packages that were installed" } dd { @for one in pins.client_package.iter().chain(&pins.packages) { div { (one_package(one)) } } } }
            }
            @if !task.bot_dimensions.is_empty() { details { summary { "Dimensions of the bot then" } (dimensions(&task.bot_dimensions)) } }
        }
    }
}

fn dimensions(all: &[Dimension]) -> Markup {
    html! { dl.facts-list { @for one in all { dt { (shown(&one.key)) } dd { @for value in &one.value { span.tag { (shown(value)) } " " } } } } }
}
