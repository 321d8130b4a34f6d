//! The one connection that writes, as everything but the engine's own commits uses it.

use std::sync::Arc;

use dispatcher::StoreError;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::read::Boxed;

/// The engine's connection: SQLite has one writer, and waiting for a lock of ours is fair.
pub(super) struct Writer {
    connection: Arc<Mutex<Connection>>,
    on_fatal: Box<dyn Fn(&StoreError) + Send + Sync>,
}

impl Writer {
    pub fn new(connection: Arc<Mutex<Connection>>) -> Self {
        Self { connection, on_fatal: Box::new(|_| {}) }
    }

    /// What to do when the disk fails: as for the engine's half, nothing may be acknowledged after it.
    pub fn on_fatal(self, on_fatal: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        Self { on_fatal: Box::new(on_fatal), ..self }
    }

    /// One transaction: all of it or nothing.
    pub fn write<T>(
        &self,
        doing: &str,
        write: impl FnOnce(&Connection) -> Result<T, Boxed>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection.lock();
        let run = || -> Result<T, Boxed> {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = write(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|error| {
            let fatal = is_fatal(&error);
            let error = StoreError::new(doing, error);
            if fatal {
                (self.on_fatal)(&error);
            }
            error
        })
    }
}

/// Whether it is the disk and not the statement.
fn is_fatal(error: &Boxed) -> bool {
    let code = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    matches!(
        code,
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
        )
    )
}
