//! Filters, columns and order of a list, all in its address: `f=key:value` for each filter, `c=` for each column, `s=` and `d=`.

use maud::{Markup, html};

use super::wire::Dimension;
use crate::cx::Cx;
use crate::view::icon::icon;
use crate::view::text::shown;

/// Most values of one key that are offered, and of all.
const OFFERED_OF_KEY: usize = 40;
const OFFERED: usize = 600;
/// What a page says once: it does not stay in the address.
const ONCE: [&str; 4] = ["after", "at", "canceled", "view"];

/// One filter. Without a key it is text.
#[derive(Clone, PartialEq)]
pub(super) struct Filter {
    pub key: String,
    pub value: String,
}

/// The filters of the address. Tasks' filters by tag may say so at the end of their keys, as upstream's do.
pub(super) fn filters(cx: &Cx) -> Vec<Filter> {
    let read = |text: &str| {
        let (key, value) = text.trim().split_once(':').unwrap_or(("", text.trim()));
        let key = key.strip_suffix("-tag").unwrap_or(key).to_owned();
        Filter { key, value: value.to_owned() }
    };
    let mut all: Vec<Filter> = Vec::new();
    for filter in cx.params.all("f").into_iter().map(read) {
        if !filter.value.is_empty() && !all.contains(&filter) {
            all.push(filter);
        }
    }
    all
}

/// The columns of the address, or the usual ones.
pub(super) fn columns<'a>(cx: &'a Cx, usual: &[&'a str]) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for column in cx.params.all("c") {
        if !column.is_empty() && !all.contains(&column) {
            all.push(column);
        }
    }
    if all.is_empty() { usual.to_vec() } else { all }
}

/// The same list with other filters, from its first page.
pub(super) fn with(cx: &Cx, filters: &[Filter]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for filter in filters {
        let text = match filter.key.as_str() {
            "" => filter.value.clone(),
            key => format!("{key}:{}", filter.value),
        };
        query.append_pair("f", &text);
    }
    query.extend_pairs(kept(cx, &["f"]));
    let query = query.finish();
    if query.is_empty() { cx.path.clone() } else { format!("{}?{query}", cx.path) }
}

/// What else the address says.
fn kept<'a>(cx: &'a Cx, but: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    let pairs = cx.params.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    pairs.filter(|(name, value)| !value.is_empty() && !but.contains(name) && !ONCE.contains(name))
}

pub(super) fn hidden(cx: &Cx, but: &[&str]) -> Markup {
    html! { @for (name, value) in kept(cx, but) { input type="hidden" name=(name) value=(value); } }
}

/// A link that sets one key to one value, or takes it away; with how many it would show.
pub(super) fn choice(
    cx: &Cx,
    all: &[Filter],
    key: &str,
    value: &str,
    word: &str,
    count: Option<i64>,
) -> Markup {
    let mut others: Vec<Filter> = all.iter().filter(|filter| filter.key != key).cloned().collect();
    let chosen = match value {
        "" => others.len() == all.len(),
        value => all.iter().any(|filter| filter.key == key && filter.value == value),
    };
    if !value.is_empty() {
        others.push(Filter { key: key.to_owned(), value: value.to_owned() });
    }
    html! {
        a href=(with(cx, &others)) aria-current=[chosen.then_some("true")] {
            (word) @if let Some(count) = count { " " span.n { (crate::view::text::count(count)) } }
        }
    }
}

/// The filters that are set, each with a way to take it off, and a box for one more.
pub(super) fn bar(cx: &Cx, all: &[Filter], hint: &str, known: &[Dimension]) -> Markup {
    html! {
        div.filter-bar {
            form.query method="get" action=(cx.path) role="search" aria-label="Filter" {
                @for value in cx.params.all("f") { @if !value.is_empty() { input type="hidden" name="f" value=(value); } }
                (hidden(cx, &["f"]))
                input type="search" name="f" list="known" placeholder=(hint) aria-label="One more filter" data-filter spellcheck="false" autocomplete="off";
                datalist id="known" { @for (key, value) in offered(known) { option value={ (key) ":" (value) } {} } }
                button { (icon("search")) span.hide { "Filter" } }
            }
            @if !all.is_empty() {
                ul.chips aria-label="Filters" {
                    @for filter in all {
                        @let others: Vec<Filter> = all.iter().filter(|one| *one != filter).cloned().collect();
                        li {
                            span { @if !filter.key.is_empty() { b { (shown(&filter.key)) ":" } } (shown(&filter.value)) }
                            a href=(with(cx, &others)) title="Take this filter off" { (icon("cross")) span.hide { "Take off " (shown(&filter.key)) " " (shown(&filter.value)) } }
                        }
                    }
                    @if all.len() > 1 { li.all { a href=(with(cx, &[])) { "Clear all" } } }
                }
            }
        }
    }
}

fn offered(known: &[Dimension]) -> impl Iterator<Item = (&str, &str)> {
    let of = |dimension: &'_ Dimension| dimension.value.len().min(OFFERED_OF_KEY);
    let pairs = known.iter().flat_map(move |dimension| {
        let values = dimension.value[..of(dimension)].iter();
        values.map(|value| (dimension.key.as_str(), value.as_str()))
    });
    pairs.take(OFFERED)
}

/// Which columns to show: those that are offered, and those that are shown whatever they are.
pub(super) fn picker(
    cx: &Cx,
    shown_now: &[&str],
    offered: &[&str],
    word: impl Fn(&str) -> String,
) -> Markup {
    let mut all: Vec<&str> = shown_now.to_vec();
    all.extend(offered.iter().filter(|column| !shown_now.contains(column)));
    html! {
        details.columns-pick {
            summary.button { "Columns" }
            form.pop method="get" action=(cx.path) {
                @for value in cx.params.all("f") { @if !value.is_empty() { input type="hidden" name="f" value=(value); } }
                (hidden(cx, &["c", "f"]))
                fieldset {
                    legend.hide { "Columns" }
                    @for column in all {
                        label.check { input type="checkbox" name="c" value=(column) checked[shown_now.contains(&column)]; span { (shown(&word(column))) } }
                    }
                }
                p { button.primary { "Show" } " " a href=(cx.with(&[("c", "")])) { "The usual ones" } }
            }
        }
    }
}

/// The head of a column, which orders the list by it when `sorts`.
pub(super) fn head(cx: &Cx, column: &str, word: &str, usual: (&str, bool), sorts: bool) -> Markup {
    let (by, down) = order(cx, usual);
    let direction = match (by == column, down) {
        (true, true) => Some("descending"),
        (true, false) => Some("ascending"),
        (false, _) => None,
    };
    let next = if by == column && !down { "desc" } else { "asc" };
    html! {
        th scope="col" aria-sort=[direction] {
            @if sorts {
                a href=(cx.with(&[("s", column), ("d", next), ("after", ""), ("at", "")])) {
                    (shown(word)) @if let Some(direction) = direction { span aria-hidden="true" { @if direction == "ascending" { " ▲" } @else { " ▼" } } }
                }
            } @else { (shown(word)) }
        }
    }
}

/// By which column, and whether downwards.
pub(super) fn order<'a>(cx: &'a Cx, usual: (&'a str, bool)) -> (&'a str, bool) {
    let by = cx.params.get("s").unwrap_or(usual.0);
    let down = match cx.params.get("d") {
        Some("asc") => false,
        Some("desc") => true,
        _ => usual.1,
    };
    (by, down)
}
