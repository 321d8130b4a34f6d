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
