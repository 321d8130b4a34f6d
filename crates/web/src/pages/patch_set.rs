//! A set of patches, and one patch of it.

use axum::extract::Path;
use jiff::Timestamp;
use maud::html;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cx::{Answer, Cx, encoded};
use crate::pages::job;
use crate::types::{Comparison, Connection, DiffStat, Named, Node};
use crate::view::diff::diff;
use crate::view::form::operation;
use crate::view::layout::{Page, title};
use crate::view::list::{self, ROWS};
use crate::view::state::diff_stat;
use crate::view::text::{count, counted, path, shown};
use crate::view::time::ago;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PatchSet {
    created_at: Timestamp,
    diff_stat: DiffStat,
    patches: Connection<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    title: Option<String>,
    base_ref: String,
    repository: Named,
    diff_stat: DiffStat,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Patch {
    id: String,
    title: Option<String>,
    base_ref: String,
    base_revision: String,
    publication_enqueued: bool,
    repository: Named,
    diff: Comparison,
}

pub(crate) async fn show(cx: Cx, Path(id): Path<String>) -> Answer {
    let variables = json!({ "id": id, "first": ROWS, "after": cx.params.get("after") });
    let data: Node<PatchSet> =
        cx.ask(include_str!("../../queries/patch_set.graphql"), variables).await?;
    let set = data.node.ok_or_else(|| cx.not_found("There is no such patch set."))?;
    let patches = &set.patches;
    let body = html! {
        (title(&[("/executions", "Executions")], html! { (counted(patches.total_count, "patch", "patches")) },
            html! { (diff_stat(&set.diff_stat)) span { (count(set.diff_stat.files)) " files" } span { "made " (ago(set.created_at)) } },
            html! { @if cx.may_write() { a.button.primary href={ "/campaigns/new?patchSet=" (encoded(&id)) } { "Create or update a campaign" } } }))
        @if patches.nodes.is_empty() { (list::empty("No patch is here.", html! { "No job changed a file." })) }
        @else {
            (list::table("Patches", &["Repository", "Title", "Branch", "Change"], html! {
                @for row in &patches.nodes {
                    tr {
                        th scope="row" { a href={ "/patches/" (encoded(&row.id)) } { (path(&row.repository.name)) } }
                        td { (shown(row.title.as_deref().unwrap_or_default())) }
                        td { (shown(&row.base_ref)) }
                        td { (diff_stat(&row.diff_stat)) }
                    }
                }
            }))
        }
        (list::pager(&cx, &patches.page_info, patches.total_count, patches.nodes.len()))
    };
    Ok(cx.page(&Page::new("Patches"), body))
}

pub(crate) async fn patch(cx: Cx, Path(id): Path<String>) -> Answer {
    let variables = json!({ "id": id, "files": cx.params.get("files") });
    let data: Node<Patch> = cx.ask(include_str!("../../queries/patch.graphql"), variables).await?;
    let patch = data.node.ok_or_else(|| cx.not_found("There is no such patch."))?;
    let body = html! {
        (title(&[("/campaigns", "Campaigns")], html! { (shown(&patch.repository.name)) }, html! {
            @if let Some(title) = &patch.title { span { (shown(title)) } }
            span { "against " (shown(&patch.base_ref)) " at " code { (shown(patch.base_revision.get(..10).unwrap_or(&patch.base_revision))) } }
        }, html! {
            @if cx.may_write() && !patch.publication_enqueued { (operation(&cx, "publishChangeset", &[("patch", &patch.id)], html! { "Publish" }, "")) }
        }))
        section.card aria-label="Patch" { (diff(&cx, &patch.diff.file_diffs, Some(&format!("/patches/{}/raw", encoded(&id))))) }
    };
    Ok(cx.page(&Page::new(format!("Patch of {}", patch.repository.name)), body))
}

pub(crate) async fn raw(cx: Cx, Path(id): Path<String>) -> Answer {
    let data: Value =
        cx.ask(include_str!("../../queries/patch_raw.graphql"), json!({ "id": id })).await?;
    job::raw(&cx, &data)
}
