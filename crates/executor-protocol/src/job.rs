//! The job that a dequeue answers, version 2: what an executor runs, and what our runner runs instead.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::null_as_default;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    #[serde(default)]
    pub version: u32,
    #[serde(default)]
    pub id: u64,
    #[serde(default)]
    pub token: String,
    /// Only in the answer to a dequeue without a queue in the path.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub queue: String,
    /// Empty: nothing is cloned.
    #[serde(default)]
    pub repository_name: String,
    #[serde(default)]
    pub repository_directory: String,
    #[serde(default)]
    pub commit: String,
    #[serde(default)]
    pub fetch_tags: bool,
    #[serde(default)]
    pub shallow_clone: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    pub sparse_checkout: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub files: BTreeMap<String, File>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub docker_steps: Vec<DockerStep>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub cli_steps: Vec<CliStep>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub redacted_values: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub docker_auth_config: serde_json::Map<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phalanx: Option<JobExtension>,
}

/// A file of the workspace: its content, or where to fetch it when bucket and key are both set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bucket: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    #[serde(default)]
    pub modified_at: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DockerStep {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    pub image: String,
    /// Lines of a shell script.
    #[serde(default, deserialize_with = "null_as_default")]
    pub commands: Vec<String>,
    #[serde(default)]
    pub dir: String,
    /// As `NAME=value`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub env: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CliStep {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Arguments of `src`.
    #[serde(default, rename = "command", deserialize_with = "null_as_default")]
    pub commands: Vec<String>,
    #[serde(default)]
    pub dir: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub env: Vec<String>,
}

/// What our runner runs instead of the steps above.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobExtension {
    pub attempt: u32,
    /// The lease ends this long after the request that got it was sent, unless it is renewed.
    pub lease_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// One workspace of an execution.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<CheckoutOrder>,
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub only_fetch_workspace: bool,
    /// `spec::Step`s.
    pub steps: Box<RawValue>,
    /// `spec::RepositoryContext` and `spec::BatchChangeContext`.
    pub repository: Box<RawValue>,
    pub batch_change: Box<RawValue>,
    #[serde(default)]
    pub mounts: Vec<MountOrder>,
    #[serde(default)]
    pub secrets: Vec<SecretOrder>,
    pub runtime: RuntimeOrder,
    pub network: NetworkOrder,
    #[serde(default)]
    pub cpus: Option<f64>,
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    #[serde(default)]
    pub pids: Option<u64>,
    #[serde(default)]
    pub step_timeout_ms: Option<u64>,
    #[serde(default)]
    pub job_timeout_ms: Option<u64>,
    #[serde(default)]
    pub use_cache: bool,
    /// The log is what the steps print, and nothing else: somebody's program reads it.
    #[serde(default)]
    pub plain_log: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckoutOrder {
    pub name: String,
    pub commit: String,
    /// Where the server keeps the repository, for a runner on the server's own host that was told that it may look there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_path: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountOrder {
    pub path: String,
    pub digest: String,
    #[serde(default)]
    pub executable: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecretOrder {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RuntimeOrder {
    ByStep,
    Process,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NetworkOrder {
    Host,
    None,
}
