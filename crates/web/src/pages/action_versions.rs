//! The versions of an action: what was changed from each to the next.

use axum::extract::Path;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;
use similar::{ChangeTag, TextDiff};

use crate::cx::{Answer, Cx};
use crate::types::{Connection, User};
use crate::view::layout::{Page, title};
use crate::view::list;
use crate::view::text::shown;
use crate::view::time::ago;

#[derive(Deserialize)]
struct Data {
    action: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    name: String,
    url: String,
    version: i64,
    versions: Connection<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    number: i64,
    text: String,
    created_at: Timestamp,
    author: Option<User>,
}

pub(crate) async fn list(cx: Cx, Path(name): Path<String>) -> Answer {
    let variables = json!({ "name": name, "first": 20, "after": cx.params.get("after") });
    let data: Data =
        cx.ask(include_str!("../../queries/action_versions.graphql"), variables).await?;
    let action = data.action.ok_or_else(|| cx.not_found("No action has this name."))?;
    let versions = &action.versions;
    let body = html! {
        (title(&[("/actions", "Actions"), (&action.url, &action.name)], html! { "Versions" }, html! { "Version " (action.version) " is used by what runs next." }, html! {}))
        @for (at, version) in versions.nodes.iter().enumerate() {
            section.card {
                h2 { "Version " (version.number) span.dim.more { (ago(version.created_at)) @if let Some(author) = &version.author { " by " (shown(&author.username)) } } }
                @if let Some(before) = versions.nodes.get(at + 1) { (changes(&before.text, &version.text, before.number)) }
                details { summary { "The whole text" } pre.text tabindex="0" { (shown(&version.text)) } }
            }
        }
        (list::pager(&cx, &versions.page_info, versions.total_count, versions.nodes.len()))
    };
    Ok(cx.page(&Page::new(format!("Versions of {}", action.name)), body))
}

fn changes(before: &str, after: &str, number: i64) -> Markup {
    let diff = TextDiff::from_lines(before, after);
    html! {
        div.scroll tabindex="0" role="region" aria-label={ "Changes since version " (number) } {
            table.code.unified { tbody {
                @for group in diff.grouped_ops(3) {
                    tr.hunk { td { "since version " (number) } }
                    @for op in &group { @for change in diff.iter_changes(op) {
                        @let (class, sign) = match change.tag() { ChangeTag::Equal => ("same", " "), ChangeTag::Delete => ("removed", "-"), ChangeTag::Insert => ("added", "+") };
                        tr class=(class) { td.src { (sign) (shown(change.value().trim_end_matches('\n'))) } }
                    } }
                }
            } }
        }
    }
}
