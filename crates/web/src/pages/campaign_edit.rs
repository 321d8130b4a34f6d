//! A campaign's name and description.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use maud::html;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cx::{Answer, Cx, Refusal, go};
use crate::session::Posted;
use crate::view::form::{Line, Sent, area, form};
use crate::view::layout::{Page, title};

#[derive(Deserialize)]
struct Data {
    campaign: Option<Campaign>,
}

#[derive(Deserialize)]
pub(crate) struct Campaign {
    pub id: String,
    pub name: String,
    pub url: String,
    pub description: Option<String>,
}

pub(crate) async fn find(cx: &Cx, name: &str) -> Result<Campaign, Refusal> {
    let query = include_str!("../../queries/campaign_short.graphql");
    let data: Data = cx.ask(query, json!({ "name": name })).await?;
    data.campaign.ok_or_else(|| cx.not_found("No campaign has this name."))
}

pub(crate) async fn show(cx: Cx, Path(name): Path<String>) -> Answer {
    let campaign = find(&cx, &name).await?;
    Ok(page(&cx, &campaign, &Sent::default(), StatusCode::OK))
}

pub(crate) async fn save(Path(name): Path<String>, posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let campaign = find(&cx, &name).await?;
    // An empty description is one; an empty name is a mistake that the server says.
    let text = |name: &str| fields.get(name).unwrap_or_default().trim();
    let input =
        json!({ "id": campaign.id, "name": text("name"), "description": text("description") });
    let query = include_str!("../../queries/do/updateCampaign.graphql");
    let done: Result<Value, _> = cx.try_ask(query, json!({ "input": input })).await;
    match done {
        Ok(done) => Ok(go(done["done"]["url"].as_str().unwrap_or("/campaigns"))),
        Err(errors) => {
            let sent = Sent::new(fields, errors);
            Ok(page(&cx, &campaign, &sent, StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

fn page(cx: &Cx, campaign: &Campaign, sent: &Sent, status: StatusCode) -> Response {
    let crumbs = [("/campaigns", "Campaigns"), (campaign.url.as_str(), campaign.name.as_str())];
    let known = campaign.description.as_deref().unwrap_or_default();
    let body = html! {
        (title(&crumbs, html! { "Edit" }, html! {}, html! {}))
        (sent.summary(&["name", "description"]))
        (form(cx, &cx.path, html! {
            div.card {
                (Line::new("name", "Name", sent.value("name", &campaign.name)).required().hint("Its address changes with it.").show(sent))
                (area("description", "Description", sent.value("description", known), "Also the text of its pull requests when the definition gives them none.", sent))
                div.buttons { button.primary disabled[!cx.may_write()] { "Save" } a.button href=(campaign.url) { "Cancel" } }
            }
        }))
    };
    cx.page_with(status, &Page::new(format!("Edit {}", campaign.name)), body)
}
