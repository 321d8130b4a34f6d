-- Finished jobs are found by bitmaps: what a search costs hardly depends on how much it finds.

-- Those that ended last. When there are 4096 of them they become a block.
CREATE TABLE job_tail (
    wire_id     INTEGER PRIMARY KEY,
    -- The numbers of its labels, four bytes each, high byte first, rising.
    labels      BLOB NOT NULL CHECK (length(labels) % 4 = 0)
) STRICT;

INSERT INTO job_tail (wire_id, labels)
SELECT wire_id, unhex(group_concat(printf('%08X', label_id), '' ORDER BY label_id)) FROM job_label GROUP BY wire_id;

DROP TABLE job_label;

-- 4096 jobs that ended about the same time, by rising wire id: a job's place among them is its bit.
CREATE TABLE block (
    block_id    INTEGER PRIMARY KEY,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    -- Bitmap of those that are no longer here; NULL when all are.
    gone        BLOB
) STRICT;

-- Apart from the above, which every search reads.
CREATE TABLE block_jobs (
    block_id    INTEGER PRIMARY KEY REFERENCES block,
    -- Eight bytes each, high byte first.
    wire_ids    BLOB NOT NULL,
    -- All labels of the block, as in `job_tail`.
    labels      BLOB NOT NULL
) STRICT;

CREATE TABLE block_label (
    label_id    INTEGER NOT NULL,
    block_id    INTEGER NOT NULL,
    -- 512 bytes are a bitmap, low bit first. Fewer are a list of places, two bytes each, high byte first.
    bits        BLOB NOT NULL,
    PRIMARY KEY (label_id, block_id)
) STRICT, WITHOUT ROWID;
