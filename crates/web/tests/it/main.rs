//! The pages as a browser without scripts gets them, over a backend of made-up data.

#[path = "../fixture/mod.rs"]
mod fixture;

mod access;
mod forms;
mod logs;
mod pages;
mod queries;
mod swarming;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

use fixture::Fixture;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

struct Browser {
    router: Router,
    token: Option<&'static str>,
}

impl Browser {
    fn new(fixture: &Fixture) -> Self {
        Self { router: web::router(Arc::new(fixture.clone())), token: Some("admin-token") }
    }

    fn with_token(mut self, token: Option<&'static str>) -> Self {
        self.token = token;
        self
    }

    async fn send(&self, request: http::request::Builder, body: String) -> Answer {
        let request = match self.token {
            Some(token) => request.header(header::COOKIE, format!("a=b; phalanx_session={token}")),
            None => request,
        };
        let request: Request<Body> = request.body(Body::from(body)).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    async fn get(&self, address: &str) -> Answer {
        self.send(Request::get(address), String::new()).await
    }

    /// The token that forms of this session carry.
    async fn csrf(&self) -> String {
        let page = self.get("/settings").await.text();
        let at = page.find("name=\"csrf\" value=\"").unwrap() + 19;
        page[at..at + 64].to_owned()
    }

    async fn post(&self, address: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf().await;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &csrf).extend_pairs(fields);
        let request =
            Request::post(address).header("sec-fetch-site", "same-origin").header("origin", "null");
        self.send(request, form.finish()).await
    }
}
