-- Actions, saved searches, patch sets, campaigns and their changesets; code hosts, secrets and access tokens.

CREATE TABLE action (
    action_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    version     INTEGER NOT NULL CHECK (version > 0),
    schedule    TEXT,
    time_zone   TEXT NOT NULL DEFAULT '',
    overlap     TEXT NOT NULL DEFAULT 'skip' CHECK (overlap IN ('skip', 'queue', 'cancel_previous')),
    paused      INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    saved_search_id INTEGER REFERENCES saved_search ON DELETE SET NULL,
    trigger_on  TEXT NOT NULL DEFAULT 'added' CHECK (trigger_on IN ('added', 'removed', 'any')),
    only_new    INTEGER NOT NULL DEFAULT 0 CHECK (only_new IN (0, 1)),
    campaign_id INTEGER REFERENCES campaign ON DELETE SET NULL,
    autoupdate  INTEGER NOT NULL DEFAULT 1 CHECK (autoupdate IN (0, 1)),
    owner       TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL,
    -- NULL while no tick is awaited.
    next_tick_ms INTEGER,
    CHECK (schedule IS NULL OR saved_search_id IS NULL)
) STRICT;

CREATE INDEX action_by_tick ON action (next_tick_ms) WHERE next_tick_ms IS NOT NULL;

CREATE TABLE action_version (
    action_id   INTEGER NOT NULL REFERENCES action ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    text        TEXT NOT NULL,
    author      TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (action_id, number)
) STRICT, WITHOUT ROWID;

-- What is known of an execution beside its jobs. The engine's group is the truth; this is written from its document.
CREATE TABLE execution (
    group_id    INTEGER PRIMARY KEY,
    action_id   INTEGER,
    version     INTEGER,
    reason      TEXT NOT NULL CHECK (reason IN ('manual', 'schedule', 'saved_search', 'webhook')),
    detail      TEXT NOT NULL,
    owner       TEXT NOT NULL,
    patch_set_id INTEGER,
    -- The end that the patch set was made of.
    ended_ms    INTEGER,
    partial_by  TEXT,
    partial_ms  INTEGER,
    partial_failed INTEGER
) STRICT;

CREATE INDEX execution_by_action ON execution (action_id, group_id);

CREATE TABLE misfire (
    misfire_id  INTEGER PRIMARY KEY,
    action_id   INTEGER NOT NULL REFERENCES action ON DELETE CASCADE,
    at_ms       INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    why         TEXT NOT NULL
) STRICT;

CREATE INDEX misfire_by_action ON misfire (action_id, misfire_id);

CREATE TABLE saved_search (
    saved_search_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    query       TEXT NOT NULL,
    description TEXT NOT NULL,
    owner       TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL,
    last_run_ms INTEGER,
    last_error  TEXT,
    last_change_ms INTEGER,
    -- NULL before the first run that found something out.
    results     INTEGER
) STRICT;

CREATE TABLE saved_search_result (
    saved_search_id INTEGER NOT NULL REFERENCES saved_search ON DELETE CASCADE,
    repository  TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (saved_search_id, repository)
) STRICT, WITHOUT ROWID;

CREATE TABLE patch_set (
    patch_set_id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id    INTEGER,
    ended_ms    INTEGER,
    author      TEXT NOT NULL,
    -- JSON
    coverage    TEXT NOT NULL,
    patches     INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    -- One for each end of an execution.
    UNIQUE (group_id, ended_ms),
    CHECK ((group_id IS NULL) = (ended_ms IS NULL))
) STRICT;

CREATE TABLE patch (
    patch_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    patch_set_id INTEGER NOT NULL REFERENCES patch_set ON DELETE CASCADE,
    -- JSON: what its changeset is to be.
    wanted      TEXT NOT NULL,
    files       INTEGER NOT NULL,
    added       INTEGER NOT NULL,
    deleted     INTEGER NOT NULL
) STRICT;

CREATE INDEX patch_by_set ON patch (patch_set_id, patch_id);

