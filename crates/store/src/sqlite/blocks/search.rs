//! What finds jobs in blocks, and in the rows of those that are in none.

use std::collections::HashMap;
use std::ops::Range;

use fixedbitset::FixedBitSet;
use rusqlite::Connection;

use super::super::read::Boxed;
use super::{AT_ONCE, Block, add, blocks, none, numbers_from_blob, parts, row};

/// What a finished job must have to be found.
#[derive(Debug)]
pub(in crate::sqlite) struct Wanted {
    /// Of each set at least one. Sets rise.
    pub one_of: Vec<Vec<i64>>,
    pub without: Option<i64>,
    pub wire_ids: Range<i64>,
}

impl Wanted {
    fn takes(&self, labels: &[u8]) -> bool {
        let has = |one_of: &[i64]| {
            numbers_from_blob(labels).any(|number| one_of.binary_search(&number).is_ok())
        };
        self.one_of.iter().all(|one_of| has(one_of)) && !has(self.without.as_slice())
    }
}

/// Which jobs of each block are wanted, of whatever range.
fn wanted_of(
    db: &Connection,
    wanted: &Wanted,
    blocks: &[Block],
) -> Result<Vec<FixedBitSet>, Boxed> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/blocks/search.rs wanted_of
         SELECT place, bits FROM block_label WHERE place >= ? AND place <= ?",
    )?;
    let at: HashMap<i64, usize> = blocks.iter().enumerate().map(|(at, b)| (b.id, at)).collect();
    let (Some(first), Some(last)) = (at.keys().min(), at.keys().max()) else {
        return Ok(Vec::new());
    };
    let mut with = vec![none(); blocks.len()];
    let mut read = |with: &mut [FixedBitSet], numbers: &[i64]| -> Result<(), Boxed> {
        with.iter_mut().for_each(FixedBitSet::clear);
        for number in numbers {
            let mut rows = statement.query([row(*number, *first), row(*number, *last)])?;
            while let Some(found) = rows.next()? {
                for (block, bits) in parts(found.get(0)?, found.get_ref(1)?.as_blob()?) {
                    if let Some(at) = at.get(&block) {
                        add(&mut with[*at], bits);
                    }
                }
            }
        }
        Ok(())
    };
    let mut found: Vec<FixedBitSet> = blocks.iter().map(Block::there).collect();
    for one_of in &wanted.one_of {
        read(&mut with, one_of)?;
        found.iter_mut().zip(&with).for_each(|(found, with)| found.intersect_with(with));
        if found.iter().all(FixedBitSet::is_clear) {
            return Ok(found);
        }
    }
    if let Some(without) = wanted.without {
        read(&mut with, &[without])?;
        found.iter_mut().zip(&with).for_each(|(found, with)| found.difference_with(with));
    }
    Ok(found)
}

/// The newest first.
pub(in crate::sqlite) fn find(
    db: &Connection,
    wanted: &Wanted,
    limit: usize,
) -> Result<Vec<i64>, Boxed> {
    let mut found: Vec<i64> = Vec::new();
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/blocks/search.rs find
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
    let enough = |found: &[i64], next: &Block| {
        found.len() >= limit && found.last().is_none_or(|oldest| *oldest > next.last)
    };
    // Ever more blocks at once: what is found at all is mostly found in the newest.
    let mut step = 1;
    let mut some = blocks(db, &wanted.wire_ids, None, step)?;
    while some.first().is_some_and(|next| !enough(&found, next)) {
        for (block, bits) in some.iter().zip(wanted_of(db, wanted, &some)?) {
            if bits.is_clear() || enough(&found, block) {
                continue;
            }
            let wire_ids = block.wire_ids(db)?;
            let of_block = bits.ones().filter_map(|place| wire_ids.get(place));
            found.extend(of_block.filter(|id| wanted.wire_ids.contains(id)));
            found.sort_unstable_by(|a, b| b.cmp(a));
            found.truncate(limit);
        }
        step = (step * 2).min(AT_ONCE);
        some = blocks(db, &wanted.wire_ids, some.last(), step)?;
    }
    Ok(found)
}

pub(in crate::sqlite) fn count(db: &Connection, wanted: &Wanted) -> Result<usize, Boxed> {
    let mut count = 0;
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/blocks/search.rs count
         SELECT labels FROM job_tail WHERE wire_id >= ? AND wire_id < ?",
    )?;
    let mut rows = statement.query([wanted.wire_ids.start, wanted.wire_ids.end])?;
    while let Some(row) = rows.next()? {
        count += usize::from(wanted.takes(row.get_ref(0)?.as_blob()?));
    }
    let mut some = blocks(db, &wanted.wire_ids, None, AT_ONCE)?;
    while !some.is_empty() {
        for (block, bits) in some.iter().zip(wanted_of(db, wanted, &some)?) {
            if wanted.wire_ids.start <= block.first && block.last < wanted.wire_ids.end {
                count += bits.count_ones(..);
            } else if !bits.is_clear() {
                let wire_ids = block.wire_ids(db)?;
                let place = |end: i64| wire_ids.partition_point(|id| *id < end);
                let range = place(wanted.wire_ids.start)..place(wanted.wire_ids.end);
                count += bits.count_ones(range);
            }
        }
        some = blocks(db, &wanted.wire_ids, some.last(), AT_ONCE)?;
    }
    Ok(count)
}
