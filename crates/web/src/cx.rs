//! One request of a person: who asks, where, with which parameters; how a page asks its query and becomes an answer.

use std::sync::Mutex;

use axum::extract::FromRequestParts;
use axum::response::{Html, IntoResponse, Redirect, Response};
use base64::Engine;
use http::StatusCode;
use http::request::Parts;
use maud::Markup;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::backend::{Caller, GraphError, Role};
use crate::pages::failure;
use crate::view::layout::{self, Page};
use crate::{Door, session};

/// An answer, or the page that says why there is none.
pub(crate) type Answer = Result<Response, Refusal>;

pub(crate) struct Refusal(Box<Response>);

impl From<Response> for Refusal {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// Names and values in their order: a query string or a form.
#[derive(Clone, Default)]
pub(crate) struct Fields(pub Vec<(String, String)>);

impl Fields {
    pub fn parse(text: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(text).into_owned();
        // Browsers end the lines of a text area with both.
        Self(pairs.map(|(name, value)| (name, value.replace("\r\n", "\n"))).collect())
    }

    /// The first value of that name that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let full = |(found, value): &&(String, String)| found == name && !value.is_empty();
        self.0.iter().find(full).map(|(_, value)| value.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }
}

pub(crate) struct Cx {
    pub door: Door,
    pub caller: Caller,
    pub path: String,
    pub params: Fields,
    pub theme: Option<&'static str>,
    /// Only what may have changed is wanted, not the frame around it.
    pub fragment: bool,
    /// How the browser reaches this server, such as `https://phalanx.example.com`.
    pub origin: String,
    /// Calls of Swarming that the page has made so far.
    calls: Mutex<Vec<(&'static str, Value)>>,
}

impl FromRequestParts<Door> for Cx {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Response> {
        let token = session::cookie(&parts.headers, session::COOKIE);
        let caller = match token {
            Some(token) => door.backend.caller(token).await,
            None => None,
        };
        let Some(caller) = caller else { return Err(session::ask_for_token(parts)) };
        Ok(Self {
            door: door.clone(),
            caller,
            path: parts.uri.path().to_owned(),
            params: Fields::parse(parts.uri.query().unwrap_or_default().as_bytes()),
            theme: session::theme_of(&parts.headers),
            fragment: parts.headers.contains_key("x-fragment"),
            origin: session::origin(parts),
            calls: Mutex::default(),
        })
    }
}

impl Cx {
    /// Runs the page's query. With `?view=query` the answer is the query itself.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: Value,
    ) -> Result<T, Refusal> {
        if self.params.get("view") == Some("query") {
            return Err(failure::query(self, query, &variables).into());
        }
        match self.try_ask(query, variables).await {
            Ok(data) => Ok(data),
            Err(errors) => Err(failure::errors(self, &errors).into()),
        }
    }

    /// Runs a query whose errors the page wants to show in place.
    pub async fn try_ask<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: Value,
    ) -> Result<T, Vec<GraphError>> {
        let data = self.door.backend.run(&self.caller, query, variables).await?;
        serde_json::from_value(data).map_err(|error| {
            vec![GraphError {
                message: format!("the answer is not what this page expects: {error}"),
                ..GraphError::default()
            }]
        })
    }

    /// Runs a call of Swarming, or answers with the page that says why not.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        request: Value,
    ) -> Result<T, Refusal> {
        let answer = self.try_call(method, request).await;
        answer.map_err(|error| failure::errors(self, &[error]).into())
    }

    /// Runs a call of Swarming whose error the page wants to show in place.
    pub async fn try_call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        request: Value,
    ) -> Result<T, GraphError> {
        if let Ok(mut calls) = self.calls.lock() {
            calls.push((method, request.clone()));
        }
        let data = self.door.backend.swarming(&self.caller, method, request).await?;
        serde_json::from_value(data).map_err(|error| GraphError {
            message: format!("the answer of `{method}` is not what this page expects: {error}"),
            ..GraphError::default()
        })
    }

    pub fn may_write(&self) -> bool {
        self.caller.role >= Role::User
    }

    pub fn page(&self, page: &Page, body: Markup) -> Response {
        self.page_with(StatusCode::OK, page, body)
    }

    pub fn page_with(&self, status: StatusCode, page: &Page, body: Markup) -> Response {
        let asked = self.params.get("view") == Some("query");
        let calls = self.calls.lock().map(|mut calls| std::mem::take(&mut *calls));
        if let Some(calls) = calls.ok().filter(|calls| asked && !calls.is_empty()) {
            return failure::calls(self, &calls);
        }
        let html = match self.fragment {
            true => layout::fragment(page, body),
            false => layout::frame(self, page, body),
        };
        (status, Html(html.into_string())).into_response()
    }

    pub fn not_found(&self, what: &str) -> Refusal {
        failure::not_found(self, what).into()
    }

    /// This page's address with some parameters changed; an empty value takes one away.
    pub fn with(&self, changes: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let kept = self.params.0.iter().filter(|(name, value)| {
            !value.is_empty() && changes.iter().all(|(changed, _)| changed != name)
        });
        query.extend_pairs(kept.map(|(name, value)| (name.as_str(), value.as_str())));
        query.extend_pairs(changes.iter().filter(|(_, value)| !value.is_empty()));
        let query = query.finish();
        if query.is_empty() { self.path.clone() } else { format!("{}?{query}", self.path) }
    }

    pub fn csrf(&self) -> String {
        session::csrf(self.caller.token())
    }
}

/// The id under which `node` finds a thing that has a number or a name.
pub(crate) fn node_id(kind: &str, of: impl std::fmt::Display) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{kind}:{of}"))
}

const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// Text as a value of a query string, or an id as a segment.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A name as one segment of an address.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, IN_PATH).to_string()
}

/// SECURITY: only addresses of this server; never `//host`, `/\host` or a scheme.
pub(crate) fn local(address: &str) -> Option<&str> {
    let plain = address.chars().all(|c| !c.is_control() && c != '\\');
    (plain && address.starts_with('/') && !address.starts_with("//")).then_some(address)
}

pub(crate) fn go(address: &str) -> Response {
    Redirect::to(local(address).unwrap_or("/")).into_response()
}
