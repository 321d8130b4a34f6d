//! Every limit of the system by name. Hitting one sheds or refuses with a clear error; nothing grows without one (I43).

/// Longest dimension key or value, in bytes.
pub const DIMENSION_BYTES: usize = 256;
/// Most keys of a runner, values of a key, or requirements of a slice.
pub const DIMENSIONS: usize = 512;
/// Most slices of a job.
pub const SLICES: usize = 8;
/// Most jobs in one submit.
pub const JOBS_PER_SUBMIT: usize = 100_000;
/// Most jobs that may be live (queued or running) at once.
pub const LIVE_JOBS: usize = 2_000_000;
/// Most labels of a job, and the longest, in bytes.
pub const LABELS: usize = 1024;
pub const LABEL_BYTES: usize = 1024;
/// Longest note of a runner's facts, and longest report of an attempt, in bytes.
pub const FACTS_BYTES: usize = 64 * 1024;
pub const REPORT_BYTES: usize = 1024 * 1024;
/// Longest payload of a job, in bytes.
pub const PAYLOAD_BYTES: usize = 1024 * 1024;
/// Longest document of a group, in bytes.
pub const DOCUMENT_BYTES: usize = 16 * 1024 * 1024;
/// Longest queue, owner, runner or group name, in bytes.
pub const NAME_BYTES: usize = 512;
/// Most runners known at once.
pub const RUNNERS: usize = 100_000;
/// Most slots of one runner.
pub const SLOTS: u32 = 4096;
/// Most idempotency keys that are remembered; each is kept for a day.
pub const IDEMPOTENCY_KEYS: usize = 1_000_000;
/// How long an idempotency key is remembered, in milliseconds.
pub const IDEMPOTENCY_MS: u64 = 24 * 60 * 60 * 1000;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES: usize = 256;
/// Most jobs that one poll may take.
pub const JOBS_PER_POLL: u32 = 1000;
/// Longest wait of a parked poll, in milliseconds.
pub const POLL_WAIT_MS: u64 = 60_000;

/// Longest log of one attempt, in bytes; the runner keeps the head and the tail of a longer one.
pub const LOG_BYTES: u64 = 64 * 1024 * 1024;
/// Longest log chunk, in bytes.
pub const LOG_CHUNK_BYTES: usize = 1024 * 1024;
/// Longest body of a request that is not an upload, in bytes.
pub const REQUEST_BYTES: usize = 16 * 1024 * 1024;
/// Longest uploaded blob, in bytes.
pub const BLOB_BYTES: u64 = 1024 * 1024 * 1024;
/// Longest message of an attempt's end, in bytes; a longer one is cut.
pub const MESSAGE_BYTES: usize = 4096;
/// Longest bundle of a repository that a client sends, in bytes.
pub const BUNDLE_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Most outputs of one attempt.
pub const OUTPUTS: usize = 256;

/// Longest spec file, in bytes.
pub const SPEC_BYTES: usize = 4 * 1024 * 1024;
/// Most nodes of a parsed spec; an alias bomb ends here.
pub const SPEC_NODES: usize = 200_000;
/// Deepest nesting of a parsed spec.
pub const SPEC_DEPTH: usize = 64;
/// Longest result of rendering one template, in bytes.
pub const RENDERED_BYTES: usize = 16 * 1024 * 1024;
