//! Code hosts: where repositories come from, whether they let us in, and a form for one more.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::backend::{Role, Topic};
use crate::cx::{Answer, Cx, Fields, Refusal, encoded, go};
use crate::session::Posted;
use crate::types::Connection;
use crate::view::form::{Line, Sent, form, grave, operation, pairs, select};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::state::tagged;
use crate::view::text::{count, shown};
use crate::view::time::{ago, ago_or};

const LINES: &[&str] =
    &["name", "url", "token", "username", "password", "appID", "installationID", "privateKey"];
const FIELDS: &[&str] = &[
    "name",
    "url",
    "token",
    "username",
    "password",
    "appID",
    "installationID",
    "include",
    "exclude",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    code_hosts: Connection<Host>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    id: String,
    name: String,
    kind: String,
    url: String,
    include: Vec<String>,
    exclude: Vec<String>,
    has_credential: bool,
    credential_user: Option<String>,
    repository_count: i64,
    last_sync_at: Option<Timestamp>,
    sync_error: Option<String>,
    syncing: bool,
    waiting_until: Option<Timestamp>,
    #[serde(rename = "webhookURL")]
    webhook_url: String,
}

async fn all(cx: &Cx) -> Result<Data, Refusal> {
    let variables = json!({ "first": ROWS, "after": cx.params.get("after") });
    cx.ask(include_str!("../../queries/code_hosts.graphql"), variables).await
}

pub(crate) async fn list(cx: Cx) -> Answer {
    let data = all(&cx).await?;
    Ok(page(&cx, &data, &Sent::default(), StatusCode::OK))
}

