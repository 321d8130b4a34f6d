//! `addExecutionLogEntry`, `updateExecutionLogEntry`, `markComplete`, `markErrored`, `markFailed`.

use serde::{Deserialize, Serialize};

use crate::null_as_default;

/// A step's log: the whole of it so far, each time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    pub executor_name: String,
    pub job_id: u64,
    /// Only in an update: what the add answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<u64>,
    #[serde(default)]
    pub key: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub command: Vec<String>,
    #[serde(default)]
    pub start_time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Lines with a prefix `stdout: ` or `stderr: `.
    #[serde(default)]
    pub out: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkRequest {
    pub executor_name: String,
    pub job_id: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_message: String,
}