CREATE TABLE campaign (
    campaign_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    branch      TEXT,
    patch_set_id INTEGER UNIQUE,
    applied_id  INTEGER,
    publication TEXT NOT NULL CHECK (publication IN ('none', 'push_only', 'draft', 'pull_request')),
    author      TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL,
    published_ms INTEGER,
    closed_ms   INTEGER,
    -- JSON: sentences about patches that can have no changeset.
    refused     TEXT NOT NULL DEFAULT '[]'
) STRICT;

CREATE TABLE changeset (
    changeset_id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL for one that was imported and is in no campaign yet.
    campaign_id INTEGER REFERENCES campaign ON DELETE CASCADE,
    repository  TEXT NOT NULL,
    branch      TEXT NOT NULL,
    patch_id    INTEGER,
    -- JSON; what the patch wants, with what the campaign adds.
    wanted      TEXT,
    publication TEXT NOT NULL CHECK (publication IN ('none', 'push_only', 'draft', 'pull_request')),
    close       INTEGER NOT NULL CHECK (close IN (0, 1)),
    detached    INTEGER NOT NULL CHECK (detached IN (0, 1)),
    -- JSON; what is on the code host. The columns after it say parts of it again, for filters.
    actual      TEXT NOT NULL,
    imported    INTEGER NOT NULL CHECK (imported IN (0, 1)),
    external_id TEXT,
    state       TEXT CHECK (state IN ('open', 'closed', 'merged')),
    review      TEXT,
    checks      TEXT,
    title       TEXT NOT NULL,
    phase       TEXT NOT NULL CHECK (phase IN ('unpublished', 'queued', 'processing', 'waiting', 'pushed', 'draft',
                    'open', 'merged', 'closed', 'diverged', 'failed', 'detached')),
    due_ms      INTEGER,
    attempts    INTEGER NOT NULL,
    waiting     INTEGER NOT NULL CHECK (waiting IN (0, 1)),
    error       TEXT,
    error_is_final INTEGER NOT NULL CHECK (error_is_final IN (0, 1)),
    next_sync_ms INTEGER,
    overwrite   TEXT,
    files       INTEGER NOT NULL,
    added       INTEGER NOT NULL,
    deleted     INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX changeset_by_branch ON changeset (campaign_id, repository, branch)
    WHERE detached = 0 AND imported = 0;
CREATE INDEX changeset_by_campaign ON changeset (campaign_id, changeset_id);
CREATE INDEX changeset_by_repository ON changeset (repository, branch);
CREATE INDEX changeset_due ON changeset (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX changeset_sync ON changeset (next_sync_ms) WHERE next_sync_ms IS NOT NULL;

CREATE TABLE changeset_event (
    event_id    INTEGER PRIMARY KEY,
    changeset_id INTEGER NOT NULL REFERENCES changeset ON DELETE CASCADE,
    kind        TEXT NOT NULL,
    at_ms       INTEGER NOT NULL
) STRICT;

CREATE INDEX changeset_event_by_changeset ON changeset_event (changeset_id, event_id);

CREATE TABLE bulk_operation (
    bulk_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign_id INTEGER NOT NULL REFERENCES campaign ON DELETE CASCADE,
    kind        TEXT NOT NULL,
    author      TEXT NOT NULL,
    text        TEXT NOT NULL,
    created_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE bulk_item (
    bulk_id     INTEGER NOT NULL REFERENCES bulk_operation ON DELETE CASCADE,
    changeset_id INTEGER NOT NULL,
    done_ms     INTEGER,
    error       TEXT,
    PRIMARY KEY (bulk_id, changeset_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX bulk_item_to_do ON bulk_item (bulk_id, changeset_id) WHERE done_ms IS NULL;

CREATE TABLE code_host (
    code_host_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    -- JSON
    settings    TEXT NOT NULL,
    credential  BLOB NOT NULL,
    has_credential INTEGER NOT NULL CHECK (has_credential IN (0, 1)),
    webhook_secret TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    last_sync_ms INTEGER,
    sync_error  TEXT,
    who         TEXT
) STRICT;

CREATE TABLE secret (
    name        TEXT PRIMARY KEY,
    value       BLOB NOT NULL,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL,
    last_used_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE access_token (
    token_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('reader', 'user', 'admin')),
    digest      BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_ms  INTEGER NOT NULL,
    created_by  TEXT NOT NULL,
    last_used_ms INTEGER
) STRICT;
