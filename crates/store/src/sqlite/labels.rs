//! What finished jobs are found by: their labels, how they ended, and the results that others may reuse.

use std::collections::{BTreeSet, HashMap};

use model::{JobId, Outcome, ReuseKey, WallMs};
use rusqlite::{Connection, OptionalExtension, params};

use super::read::{Boxed, all};
use crate::codec;

/// What names a job that is over, as (kind, name) pairs: parameters are its id and its outcome.
const NAMES: &str = "
    SELECT 'label' AS kind, value AS name FROM job_spec, json_each(coalesce(labels, '[]')) WHERE job_id = ?1
    UNION SELECT 'runner', runner FROM attempt WHERE job_id = ?1
    UNION SELECT 'outcome', ?2
    UNION SELECT 'outcome', 'reused' FROM job_spec WHERE job_id = ?1 AND reuses IS NOT NULL";

fn wire_id(db: &Connection, id: JobId) -> rusqlite::Result<Option<i64>> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/labels.rs wire_id
         SELECT wire_id FROM job_spec WHERE job_id = ?",
    )?;
    statement.query_row([id.0 as i64], |row| row.get(0)).optional().map(Option::flatten)
}

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

/// Indexes a job that is over, by what [`NAMES`] would say of it.
pub(super) fn put(
    db: &Connection,
    numbers: &mut Numbers,
    id: JobId,
    outcome: &Outcome,
) -> Result<(), Boxed> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/labels.rs put spec
         SELECT wire_id, labels, reuses IS NOT NULL FROM job_spec WHERE job_id = ? AND wire_id IS NOT NULL",
    )?;
    let mut rows = statement.query([id.0 as i64])?;
    let Some(row) = rows.next()? else { return Ok(()) };
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
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/labels.rs put
         INSERT INTO job_label (label_id, wire_id) VALUES (?, ?)",
    )?;
    for number in wanted {
        statement.execute([number, wire_id])?;
    }
    Ok(())
}

/// The job is deleted. Says whether names were deleted with it: those that no job has any more.
pub(super) fn forget(db: &Connection, job: i64, wire_id: i64) -> Result<bool, Boxed> {
    let outcome: String = db
        .prepare_cached("SELECT outcome FROM job_done WHERE job_id = ?")?
        .query_row([job], |row| row.get(0))?;
    let sql = format!(
        "-- source: store/sqlite/labels.rs forget
         SELECT label_id FROM ({NAMES}) JOIN label USING (kind, name)"
    );
    let numbers = all(db, &sql, params![job, outcome], |row| Ok(row.get::<_, i64>(0)?))?;
    let mut gone = 0;
    for number in numbers {
        db.prepare_cached("DELETE FROM job_label WHERE label_id = ? AND wire_id = ?")?
            .execute([number, wire_id])?;
        gone += db
            .prepare_cached(
                "DELETE FROM label WHERE label_id = ?1
                 AND NOT EXISTS (SELECT 1 FROM job_label WHERE label_id = ?1)",
            )?
            .execute([number])?;
    }
    Ok(gone > 0)
}

/// The job is live again.
pub(super) fn remove(db: &Connection, id: JobId) -> rusqlite::Result<()> {
    let Some(wire_id) = wire_id(db, id)? else { return Ok(()) };
    let outcome: String = db
        .prepare_cached("SELECT outcome FROM job_done WHERE job_id = ?")?
        .query_row([id.0 as i64], |row| row.get(0))?;
    db.prepare_cached(&format!(
        "-- source: store/sqlite/labels.rs remove
         DELETE FROM job_label WHERE wire_id = ?3
         AND label_id IN (SELECT label_id FROM ({NAMES}) JOIN label USING (kind, name))"
    ))?
    .execute(params![id.0 as i64, outcome, wire_id])?;
    Ok(())
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
