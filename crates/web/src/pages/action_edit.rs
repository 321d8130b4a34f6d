//! The editor: the text with its lines numbered, mistakes at the line, and what it would run on beside it.

use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cx::{Answer, Cx, Fields, Refusal, go, segment};
use crate::session::Posted;
use crate::types::{Diagnostic, Named, PageInfo};
use crate::view::form::{Line, Sent, form};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::text::{count, counted, shown};

const EXAMPLE: &str = "name: hello\ndescription: Say hello in every README\non:\n  - repositoriesMatchingQuery: file:README.md\nsteps:\n  - run: echo hello >> README.md\n    container: alpine:3\nchangesetTemplate:\n  title: Hello\n  body: Adds a greeting.\n  branch: hello\n  commit:\n    message: Say hello\n  published: false\n";

#[derive(Deserialize)]
struct Text {
    action: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    id: String,
    name: String,
    url: String,
    text: String,
    version: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    validate_definition: Validation,
    preview_scope: Scope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Validation {
    ok: bool,
    name: Option<String>,
    steps: i64,
    has_changeset_template: bool,
    diagnostics: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scope {
    total_count: i64,
    took_ms: i64,
    page_info: PageInfo,
    diagnostics: Vec<Diagnostic>,
    nodes: Vec<Workspace>,
    skipped: Vec<Skipped>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Workspace {
    repository: Named,
    path: String,
    branch: String,
    matched_paths: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Skipped {
    pub repository: String,
    pub path: String,
    pub reason: String,
}

pub(crate) async fn new(cx: Cx) -> Answer {
    let copy = cx.params.get("text").unwrap_or(EXAMPLE).to_owned();
    Ok(editor(&cx, None, &copy, &Sent::default(), None, StatusCode::OK))
}

pub(crate) async fn edit(cx: Cx, Path(name): Path<String>) -> Answer {
    let action = find(&cx, &name).await?;
    let text = action.text.clone();
    Ok(editor(&cx, Some(&action), &text, &Sent::default(), None, StatusCode::OK))
}

async fn find(cx: &Cx, name: &str) -> Result<Action, Refusal> {
    let data: Text =
        cx.ask(include_str!("../../queries/action_text.graphql"), json!({ "name": name })).await?;
    data.action.ok_or_else(|| cx.not_found("No action has this name."))
}

/// A page of what it would run on: how many rows are before it, and its cursor. The button's value says both.
fn asked_page(fields: &Fields) -> Option<(i64, &str)> {
    let (before, after) = fields.get("page")?.split_once('.')?;
    Some((before.parse::<u32>().ok()?.into(), after))
}

async fn checked(
    cx: &Cx,
    fields: &Fields,
    name: Option<&str>,
) -> Result<Check, Vec<crate::GraphError>> {
    let definition = fields.get("definition").unwrap_or_default();
    let after = asked_page(fields).map(|(_, after)| after).filter(|after| !after.is_empty());
    let variables = json!({ "definition": definition, "name": name, "after": after });
    cx.try_ask(include_str!("../../queries/action_check.graphql"), variables).await
}

/// For the script: only what the check found.
pub(crate) async fn check(posted: Posted) -> Response {
    let Posted { cx, fields } = posted;
    let found = match checked(&cx, &fields, fields.get("name")).await {
        Ok(check) => result(&check, &fields),
        Err(errors) => Sent::new(fields, errors).summary(&[]),
    };
    Html(found.into_string()).into_response()
}

pub(crate) async fn create(posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let query = include_str!("../../queries/do/createAction.graphql");
    let definition = fields.get("definition").unwrap_or_default().to_owned();
    let check = checked(&cx, &fields, fields.get("name")).await;
    // An action's name is in its text; the field is for texts without one.
    let named = check.as_ref().ok().and_then(|check| check.validate_definition.name.clone());
    let name = fields.get("name").map(str::to_owned).or(named).unwrap_or_default();
    let variables = json!({ "name": name, "definition": definition });
    store(&cx, None, query, variables, Sent::new(fields, Vec::new()), check.ok()).await
}

pub(crate) async fn save(Path(name): Path<String>, posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let action = find(&cx, &name).await?;
    let query = include_str!("../../queries/do/updateAction.graphql");
    let definition = fields.get("definition").unwrap_or_default();
    let check = checked(&cx, &fields, Some(&name)).await;
    let variables = json!({ "action": action.id, "newDefinition": definition });
    store(&cx, Some(&action), query, variables, Sent::new(fields, Vec::new()), check.ok()).await
}

async fn store(
    cx: &Cx,
    action: Option<&Action>,
    query: &str,
    variables: Value,
    mut sent: Sent,
    check: Option<Check>,
) -> Answer {
    let text = sent.fields.get("definition").unwrap_or_default().to_owned();
    if sent.fields.has("check") || sent.fields.has("page") {
        return Ok(editor(cx, action, &text, &sent, check.as_ref(), StatusCode::OK));
    }
    let stored: Result<Value, _> = cx.try_ask(query, variables).await;
    match stored {
        Ok(data) => Ok(go(data["done"]["url"].as_str().unwrap_or("/actions"))),
        Err(errors) => {
            sent.errors = errors;
            Ok(editor(cx, action, &text, &sent, check.as_ref(), StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

fn editor(
    cx: &Cx,
    action: Option<&Action>,
    text: &str,
    sent: &Sent,
    check: Option<&Check>,
    status: StatusCode,
) -> Response {
    let (head, address) = match action {
        Some(action) => (action.name.as_str(), format!("/actions/{}/edit", segment(&action.name))),
        None => ("New action", "/actions/new".to_owned()),
    };
    let mut crumbs = vec![("/actions", "Actions")];
    if let Some(action) = action {
        crumbs.push((&action.url, &action.name));
    }
    let title_words = if action.is_some() { "Edit" } else { head };
    let body = html! {
        (title(&crumbs, html! { (title_words) }, html! { @if let Some(action) = action { span { "Saving makes version " (action.version + 1) ". Executions that run keep theirs." } } }, html! {}))
        (sent.summary(&["name"]))
        (form(cx, &address, html! {
            @if action.is_none() {
                (Line::new("name", "Name", sent.value("name", "")).hint("Only when the definition has no name of its own.").show(sent))
            }
            div.editor {
                div.editor-text {
                    label for="definition" { "Definition" }
                    div.code-edit data-editor="/actions/new/check" {
                        textarea id="definition" name="definition" rows="28" spellcheck="false" autocapitalize="off" autocomplete="off" wrap="off" aria-describedby="found" { "\n" (text) }
                    }
                    div.buttons {
                        button.primary name="save" value="1" disabled[!cx.may_write()] { "Save" }
                        button name="check" value="1" { "Check" }
                        @if let Some(action) = action { a.button href=(action.url) { "Cancel" } }
                    }
                }
                div.editor-found id="found" role="status" aria-label="What the check found" {
                    @if let Some(check) = check { (result(check, &sent.fields)) } @else { p.dim { "Press Check to see mistakes and what it would run on." } }
                }
            }
        }))
    };
    cx.page_with(status, &Page::new(title_words).scripts(&["editor.js"]), body)
}

fn result(check: &Check, fields: &Fields) -> Markup {
    let (validation, scope) = (&check.validate_definition, &check.preview_scope);
    html! {
        @if validation.ok {
            p.note.good { (icon("check")) span { "No mistakes. " (counted(validation.steps, "step", "steps")) @if validation.has_changeset_template { ", makes pull requests" } @else { ", no pull requests: it has no changesetTemplate" } "." } }
        } @else {
            p.note.bad { (icon("cross")) span { (counted(validation.diagnostics.len() as i64, "mistake", "mistakes")) } }
        }
        (diagnostics(&validation.diagnostics, "bad"))
        (diagnostics(&validation.warnings, "wait"))
        // What cannot be read runs nowhere: its mistakes are above.
        @if validation.ok {
            h2 { "Would run on" span.n { (scope.total_count) } span.dim.more { (scope.took_ms) " ms" } }
            (diagnostics(&scope.diagnostics, "bad"))
            @if scope.nodes.is_empty() { p.dim { "No repository." } }
        }
        ul.scope {
            @for workspace in &scope.nodes {
                li {
                    a href=(workspace.repository.url) { (shown(&workspace.repository.name)) @if !workspace.path.is_empty() { "/" (shown(&workspace.path)) } }
                    " " span.dim { (shown(&workspace.branch)) @for path in workspace.matched_paths.iter().take(3) { " · " (shown(path)) } }
                }
            }
        }
        (scope_pager(scope, fields))
        @if !scope.skipped.is_empty() { (skipped(&scope.skipped)) }
    }
}

/// The pages are of what is in the form, so that they are buttons of it.
fn scope_pager(scope: &Scope, fields: &Fields) -> Markup {
    let before = asked_page(fields).map_or(0, |(before, _)| before.max(0));
    let last = before + scope.nodes.len() as i64;
    html! {
        @if scope.total_count > scope.nodes.len() as i64 && !scope.nodes.is_empty() {
            div.pager data-scope-pages {
                span { (count(before + 1)) "–" (count(last)) " of " (count(scope.total_count)) }
                @if before > 0 { button name="page" value="0." { "First page" } }
                @if let (true, Some(cursor)) = (scope.page_info.has_next_page, &scope.page_info.end_cursor) {
                    button name="page" value={ (last) "." (cursor) } { "Next page" }
                }
            }
        }
    }
}

pub(crate) fn skipped(all: &[Skipped]) -> Markup {
    html! {
        details { summary { (counted(all.len() as i64, "repository", "repositories")) " left out" }
            ul { @for one in all { li { b { (shown(&one.repository)) @if !one.path.is_empty() { "/" (shown(&one.path)) } } ": " (shown(&one.reason)) } } }
        }
    }
}

/// Mistakes with their places; the script marks the lines of the editor by them.
pub(crate) fn diagnostics(all: &[Diagnostic], tone: &str) -> Markup {
    html! {
        @if !all.is_empty() {
            ul.diagnostics.(tone) {
                @for one in all {
                    li data-line=(one.line) data-tone=(tone) {
                        a href="#definition" { "Line " (one.line) ":" (one.column) } " "
                        @if !one.field.is_empty() { code { (shown(&one.field)) } " " }
                        (shown(&one.message))
                        @if let Some(hint) = &one.hint { span.dim.sub { (shown(hint)) } }
                    }
                }
            }
        }
    }
}
