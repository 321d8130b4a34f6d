//! What Gitea's and Forgejo's API says, as far as we listen. Whatever may be missing or `null` is an `Option`.

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub struct User {
    pub login: String,
}

#[derive(Deserialize)]
pub struct Repository {
    pub id: u64,
    pub full_name: String,
    pub default_branch: Option<String>,
    pub fork: bool,
    pub archived: bool,
    pub private: bool,
    pub topics: Option<Vec<String>>,
    pub description: Option<String>,
}

#[derive(Deserialize)]
pub struct PullRequest {
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub state: String,
    pub merged: bool,
    /// Not said by old versions.
    pub draft: Option<bool>,
    pub head: Branch,
    pub base: Branch,
    pub labels: Option<Vec<Label>>,
    pub user: Option<User>,
    pub created_at: String,
    pub updated_at: String,
    pub merged_at: Option<String>,
    pub closed_at: Option<String>,
}

#[derive(Deserialize)]
pub struct Branch {
    /// The branch's name, also when it was deleted (`ref` is not).
    pub label: String,
    pub sha: String,
    pub repo_id: i64,
}

#[derive(Deserialize)]
pub struct Label {
    pub id: u64,
    pub name: String,
    pub color: Option<String>,
    pub description: Option<String>,
}

#[derive(Deserialize)]
pub struct Review {
    pub user: Option<User>,
    pub state: String,
    pub dismissed: bool,
}

#[derive(Deserialize)]
pub struct CombinedStatus {
    pub state: String,
    pub total_count: u64,
}

#[derive(Serialize)]
pub struct Create<'a> {
    pub head: &'a str,
    pub base: &'a str,
    pub title: String,
    pub body: &'a str,
    pub labels: Vec<u64>,
}

#[derive(Default, Serialize)]
pub struct Patch<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'a str>,
}
