//! One changeset: what is wanted, what is there, what others did, and the change itself.

use axum::extract::Path;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use crate::backend::Topic;
use crate::cx::{Answer, Cx, encoded};
use crate::pages::campaign::{external, words};
use crate::types::{Comparison, Connection, Named, Node};
use crate::view::diff::diff;
use crate::view::form::operation;
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list;
use crate::view::state::badge;
use crate::view::text::shown;
use crate::view::time::{ago, ago_or};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changeset {
    branch: String,
    title: String,
    body: String,
    phase: String,
    publication: String,
    operations: Vec<String>,
    error: Option<String>,
    attempts: i64,
    waiting_until: Option<Timestamp>,
    updated_at: Timestamp,
    pushed_commit: Option<String>,
    found_commit: Option<String>,
    #[serde(rename = "externalURL")]
    external_url: Option<String>,
    repository: Named,
    patch: Option<Patch>,
    changeset: Option<External>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Patch {
    id: String,
    publication_enqueued: bool,
    diff: Comparison,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct External {
    id: String,
    #[serde(rename = "externalID")]
    external_id: String,
    review_state: String,
    check_state: Option<String>,
    next_sync: Option<Timestamp>,
    updated_at: Timestamp,
    campaigns: Connection<Named>,
    events: Connection<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    created_at: Timestamp,
    kind: String,
}

pub(crate) async fn show(cx: Cx, Path(id): Path<String>) -> Answer {
    let variables = json!({ "id": id, "files": cx.params.get("files") });
    let data: Node<Changeset> =
        cx.ask(include_str!("../../queries/changeset.graphql"), variables).await?;
    let found = data.node.ok_or_else(|| cx.not_found("There is no such changeset."))?;
    let mut crumbs = vec![("/campaigns", "Campaigns")];
    if let Some(campaign) =
        found.changeset.as_ref().and_then(|changeset| changeset.campaigns.nodes.first())
    {
        crumbs.push((&campaign.url, &campaign.name));
    }
    let body = html! {
        (title(&crumbs, html! { (shown(&found.title)) }, facts(&found), buttons(&cx, &found)))
        section data-live id="state" aria-label="State" { (says(&found)) (events(&found)) }
        section.card { h2 { "Description" } pre.text tabindex="0" { (shown(&found.body)) } }
        @if let Some(patch) = &found.patch {
            section.card aria-label="Change" { (diff(&cx, &patch.diff.file_diffs, Some(&format!("/patches/{}/raw", encoded(&patch.id))))) }
        } @else { (list::empty("No patch of ours.", html! { "This pull request was tracked, not made, by the campaign." })) }
    };
    Ok(cx.page(&Page::new(found.title.clone()).live(Topic::Everything), body))
}

fn facts(found: &Changeset) -> Markup {
    html! {
        (badge(&found.phase))
        a href=(found.repository.url) { (shown(&found.repository.name)) }
        span { "branch " code { (shown(&found.branch)) } }
        @if let (Some(url), Some(changeset)) = (&found.external_url, &found.changeset) { (external(url, &format!("#{} on its host", changeset.external_id))) }
        @if let Some(changeset) = &found.changeset {
            @if changeset.review_state != "PENDING" { (badge(&changeset.review_state)) } @else { span { "waiting for review" } }
            @if let Some(state) = &changeset.check_state { span { "checks " (words(state)) } }
            span { "seen " (ago(changeset.updated_at)) ", next look " (ago_or(changeset.next_sync, "when asked")) }
        }
        span { "updated " (ago(found.updated_at)) }
    }
}

fn buttons(cx: &Cx, found: &Changeset) -> Markup {
    html! {
        @if cx.may_write() {
            @if let Some(patch) = found.patch.as_ref().filter(|patch| !patch.publication_enqueued && found.phase == "UNPUBLISHED") {
                (operation(cx, "publishChangeset", &[("patch", &patch.id)], html! { "Publish" }, "primary"))
            }
            @if let Some(changeset) = &found.changeset { (operation(cx, "syncChangeset", &[("changeset", &changeset.id)], html! { (icon("retry")) "Look again" }, "")) }
        }
    }
}

fn says(found: &Changeset) -> Markup {
    html! {
        @if let Some(error) = &found.error {
            p.note.bad { (icon("cross")) span { (shown(error)) @if found.attempts > 1 { " (" (found.attempts) " attempts)" } @if let Some(until) = found.waiting_until { " Tried again " (ago(until)) "." } } }
        }
        @if let (true, Some(found_commit)) = (found.phase == "DIVERGED", &found.found_commit) {
            p.note.wait { (icon("alert")) span { "The branch holds " code { (shown(found_commit)) } ", which we did not push"
                @if let Some(pushed) = &found.pushed_commit { " (ours is " code { (shown(pushed)) } ")" } ". It is left alone until somebody chooses." } }
        }
        @if !found.operations.is_empty() { p.note.plain { (icon("clock")) span { "Wanted: " (words(&found.publication)) ". Still to do: " @for (at, name) in found.operations.iter().enumerate() { @if at > 0 { ", " } (words(name)) } "." } } }
    }
}

fn events(found: &Changeset) -> Markup {
    html! {
        @if let Some(changeset) = found.changeset.as_ref().filter(|changeset| !changeset.events.nodes.is_empty()) {
            details.card { summary { "What happened on the host (" (changeset.events.total_count) ")" }
                ul { @for event in &changeset.events.nodes { li { (shown(&words(&event.kind))) " " span.dim { (ago(event.created_at)) } } } }
            }
        }
    }
}
