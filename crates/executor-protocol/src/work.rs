//! Our own paths: register, work (report and claim in one request), log append by offset, release.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Job;

/// `POST /.executors/phalanx/register`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisterRequest {
    pub executor_name: String,
    pub session: u64,
    pub queues: Vec<String>,
    #[serde(default)]
    pub dimensions: BTreeMap<String, Vec<String>>,
    pub slots: u32,
}

/// `POST /.executors/phalanx/work`: for one job or many a log chunk, a completion or both, and the next claim.
/// `Prefer: wait=SECONDS` waits for work when there is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkRequest {
    pub executor_name: String,
    pub session: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReport {
    pub id: u64,
    pub token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogChunk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<Completion>,
}

/// Bytes of the log at an offset.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogChunk {
    pub offset: u64,
    /// Base64.
    pub data: String,
}

/// How an attempt ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    pub outcome: OutcomeReport,
    pub log_bytes: u64,
    pub log_crc32: u32,
    /// The log could not be sent whole.
    #[serde(default)]
    pub log_incomplete: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum OutcomeReport {
    Succeeded,
    Failed {
        #[serde(rename = "exitCode")]
        exit_code: i32,
    },
    StepTimedOut,
    JobTimedOut,
    Killed,
    Rejected {
        why: String,
    },
}

/// A file that was uploaded before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutputReport {
    pub name: String,
    pub digest: String,
    pub size: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// The runner's own number for this claim: asked again, it gets the same jobs.
    pub poll: u64,
    pub want: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkReply {
    /// In the order of the reports.
    pub jobs: Vec<JobReply>,
    pub claimed: Vec<Job>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobReply {
    pub id: u64,
    pub status: JobStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogReply>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobStatus {
    /// The log was taken; the attempt goes on.
    Running,
    /// The completion is durable, now or since an earlier copy of this request.
    Finished,
    /// Bytes of the log are missing: send from `log.received`, then complete again.
    LogIncomplete,
    /// A named output is not in the blob store: upload it, then complete again.
    OutputMissing,
    /// The lease is not the caller's any more: stop the job, write nothing.
    Fenced,
    /// The log chunk was refused: send from `log.received`.
    LogRefused,
    /// The attempt was completed before with another result, which stands.
    Conflict,
}

/// How much of the log is where. Keep the bytes until `durable` passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogReply {
    pub received: u64,
    pub durable: u64,
    /// Somebody wants the job to stop.
    #[serde(default)]
    pub cancel: bool,
}

/// `POST /.executors/phalanx/release`: the job goes to another runner.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRequest {
    pub id: u64,
    pub token: String,
    pub why: String,
}
