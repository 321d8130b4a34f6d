-- Jobs, their attempts, groups, runners and idempotency keys.
--
-- What never changes (job_spec) is apart from the small row that does (job_live), and no statement of the hot path touches
-- a secondary index. A row of job_done is written once, when the job ends.

CREATE TABLE job_spec (
    job_id      INTEGER PRIMARY KEY,
    group_id    INTEGER,
    queue       TEXT NOT NULL,
    owner       TEXT NOT NULL,
    priority    INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 255),
    -- JSON: [[expires_after_ms or null, wait_for_capacity, [[key, [value, …]], …]], …]
    slices      TEXT NOT NULL,
    timeout_ms  INTEGER,
    retries     INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    payload     BLOB NOT NULL
) STRICT;

CREATE TABLE job_live (
    job_id      INTEGER PRIMARY KEY,
    state       TEXT NOT NULL CHECK (state IN ('queued', 'running')),
    slice       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    lost        INTEGER NOT NULL,
    runner      TEXT,
    session     INTEGER,
    poll        INTEGER,
    since_ms    INTEGER NOT NULL,
    cancel      INTEGER NOT NULL DEFAULT 0 CHECK (cancel IN (0, 1)),
    CHECK ((state = 'running') = (runner IS NOT NULL)),
    CHECK ((state = 'running') = (session IS NOT NULL)),
    CHECK (state = 'running' OR cancel = 0),
    CHECK (state = 'queued' OR attempts > 0)
) STRICT;

CREATE TABLE job_done (
    job_id      INTEGER PRIMARY KEY,
    outcome     TEXT NOT NULL CHECK (outcome IN ('succeeded', 'failed', 'timed_out', 'canceled',
                    'killed', 'expired', 'no_resource', 'runner_lost', 'rejected')),
    -- The outcome's detail: an exit code, which timeout, or why.
    detail      TEXT,
    attempts    INTEGER NOT NULL,
    ended_ms    INTEGER NOT NULL
) STRICT;

CREATE TABLE attempt (
    job_id      INTEGER NOT NULL,
    number      INTEGER NOT NULL CHECK (number > 0),
    runner      TEXT NOT NULL,
    started_ms  INTEGER NOT NULL,
    ended_ms    INTEGER NOT NULL CHECK (ended_ms >= started_ms),
    outcome     TEXT NOT NULL,
    detail      TEXT,
    message     TEXT,
    log_bytes   INTEGER NOT NULL,
    log_crc32   INTEGER NOT NULL,
    log_incomplete INTEGER NOT NULL CHECK (log_incomplete IN (0, 1)),
    log_extents BLOB NOT NULL,
    -- JSON: [[name, digest, size], …]
    outputs     TEXT NOT NULL,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_group (
    group_id    INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    owner       TEXT NOT NULL,
    first_job   INTEGER NOT NULL,
    jobs        INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    -- NULL while it is open.
    finished_ms INTEGER,
    document    BLOB NOT NULL
) STRICT;

CREATE TABLE runner (
    name        TEXT PRIMARY KEY,
    session     INTEGER NOT NULL,
    slots       INTEGER NOT NULL CHECK (slots > 0),
    draining    INTEGER NOT NULL CHECK (draining IN (0, 1)),
    -- JSON: [queue, …] and [[key, [value, …]], …]
    queues      TEXT NOT NULL,
    dimensions  TEXT NOT NULL,
    changed_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency_key (
    key         BLOB PRIMARY KEY CHECK (length(key) = 16),
    body        BLOB NOT NULL CHECK (length(body) = 16),
    first_job   INTEGER NOT NULL,
    jobs        INTEGER NOT NULL,
    group_id    INTEGER,
    created_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
