//! A request and its answer, as the dialects see them.

use serde_json::{Value, json};

use super::Dialect;
use super::state::No;

pub(super) struct Asked {
    pub method: String,
    /// What follows the API's root, unescaped: a GitLab project's id is one part.
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    pub body: Value,
}

impl Asked {
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }

    pub fn texts(&self, name: &str) -> Vec<String> {
        let list = self.body.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }

    pub fn numbers(&self, name: &str) -> Vec<u64> {
        let list = self.body.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_u64).collect()
    }
}

pub(super) enum Reply {
    Json(u16, Value),
    /// One page of it is sent; with a name, as that field of an object.
    List(Vec<Value>, Option<&'static str>),
    Empty(u16),
}

impl Reply {
    pub fn ok(value: Value) -> Self {
        Self::Json(200, value)
    }

    pub fn list(list: Vec<Value>) -> Self {
        Self::List(list, None)
    }
}

pub(super) type Answer = Result<Reply, No>;

/// How each host says no.
pub(super) fn no(dialect: Dialect, no: No) -> Reply {
    let (status, body) = match (dialect, no) {
        (Dialect::GitHub, No::NotFound) => (404, json!({"message": "Not Found"})),
        (Dialect::GitHub, No::Exists(_)) => {
            let message = "A pull request already exists for that head.";
            (422, github_invalid(message))
        }
        (Dialect::GitHub, No::Invalid(message)) => (422, github_invalid(&message)),
        (Dialect::GitLab, No::NotFound) => (404, json!({"message": "404 Not found"})),
        (Dialect::GitLab, No::Exists(number)) => {
            let message = "Another open merge request already exists for this source branch";
            (409, json!({"message": [format!("{message}: !{number}")]}))
        }
        (Dialect::GitLab, No::Invalid(message)) => (422, json!({"message": {"base": [message]}})),
        (Dialect::Gitea, No::NotFound) => (404, json!({"message": "not found", "url": "/"})),
        (Dialect::Gitea, No::Exists(number)) => {
            let message = "pull request already exists for these targets";
            (409, json!({"message": format!("{message} [id: {number}]")}))
        }
        (Dialect::Gitea, No::Invalid(message)) => (422, json!({"message": message})),
    };
    Reply::Json(status, body)
}

fn github_invalid(message: &str) -> Value {
    let error = json!({"resource": "PullRequest", "code": "custom", "message": message});
    json!({"message": "Validation Failed", "errors": [error]})
}
