-- Finished jobs are found by bitmaps: what a search costs hardly depends on how much it finds.

-- Those that ended last. When there are 4096 of them they become a block.
CREATE TABLE job_tail (
    wire_id     INTEGER PRIMARY KEY,
    -- The numbers of its labels, eight bytes each, high byte first, rising.
    labels      BLOB NOT NULL CHECK (length(labels) % 8 = 0)
) STRICT;

INSERT INTO job_tail (wire_id, labels)
SELECT wire_id, unhex(group_concat(printf('%016X', label_id), '' ORDER BY label_id)) FROM job_label GROUP BY wire_id;

DROP TABLE job_label;

-- 4096 jobs that ended about the same time, by rising wire id: a job's place among them is its bit. Fewer, when they have
-- very many labels.
CREATE TABLE block (
    block_id    INTEGER PRIMARY KEY,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    -- Places without a job, or of one that was deleted or runs again: a bitmap, low bit first. NULL while there is none.
    gone        BLOB,
    -- How many are left. Nothing is found in a block of none; what is in it goes in small parts.
    jobs        INTEGER NOT NULL,
    -- How many of the labels of a block of none are gone, from the first on.
    forgotten   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- All that a search reads of a block: it need not look it up by its number.
CREATE INDEX block_last ON block (last, block_id, first, jobs, gone);
CREATE INDEX block_empty ON block (block_id) WHERE jobs = 0;

-- Large, and read only of blocks in which something is found or deleted.
CREATE TABLE block_jobs (
    block_id    INTEGER PRIMARY KEY,
    -- Eight bytes each, high byte first.
    wire_ids    BLOB NOT NULL,
    -- All labels in the block, as in `job_tail`.
    labels      BLOB NOT NULL
) STRICT;

-- Which jobs of 7 blocks have a label: as many as have room in a page, where all bits are written out.
CREATE TABLE block_label (
    -- `label_id * 16777216 + block_id / 7`. One number: with a key of two columns SQLite reads whole the rows that it compares with.
    place       INTEGER PRIMARY KEY,
    -- For each block that has it: `block_id % 7` in a byte, the number of bytes that follow in two, high byte first, and those.
    -- None: all jobs of the block. 512: a bitmap, low bit first. Fewer: a list of places, two bytes each, high byte first.
    bits        BLOB NOT NULL
) STRICT;
