//! Finished jobs by the numbers of their labels: the last ones in a row each, the others in blocks of bitmaps.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use fixedbitset::FixedBitSet;
use rusqlite::{Connection, OptionalExtension, params};

use super::read::{Boxed, all};

/// Jobs of a block.
pub(super) const JOBS: usize = 4096;

const BITMAP_BYTES: usize = JOBS / 8;

/// What a finished job must have to be found.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Of each set at least one.
    pub one_of: Vec<Vec<u32>>,
    pub without: Option<u32>,
    pub wire_ids: Range<i64>,
}

impl Wanted {
    fn takes(&self, labels: &[u8]) -> bool {
        let (own, _) = labels.as_chunks::<4>();
        let has = |number: &u32| own.contains(&number.to_be_bytes());
        self.one_of.iter().all(|one_of| one_of.iter().any(has))
            && !self.without.as_ref().is_some_and(has)
    }
}

/// A block without what is in it.
#[derive(Debug)]
struct Block {
    id: i64,
    first: i64,
    last: i64,
    gone: Option<Vec<u8>>,
}

fn numbers_to_blob(numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    numbers.into_iter().flat_map(u32::to_be_bytes).collect()
}

fn numbers_from_blob(blob: &[u8]) -> impl Iterator<Item = u32> {
    blob.as_chunks().0.iter().map(|bytes| u32::from_be_bytes(*bytes))
}

fn none() -> FixedBitSet {
    FixedBitSet::with_capacity(JOBS)
}

fn bitmap(bits: &FixedBitSet) -> Vec<u8> {
    bits.as_slice().iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn places_to_blob(places: &[u16]) -> Vec<u8> {
    if places.len() * 2 < BITMAP_BYTES {
        return places.iter().flat_map(|place| place.to_be_bytes()).collect();
    }
    let mut bits = none();
    bits.extend(places.iter().map(|place| usize::from(*place)));
    bitmap(&bits)
}

fn add(bits: &mut FixedBitSet, blob: &[u8]) {
    if blob.len() == BITMAP_BYTES {
        let words = blob.as_chunks().0.iter().map(|bytes| usize::from_le_bytes(*bytes));
        bits.union_with(&FixedBitSet::with_capacity_and_blocks(JOBS, words));
    } else {
        let places = blob.as_chunks().0.iter().map(|bytes| usize::from(u16::from_be_bytes(*bytes)));
        bits.extend(places.filter(|place| *place < JOBS));
    }
}

impl Block {
    /// Its jobs that are still here.
    fn there(&self) -> FixedBitSet {
        let mut bits = none();
        add(&mut bits, self.gone.as_deref().unwrap_or_default());
        bits.toggle_range(..);
        bits
    }

    fn wire_ids(&self, db: &Connection) -> Result<Vec<i64>, Boxed> {
        let mut statement = db.prepare_cached(
            "-- source: store/sqlite/blocks.rs wire_ids
             SELECT wire_ids FROM block_jobs WHERE block_id = ?",
        )?;
        let blob: Vec<u8> = statement.query_row([self.id], |row| row.get(0))?;
        Ok(blob.as_chunks().0.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect())
    }
}

/// Those with jobs of a range, by their newest.
fn blocks(db: &Connection, wire_ids: &Range<i64>) -> Result<Vec<Block>, Boxed> {
    let sql = "-- source: store/sqlite/blocks.rs blocks
        SELECT block_id, first, last, gone FROM block WHERE last >= ? AND first < ? ORDER BY last DESC";
    all(db, sql, [wire_ids.start, wire_ids.end], |row| {
        Ok(Block { id: row.get(0)?, first: row.get(1)?, last: row.get(2)?, gone: row.get(3)? })
    })
}

/// Which jobs of each block are wanted, of whatever range.
fn wanted_of(
    db: &Connection,
    wanted: &Wanted,
    blocks: &[Block],
) -> Result<Vec<FixedBitSet>, Boxed> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/blocks.rs wanted_of
         SELECT block_id, bits FROM block_label WHERE label_id = ? AND block_id BETWEEN ? AND ?",
    )?;
    let at: HashMap<i64, usize> = blocks.iter().enumerate().map(|(at, b)| (b.id, at)).collect();
    let (first, last) = (at.keys().min().copied(), at.keys().max().copied());
    let mut with = |numbers: &[u32]| -> Result<Vec<FixedBitSet>, Boxed> {
        let mut with = vec![none(); blocks.len()];
        for number in numbers {
            let mut rows = statement.query(params![number, first, last])?;
            while let Some(row) = rows.next()? {
                if let Some(at) = at.get(&row.get(0)?) {
                    add(&mut with[*at], row.get_ref(1)?.as_blob()?);
                }
            }
        }
        Ok(with)
    };
    let mut found: Vec<FixedBitSet> = blocks.iter().map(Block::there).collect();
    for one_of in &wanted.one_of {
        for (found, with) in found.iter_mut().zip(with(one_of)?) {
            found.intersect_with(&with);
        }
        if found.iter().all(FixedBitSet::is_clear) {
            return Ok(found);
        }
    }
    for (found, with) in found.iter_mut().zip(with(wanted.without.as_slice())?) {
        found.difference_with(&with);
    }
    Ok(found)
}

