//! What applying a patch set to a campaign would do; the button does it.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use maud::html;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cx::{Answer, Cx, Refusal, go};
use crate::pages::campaign::words;
use crate::session::Posted;
use crate::types::{DiffStat, Named};
use crate::view::form::{Sent, form};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list;
use crate::view::state::diff_stat;
use crate::view::text::{count, counted, path, shown};

#[derive(Deserialize)]
struct Data {
    campaign: Option<Campaign>,
}

#[derive(Deserialize)]
struct Campaign {
    id: String,
    name: String,
    url: String,
    preview: Preview,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Preview {
    total_count: i64,
    counts: Vec<OperationCount>,
    nodes: Vec<Row>,
}

#[derive(Deserialize)]
struct OperationCount {
    operation: String,
    count: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    repository: Named,
    branch: String,
    title: String,
    operations: Vec<String>,
    reason: String,
    diff_stat: Option<DiffStat>,
}

async fn find(cx: &Cx, name: &str, set: Option<&str>) -> Result<Campaign, Refusal> {
    let variables = json!({ "name": name, "patchSet": set });
    let data: Data =
        cx.ask(include_str!("../../queries/campaign_preview.graphql"), variables).await?;
    data.campaign.ok_or_else(|| cx.not_found("No campaign has this name."))
}

pub(crate) async fn show(cx: Cx, Path(name): Path<String>) -> Answer {
    let set = cx.params.get("patchSet").map(str::to_owned);
    let campaign = find(&cx, &name, set.as_deref()).await?;
    Ok(page(&cx, &campaign, set.as_deref(), &Sent::default(), StatusCode::OK))
}

pub(crate) async fn apply(Path(name): Path<String>, posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let set = fields.get("patchSet").map(str::to_owned);
    let campaign = find(&cx, &name, set.as_deref()).await?;
    let variables = json!({ "input": { "id": campaign.id, "patchSet": set } });
    let done: Result<Value, _> =
        cx.try_ask(include_str!("../../queries/do/updateCampaign.graphql"), variables).await;
    match done {
        Ok(_) => Ok(go(&campaign.url)),
        Err(errors) => {
            let sent = Sent::new(fields, errors);
            Ok(page(&cx, &campaign, set.as_deref(), &sent, StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

fn page(
    cx: &Cx,
    campaign: &Campaign,
    set: Option<&str>,
    sent: &Sent,
    status: StatusCode,
) -> Response {
    let preview = &campaign.preview;
    let crumbs = [("/campaigns", "Campaigns"), (campaign.url.as_str(), campaign.name.as_str())];
    let body = html! {
        (title(&crumbs, html! { "Preview" }, html! { span { "What would be done. Nothing has been done yet." } }, html! {
            @if let (Some(set), true) = (set, cx.may_write()) {
                (form(cx, &cx.path, html! { input type="hidden" name="patchSet" value=(set); button.primary { "Apply to " (shown(&campaign.name)) } }))
            }
        }))
        (sent.summary(&[]))
        div.tiles {
            @for one in &preview.counts { div.tile { b { (count(one.count)) } span { (operation_icon(&one.operation)) (words(&one.operation)) } } }
        }
        section.card {
            h2 { (counted(preview.total_count, "changeset", "changesets")) }
            @if preview.nodes.is_empty() { (list::empty("Nothing would change.", html! { a href=(campaign.url) { "Back to the campaign" } })) }
            @else {
                (list::table("What would be done", &["Changeset", "Would", "Why", "Change"], html! {
                    @for row in &preview.nodes {
                        tr {
                            th scope="row" { a href=(row.repository.url) { (path(&row.repository.name)) } span.dim.sub { (shown(&row.title)) " · " (shown(&row.branch)) } }
                            td { @for name in &row.operations { span.state.(tone(name)) { (operation_icon(name)) span { (words(name)) } } " " } }
                            td.wide { (shown(&row.reason)) }
                            td { @if let Some(stat) = &row.diff_stat { (diff_stat(stat)) } }
                        }
                    }
                }))
                @if preview.total_count > preview.nodes.len() as i64 { p.dim { "… and " (count(preview.total_count - preview.nodes.len() as i64)) " more." } }
            }
        }
    };
    cx.page_with(status, &Page::new(format!("Preview of {}", campaign.name)), body)
}

fn operation_icon(name: &str) -> maud::Markup {
    icon(match name {
        "CLOSE" => "slash",
        "UPDATE" | "REOPEN" => "retry",
        "NOTHING" => "dot",
        _ => "branch",
    })
}

fn tone(name: &str) -> &'static str {
    match name {
        "CLOSE" => "bad",
        "NOTHING" => "off",
        "UPDATE" => "live",
        _ => "good",
    }
}
