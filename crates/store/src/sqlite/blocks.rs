//! Finished jobs by the numbers of their labels: the last ones in a row each, the others in blocks of bitmaps.

mod search;

use std::collections::BTreeSet;
use std::ops::Range;

use fixedbitset::FixedBitSet;
use rusqlite::{Connection, OptionalExtension, params};

pub(super) use self::search::{Wanted, count, find};
use super::read::{Boxed, all};

/// Jobs of a block. A part of the file's format: bitmaps have as many bits.
pub(super) const JOBS: usize = 4096;

/// Labels of all jobs of a block together, about: when they have more, they are fewer jobs.
pub(super) const LABELS: usize = 200_000;

const BITMAP_BYTES: usize = JOBS / 8;

/// Blocks whose bits of a label lie in one row, a part of the file's format: to step through rows is most of what a count costs, and
/// bitmaps of more would not fit into a page.
const OF_ROW: i64 = 7;

/// Rows of a label, at most, a part of the file's format: enough for 117 million blocks.
const ROWS: i64 = 1 << 24;

/// Blocks whose bitmaps are in memory at once: few enough that the same memory is used for the next.
const AT_ONCE: usize = 128;

/// A block without what is in it.
#[derive(Debug)]
struct Block {
    id: i64,
    first: i64,
    last: i64,
    gone: Option<Vec<u8>>,
}

fn numbers_to_blob(numbers: impl IntoIterator<Item = i64>) -> Vec<u8> {
    numbers.into_iter().flat_map(i64::to_be_bytes).collect()
}

fn numbers_from_blob(blob: &[u8]) -> impl Iterator<Item = i64> {
    blob.as_chunks().0.iter().map(|bytes| i64::from_be_bytes(*bytes))
}

fn none() -> FixedBitSet {
    FixedBitSet::with_capacity(JOBS)
}

