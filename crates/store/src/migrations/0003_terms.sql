-- What doors ask for beyond the engine's rules, what they keep of attempts, and what lists find finished jobs by.

ALTER TABLE job_spec ADD COLUMN wire_id INTEGER;
ALTER TABLE job_spec ADD COLUMN parent INTEGER;
-- 'oldest', 'newest', or NULL: fair.
ALTER TABLE job_spec ADD COLUMN job_order TEXT CHECK (job_order IN ('oldest', 'newest'));
ALTER TABLE job_spec ADD COLUMN lease_ms INTEGER;
-- The job whose result it took, and the slice by whose key.
ALTER TABLE job_spec ADD COLUMN reuses INTEGER;
ALTER TABLE job_spec ADD COLUMN reuses_slice INTEGER CHECK ((reuses_slice IS NULL) = (reuses IS NULL));
ALTER TABLE job_spec ADD COLUMN request_key BLOB CHECK (length(request_key) = 16);
-- JSON: [label, …]
ALTER TABLE job_spec ADD COLUMN labels TEXT;

CREATE INDEX job_spec_request_key ON job_spec (request_key) WHERE request_key IS NOT NULL;
CREATE UNIQUE INDEX job_spec_wire_id ON job_spec (wire_id) WHERE wire_id IS NOT NULL;

-- When the cancel was asked for; set whenever `cancel` is.
ALTER TABLE job_live ADD COLUMN cancel_ms INTEGER CHECK (cancel_ms IS NULL OR cancel = 1);
UPDATE job_live SET cancel_ms = since_ms WHERE cancel = 1;
ALTER TABLE job_live ADD COLUMN facts BLOB;

ALTER TABLE job_done ADD COLUMN slice INTEGER NOT NULL DEFAULT 0;

ALTER TABLE attempt ADD COLUMN slice INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN cancel_ms INTEGER;
ALTER TABLE attempt ADD COLUMN facts BLOB;
ALTER TABLE attempt ADD COLUMN report BLOB;

-- What finished jobs of the doors that name them are found by: their own labels, the runners they were on, and how they
-- ended ('reused' beside the outcome when the result is another's).
CREATE TABLE label (
    label_id    INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('label', 'runner', 'outcome')),
    name        TEXT NOT NULL,
    UNIQUE (kind, name)
) STRICT;

-- Written once, when the job ends.
CREATE TABLE job_label (
    label_id    INTEGER NOT NULL,
    wire_id     INTEGER NOT NULL,
    PRIMARY KEY (label_id, wire_id)
) STRICT, WITHOUT ROWID;

-- The latest good result of each key.
CREATE TABLE job_reuse (
    key         BLOB PRIMARY KEY CHECK (length(key) = 32),
    job_id      INTEGER NOT NULL,
    ended_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE runner ADD COLUMN keep INTEGER NOT NULL DEFAULT 0 CHECK (keep IN (0, 1));

-- Machines that report themselves, as they last did. `record` is JSON.
CREATE TABLE machine (
    name        TEXT PRIMARY KEY,
    record      TEXT NOT NULL,
    seen_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Dimensions of machines, each text once: most events say the same.
CREATE TABLE machine_text (
    text_id     INTEGER PRIMARY KEY,
    text        TEXT NOT NULL UNIQUE
) STRICT;

-- What happened to them. Machines that are forgotten keep their events.
CREATE TABLE machine_event (
    event_id    INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    at_ms       INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    message     TEXT NOT NULL,
    task        INTEGER,
    dimensions  INTEGER NOT NULL REFERENCES machine_text,
    state       TEXT NOT NULL,
    version     TEXT NOT NULL,
    identity    TEXT NOT NULL,
    address     TEXT NOT NULL,
    quarantined INTEGER NOT NULL CHECK (quarantined IN (0, 1)),
    maintenance TEXT
) STRICT;

CREATE INDEX machine_event_of ON machine_event (name, at_ms, event_id);
