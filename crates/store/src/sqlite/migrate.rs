//! Schema versions: linear, each in one transaction with its number, so that a kill leaves the old schema or the new (I39).

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// Tells our files from other programs'. "PHLX".
const APPLICATION_ID: u32 = 0x5048_4c58;

/// In order. A migration that was released is never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_jobs.sql"),
    include_str!("../migrations/0002_campaigns.sql"),
    include_str!("../migrations/0003_terms.sql"),
    include_str!("../migrations/0004_house.sql"),
    include_str!("../migrations/0005_blocks.sql"),
];

pub(super) fn run(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let fail = |source| OpenError::Open { path: path.to_owned(), source };
    let known = MIGRATIONS.len() as u32;
    let version: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fail)?;
    let application: u32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(fail)?;
    let tables: u32 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(fail)?;
    if application != APPLICATION_ID && (application != 0 || tables > 0) {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    if version > known {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known });
    }
    if version > 0 && version < known {
        tracing::info!(
            "bringing `{}` from schema {version} to {known}; with millions of tasks that takes minutes",
            path.display()
        );
    }
    for (number, sql) in (1u32..).zip(MIGRATIONS).skip(version as usize) {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        transaction.execute_batch(sql).map_err(fail)?;
        transaction.pragma_update(None, "user_version", number).map_err(fail)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(fail)?;
        transaction.commit().map_err(fail)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database as the version before left it, with a job that somebody had asked to stop.
    #[test]
    fn a_database_in_use_is_brought_up_to_date() {
        let path = Path::new("old");
        let mut db = Connection::open_in_memory().unwrap();
        for sql in &MIGRATIONS[..2] {
            db.execute_batch(sql).unwrap();
        }
        db.pragma_update(None, "user_version", 2).unwrap();
        db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        db.execute_batch(
            "INSERT INTO job_spec (job_id, queue, owner, priority, slices, retries, created_ms, payload)
             VALUES (1, 'q', 'ann', 1, '[]', 0, 5, x'');
             INSERT INTO job_live (job_id, state, slice, attempts, lost, runner, session, poll, since_ms, cancel)
             VALUES (1, 'running', 0, 1, 0, 'r', 1, 1, 7, 1);
             INSERT INTO runner (name, session, slots, draining, queues, dimensions, changed_ms)
             VALUES ('r', 1, 1, 0, '[]', '[]', 7);",
        )
        .unwrap();
        run(&mut db, path).unwrap();
        let asked: i64 =
            db.query_row("SELECT cancel_ms FROM job_live", [], |row| row.get(0)).unwrap();
        assert_eq!(asked, 7);
        // Again changes nothing.
        run(&mut db, path).unwrap();
    }

    #[test]
    fn finished_jobs_keep_their_labels() {
        let mut db = Connection::open_in_memory().unwrap();
        for sql in &MIGRATIONS[..4] {
            db.execute_batch(sql).unwrap();
        }
        db.pragma_update(None, "user_version", 4).unwrap();
        db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        db.execute_batch("INSERT INTO job_label VALUES (3, 50), (258, 50), (1, 50), (3, 66)")
            .unwrap();
        run(&mut db, Path::new("old")).unwrap();
        let mut statement = db.prepare("SELECT wire_id, labels FROM job_tail ORDER BY 1").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let rows: Vec<(i64, Vec<u8>)> = rows.map(Result::unwrap).collect();
        let numbers = |of: &[u64]| of.iter().flat_map(|number| number.to_be_bytes()).collect();
        assert_eq!(rows, [(50, numbers(&[1, 3, 258])), (66, numbers(&[3]))]);
    }
}
