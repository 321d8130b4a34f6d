//! `POST /.executors/queue/dequeue` and `…/queue/{queue}/dequeue`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::null_as_default;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DequeueRequest {
    /// Only without a queue in the path.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<String>,
    pub executor_name: String,
    #[serde(default)]
    pub version: String,
    #[serde(default, rename = "numCPUs", skip_serializing_if = "Option::is_none")]
    pub num_cpus: Option<f64>,
    /// As `12G`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub memory: String,
    /// As `20G`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub disk_space: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phalanx: Option<DequeueExtension>,
}

/// What our runner adds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DequeueExtension {
    pub session: u64,
    /// The runner's own number for this request: asked again, it gets the same jobs.
    #[serde(default)]
    pub poll: u64,
    #[serde(default)]
    pub slots: u32,
    #[serde(default)]
    pub dimensions: BTreeMap<String, Vec<String>>,
}