fn bitmap(bits: &FixedBitSet) -> Vec<u8> {
    bits.as_slice().iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Nothing says that all have the label, which is true of many of a job's labels.
fn places_to_blob(places: &[u16]) -> Vec<u8> {
    if places.len() == JOBS {
        return Vec::new();
    }
    if places.len() * 2 < BITMAP_BYTES {
        return places.iter().flat_map(|place| place.to_be_bytes()).collect();
    }
    let mut bits = none();
    bits.extend(places.iter().map(|place| usize::from(*place)));
    bitmap(&bits)
}

fn add(bits: &mut FixedBitSet, blob: &[u8]) {
    match blob.len() {
        0 => bits.insert_range(..),
        BITMAP_BYTES => {
            let words = blob.as_chunks().0.iter().map(|bytes| usize::from_le_bytes(*bytes));
            bits.as_mut_slice().iter_mut().zip(words).for_each(|(all, more)| *all |= more);
        }
        _ => {
            let places = blob.as_chunks().0.iter().map(|bytes| u16::from_be_bytes(*bytes));
            bits.extend(places.map(usize::from).filter(|place| *place < JOBS));
        }
    }
}

/// Where a label's bits of a block are.
fn row(label: i64, block: i64) -> i64 {
    debug_assert!((0..ROWS * OF_ROW).contains(&block), "block {block}");
    label * ROWS + block.div_euclid(OF_ROW)
}

/// A part of a row: the bits of one of its blocks.
fn part(block: i64, bits: &[u8]) -> Vec<u8> {
    let (at, bytes) = (block.rem_euclid(OF_ROW) as u8, bits.len() as u16);
    [&[at], bytes.to_be_bytes().as_slice(), bits].concat()
}

/// The blocks of a row, each with its bits.
fn parts(row: i64, mut blob: &[u8]) -> impl Iterator<Item = (i64, &[u8])> {
    let first = row.rem_euclid(ROWS) * OF_ROW;
    std::iter::from_fn(move || {
        let ([at, high, low], rest) = blob.split_first_chunk()?;
        let (bits, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        blob = rest;
        Some((first + i64::from(*at), bits))
    })
}

impl Block {
    /// Its jobs that are still here.
    fn there(&self) -> FixedBitSet {
        let mut bits = none();
        if let Some(gone) = &self.gone {
            add(&mut bits, gone);
        }
        bits.toggle_range(..);
        bits
    }

    fn wire_ids(&self, db: &Connection) -> Result<Vec<i64>, Boxed> {
        let mut statement = db.prepare_cached(
            "-- source: store/sqlite/blocks.rs wire_ids
             SELECT wire_ids FROM block_jobs WHERE block_id = ?",
        )?;
        let blob: Vec<u8> = statement.query_row([self.id], |row| row.get(0))?;
        Ok(numbers_from_blob(&blob).collect())
    }
}

/// Those with jobs of a range after another one, by their newest job, the newest first.
fn blocks(
    db: &Connection,
    wire_ids: &Range<i64>,
    after: Option<&Block>,
    limit: usize,
) -> Result<Vec<Block>, Boxed> {
    let sql = "-- source: store/sqlite/blocks.rs blocks
        SELECT block_id, first, last, gone FROM block
        WHERE last >= ?1 AND first < ?2 AND (last, block_id) < (?3, ?4) AND jobs > 0
        ORDER BY last DESC, block_id DESC LIMIT ?5";
    let (last, id) = after.map_or((i64::MAX, i64::MAX), |block| (block.last, block.id));
    all(db, sql, params![wire_ids.start, wire_ids.end, last, id, limit as i64], |row| {
        Ok(Block { id: row.get(0)?, first: row.get(1)?, last: row.get(2)?, gone: row.get(3)? })
    })
}

/// A job is over.
pub(super) fn put(db: &Connection, wire_id: i64, labels: BTreeSet<i64>) -> Result<(), Boxed> {
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

/// What went into a block.
pub(super) struct Folded {
    pub jobs: usize,
    pub labels: usize,
}

/// Makes a block of jobs that are in none, when there are enough.
///
/// That takes some 20 ms, and up to half a second when all labels are different: less than to write each by itself, but at once.
pub(super) fn fold(db: &Connection) -> Result<Option<Folded>, Boxed> {
    let sql = "-- source: store/sqlite/blocks.rs fold
        SELECT wire_id, labels FROM job_tail ORDER BY wire_id LIMIT ?";
    let mut jobs: Vec<(i64, Vec<u8>)> =
        all(db, sql, [JOBS as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if jobs.len() < JOBS {
        return Ok(None);
    }
    let mut pairs: Vec<(i64, u16)> = Vec::new();
    let mut taken = 0;
    for (place, (_, labels)) in (0u16..).zip(&jobs) {
        pairs.extend(numbers_from_blob(labels).map(|number| (number, place)));
        taken += 1;
        if pairs.len() >= LABELS {
            break;
        }
    }
    jobs.truncate(taken);
    let (Some((first, _)), Some((last, _))) = (jobs.first(), jobs.last()) else {
        return Ok(None);
    };
    pairs.sort_unstable();
    let by_label = || pairs.chunk_by(|(one, _), (other, _)| one == other);
    // Places without a job are as those of jobs that are gone.
    let mut unused = none();
    unused.insert_range(taken..);
    let gone = (taken < JOBS).then(|| bitmap(&unused));
    db.prepare_cached("INSERT INTO block (first, last, gone, jobs) VALUES (?, ?, ?, ?)")?
        .execute(params![first, last, gone, taken as i64])?;
    let block = db.last_insert_rowid();
    let wire_ids = numbers_to_blob(jobs.iter().map(|(id, _)| *id));
    let labels = numbers_to_blob(by_label().map(|pairs| pairs[0].0));
    db.prepare_cached("INSERT INTO block_jobs (block_id, wire_ids, labels) VALUES (?, ?, ?)")?
        .execute(params![block, wire_ids, labels])?;
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/blocks.rs fold labels
         INSERT INTO block_label (place, bits) VALUES (?, ?)
         ON CONFLICT DO UPDATE SET bits = CAST(bits || excluded.bits AS BLOB)",
    )?;
    for pairs in by_label() {
        let places: Vec<u16> = pairs.iter().map(|(_, place)| *place).collect();
        let part = part(block, &places_to_blob(&places));
        statement.execute(params![row(pairs[0].0, block), part])?;
    }
    db.prepare_cached("DELETE FROM job_tail WHERE wire_id <= ?")?.execute([last])?;
    Ok(Some(Folded { jobs: taken, labels: pairs.len() }))
}

/// Jobs are found no more. Says whether names were deleted with them. Those of blocks stay until [`forget`].
pub(super) fn take_out(db: &Connection, wire_ids: &[i64]) -> Result<bool, Boxed> {
    let mut unused: BTreeSet<i64> = BTreeSet::new();
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
        let range = *first..last.saturating_add(1);
        let mut some = blocks(db, &range, None, AT_ONCE)?;
        while !some.is_empty() {
            for block in &some {
                take_out_of(db, block, &in_blocks)?;
            }
            some = blocks(db, &range, some.last(), AT_ONCE)?;
        }
    }
    delete_names(db, unused)
}

fn take_out_of(db: &Connection, block: &Block, wire_ids: &BTreeSet<i64>) -> Result<(), Boxed> {
    let mut wanted = wire_ids.range(block.first..=block.last).peekable();
    if wanted.peek().is_none() {
        return Ok(());
    }
    let own = block.wire_ids(db)?;
    let mut there = block.there();
    let before = there.count_ones(..);
    for place in wanted.filter_map(|id| own.binary_search(id).ok()) {
        there.remove(place);
    }
    let jobs = there.count_ones(..);
    if jobs < before {
        there.toggle_range(..);
        db.prepare_cached("UPDATE block SET gone = ?, jobs = ? WHERE block_id = ?")?
            .execute(params![bitmap(&there), jobs as i64, block.id])?;
    }
    Ok(())
}

/// Up to so many labels of a block all of whose jobs are gone; with the last one it is gone too. Says how many there were, and
/// whether names were deleted.
pub(super) fn forget(db: &Connection, limit: usize) -> Result<(usize, bool), Boxed> {
    let sql = "-- source: store/sqlite/blocks.rs forget
        SELECT block_id, labels, forgotten FROM block JOIN block_jobs USING (block_id) WHERE jobs = 0 LIMIT 1";
    let empty = db.prepare_cached(sql)?.query_row([], |row| {
        Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)? as usize))
    });
    let Some((block, labels, forgotten)) = empty.optional()? else { return Ok((0, false)) };
    let block: i64 = block;
    let numbers: BTreeSet<i64> = numbers_from_blob(&labels).skip(forgotten).take(limit).collect();
    for number in &numbers {
        forget_label(db, *number, block)?;
    }
    if numbers_from_blob(&labels).nth(forgotten + numbers.len()).is_none() {
        db.prepare_cached("DELETE FROM block_jobs WHERE block_id = ?")?.execute([block])?;
        db.prepare_cached("DELETE FROM block WHERE block_id = ?")?.execute([block])?;
    } else {
        db.prepare_cached("UPDATE block SET forgotten = forgotten + ? WHERE block_id = ?")?
            .execute([numbers.len() as i64, block])?;
    }
    Ok((numbers.len(), delete_names(db, numbers)?))
}

