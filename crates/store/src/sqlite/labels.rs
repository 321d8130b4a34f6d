//! What finished jobs are found by: their labels, how they ended, and the results that others may reuse.

use model::{JobId, Outcome, ReuseKey, WallMs};
use rusqlite::{Connection, OptionalExtension, params};

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

/// Indexes a job that is over.
pub(super) fn put(db: &Connection, id: JobId, outcome: &Outcome) -> rusqlite::Result<()> {
    let Some(wire_id) = wire_id(db, id)? else { return Ok(()) };
    db.prepare_cached(&format!(
        "-- source: store/sqlite/labels.rs put names
         INSERT OR IGNORE INTO label (kind, name) {NAMES}"
    ))?
    .execute(params![id.0 as i64, outcome.name()])?;
    db.prepare_cached(&format!(
        "-- source: store/sqlite/labels.rs put
         INSERT INTO job_label (label_id, wire_id)
         SELECT label_id, ?3 FROM ({NAMES}) JOIN label USING (kind, name)"
    ))?
    .execute(params![id.0 as i64, outcome.name(), wire_id])?;
    Ok(())
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
