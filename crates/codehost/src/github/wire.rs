//! What GitHub's API says, as far as we listen. Whatever may be missing or `null` is an `Option`.

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub struct User {
    pub login: String,
}

#[derive(Deserialize)]
pub struct App {
    pub slug: String,
}

#[derive(Deserialize)]
pub struct InstallationToken {
    pub token: String,
    pub expires_at: String,
}

#[derive(Deserialize)]
pub struct Repository {
    pub id: u64,
    pub full_name: String,
    pub default_branch: Option<String>,
    pub fork: bool,
    pub archived: Option<bool>,
    pub private: bool,
    pub topics: Option<Vec<String>>,
    pub description: Option<String>,
}

#[derive(Deserialize)]
pub struct InstallationRepositories {
    pub repositories: Vec<Repository>,
}

#[derive(Deserialize)]
pub struct PullRequest {
    pub node_id: String,
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub state: String,
    pub draft: Option<bool>,
    pub head: Branch,
    pub base: Branch,
    pub labels: Vec<Label>,
    pub user: Option<User>,
    pub created_at: String,
    pub updated_at: String,
    pub merged_at: Option<String>,
    pub closed_at: Option<String>,
}

#[derive(Deserialize)]
pub struct Branch {
    #[serde(rename = "ref")]
    pub name: String,
    pub sha: String,
}

#[derive(Deserialize)]
pub struct Label {
    pub name: String,
    pub color: Option<String>,
    pub description: Option<String>,
}

#[derive(Deserialize)]
pub struct Review {
    pub user: Option<User>,
    pub state: String,
}

#[derive(Deserialize)]
pub struct CombinedStatus {
    pub state: String,
    pub total_count: u64,
}

#[derive(Deserialize)]
pub struct CheckRuns {
    pub check_runs: Vec<CheckRun>,
}

#[derive(Deserialize)]
pub struct CheckRun {
    pub status: String,
    pub conclusion: Option<String>,
}

#[derive(Serialize)]
pub struct Create<'a> {
    pub title: &'a str,
    pub head: &'a str,
    pub base: &'a str,
    pub body: &'a str,
    pub draft: bool,
}

#[derive(Default, Serialize)]
pub struct Patch<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'a str>,
}

#[derive(Deserialize)]
pub struct GraphQl {
    #[serde(default)]
    pub errors: Vec<GraphQlError>,
}

#[derive(Deserialize)]
pub struct GraphQlError {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub message: String,
}
