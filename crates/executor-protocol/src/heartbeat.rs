//! `POST /.executors/queue/heartbeat` and `…/queue/{queue}/heartbeat`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::null_as_default;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatRequest {
    #[serde(default)]
    pub version: String,
    pub executor_name: String,
    /// With a queue in the path.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub job_ids: Vec<WireId>,
    /// Without one.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub job_ids_by_queue: Vec<IdsOfQueue>,
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub queue_names: Vec<String>,
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub docker_version: String,
    #[serde(default)]
    pub executor_version: String,
    #[serde(default)]
    pub git_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phalanx: Option<HeartbeatExtension>,
}

/// What our runner adds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatExtension {
    pub session: u64,
    /// The token of each job, by id.
    #[serde(default)]
    pub tokens: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdsOfQueue {
    pub queue_name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub job_ids: Vec<WireId>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatResponse {
    /// Those of the named jobs that are the caller's.
    #[serde(default, deserialize_with = "null_as_default")]
    pub known_ids: Vec<WireId>,
    /// Those of them that are to stop.
    #[serde(default, deserialize_with = "null_as_default")]
    pub cancel_ids: Vec<WireId>,
}

/// An id as text. Read from a string or any number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireId(pub String);

impl Serialize for WireId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WireId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Any {
            Text(String),
            Integer(u64),
            Float(f64),
        }
        Ok(Self(match Any::deserialize(deserializer)? {
            Any::Text(text) => text,
            Any::Integer(id) => id.to_string(),
            Any::Float(id) => (id as u64).to_string(),
        }))
    }
}
