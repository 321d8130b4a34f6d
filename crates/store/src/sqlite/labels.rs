//! What finished jobs are found by: their labels, how they ended, and the results that others may reuse.

use std::collections::{BTreeSet, HashMap};

use model::{JobId, Outcome, ReuseKey, WallMs};
use rusqlite::{Connection, OptionalExtension, params};

use super::blocks;
use super::read::Boxed;
use crate::codec;

/// Numbers of names that were used lately: most jobs have the same few.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    known: HashMap<(&'static str, String), i64>,
}

/// Names may be long, and different for each job.
const NUMBERS_MAX: usize = 10_000;

impl Numbers {
    /// The number of a name, which gets one when it is new.
    fn of(&mut self, db: &Connection, kind: &'static str, name: String) -> rusqlite::Result<i64> {
        let key = (kind, name);
        if let Some(number) = self.known.get(&key) {
            return Ok(*number);
        }
        let mut statement = db.prepare_cached(
            "-- source: store/sqlite/labels.rs number
             SELECT label_id FROM label WHERE kind = ? AND name = ?",
        )?;
        let known: Option<i64> =
            statement.query_row(params![kind, key.1], |row| row.get(0)).optional()?;
        let number = match known {
            Some(number) => number,
            None => {
                db.prepare_cached(
                    "-- source: store/sqlite/labels.rs new number
                     INSERT INTO label (kind, name) VALUES (?, ?)",
                )?
                .execute(params![kind, key.1])?;
                db.last_insert_rowid()
            }
        };
        if self.known.len() >= NUMBERS_MAX {
            self.known.clear();
        }
        self.known.insert(key, number);
        Ok(number)
    }
}

/// Makes a job that is over findable: by its labels, the runners it was on, how it ended, and 'reused' beside that when its
/// result is another's. A job without a wire id is not.
pub(super) fn put(
    db: &Connection,
    numbers: &mut Numbers,
    id: JobId,
    outcome: &Outcome,
) -> Result<bool, Boxed> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/labels.rs put spec
         SELECT wire_id, labels, reuses IS NOT NULL FROM job_spec WHERE job_id = ? AND wire_id IS NOT NULL",
    )?;
    let mut rows = statement.query([id.0 as i64])?;
    let Some(row) = rows.next()? else { return Ok(false) };
    let wire_id: i64 = row.get(0)?;
    let labels = codec::labels_from_text(row.get_ref(1)?.as_str_or_null()?)?;
    let mut wanted = BTreeSet::from([numbers.of(db, "outcome", outcome.name().to_owned())?]);
    if row.get(2)? {
        wanted.insert(numbers.of(db, "outcome", "reused".to_owned())?);
    }
    for label in &*labels {
        wanted.insert(numbers.of(db, "label", label.to_string())?);
    }
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/labels.rs put runners
         SELECT DISTINCT runner FROM attempt WHERE job_id = ?",
    )?;
    let mut rows = statement.query([id.0 as i64])?;
    while let Some(row) = rows.next()? {
        wanted.insert(numbers.of(db, "runner", row.get(0)?)?);
    }
    blocks::put(db, wire_id, wanted)?;
    Ok(true)
}

/// The job is live again. Says whether names were deleted.
pub(super) fn remove(db: &Connection, id: JobId) -> Result<bool, Boxed> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/labels.rs remove
         SELECT wire_id FROM job_spec WHERE job_id = ?",
    )?;
    match statement.query_row([id.0 as i64], |row| row.get(0))? {
        Some(wire_id) => blocks::take_out(db, &[wire_id]),
        None => Ok(false),
    }
}

pub(super) fn put_reuse(
    db: &Connection,
    key: ReuseKey,
    id: JobId,
    at: WallMs,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "-- source: store/sqlite/labels.rs put_reuse
         INSERT INTO job_reuse (key, job_id, ended_ms) VALUES (?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id, ended_ms = excluded.ended_ms
         WHERE excluded.job_id > job_id",
    )?
    .execute(params![key.0, id.0 as i64, at.0 as i64])?;
    Ok(())
}
