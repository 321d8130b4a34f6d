//! The command line's side of `/api/v1/` and `/api/graphql`.

use std::time::Duration;

use anyhow::{Context, anyhow};
use api_rest::types::Problem;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A server and the token that opens it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// The server refused the request: its fault is the request's.
#[derive(Debug, thiserror::Error)]
#[error("{}", .problem.error)]
pub struct Refused {
    pub status: u16,
    pub problem: Problem,
}

#[derive(Deserialize)]
struct GraphAnswer {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    errors: Vec<GraphError>,
}

#[derive(Deserialize)]
struct GraphError {
    message: String,
    #[serde(default)]
    extensions: GraphExtensions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GraphExtensions {
    code: String,
    diagnostics: Vec<GraphDiagnostic>,
}

#[derive(Deserialize)]
struct GraphDiagnostic {
    line: u32,
    column: u32,
    field: String,
    message: String,
    hint: Option<String>,
}

impl Client {
    /// A client of the server that runs on a data directory of this host. SECURITY: it was found in a file that only its user
    /// can write, at an address of this host that it holds; its certificate has the name by which others know it, so it is
    /// not compared.
    pub fn of_this_host(url: &str, token: &str) -> anyhow::Result<Self> {
        Self::build(url, token, None, true)
    }

    pub fn new(url: &str, token: &str, ca: Option<&std::path::Path>) -> anyhow::Result<Self> {
        Self::build(url, token, ca, false)
    }

    fn build(
        url: &str,
        token: &str,
        ca: Option<&std::path::Path>,
        any_certificate: bool,
    ) -> anyhow::Result<Self> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none());
        if url.starts_with("http://") {
            // Reading the host's certificates would take longer than all the rest of a short command.
            builder = builder.tls_certs_only([]);
        } else if any_certificate {
            builder = builder.tls_danger_accept_invalid_certs(true);
        } else if let Some(path) = ca {
            let pem = std::fs::read(path).with_context(|| format!("read `{}`", path.display()))?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { http: builder.build()?, base, token: token.to_owned() })
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1/{path}", self.base);
        self.http.request(method, url).bearer_auth(&self.token).timeout(Duration::from_secs(120))
    }

    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|error| {
            let mut inner: &dyn std::error::Error = &error;
            while let Some(source) = inner.source() {
                inner = source;
            }
            anyhow!("the server at {} cannot be reached: {inner}", self.base)
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        let problem = serde_json::from_str(&text).unwrap_or_else(|_| Problem {
            error: format!("the server answered {status}: {}", text.trim()),
            diagnostics: Vec::new(),
        });
        if status.is_server_error() {
            return Err(anyhow!(problem.error));
        }
        Err(Refused { status: status.as_u16(), problem }.into())
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let response = self.send(self.request(Method::GET, path)).await?;
        response.json().await.context("read the server's answer")
    }

    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let response = self.send(self.request(Method::POST, path).json(body)).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return serde_json::from_value(serde_json::Value::Null)
                .context("read the server's answer");
        }
        response.json().await.context("read the server's answer")
    }

    /// Runs a GraphQL operation and gives its data.
    pub async fn graph(&self, query: &str, variables: Value) -> anyhow::Result<Value> {
        let url = format!("{}/api/graphql", self.base);
        let body = json!({ "query": query, "variables": variables });
        let request = self.http.post(url).bearer_auth(&self.token).json(&body);
        let response = self.send(request.timeout(Duration::from_secs(300))).await?;
        let answer: GraphAnswer = response.json().await.context("read the server's answer")?;
        let Some(error) = answer.errors.into_iter().next() else { return Ok(answer.data) };
        let status = match error.extensions.code.as_str() {
            "FORBIDDEN" => 403,
            "NOT_FOUND" => 404,
            "CONFLICT" => 409,
            "INTERNAL" => return Err(anyhow!(error.message)),
            _ => 422,
        };
        let diagnostics = error.extensions.diagnostics.into_iter().map(|it| spec::Diagnostic {
            file: "definition".to_owned(),
            at: spec::Position { line: it.line, column: it.column },
            field: it.field,
            message: it.message,
            hint: it.hint,
        });
        let problem = Problem { error: error.message, diagnostics: diagnostics.collect() };
        Err(Refused { status, problem }.into())
    }

    pub async fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let response = self.send(self.request(Method::GET, path)).await?;
        Ok(response.bytes().await.context("read the server's answer")?.into())
    }
}
