//! What an execution keeps: its own copy of the spec and the options, once, and per job the workspace.

use serde::{Deserialize, Serialize};
use spec::Spec;

/// The document of an execution's group. A later change of the action changes nothing of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// The file's name, for messages.
    pub file: String,
    /// As the user wrote it.
    pub text: String,
    pub spec: Spec,
    pub options: Options,
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Repositories and workspaces that were left out, and why.
    #[serde(default)]
    pub notices: Vec<String>,
    /// The action that it belongs to; absent for one that came with its own spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<crate::action::Origin>,
}

/// How to run it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    pub runtime: Runtime,
    pub network: Network,
    /// Whether results of earlier runs may be used.
    pub cache: bool,
    pub step_timeout_ms: Option<u64>,
    pub job_timeout_ms: Option<u64>,
    pub cpus: Option<f64>,
    pub memory_bytes: Option<u64>,
    pub pids: Option<u64>,
    pub priority: u8,
    /// What runners must offer, as `os=Linux|Mac`.
    pub dimensions: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            runtime: Runtime::ByStep,
            network: Network::Host,
            cache: true,
            step_timeout_ms: None,
            job_timeout_ms: Some(60 * 60 * 1000),
            cpus: None,
            memory_bytes: None,
            pids: None,
            priority: model::Priority::default().0,
            dimensions: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Runtime {
    /// A step with a container in Docker, one without as a process.
    ByStep,
    /// Every step as a process.
    Process,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Network {
    Host,
    None,
}

/// A file from the spec's folder that steps mount, in the blob store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    pub path: String,
    pub digest: String,
    #[serde(default)]
    pub executable: bool,
}

/// The payload of one job: its workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceJob {
    pub repository: String,
    pub branch: String,
    pub commit: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_fetch_workspace: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search_result_paths: Vec<String>,
}

/// The workspace of a job's payload, if it is one.
pub fn job_order(payload: &[u8]) -> Option<WorkspaceJob> {
    serde_json::from_slice(payload).ok()
}
