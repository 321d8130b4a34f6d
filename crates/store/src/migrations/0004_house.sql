-- What keeps a server in order over the years: who is to be told of a job, and how the fleet stood.

-- Whether somebody wants to hear when the job begins, is asked to stop, and ends.
ALTER TABLE job_spec ADD COLUMN notify INTEGER NOT NULL DEFAULT 0 CHECK (notify IN (0, 1));

-- What is still to be told. Written in the transaction of the change itself.
CREATE TABLE notice (
    notice_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id      INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL,
    -- Not before.
    due_ms      INTEGER NOT NULL,
    tries       INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX notice_due ON notice (due_ms, notice_id);
CREATE INDEX notice_of ON notice (job_id);

-- How fleet and queue stood. `record` is JSON.
CREATE TABLE sample (
    at_ms       INTEGER PRIMARY KEY,
    record      TEXT NOT NULL
) STRICT;

-- What must be found when an old job is deleted.
CREATE INDEX job_reuse_of ON job_reuse (job_id);
CREATE INDEX job_spec_reuses ON job_spec (reuses) WHERE reuses IS NOT NULL;