pub(crate) async fn add(posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let variables = json!({ "input": input(&fields) });
    let done: Result<Value, _> =
        cx.try_ask(include_str!("../../queries/do/addCodeHost.graphql"), variables).await;
    match done {
        Ok(_) => Ok(go("/code-hosts")),
        Err(errors) => {
            let data = all(&cx).await?;
            let sent = Sent::new(without_secrets(fields), errors);
            Ok(page(&cx, &data, &sent, StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

async fn find(cx: &Cx, name: &str) -> Result<Host, Refusal> {
    // There are few of them.
    let query = include_str!("../../queries/code_hosts.graphql");
    let data: Data = cx.ask(query, json!({ "first": 1000 })).await?;
    let found = data.code_hosts.nodes.into_iter().find(|host| host.name == name);
    found.ok_or_else(|| cx.not_found("No code host has this name."))
}

pub(crate) async fn edit(cx: Cx, Path(name): Path<String>) -> Answer {
    let host = find(&cx, &name).await?;
    Ok(edit_page(&cx, &host, &Sent::default(), StatusCode::OK))
}

pub(crate) async fn save(Path(name): Path<String>, posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let host = find(&cx, &name).await?;
    let variables = json!({ "codeHost": host.id, "input": input(&fields) });
    let done: Result<Value, _> =
        cx.try_ask(include_str!("../../queries/do/updateCodeHost.graphql"), variables).await;
    match done {
        Ok(_) => Ok(go("/code-hosts")),
        Err(errors) => {
            let sent = Sent::new(without_secrets(fields), errors);
            Ok(edit_page(&cx, &host, &sent, StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

/// SECURITY: what was typed as a secret is not sent back.
fn without_secrets(fields: Fields) -> Fields {
    let secret = |name: &str| matches!(name, "token" | "password" | "privateKey");
    Fields(fields.0.into_iter().filter(|(name, _)| !secret(name)).collect())
}

fn edit_page(cx: &Cx, host: &Host, sent: &Sent, status: StatusCode) -> Response {
    let body = html! {
        (title(&[("/code-hosts", "Code hosts")], html! { (shown(&host.name)) }, html! { "Its repositories are looked for again when it is saved." }, html! {}))
        (sent.summary(FIELDS))
        (form(cx, &cx.path, html! {
            div.card {
                (inputs(sent, Some(host)))
                div.buttons { button.primary disabled[cx.caller.role != Role::Admin] { "Save" } a.button href="/code-hosts" { "Cancel" } }
            }
        }))
    };
    cx.page_with(status, &Page::new(format!("Edit {}", host.name)), body)
}

fn input(fields: &Fields) -> Value {
    let mut input = Map::new();
    input.insert("kind".to_owned(), fields.get("kind").unwrap_or("GIT").into());
    for name in LINES {
        if let Some(value) = fields.get(name) {
            input.insert((*name).to_owned(), value.into());
        }
    }
    for name in ["name", "url"] {
        input.entry(name).or_insert_with(|| "".into());
    }
    for name in ["include", "exclude"] {
        let globs: Vec<&str> = fields.get(name).unwrap_or_default().split_whitespace().collect();
        if !globs.is_empty() {
            input.insert(name.to_owned(), globs.into());
        }
    }
    Value::Object(input)
}

fn page(cx: &Cx, data: &Data, sent: &Sent, status: StatusCode) -> Response {
    let all = &data.code_hosts;
    let body = html! {
        (title(&[("/repositories", "Repositories")], html! { "Code hosts" }, html! { "Repositories come from here, and pull requests go there." }, html! {}))
        section data-live id="hosts" {
            @if all.nodes.is_empty() { (list::empty("No code host yet.", html! { "Add the first below; its repositories come by themselves." })) }
            @for host in &all.nodes { (one(cx, host)) }
            (list::pager(cx, &all.page_info, all.total_count, all.nodes.len()))
        }
        @if cx.caller.role == Role::Admin { (add_form(cx, sent, all.nodes.is_empty())) }
    };
    cx.page_with(status, &Page::new("Code hosts").live(Topic::Everything), body)
}

fn one(cx: &Cx, host: &Host) -> Markup {
    html! {
        article.card {
            div.line {
                h2 { (shown(&host.name)) }
                span.tag { (kind(&host.kind)) }
                @if host.syncing { (tagged("live", "run", "Looking for repositories")) }
                @else if host.sync_error.is_some() { (tagged("bad", "cross", "Failed")) }
                @else { (tagged("good", "check", "In sync")) }
                div.buttons.push {
                    @if cx.may_write() { (operation(cx, "syncCodeHost", &[("codeHost", &host.id)], html! { (icon("retry")) "Sync now" span.hide { " " (shown(&host.name)) } }, "")) }
                    @if cx.caller.role == Role::Admin { a.button href={ "/code-hosts/" (encoded(&host.name)) } { "Edit" span.hide { " " (shown(&host.name)) } } (grave(cx, "deleteCodeHost", &[("codeHost", &host.id)], "Delete", "Its repositories are not fetched any more. Pull requests stay as they are.")) }
                }
            }
            @if let Some(error) = &host.sync_error { p.note.bad { (icon("cross")) span { (shown(error)) } } }
            @if let Some(until) = host.waiting_until { p.note.wait { (icon("clock")) span { "The host asked us to wait; we go on " (ago(until)) "." } } }
            dl.facts-list {
                dt { "Address" } dd { code.break { (shown(&host.url)) } }
                dt { "Repositories" } dd { a href={ "/repositories?codeHost=" (encoded(&host.id)) } { (count(host.repository_count)) } ", looked " (ago_or(host.last_sync_at, "never")) }
                @if !host.include.is_empty() { dt { "Only" } dd { @for glob in &host.include { code { (shown(glob)) } " " } } }
                @if !host.exclude.is_empty() { dt { "Not" } dd { @for glob in &host.exclude { code { (shown(glob)) } " " } } }
                dt { "Credential" } dd { @if host.has_credential { "set" @if let Some(user) = &host.credential_user { ", acts as " b { (shown(user)) } } } @else { span.dim { "none: public repositories only, no pull requests" } } }
                dt { "Webhook" } dd { code.break { (shown(&host.webhook_url)) } " " (list::copy(&host.webhook_url, "Copy")) }
            }
        }
    }
}

fn kind(kind: &str) -> &str {
    match kind {
        "GIT" => "Git",
        "GITHUB" => "GitHub",
        "GITLAB" => "GitLab",
        "GITEA" => "Gitea or Forgejo",
        other => other,
    }
}

fn add_form(cx: &Cx, sent: &Sent, open: bool) -> Markup {
    html! {
        details.card open[open || !sent.errors.is_empty()] { summary { h2 { "Add a code host" } } (sent.summary(FIELDS))
            (form(cx, "/code-hosts", html! {
                (inputs(sent, None))
                div.buttons { button.primary { "Add" } }
            }))
        }
    }
}

/// Everything that a code host is made of; of a known one, as it is.
fn inputs(sent: &Sent, host: Option<&Host>) -> Markup {
    let kinds = pairs(&[
        ("GITHUB", "GitHub"),
        ("GITLAB", "GitLab"),
        ("GITEA", "Gitea or Forgejo"),
        ("GIT", "Git only"),
    ]);
    let of = |text: fn(&Host) -> &str| host.map_or("", text);
    let (include, exclude) = match host {
        Some(host) => (host.include.join(" "), host.exclude.join(" ")),
        None => Default::default(),
    };
    let keeps = host.is_some_and(|host| host.has_credential);
    let secret = if keeps {
        "Empty: the credential that is set stays. Kept encrypted, never shown again, never given to a job."
    } else {
        "Kept encrypted, never shown again, never given to a job."
    };
    html! {
        div.row {
            (select("kind", "Kind", sent.value("kind", host.map_or("GITHUB", |host| &host.kind)), &kinds))
            (Line::new("name", "Name", sent.value("name", of(|host| &host.name))).required().hint("As github.com.").show(sent))
            (Line::new("url", "Address", sent.value("url", of(|host| &host.url))).hint("As https://github.com. For Git only: empty, or the address below which the folders are served.").show(sent))
            (Line::new("include", "Only these repositories", sent.value("include", &include)).hint("Organisations, groups or owner/name; for Git only, addresses of repositories and folders of the server. With spaces between.").show(sent))
            (Line::new("exclude", "Not these", sent.value("exclude", &exclude)).hint("Globs over names, with spaces between.").show(sent))
            (Line::new("token", "Access token", "").secret().hint(secret).show(sent))
        }
        details { summary { "Other credentials" } div.row {
            (Line::new("username", "User name", sent.value("username", "")).show(sent))
            (Line::new("password", "Password", "").secret().show(sent))
            (Line::new("appID", "GitHub App", sent.value("appID", "")).show(sent))
            (Line::new("installationID", "Its installation", sent.value("installationID", "")).show(sent))
            div.field { label for="privateKey" { "Its private key" } textarea id="privateKey" name="privateKey" rows="3" spellcheck="false" autocomplete="off" {} }
        } }
    }
}
