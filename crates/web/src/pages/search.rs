//! Code search, and what the palette finds.

use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use crate::cx::{Answer, Cx, encoded};
use crate::pages::action_edit::{Skipped, skipped};
use crate::types::{Connection, Named, PageInfo};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list;
use crate::view::text::{counted, path, shown};

#[derive(Deserialize)]
struct Data {
    search: Results,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Results {
    repository_count: i64,
    file_count: i64,
    took_ms: i64,
    page_info: PageInfo,
    error: Option<Wrong>,
    not_searched: Vec<Skipped>,
    nodes: Vec<Found>,
}

#[derive(Deserialize)]
struct Wrong {
    message: String,
    start: usize,
    end: usize,
}

#[derive(Deserialize)]
struct Found {
    repository: Named,
    path: Option<String>,
    revision: String,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    number: i64,
    text: String,
}

pub(crate) async fn show(cx: Cx) -> Answer {
    let Some(query) = cx.params.get("q") else { return Ok(cx.page(&Page::new("Search"), help())) };
    let variables = json!({ "query": query, "first": 50, "after": cx.params.get("after") });
    let data: Data = cx.ask(include_str!("../../queries/search.graphql"), variables).await?;
    let found = &data.search;
    let body = html! {
        (title(&[], html! { "Search" }, html! {
            span { (counted(found.file_count, "file", "files")) " in " (counted(found.repository_count, "repository", "repositories")) ", " (found.took_ms) " ms" }
        }, html! { @if cx.may_write() && found.error.is_none() { a.button href={ "/saved-searches?query=" (encoded(query)) } { (icon("saved")) "Save this search" } } }))
        @if let Some(error) = &found.error { (wrong(query, error)) }
        @for one in &found.nodes {
            article.card.hit {
                h2 { a href=(one.repository.url) { (path(&one.repository.name)) } @if let Some(found) = &one.path { " " span.path { (path(found)) } } span.dim.more { (shown(one.revision.get(..10).unwrap_or(&one.revision))) } }
                @if !one.lines.is_empty() {
                    div.scroll tabindex="0" role="region" aria-label={ "Lines of " (one.repository.name) " " (one.path.as_deref().unwrap_or_default()) } { table.code { tbody { @for line in &one.lines { tr.same { td.no data-n=(line.number) {} td.src { (shown(&line.text)) } } } } } }
                }
            }
        }
        @if found.nodes.is_empty() && found.error.is_none() { (list::empty("Nothing was found.", html! { "Try fewer words, or see below what can be asked." })) (help_text()) }
        @if !found.not_searched.is_empty() { div.card { (skipped(&found.not_searched)) } }
        (more(&cx, &found.page_info))
    };
    Ok(cx.page(&Page::new("Search"), body))
}

fn more(cx: &Cx, info: &PageInfo) -> Markup {
    html! {
        @if let (true, Some(cursor)) = (info.has_next_page, &info.end_cursor) {
            nav.pager aria-label="Pages" { a rel="next" href=(cx.with(&[("after", cursor)])) { "More" } }
        }
    }
}

/// The query with its mistake marked; the place is in bytes.
fn wrong(query: &str, error: &Wrong) -> Markup {
    let cut = |at: usize| {
        (0..=at.min(query.len())).rev().find(|at| query.is_char_boundary(*at)).unwrap_or(0)
    };
    let (start, end) = (cut(error.start), cut(error.end.max(error.start)));
    html! {
        div.note.bad role="alert" { (icon("cross")) div {
            p { (shown(&error.message)) }
            pre.quote { (shown(&query[..start])) mark { (shown(&query[start..end])) @if start == end { "▏" } } (shown(&query[end..])) }
        } }
    }
}

fn help() -> Markup {
    html! { (title(&[], html! { "Search" }, html! { "Code in all repositories, on their default branches." }, html! {})) (help_text()) }
}

fn help_text() -> Markup {
    let rows = [
        ("go 1.21", "both words, in one file"),
        ("\"go 1.21\"", "just this text"),
        ("repo:web/", "in repositories whose name holds this"),
        ("-repo:archive", "not in these"),
        ("file:go.mod", "in files whose path holds this"),
        ("lang:rust", "in files of a language"),
    ];
    html! {
        section.card { h2 { "What can be asked" }
            (list::table("What can be asked", &["Query", "Finds"], html! { @for (query, finds) in rows { tr { th scope="row" { a href={ "/search?q=" (encoded(query)) } { code { (query) } } } td.wide { (finds) } } } }))
        }
    }
}

#[derive(Deserialize)]
struct Places {
    actions: Connection<Named>,
    campaigns: Connection<Named>,
    repositories: Connection<Named>,
}

/// For the palette: what has this name, or this number.
pub(crate) async fn palette(cx: Cx) -> Response {
    let query = cx.params.get("q").unwrap_or_default().trim();
    let places: Result<Places, _> =
        cx.try_ask(include_str!("../../queries/palette.graphql"), json!({ "query": query })).await;
    let Ok(places) = places else { return Html("<p>Nothing could be asked.</p>").into_response() };
    let number: Option<u64> = query.trim_start_matches('#').parse().ok();
    let kinds = [
        ("action", "Action", &places.actions),
        ("campaign", "Campaign", &places.campaigns),
        ("repository", "Repository", &places.repositories),
    ];
    let found = html! {
        ul {
            @if let Some(number) = number {
                li { a href={ "/executions/" (number) } { (icon("play")) "Execution #" (number) } }
                li { a href={ "/jobs/" (number) } { (icon("list")) "Job #" (number) } }
            }
            @for (name, word, all) in kinds { @for one in &all.nodes { li { a href=(one.url) { (icon(name)) (shown(&one.name)) span.dim { (word) } } } } }
            @if !query.is_empty() { li { a href={ "/search?q=" (encoded(query)) } { (icon("search")) "Search code for “" (shown(query)) "”" } } }
        }
    };
    Html(found.into_string()).into_response()
}
