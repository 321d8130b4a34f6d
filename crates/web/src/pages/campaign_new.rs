//! A new campaign of a patch set, or the patch set into one that exists.

use axum::response::Response;
use http::StatusCode;
use maud::html;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cx::{Answer, Cx, Refusal, encoded, go};
use crate::session::Posted;
use crate::types::{Connection, DiffStat, Named};
use crate::view::form::{Line, Sent, check, form};
use crate::view::layout::{Page, title};
use crate::view::list;
use crate::view::state::diff_stat;
use crate::view::text::{counted, shown};

#[derive(Deserialize)]
struct Data {
    viewer: Viewer,
    #[serde(default)]
    node: Option<PatchSet>,
    campaigns: Connection<Named>,
}

#[derive(Deserialize)]
struct Viewer {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PatchSet {
    diff_stat: DiffStat,
    patches: Connection<Value>,
}

async fn find(cx: &Cx, set: Option<&str>) -> Result<Data, Refusal> {
    let variables = json!({ "patchSet": set.unwrap_or_default(), "none": set.is_none() });
    cx.ask(include_str!("../../queries/campaign_new.graphql"), variables).await
}

pub(crate) async fn show(cx: Cx) -> Answer {
    let set = cx.params.get("patchSet").map(str::to_owned);
    let data = find(&cx, set.as_deref()).await?;
    Ok(page(&cx, &data, set.as_deref(), &Sent::default(), StatusCode::OK))
}

pub(crate) async fn create(posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let set = fields.get("patchSet").map(str::to_owned);
    let data = find(&cx, set.as_deref()).await?;
    let input = json!({
        "namespace": data.viewer.id, "name": fields.get("name").unwrap_or_default(), "description": fields.get("description"),
        "branch": fields.get("branch"), "patchSet": set, "draft": fields.has("draft"),
    });
    let query = include_str!("../../queries/do/createCampaign.graphql");
    let done: Result<Value, _> = cx.try_ask(query, json!({ "input": input })).await;
    match done {
        Ok(done) => Ok(go(done["done"]["url"].as_str().unwrap_or("/campaigns"))),
        Err(errors) => Ok(page(
            &cx,
            &data,
            set.as_deref(),
            &Sent::new(fields, errors),
            StatusCode::UNPROCESSABLE_ENTITY,
        )),
    }
}

fn page(cx: &Cx, data: &Data, set: Option<&str>, sent: &Sent, status: StatusCode) -> Response {
    let body = html! {
        (title(&[("/campaigns", "Campaigns")], html! { "New campaign" }, html! {
            @if let Some(set) = &data.node { span { (counted(set.patches.total_count, "patch", "patches")) " " (diff_stat(&set.diff_stat)) } }
            @else { span { "It starts empty. An execution's page makes one of its patches." } }
        }, html! {}))
        (sent.summary(&["name", "branch", "description"]))
        div.columns {
            (form(cx, "/campaigns/new", html! {
                div.card {
                    @if let Some(set) = set { input type="hidden" name="patchSet" value=(set); }
                    (Line::new("name", "Name", sent.value("name", "")).required().hint("As upgrade-go-1-26.").show(sent))
                    (Line::new("branch", "Branch", sent.value("branch", "")).hint("Of its pull requests. Empty: as the definition says.").show(sent))
                    (Line::new("description", "Description", sent.value("description", "")).hint("What it changes, and why.").show(sent))
                    (check("draft", "Make nothing on the code hosts yet", sent.checked("draft", true)))
                    div.buttons { button.primary disabled[!cx.may_write()] { "Create campaign" } a.button href="/campaigns" { "Cancel" } }
                }
            }))
            @if let Some(set) = set {
                section.card {
                    h2 { "Or update one that is open" }
                    @if data.campaigns.nodes.is_empty() { (list::empty("No campaign is open.", html! { "Create one beside." })) }
                    ul.cards { @for campaign in &data.campaigns.nodes { li { a href={ (campaign.url) "/preview?patchSet=" (encoded(set)) } { (shown(&campaign.name)) } } } }
                }
            }
        }
    };
    cx.page_with(status, &Page::new("New campaign"), body)
}
