//! Repositories and when each was fetched; and one of them.

use axum::extract::Path;
use jiff::Timestamp;
use maud::html;
use serde::Deserialize;
use serde_json::json;

use crate::backend::Topic;
use crate::cx::{Answer, Cx, encoded};
use crate::pages::campaign::external;
use crate::types::Connection;
use crate::view::form::operation;
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::state::tagged;
use crate::view::text::{bytes, path, shown};
use crate::view::time::ago_or;

#[derive(Deserialize)]
struct Data {
    repositories: Connection<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    url: String,
    code_host: Option<Host>,
    default_branch: Option<Branch>,
    is_fork: bool,
    is_archived: bool,
    is_private: bool,
    fetched_at: Option<Timestamp>,
    sync_error: Option<String>,
    disk_bytes: u64,
    head_commit: Option<Short>,
}

#[derive(Deserialize)]
struct Host {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Branch {
    display_name: String,
}

#[derive(Deserialize)]
struct Short {
    #[serde(rename = "abbreviatedOID")]
    short: String,
}

fn kinds(fork: bool, archived: bool, private: bool) -> maud::Markup {
    html! { @for (is, word) in [(fork, "fork"), (archived, "archived"), (private, "private")] { @if is { span.tag { (word) } " " } } }
}

pub(crate) async fn list(cx: Cx) -> Answer {
    let failed = cx.params.get("failed").map(|_| true);
    let variables = json!({ "first": ROWS, "after": cx.params.get("after"), "query": cx.params.get("q"), "codeHost": cx.params.get("codeHost"), "failed": failed });
    let data: Data = cx.ask(include_str!("../../queries/repositories.graphql"), variables).await?;
    let all = &data.repositories;
    let body = html! {
        (title(&[], html! { "Repositories" }, html! { "All that actions can run on." }, html! { a.button href="/code-hosts" { "Code hosts" } }))
        div.bar-row {
            (list::filters(&cx, "Sync", "failed", &[("", "All", None), ("true", "Not fetched", None)]))
            (list::query_box(&cx, "Filter repositories", "name"))
        }
        section data-live id="repositories" {
            @if all.nodes.is_empty() { (list::empty("No repository is here.", html! { "Add a " a href="/code-hosts" { "code host" } ", and its repositories come by themselves." })) }
            @else {
                (list::table("Repositories", &["Repository", "Code host", "Branch", "Fetched", "Size"], html! {
                    @for row in &all.nodes {
                        tr {
                            th scope="row" { a href=(row.url) { (path(&row.name)) } " " (kinds(row.is_fork, row.is_archived, row.is_private)) }
                            td { @if let Some(host) = &row.code_host { (shown(&host.name)) } @else { span.dim { "added by hand" } } }
                            td { @if let Some(branch) = &row.default_branch { (shown(&branch.display_name)) } @if let Some(head) = &row.head_commit { " " code.dim { (shown(&head.short)) } } }
                            td { @if row.sync_error.is_some() { (tagged("bad", "cross", "Failed")) " " } (ago_or(row.fetched_at, "never")) @if let Some(error) = &row.sync_error { span.bad.sub { (shown(error)) } } }
                            td.num { (bytes(row.disk_bytes)) }
                        }
                    }
                }))
            }
            (list::pager(&cx, &all.page_info, all.total_count, all.nodes.len()))
        }
    };
    Ok(cx.page(&Page::new("Repositories").live(Topic::Everything), body))
}

#[derive(Deserialize)]
struct One {
    repository: Option<Repository>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Repository {
    id: String,
    name: String,
    description: String,
    code_host: Option<Host>,
    #[serde(rename = "externalURL")]
    external_url: Option<String>,
    is_fork: bool,
    is_archived: bool,
    is_private: bool,
    topics: Vec<String>,
    fetched_at: Option<Timestamp>,
    sync_error: Option<String>,
    disk_bytes: u64,
    default_branch: Option<Branch>,
    head_commit: Option<Long>,
}

#[derive(Deserialize)]
struct Long {
    oid: String,
}

pub(crate) async fn show(cx: Cx, Path(name): Path<String>) -> Answer {
    let data: One =
        cx.ask(include_str!("../../queries/repository.graphql"), json!({ "name": name })).await?;
    let one = data.repository.ok_or_else(|| cx.not_found("No repository has this name."))?;
    let body = html! {
        (title(&[("/repositories", "Repositories")], html! { (shown(&one.name)) }, html! {
            span { (shown(&one.description)) } (kinds(one.is_fork, one.is_archived, one.is_private))
        }, html! {
            @if cx.may_write() { (operation(&cx, "syncRepository", &[("repository", &one.id)], html! { (icon("retry")) "Fetch now" }, "")) }
            a.button href={ "/search?q=" (encoded(&format!("repo:^{}$ ", one.name))) } { (icon("search")) "Search in it" }
        }))
        section data-live id="sync" aria-label="Sync" {
            @if let Some(error) = &one.sync_error { p.note.bad { (icon("cross")) span { b { "It could not be fetched: " } (shown(error)) } } }
            div.card { dl.facts-list {
                dt { "Fetched" } dd { (ago_or(one.fetched_at, "never")) }
                dt { "Code host" } dd { @if let Some(host) = &one.code_host { a href="/code-hosts" { (shown(&host.name)) } } @else { "added by hand" } }
                dt { "Branch" } dd { (shown(one.default_branch.as_ref().map_or("none: it is empty", |branch| &branch.display_name))) }
                dt { "Commit" } dd { @if let Some(head) = &one.head_commit { code.break { (shown(&head.oid)) } } @else { "none" } }
                dt { "Size here" } dd { (bytes(one.disk_bytes)) }
                @if !one.topics.is_empty() { dt { "Topics" } dd { @for topic in &one.topics { span.tag { (shown(topic)) } " " } } }
                @if let Some(url) = &one.external_url { dt { "On its host" } dd { (external(url, url)) } }
            } }
        }
    };
    Ok(cx.page(&Page::new(one.name.clone()).live(Topic::Everything), body))
}
