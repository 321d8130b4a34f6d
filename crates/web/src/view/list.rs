//! Lists: what is filtered is in the address, pages are links, and an empty list says what to do next.

use maud::{Markup, html};

use super::icon::icon;
use super::text::count;
use crate::cx::{Cx, encoded};
use crate::types::PageInfo;

/// Rows of one page of a list.
pub(crate) const ROWS: u32 = 100;

/// What `?state=` names: one state, or several with commas between.
pub(crate) fn states(cx: &Cx) -> Option<Vec<&str>> {
    Some(cx.params.get("state")?.split(',').collect())
}

/// The states of jobs that did not do what they should.
pub(crate) const FAILED: &str = "ERRORED,TIMEOUT";

/// Links to the first and the next page. The cursor goes forward only; the browser's back goes back.
pub(crate) fn pager(cx: &Cx, info: &PageInfo, total: i64, shown: usize) -> Markup {
    let at: i64 = cx.params.get("at").and_then(|at| at.parse().ok()).unwrap_or(0).max(0);
    let last = at + shown as i64;
    html! {
        @if shown > 0 {
            nav.pager aria-label="Pages" {
                span { (count(at + 1)) "–" (count(last)) " of " (count(total)) }
                @if cx.params.get("after").is_some() {
                    a href=(cx.with(&[("after", ""), ("at", "")])) { "First page" }
                }
                @if let (true, Some(cursor)) = (info.has_next_page, &info.end_cursor) {
                    a rel="next" href=(cx.with(&[("after", cursor), ("at", &last.to_string())])) { "Next page" }
                }
            }
        }
    }
}

/// Links that set one parameter; each has a label and perhaps a number.
pub(crate) fn filters(
    cx: &Cx,
    label: &str,
    name: &str,
    options: &[(&str, &str, Option<i64>)],
) -> Markup {
    let now = cx.params.get(name).unwrap_or_default();
    html! {
        nav.filters aria-label=(label) {
            @for (value, label, number) in options {
                a href=(cx.with(&[(name, value), ("after", ""), ("at", "")]))
                    aria-current=[(*value == now).then_some("true")] {
                    (label)
                    @if let Some(number) = number { " " span.n { (count(*number)) } }
                }
            }
        }
    }
}

/// A search within a list; the other parameters stay.
pub(crate) fn query_box(cx: &Cx, label: &str, placeholder: &str) -> Markup {
    html! {
        form.query method="get" action=(cx.path) role="search" aria-label=(label) {
            @for (name, value) in cx.params.0.iter().filter(|(name, _)| !matches!(name.as_str(), "q" | "after" | "at")) {
                input type="hidden" name=(name) value=(value);
            }
            input type="search" name="q" value=[cx.params.get("q")] placeholder=(placeholder)
                aria-label=(label) data-filter spellcheck="false" autocomplete="off";
            button { (icon("search")) span.hide { "Search" } }
        }
    }
}

pub(crate) fn empty(says: &str, next: Markup) -> Markup {
    html! { div.empty { p { strong { (says) } } p { (next) } } }
}

/// A table that scrolls by itself when it is too wide, so that the page never does.
pub(crate) fn table(caption: &str, columns: &[&str], rows: Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                thead { tr { @for column in columns { @if column.is_empty() { td {} } @else { th scope="col" { (column) } } } } }
                tbody { (rows) }
            }
        }
    }
}

pub(crate) fn copy(text: &str, label: &str) -> Markup {
    html! { button.copy type="button" data-copy=(text) hidden { (label) } }
}

/// The address that lists jobs of one execution in one state.
pub(crate) fn in_state(url: &str, state: &str) -> String {
    format!("{url}?state={}", encoded(state))
}
