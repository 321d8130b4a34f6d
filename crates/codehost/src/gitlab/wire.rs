//! What GitLab's API says, as far as we listen. Whatever may be missing or `null` is an `Option`.

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub struct User {
    pub id: u64,
    pub username: String,
}

#[derive(Deserialize)]
pub struct Project {
    pub id: u64,
    pub path_with_namespace: String,
    pub default_branch: Option<String>,
    pub forked_from_project: Option<serde::de::IgnoredAny>,
    pub archived: Option<bool>,
    pub visibility: Option<String>,
    pub topics: Option<Vec<String>>,
    pub description: Option<String>,
}

#[derive(Deserialize)]
pub struct MergeRequest {
    pub iid: u64,
    pub title: String,
    pub description: Option<String>,
    pub state: String,
    pub draft: Option<bool>,
    pub source_branch: String,
    pub target_branch: String,
    pub source_project_id: Option<u64>,
    pub target_project_id: Option<u64>,
    pub sha: Option<String>,
    pub labels: Vec<String>,
    pub author: Option<User>,
    pub reviewers: Option<Vec<User>>,
    pub head_pipeline: Option<Pipeline>,
    pub created_at: String,
    pub updated_at: String,
    pub merged_at: Option<String>,
    pub closed_at: Option<String>,
}

#[derive(Deserialize)]
pub struct Pipeline {
    pub status: String,
}

#[derive(Deserialize)]
pub struct Approvals {
    pub approvals_left: Option<u64>,
    pub approved_by: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
pub struct Reviewer {
    pub user: Option<User>,
    pub state: String,
}

#[derive(Serialize)]
pub struct Create<'a> {
    pub source_branch: &'a str,
    pub target_branch: &'a str,
    pub title: String,
    pub description: &'a str,
    pub labels: String,
    pub reviewer_ids: Vec<u64>,
}

#[derive(Default, Serialize)]
pub struct Change<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_branch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviewer_ids: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_event: Option<&'a str>,
}