fn forget_label(db: &Connection, label: i64, block: i64) -> Result<(), Boxed> {
    let row = row(label, block);
    let bits: Vec<u8> = db
        .prepare_cached("SELECT bits FROM block_label WHERE place = ?")?
        .query_row([row], |row| row.get(0))?;
    let rest = parts(row, &bits).filter(|(of, _)| *of != block);
    let rest: Vec<u8> = rest.flat_map(|(of, bits)| part(of, bits)).collect();
    if rest.is_empty() {
        db.prepare_cached("DELETE FROM block_label WHERE place = ?")?.execute([row])?;
    } else {
        db.prepare_cached("UPDATE block_label SET bits = ? WHERE place = ?")?
            .execute(params![rest, row])?;
    }
    Ok(())
}

/// Those that no job has.
fn delete_names(db: &Connection, mut unused: BTreeSet<i64>) -> Result<bool, Boxed> {
    if unused.is_empty() {
        return Ok(false);
    }
    let mut statement = db.prepare_cached("SELECT labels FROM job_tail")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for number in numbers_from_blob(row.get_ref(0)?.as_blob()?) {
            unused.remove(&number);
        }
    }
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/blocks.rs delete_names
         DELETE FROM label WHERE label_id = ?1
         AND NOT EXISTS (SELECT 1 FROM block_label WHERE place >= ?2 AND place < ?3)",
    )?;
    let mut gone = 0;
    for number in unused {
        gone += statement.execute([number, number * ROWS, (number + 1) * ROWS])?;
    }
    Ok(gone > 0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn found(db: &Connection, label: i64, wire_ids: Range<i64>) -> usize {
        let wanted = Wanted { one_of: vec![vec![label]], without: None, wire_ids };
        let count = count(db, &wanted).unwrap();
        assert_eq!(find(db, &wanted, usize::MAX).unwrap().len(), count);
        count
    }

    fn rows(db: &Connection, table: &str) -> i64 {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_block_comes_and_goes_with_its_jobs() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::migrate::run(&mut db, Path::new("new")).unwrap();
        // Around each change of form.
        let having = [1, 2, 255, 256, 257, 4095, 4096];
        for (label, _) in having.iter().enumerate() {
            db.execute("INSERT INTO label VALUES (?, 'label', ?1)", [label as i64]).unwrap();
        }
        for job in 0..=JOBS {
            let labels = (0..).zip(having).filter(|(_, having)| job < *having);
            put(&db, job as i64 * 16, labels.map(|(label, _)| label).collect()).unwrap();
        }
        let agree = |from: usize| {
            for (label, having) in (0..).zip(having) {
                assert_eq!(found(&db, label, 0..i64::MAX), having.saturating_sub(from), "{having}");
                let (middle, end) = (having.min(300).max(from), having.min(3000).max(from));
                assert_eq!(found(&db, label, 300 * 16..3000 * 16), end - middle, "{having}");
            }
        };
        agree(0);
        assert_eq!(fold(&db).unwrap().unwrap().jobs, JOBS);
        assert!(fold(&db).unwrap().is_none());
        assert_eq!(rows(&db, "job_tail"), 1);
        agree(0);
        let ids: Vec<i64> = (0..JOBS as i64).map(|job| job * 16).collect();
        take_out(&db, &ids[..256]).unwrap();
        agree(256);
        assert_eq!(forget(&db, 3).unwrap(), (0, false), "it has jobs");
        take_out(&db, &ids).unwrap();
        agree(JOBS);
        assert_eq!(forget(&db, 3).unwrap(), (3, true));
        assert_eq!(forget(&db, 3).unwrap(), (3, true));
        assert_eq!(forget(&db, 3).unwrap(), (1, true));
        assert_eq!(forget(&db, 3).unwrap(), (0, false));
        for table in ["block", "block_jobs", "block_label", "label"] {
            assert_eq!(rows(&db, table), 0, "{table}");
        }
    }

    #[test]
    fn blocks_of_one_row_go_one_by_one() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::migrate::run(&mut db, Path::new("new")).unwrap();
        db.execute_batch("INSERT INTO label VALUES (7, 'label', 'seven'), (8, 'label', 'eight')")
            .unwrap();
        let jobs = |blocks: Range<usize>| -> Vec<i64> {
            (blocks.start * JOBS..blocks.end * JOBS).map(|job| job as i64 * 16).collect()
        };
        for job in jobs(0..20) {
            let labels = if job % 3 == 0 { vec![7, 8] } else { vec![7] };
            put(&db, job, labels.into_iter().collect()).unwrap();
        }
        while fold(&db).unwrap().is_some() {}
        assert_eq!(rows(&db, "job_tail"), 0);
        for (blocks, left) in [(9..10, 19), (18..20, 17), (0..9, 8), (10..17, 1)] {
            take_out(&db, &jobs(blocks)).unwrap();
            while forget(&db, 1).unwrap().0 > 0 {}
            assert_eq!(rows(&db, "block"), left as i64);
            assert_eq!(found(&db, 7, 0..i64::MAX), left * JOBS);
            let third = found(&db, 8, 0..i64::MAX);
            assert!(third.abs_diff(left * JOBS / 3) < 20, "{third}");
            assert_eq!(rows(&db, "label"), 2);
        }
        take_out(&db, &jobs(17..18)).unwrap();
        while forget(&db, 1).unwrap().0 > 0 {}
        assert_eq!((rows(&db, "block_label"), rows(&db, "label")), (0, 0));
    }

    #[test]
    fn jobs_with_many_labels_make_small_blocks() {
        let mut db = Connection::open_in_memory().unwrap();
        super::super::migrate::run(&mut db, Path::new("new")).unwrap();
        for job in 0..JOBS as i64 {
            let own = (0..100).map(|n| 1000 + job * 100 + n);
            put(&db, job * 16, own.chain([7]).collect()).unwrap();
        }
        let folded = fold(&db).unwrap().unwrap();
        assert_eq!(folded.jobs, LABELS.div_ceil(101));
        assert_eq!(found(&db, 7, 0..i64::MAX), JOBS);
        assert_eq!(found(&db, 1000 + 5 * 100 + 99, 0..i64::MAX), 1);
        assert!(fold(&db).unwrap().is_none());
        take_out(&db, &(0..JOBS as i64).map(|job| job * 16).collect::<Vec<_>>()).unwrap();
        while forget(&db, 50_000).unwrap().0 > 0 {}
        assert_eq!((rows(&db, "block"), rows(&db, "block_label")), (0, 0));
    }
}
