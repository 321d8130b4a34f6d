//! The campaigns' half of the store: actions, saved searches, patch sets, campaigns, and the server's own settings.

mod actions;
mod changesets;
mod patch_sets;
mod saved_searches;
mod site;

use std::sync::Arc;

use dispatcher::StoreError;
use parking_lot::Mutex;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::part;
use super::read::{Boxed, SqliteReader, all};
use super::shared::Writer;

/// Reads from connections of its own and writes through the engine's.
pub struct SqliteCampaigns {
    writer: Writer,
    reader: SqliteReader,
}

impl std::fmt::Debug for SqliteCampaigns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteCampaigns").field("reader", &self.reader).finish_non_exhaustive()
    }
}

impl SqliteCampaigns {
    pub(super) fn new(writer: Arc<Mutex<Connection>>, reader: SqliteReader) -> Self {
        Self { writer: Writer::new(writer), reader }
    }

    /// See [`Writer::on_fatal`].
    pub fn on_fatal(self, on_fatal: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        Self { writer: self.writer.on_fatal(on_fatal), ..self }
    }

    fn read<T>(
        &self,
        doing: &str,
        read: impl FnOnce(&Connection) -> Result<T, Boxed>,
    ) -> Result<T, StoreError> {
        self.reader.with(doing, read)
    }

    /// One transaction: all of it or nothing.
    fn write<T>(
        &self,
        doing: &str,
        write: impl FnOnce(&Connection) -> Result<T, Boxed>,
    ) -> Result<T, StoreError> {
        self.writer.write(doing, write)
    }
}

/// The first row of a query, mapped.
fn one<T>(
    db: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    map: impl Fn(&Row<'_>) -> Result<T, Boxed>,
) -> Result<Option<T>, Boxed> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(map).transpose()
}

/// How many rows a statement changed.
fn run(db: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, Boxed> {
    Ok(db.prepare_cached(sql)?.execute(parameters)?)
}

fn count(db: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Result<u64, Boxed> {
    let count: i64 = db.prepare_cached(sql)?.query_row(parameters, |row| row.get(0))?;
    Ok(count as u64)
}

/// An id or a time: 64 bits that fit SQLite's signed integers.
#[derive(Clone, Copy)]
struct Int(u64);

impl ToSql for Int {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0 as i64))
    }
}

impl FromSql for Int {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|value| Self(value as u64))
    }
}

/// A word of an enum, or a document, as serde writes it. A word stands without its quotes.
struct Json<T>(T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = serde_json::to_value(&self.0)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        Ok(ToSqlOutput::from(match value {
            serde_json::Value::String(word) => word,
            value => value.to_string(),
        }))
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        let word = || serde_json::from_value(serde_json::Value::String(text.to_owned()));
        let value = serde_json::from_str(text).or_else(|_| word());
        value.map(Self).map_err(|error| FromSqlError::Other(error.into()))
    }
}

/// A LIMIT that asks for one more, to know whether more come.
fn one_more(first: usize) -> i64 {
    i64::try_from(first).unwrap_or(i64::MAX).saturating_add(1)
}
