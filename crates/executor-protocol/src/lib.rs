//! The executor queue API on the wire, and our extensions of it. Written once, for the door and for the runner.
//!
//! Everything of ours is in a field named `phalanx`, under a path of its own (`/.executors/phalanx/…`) or in a standard header
//! (`Prefer: wait=SECONDS`, RFC 7240), so that an executor or a server that does not know it ignores it.

mod dequeue;
mod flexible;
mod heartbeat;
mod job;
mod log_entry;
mod work;

pub use dequeue::{DequeueExtension, DequeueRequest};
pub use flexible::{is_zero_time, null_as_default};
pub use heartbeat::{HeartbeatExtension, HeartbeatRequest, HeartbeatResponse, IdsOfQueue, WireId};
pub use job::{
    CheckoutOrder, CliStep, DockerStep, File, Job, JobExtension, MountOrder, NetworkOrder, Order,
    RuntimeOrder, SecretOrder,
};
pub use log_entry::{LogEntry, MarkRequest};
pub use work::{
    Claim, Completion, JobReply, JobReport, JobStatus, LogChunk, LogReply, OutcomeReport,
    OutputReport, RegisterRequest, ReleaseRequest, WorkReply, WorkRequest,
};

/// `Authorization: token-executor <token>`: a runner as a whole.
pub const SCHEME_EXECUTOR: &str = "token-executor";
/// `Authorization: Bearer <job token>`: one attempt.
pub const SCHEME_JOB: &str = "Bearer";
/// The job that a job token is for.
pub const HEADER_JOB_ID: &str = "x-sourcegraph-job-id";
/// The runner that a job token was given to.
pub const HEADER_EXECUTOR_NAME: &str = "x-sourcegraph-executor-name";
/// Our extension: the runner's session, where it has one.
pub const HEADER_SESSION: &str = "x-phalanx-session";
/// The version that our runner reports. Upstream parses it: a development build, which gets version 2 payloads.
pub const VERSION: &str = "0.0.0+dev";