/// The newest first.
pub(super) fn find(db: &Connection, wanted: &Wanted, limit: usize) -> Result<Vec<i64>, Boxed> {
    let mut found: Vec<i64> = Vec::new();
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/blocks.rs find
         SELECT wire_id, labels FROM job_tail WHERE wire_id >= ? AND wire_id < ? ORDER BY wire_id DESC",
    )?;
    let mut rows = statement.query([wanted.wire_ids.start, wanted.wire_ids.end])?;
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        if wanted.takes(row.get_ref(1)?.as_blob()?) {
            found.push(row.get(0)?);
        }
    }
    // Ever more blocks at once: what is found at all is mostly found in the newest.
    let (mut step, mut rest) = (1, blocks(db, &wanted.wire_ids)?);
    while let Some(next) = rest.first() {
        if found.len() == limit && found.last().is_some_and(|oldest| *oldest > next.last) {
            break;
        }
        let later = rest.split_off(step.min(rest.len()));
        for (block, bits) in rest.iter().zip(wanted_of(db, wanted, &rest)?) {
            if !bits.is_clear() {
                let wire_ids = block.wire_ids(db)?;
                let of_block = bits.ones().filter_map(|place| wire_ids.get(place));
                found.extend(of_block.filter(|id| wanted.wire_ids.contains(id)));
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(limit);
        (step, rest) = (step * 2, later);
    }
    Ok(found)
}

pub(super) fn count(db: &Connection, wanted: &Wanted) -> Result<usize, Boxed> {
    let mut count = 0;
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/blocks.rs count
         SELECT labels FROM job_tail WHERE wire_id >= ? AND wire_id < ?",
    )?;
    let mut rows = statement.query([wanted.wire_ids.start, wanted.wire_ids.end])?;
    while let Some(row) = rows.next()? {
        count += usize::from(wanted.takes(row.get_ref(0)?.as_blob()?));
    }
    // So many at once that the bitmaps stay within a few megabytes.
    for some in blocks(db, &wanted.wire_ids)?.chunks(1024) {
        for (block, bits) in some.iter().zip(wanted_of(db, wanted, some)?) {
            if wanted.wire_ids.start <= block.first && block.last < wanted.wire_ids.end {
                count += bits.count_ones(..);
            } else if !bits.is_clear() {
                let wire_ids = block.wire_ids(db)?;
                let place = |end: i64| wire_ids.partition_point(|id| *id < end);
                let range = place(wanted.wire_ids.start)..place(wanted.wire_ids.end);
                count += bits.count_ones(range);
            }
        }
    }
    Ok(count)
}

/// A job is over.
pub(super) fn put(db: &Connection, wire_id: i64, labels: BTreeSet<u32>) -> Result<(), Boxed> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/blocks.rs put
         INSERT INTO job_tail (wire_id, labels) VALUES (?, ?)",
    )?;
    statement.execute(params![wire_id, numbers_to_blob(labels)])?;
    Ok(())
}

/// How many jobs are in no block.
pub(super) fn loose(db: &Connection) -> rusqlite::Result<usize> {
    db.query_row("SELECT count(*) FROM job_tail", [], |row| Ok(row.get::<_, i64>(0)? as usize))
}

