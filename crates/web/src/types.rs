//! What several pages read of GraphQL's answers. Each page's own fields are beside the page.

use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageInfo {
    pub has_next_page: bool,
    pub end_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection<T> {
    #[serde(default)]
    pub total_count: i64,
    #[serde(default)]
    pub page_info: PageInfo,
    pub nodes: Vec<T>,
}

/// `node(id:)`: of another kind it is an object without fields, which is no answer either.
#[derive(Deserialize)]
pub(crate) struct Node<T> {
    pub node: Option<T>,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(default)]
pub(crate) struct DiffStat {
    pub added: i64,
    pub changed: i64,
    pub deleted: i64,
    pub files: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobCounts {
    pub total: i64,
    pub pending: i64,
    pub running: i64,
    pub completed: i64,
    pub errored: i64,
    pub timeout: i64,
    pub canceled: i64,
    pub with_patch: i64,
}

#[derive(Deserialize)]
pub(crate) struct Status {
    pub state: String,
}

/// A thing with a name and a page.
#[derive(Deserialize, Clone)]
pub(crate) struct Named {
    #[serde(default)]
    pub id: String,
    pub name: String,
    pub url: String,
}

#[derive(Deserialize)]
pub(crate) struct User {
    pub username: String,
}

#[derive(Deserialize)]
pub(crate) struct Diagnostic {
    pub line: i64,
    pub column: i64,
    pub field: String,
    pub message: String,
    pub hint: Option<String>,
}

/// An execution as lists show it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExecutionRow {
    pub number: u64,
    pub name: String,
    pub url: String,
    pub status: Status,
    pub invocation_reason: String,
    pub reason_detail: String,
    pub created_at: Timestamp,
    pub execution_start_at: Option<Timestamp>,
    pub execution_end_at: Option<Timestamp>,
    pub counts: JobCounts,
    pub diff_stat: DiffStat,
}

/// A job as lists show it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobRow {
    pub number: u64,
    pub url: String,
    pub path: String,
    pub repository: Named,
    pub outcome: String,
    pub cached: bool,
    pub canceling: bool,
    pub explain: String,
    pub exit_code: Option<i64>,
    pub queued_at: Option<Timestamp>,
    pub execution_start_at: Option<Timestamp>,
    pub execution_end_at: Option<Timestamp>,
    pub diff_stat: Option<DiffStat>,
    pub execution: Option<Named>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangesetCounts {
    pub date: Timestamp,
    pub total: i64,
    pub merged: i64,
    pub closed: i64,
    pub open_approved: i64,
    pub open_changes_requested: i64,
    pub open_pending: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Comparison {
    pub file_diffs: FileDiffs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileDiffs {
    pub total_count: i64,
    pub page_info: PageInfo,
    pub nodes: Vec<FileDiff>,
    pub diff_stat: DiffStat,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileDiff {
    pub old_path: Option<String>,
    pub new_path: Option<String>,
    pub hunks: Vec<Hunk>,
    pub stat: DiffStat,
    pub is_binary: bool,
    pub too_large: bool,
    pub old_mode: Option<String>,
    pub new_mode: Option<String>,
    pub is_rename: bool,
}

impl FileDiff {
    pub fn path(&self) -> &str {
        self.new_path.as_deref().or(self.old_path.as_deref()).unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hunk {
    pub old_range: HunkRange,
    pub new_range: HunkRange,
    pub old_no_newline_at: bool,
    pub section: Option<String>,
    pub body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HunkRange {
    pub start_line: i64,
    pub lines: i64,
}
