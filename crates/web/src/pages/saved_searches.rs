//! Saved searches: what they look for, what they found, and what runs when that changes.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::Topic;
use crate::cx::{Answer, Cx, Refusal, encoded, go};
use crate::session::Posted;
use crate::types::{Connection, Named};
use crate::view::form::{Line, Sent, form, grave, operation};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::text::{count, shown};
use crate::view::time::{ago, ago_or};

const FIELDS: &[&str] = &["name", "query", "description"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    saved_searches: Connection<Saved>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    saved_search: Option<Saved>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Saved {
    id: String,
    name: String,
    url: String,
    query: String,
    description: String,
    actions: Vec<Named>,
    last_run_at: Option<Timestamp>,
    last_error: Option<String>,
    result_count: Option<i64>,
    next_run_at: Option<Timestamp>,
    last_change_at: Option<Timestamp>,
}

async fn all(cx: &Cx) -> Result<Data, Refusal> {
    let variables = json!({ "first": ROWS, "after": cx.params.get("after") });
    cx.ask(include_str!("../../queries/saved_searches.graphql"), variables).await
}

async fn find(cx: &Cx, name: &str) -> Result<Saved, Refusal> {
    let query = include_str!("../../queries/saved_search.graphql");
    let data: One = cx.ask(query, json!({ "name": name })).await?;
    data.saved_search.ok_or_else(|| cx.not_found("No saved search has this name."))
}

pub(crate) async fn list(cx: Cx) -> Answer {
    let data = all(&cx).await?;
    Ok(list_page(&cx, &data, &Sent::default(), StatusCode::OK))
}

pub(crate) async fn create(posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let variables = json!({ "name": fields.get("name").unwrap_or_default(), "query": fields.get("query").unwrap_or_default(), "description": fields.get("description") });
    let done: Result<Value, _> =
        cx.try_ask(include_str!("../../queries/do/createSavedSearch.graphql"), variables).await;
    match done {
        Ok(done) => Ok(go(done["done"]["url"].as_str().unwrap_or("/saved-searches"))),
        Err(errors) => {
            let data = all(&cx).await?;
            Ok(list_page(&cx, &data, &Sent::new(fields, errors), StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

fn fields(sent: &Sent, name: &str, query: &str, description: &str) -> Markup {
    html! {
        (Line::new("name", "Name", sent.value("name", name)).required().show(sent))
        (Line::new("query", "Query", sent.value("query", query)).required().hint("As repo:web/ file:go.mod content:\"go 1.21\".").show(sent))
        (Line::new("description", "Description", sent.value("description", description)).show(sent))
    }
}

fn list_page(cx: &Cx, data: &Data, sent: &Sent, status: StatusCode) -> Response {
    let all = &data.saved_searches;
    let query = cx.params.get("query").unwrap_or_default();
    let body = html! {
        (title(&[], html! { "Saved searches" }, html! { "Asked again and again; an action can run when what they find changes." }, html! {}))
        section data-live id="searches" {
            @if all.nodes.is_empty() { (list::empty("No search is saved.", html! { "Write one below, or try it first in the " a href="/search" { "code search" } "." })) }
            @else {
                (list::table("Saved searches", &["Search", "Finds", "Last asked", "Last change", "Runs"], html! {
                    @for one in &all.nodes {
                        tr {
                            th scope="row" { a href=(one.url) { (shown(&one.name)) } code.sub { (shown(&one.query)) } }
                            td.num { @if let Some(number) = one.result_count { (count(number)) } @else { "–" } }
                            td { (ago_or(one.last_run_at, "never")) @if let Some(error) = &one.last_error { span.bad.sub { (shown(error)) } } }
                            td { (ago_or(one.last_change_at, "–")) }
                            td { @for action in &one.actions { a href=(action.url) { (shown(&action.name)) } " " } @if one.actions.is_empty() { span.dim { "nothing" } } }
                        }
                    }
                }))
            }
            (list::pager(cx, &all.page_info, all.total_count, all.nodes.len()))
        }
        @if cx.may_write() {
            section.card { h2 { "Save a search" } (sent.summary(FIELDS))
                (form(cx, "/saved-searches", html! { div.row { (fields(sent, "", query, "")) } div.buttons { button.primary { "Save" } } })) }
        }
    };
    cx.page_with(status, &Page::new("Saved searches").live(Topic::Everything), body)
}

pub(crate) async fn show(cx: Cx, Path(name): Path<String>) -> Answer {
    let saved = find(&cx, &name).await?;
    Ok(page(&cx, &saved, &Sent::default(), StatusCode::OK))
}

pub(crate) async fn save(Path(name): Path<String>, posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let saved = find(&cx, &name).await?;
    let variables = json!({ "savedSearch": saved.id, "name": fields.get("name"), "query": fields.get("query"), "description": fields.get("description").unwrap_or_default() });
    let done: Result<Value, _> =
        cx.try_ask(include_str!("../../queries/do/updateSavedSearch.graphql"), variables).await;
    match done {
        Ok(done) => Ok(go(done["done"]["url"].as_str().unwrap_or(&saved.url))),
        Err(errors) => {
            Ok(page(&cx, &saved, &Sent::new(fields, errors), StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

fn page(cx: &Cx, saved: &Saved, sent: &Sent, status: StatusCode) -> Response {
    let id = [("savedSearch", saved.id.as_str())];
    let body = html! {
        (title(&[("/saved-searches", "Saved searches")], html! { (shown(&saved.name)) }, html! {
            @if let Some(number) = saved.result_count { span { "finds " (count(number)) } }
            span { "asked " (ago_or(saved.last_run_at, "never")) }
            @if let Some(next) = saved.next_run_at { span { "next " (ago(next)) } }
            span { "changed " (ago_or(saved.last_change_at, "never")) }
        }, html! {
            a.button href={ "/search?q=" (encoded(&saved.query)) } { (icon("search")) "Show results" }
            @if cx.may_write() {
                @if !saved.actions.is_empty() { (operation(cx, "createActionExecutionsForSavedSearch", &id, html! { (icon("play")) "Run its actions" }, "")) }
                (grave(cx, "deleteSavedSearch", &[("savedSearch", &saved.id), ("back", "/saved-searches")], "Delete", "Actions that wait for it will not run by it any more."))
            }
        }))
        @if let Some(error) = &saved.last_error { p.note.bad { (icon("cross")) span { (shown(error)) } } }
        div.columns {
            section.card { h2 { "Runs" }
                @if saved.actions.is_empty() { (list::empty("No action waits for it.", html! { "Choose it in the triggers of an " a href="/actions" { "action" } "." })) }
                ul.cards { @for action in &saved.actions { li { a href=(action.url) { (shown(&action.name)) } } } }
            }
            section.card { h2 { "Change" } (sent.summary(FIELDS))
                @if cx.may_write() { (form(cx, &cx.path, html! { (fields(sent, &saved.name, &saved.query, &saved.description)) div.buttons { button.primary { "Save" } } })) }
                @else { code { (shown(&saved.query)) } }
            }
        }
    };
    cx.page_with(status, &Page::new(saved.name.clone()).live(Topic::Everything), body)
}
