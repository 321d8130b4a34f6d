//! Settings: access tokens and secrets.

use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::Role;
use crate::cx::{Answer, Cx, Fields, Refusal, go};
use crate::session::Posted;
use crate::types::User;
use crate::view::form::{Line, Sent, form, grave, pairs, select};
use crate::view::icon::icon;
use crate::view::layout::{Page, title};
use crate::view::list;
use crate::view::text::shown;
use crate::view::time::{ago, ago_or};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    viewer: Viewer,
    access_tokens: Vec<Token>,
    secrets: Vec<Secret>,
    server_status: Status,
}

#[derive(Deserialize)]
struct Viewer {
    username: String,
    role: String,
}

#[derive(Deserialize)]
struct Status {
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    id: String,
    name: String,
    role: String,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
    by: Option<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Secret {
    id: String,
    name: String,
    updated_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

/// What a form of this page did: a mistake at its fields, or a token that is shown once.
#[derive(Default)]
struct Done {
    token: Sent,
    secret: Sent,
    made: Option<String>,
}

async fn ask(cx: &Cx) -> Result<Data, Refusal> {
    cx.ask(include_str!("../../queries/settings.graphql"), json!({})).await
}

pub(crate) async fn show(cx: Cx) -> Answer {
    let data = ask(&cx).await?;
    Ok(page(&cx, &data, &Done::default(), StatusCode::OK))
}

pub(crate) async fn create_token(posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let variables = json!({ "name": fields.get("name").unwrap_or_default(), "role": fields.get("role").unwrap_or("READER") });
    let made: Result<Value, _> =
        cx.try_ask(include_str!("../../queries/do/createAccessToken.graphql"), variables).await;
    let data = ask(&cx).await?;
    let mut done = Done::default();
    let status = match made {
        // No redirect: the token is in this answer only.
        Ok(made) => {
            done.made = made["done"]["token"].as_str().map(str::to_owned);
            StatusCode::OK
        }
        Err(errors) => {
            done.token = Sent::new(fields, errors);
            StatusCode::UNPROCESSABLE_ENTITY
        }
    };
    Ok(page(&cx, &data, &done, status))
}

pub(crate) async fn set_secret(posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let variables = json!({ "name": fields.get("secret-name").unwrap_or_default(), "value": fields.get("value").unwrap_or_default() });
    let set: Result<Value, _> =
        cx.try_ask(include_str!("../../queries/do/setSecret.graphql"), variables).await;
    match set {
        Ok(_) => Ok(go("/settings#secrets")),
        Err(errors) => {
            let data = ask(&cx).await?;
            // SECURITY: the value is not sent back.
            let kept = fields.0.into_iter().filter(|(name, _)| name != "value").collect();
            let done = Done { secret: Sent::new(Fields(kept), errors), ..Done::default() };
            Ok(page(&cx, &data, &done, StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

fn page(cx: &Cx, data: &Data, done: &Done, status: StatusCode) -> Response {
    let body = html! {
        (title(&[], html! { "Settings" }, html! { span { "You are " b { (shown(&data.viewer.username)) } ", role " (shown(&data.viewer.role.to_lowercase())) } span { "Phalanx " (shown(&data.server_status.version)) } }, html! {}))
        section.card id="tokens" { h2 { "Access tokens" } (tokens(cx, data, done)) }
        section.card id="secrets" { h2 { "Secrets" } p.small { "Jobs that name a secret get it as an environment variable; it is masked in their logs and never shown here." } (secrets(cx, data, done)) }
        section.card { h2 { "Keyboard" } label.check { input type="checkbox" data-keys-switch disabled; span { "Single-key shortcuts in this browser" } } p.small { "Press ? on any page to see them." } }
    };
    cx.page_with(status, &Page::new("Settings"), body)
}

fn tokens(cx: &Cx, data: &Data, done: &Done) -> Markup {
    html! {
        @if let Some(token) = &done.made {
            div.note.good role="status" { (icon("check")) div { b { "Copy it now; it is not shown again." } p { code.break { (token) } " " (list::copy(token, "Copy")) } } }
        }
        @if data.access_tokens.is_empty() { (list::empty("No token but the one that the server started with.", html! { "Make one for each tool." })) }
        @else {
            (list::table("Access tokens", &["Name", "Role", "Made", "Last used", ""], html! {
                @for token in &data.access_tokens {
                    tr { th scope="row" { (shown(&token.name)) } td { (shown(&token.role.to_lowercase())) }
                        td { (ago(token.created_at)) @if let Some(by) = &token.by { span.dim.sub { "by " (shown(&by.username)) } } } td { (ago_or(token.last_used_at, "never")) }
                        td { @if cx.caller.role == Role::Admin { (grave(cx, "deleteAccessToken", &[("accessToken", &token.id)], "Delete", "Whoever uses it is locked out at once.")) } } }
                }
            }))
        }
        @if cx.caller.role == Role::Admin {
            (done.token.summary(&["name"]))
            (form(cx, "/settings/tokens", html! { div.row {
                (Line::new("name", "Name of the new token", done.token.value("name", "")).required().hint("Who or what will use it.").show(&done.token))
                (select("role", "Role", done.token.value("role", "USER"), &pairs(&[("READER", "Reader: sees everything, changes nothing"), ("USER", "User: runs and changes actions"), ("ADMIN", "Administrator")])))
            } div.buttons { button.primary { "Make a token" } } }))
        }
    }
}

fn secrets(cx: &Cx, data: &Data, done: &Done) -> Markup {
    html! {
        @if data.secrets.is_empty() { (list::empty("No secret is stored.", html! { "Add one below when a command needs it." })) }
        @else {
            (list::table("Secrets", &["Name", "Set", "Last used", ""], html! {
                @for secret in &data.secrets {
                    tr { th scope="row" { code { (shown(&secret.name)) } } td { (ago(secret.updated_at)) } td { (ago_or(secret.last_used_at, "never")) }
                        td { @if cx.caller.role == Role::Admin { (grave(cx, "deleteSecret", &[("secret", &secret.id)], "Delete", "Jobs that name it will fail until it is set again.")) } } }
                }
            }))
        }
        @if cx.caller.role == Role::Admin {
            (done.secret.summary(&["name", "value"]))
            (form(cx, "/settings/secrets", html! { div.row {
                (Line::new("secret-name", "Name of the secret", done.secret.value("secret-name", "")).required().hint("As NPM_TOKEN. A name that is there is overwritten.").show(&done.secret))
                (Line::new("value", "Value", "").required().secret().show(&done.secret))
            } div.buttons { button.primary { "Store" } } }))
        }
    }
}
