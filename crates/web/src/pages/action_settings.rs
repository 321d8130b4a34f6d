//! When an action runs by itself, and which campaign its patches go to.

use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cx::{Answer, Cx, Fields, Refusal, go, segment};
use crate::pages::actions::next_runs;
use crate::session::Posted;
use crate::types::{Connection, Named};
use crate::view::form::{Line, Sent, check, form, pairs, select};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::copy;
use crate::view::text::shown;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    action: Option<Action>,
    saved_searches: Connection<Named>,
    campaigns: Connection<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    id: String,
    name: String,
    url: String,
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
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Preview {
    preview_schedule: Times,
}

#[derive(Deserialize)]
struct Times {
    error: Option<String>,
    description: Option<String>,
    times: Vec<Timestamp>,
}

async fn find(cx: &Cx, name: &str) -> Result<(Data, Action), Refusal> {
    let query = include_str!("../../queries/action_settings.graphql");
    let mut data: Data = cx.ask(query, json!({ "name": name })).await?;
    let action = data.action.take().ok_or_else(|| cx.not_found("No action has this name."))?;
    Ok((data, action))
}

pub(crate) async fn show(cx: Cx, Path(name): Path<String>) -> Answer {
    let (data, action) = find(&cx, &name).await?;
    Ok(page(&cx, &data, &action, &Sent::default(), StatusCode::OK))
}

pub(crate) async fn save(Path(name): Path<String>, posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let (data, action) = find(&cx, &name).await?;
    let variables = json!({ "action": action.id, "settings": settings(&fields) });
    let done: Result<Value, _> =
        cx.try_ask(include_str!("../../queries/do/updateActionSettings.graphql"), variables).await;
    match done {
        Ok(_) => Ok(go(&action.url)),
        Err(errors) => {
            let sent = Sent::new(fields, errors);
            Ok(page(&cx, &data, &action, &sent, StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

/// An empty field takes the thing away; that is a word of its own in the API.
fn settings(fields: &Fields) -> Value {
    let mut settings = Map::new();
    for (name, clear) in [
        ("schedule", "clearSchedule"),
        ("savedSearch", "clearSavedSearch"),
        ("campaign", "clearCampaign"),
    ] {
        match fields.get(name) {
            Some(value) => settings.insert(name.to_owned(), value.into()),
            None => settings.insert(clear.to_owned(), true.into()),
        };
    }
    for name in ["timeZone", "overlapPolicy", "trigger"] {
        if let Some(value) = fields.get(name) {
            settings.insert(name.to_owned(), value.into());
        }
    }
    for name in ["schedulePaused", "onlyNewRepositories", "autoupdate"] {
        settings.insert(name.to_owned(), fields.has(name).into());
    }
    Value::Object(settings)
}

/// For the script: the next times of a schedule while it is typed.
pub(crate) async fn schedule(posted: Posted) -> Response {
    let Posted { cx, fields } = posted;
    let Some(schedule) = fields.get("schedule") else { return Html(String::new()).into_response() };
    let variables = json!({ "schedule": schedule, "timeZone": fields.get("timeZone") });
    let preview: Result<Preview, _> =
        cx.try_ask(include_str!("../../queries/preview_schedule.graphql"), variables).await;
    let found = match preview {
        Ok(preview) => times(&preview.preview_schedule, fields.get("timeZone").unwrap_or_default()),
        Err(errors) => Sent::new(fields, errors).summary(&[]),
    };
    Html(found.into_string()).into_response()
}

fn times(found: &Times, zone: &str) -> Markup {
    html! {
        @if let Some(error) = &found.error { p.note.bad { (icon("cross")) span { (shown(error)) } } }
        @if let Some(description) = &found.description { p { (shown(description)) } }
        (next_runs(&found.times, zone))
    }
}

fn choices(none: &str, all: &[Named]) -> Vec<(String, String)> {
    let named = all.iter().map(|one| (one.id.clone(), one.name.clone()));
    std::iter::once((String::new(), none.to_owned())).chain(named).collect()
}

fn page(cx: &Cx, data: &Data, action: &Action, sent: &Sent, status: StatusCode) -> Response {
    let id_of = |of: &Option<Named>| of.as_ref().map(|one| one.id.clone()).unwrap_or_default();
    let (search, campaign) = (id_of(&action.saved_search), id_of(&action.campaign));
    let body = html! {
        (title(&[("/actions", "Actions"), (&action.url, &action.name)], html! { "Schedule and triggers" }, html! {}, html! {}))
        (sent.summary(&["schedule", "timeZone"]))
        (form(cx, &format!("/actions/{}/settings", segment(&action.name)), html! {
            fieldset.card {
                legend { "On a schedule" }
                div.row data-schedule="/actions/new/schedule" {
                    (Line::new("schedule", "Schedule", sent.value("schedule", action.schedule.as_deref().unwrap_or_default())).hint("Five fields, as cron: 0 3 * * 1 is Monday at 03:00. Empty: none.").show(sent))
                    (Line::new("timeZone", "Time zone", sent.value("timeZone", &action.time_zone)).hint("As Europe/Berlin.").show(sent))
                    (select("overlapPolicy", "When the last is still running", sent.value("overlapPolicy", &action.overlap_policy),
                        &pairs(&[("SKIP", "Leave this one out"), ("QUEUE", "Run after it"), ("CANCEL_PREVIOUS", "Cancel the last")])))
                }
                (check("schedulePaused", "Paused", sent.checked("schedulePaused", action.schedule_paused)))
                div id="times" role="status" { @if sent.fields.0.is_empty() { (next_runs(&action.next_runs, &action.time_zone)) } }
            }
            fieldset.card {
                legend { "When a saved search finds something" }
                div.row {
                    (select("savedSearch", "Saved search", sent.value("savedSearch", &search), &choices("None", &data.saved_searches.nodes)))
                    (select("trigger", "Runs when", sent.value("trigger", &action.trigger),
                        &pairs(&[("ADDED", "It finds something new"), ("REMOVED", "It finds less"), ("ANY", "Anything changes")])))
                }
                (check("onlyNewRepositories", "Only in repositories that are new in it", sent.checked("onlyNewRepositories", action.only_new_repositories)))
            }
            fieldset.card {
                legend { "Where its patches go" }
                (select("campaign", "Campaign", sent.value("campaign", &campaign), &choices("None", &data.campaigns.nodes)))
                (check("autoupdate", "Update the campaign when an execution completes", sent.checked("autoupdate", action.autoupdate)))
            }
            section.card { h2 { "By webhook" } p { "A POST with an access token to this address runs it: " code.break { (shown(&action.webhook_url)) } " " (copy(&action.webhook_url, "Copy")) } }
            div.buttons { button.primary disabled[!cx.may_write()] { "Save" } a.button href=(action.url) { "Cancel" } }
        }))
    };
    cx.page_with(
        status,
        &Page::new(format!("Triggers of {}", action.name)).scripts(&["editor.js"]),
        body,
    )
}