/// Makes a block of jobs that are in none, when there are enough. Says whether there were.
pub(super) fn fold(db: &Connection) -> Result<bool, Boxed> {
    let sql = "-- source: store/sqlite/blocks.rs fold
        SELECT wire_id, labels FROM job_tail ORDER BY wire_id LIMIT ?";
    let jobs: Vec<(i64, Vec<u8>)> =
        all(db, sql, [JOBS as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some((first, _)), Some((last, _))) = (jobs.first(), jobs.last()) else {
        return Ok(false);
    };
    if jobs.len() < JOBS {
        return Ok(false);
    }
    let mut places: BTreeMap<u32, Vec<u16>> = BTreeMap::new();
    for (place, (_, labels)) in (0u16..).zip(&jobs) {
        for number in numbers_from_blob(labels) {
            places.entry(number).or_default().push(place);
        }
    }
    db.prepare_cached("INSERT INTO block (first, last) VALUES (?, ?)")?.execute([first, last])?;
    let block = db.last_insert_rowid();
    let wire_ids: Vec<u8> = jobs.iter().flat_map(|(id, _)| id.to_be_bytes()).collect();
    db.prepare_cached("INSERT INTO block_jobs (block_id, wire_ids, labels) VALUES (?, ?, ?)")?
        .execute(params![block, wire_ids, numbers_to_blob(places.keys().copied())])?;
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/blocks.rs fold
         INSERT INTO block_label (label_id, block_id, bits) VALUES (?, ?, ?)",
    )?;
    for (number, places) in places {
        statement.execute(params![number, block, places_to_blob(&places)])?;
    }
    db.prepare_cached("DELETE FROM job_tail WHERE wire_id <= ?")?.execute([last])?;
    Ok(true)
}

/// Jobs are found no more. Says whether names were deleted with them: those that no job has any more.
pub(super) fn take_out(db: &Connection, wire_ids: &[i64]) -> Result<bool, Boxed> {
    let mut unused: BTreeSet<u32> = BTreeSet::new();
    let mut in_blocks: BTreeSet<i64> = BTreeSet::new();
    for wire_id in wire_ids {
        let labels: Option<Vec<u8>> = db
            .prepare_cached("DELETE FROM job_tail WHERE wire_id = ? RETURNING labels")?
            .query_row([wire_id], |row| row.get(0))
            .optional()?;
        match labels {
            Some(labels) => unused.extend(numbers_from_blob(&labels)),
            None => _ = in_blocks.insert(*wire_id),
        }
    }
    if let (Some(first), Some(last)) = (in_blocks.first(), in_blocks.last()) {
        for block in blocks(db, &(*first..*last + 1))? {
            unused.extend(take_out_of(db, &block, &in_blocks)?);
        }
    }
    if unused.is_empty() {
        return Ok(false);
    }
    let loose: BTreeSet<u32> = all(db, "SELECT labels FROM job_tail", [], |row| {
        Ok(numbers_from_blob(row.get_ref(0)?.as_blob()?).collect::<Vec<_>>())
    })?
    .into_iter()
    .flatten()
    .collect();
    let mut gone = 0;
    for number in unused.difference(&loose) {
        gone += db
            .prepare_cached(
                "DELETE FROM label WHERE label_id = ?1
                 AND NOT EXISTS (SELECT 1 FROM block_label WHERE label_id = ?1)",
            )?
            .execute([number])?;
    }
    Ok(gone > 0)
}

/// Gives the block's labels when the block is gone with its last job.
fn take_out_of(
    db: &Connection,
    block: &Block,
    wire_ids: &BTreeSet<i64>,
) -> Result<Vec<u32>, Boxed> {
    let mut there = block.there();
    let before = there.count_ones(..);
    for (place, id) in block.wire_ids(db)?.iter().enumerate() {
        if wire_ids.contains(id) {
            there.remove(place);
        }
    }
    if there.count_ones(..) == before {
        return Ok(Vec::new());
    }
    if !there.is_clear() {
        there.toggle_range(..);
        db.prepare_cached("UPDATE block SET gone = ? WHERE block_id = ?")?
            .execute(params![bitmap(&there), block.id])?;
        return Ok(Vec::new());
    }
    let labels: Vec<u8> = db
        .prepare_cached("DELETE FROM block_jobs WHERE block_id = ? RETURNING labels")?
        .query_row([block.id], |row| row.get(0))?;
    let mut statement =
        db.prepare_cached("DELETE FROM block_label WHERE label_id = ? AND block_id = ?")?;
    for number in numbers_from_blob(&labels) {
        statement.execute(params![number, block.id])?;
    }
    db.prepare_cached("DELETE FROM block WHERE block_id = ?")?.execute([block.id])?;
    Ok(numbers_from_blob(&labels).collect())
}
