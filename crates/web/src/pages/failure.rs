//! The pages that say why there is no page, and the one that shows a page's query.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

use crate::backend::GraphError;
use crate::cx::Cx;
use crate::view::layout::{Page, title};
use crate::view::list::copy;
use crate::view::text::shown;

const NOT_UNDERSTOOD: &str = "That was not understood";

pub(crate) fn query(cx: &Cx, query: &str, variables: &Value) -> Response {
    let variables = serde_json::to_string_pretty(variables).unwrap_or_default();
    let body = html! {
        (title(&[], html! { "The query of this page" }, html! { "This page shows the answer to one GraphQL query, asked with your rights. You can ask the same of the API." },
            html! { a.button href=(cx.with(&[("view", "")])) { "Back to the page" } }))
        section.card { h2 { "Query" } (copy(query, "Copy")) pre.text tabindex="0" { (shown(query)) } }
        section.card { h2 { "Variables" } (copy(&variables, "Copy")) pre.text tabindex="0" { (shown(&variables)) } }
    };
    cx.page(&Page::new("Query"), body)
}

/// The calls of a page about bots or tasks.
pub(crate) fn calls(cx: &Cx, calls: &[(&str, Value)]) -> Response {
    let body = html! {
        (title(&[], html! { "The calls of this page" }, html! { "This page shows the answers to these calls, asked with your rights. You can ask the same of the API." },
            html! { a.button href=(cx.with(&[("view", "")])) { "Back to the page" } }))
        @for (method, request) in calls {
            @let request = serde_json::to_string_pretty(request).unwrap_or_default();
            section.card { h2 { "POST /prpc/" (method) } (copy(&request, "Copy")) pre.text tabindex="0" { (shown(&request)) } }
        }
    };
    cx.page(&Page::new("Calls"), body)
}

pub(crate) fn errors(cx: &Cx, errors: &[GraphError]) -> Response {
    let (status, head) = match errors.first().map_or("INTERNAL", GraphError::code) {
        "NOT_FOUND" => (StatusCode::NOT_FOUND, "There is no such thing"),
        "FORBIDDEN" => (StatusCode::FORBIDDEN, "You may not do this"),
        "BAD_INPUT" => (StatusCode::UNPROCESSABLE_ENTITY, NOT_UNDERSTOOD),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "The server made a mistake"),
    };
    let says = html! { @for error in errors { p { (shown(&error.message)) } } };
    said(cx, status, head, says)
}

pub(crate) fn not_found(cx: &Cx, what: &str) -> Response {
    said(cx, StatusCode::NOT_FOUND, "There is no such thing", html! { p { (what) } })
}

pub(crate) fn not_understood(cx: &Cx, why: &str) -> Response {
    said(cx, StatusCode::UNPROCESSABLE_ENTITY, NOT_UNDERSTOOD, html! { p { (shown(why)) } })
}

pub(crate) fn refused(cx: &Cx, why: &str) -> Response {
    said(cx, StatusCode::FORBIDDEN, "This was refused", html! { p { (why) } })
}

pub(crate) async fn no_such_page(cx: Cx) -> Response {
    not_found(&cx, "This address is not a page.")
}

fn said(cx: &Cx, status: StatusCode, head: &str, says: Markup) -> Response {
    if cx.fragment {
        return (status, head.to_owned()).into_response();
    }
    let body = html! {
        (title(&[], html! { (head) }, html! {}, html! {}))
        div.card { (says) p { a href="/" { "Home" } " · " a href="/executions" { "Executions" } " · " a href="/search" { "Search" } } }
    };
    cx.page_with(status, &Page::new(head), body)
}
