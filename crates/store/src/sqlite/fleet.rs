//! Machines and their events.

use std::sync::Arc;

use dispatcher::StoreError;
use fleet::{Event, EventQuery, FleetError, FleetStore, Record};
use model::{RunnerName, WallMs};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::read::{Boxed, SqliteReader, all};
use super::shared::Writer;
use crate::codec;

/// Reads from connections of its own and writes through the engine's.
pub struct SqliteFleet {
    writer: Writer,
    reader: SqliteReader,
}

impl SqliteFleet {
    pub(super) fn new(writer: Arc<Mutex<Connection>>, reader: SqliteReader) -> Self {
        Self { writer: Writer::new(writer), reader }
    }

    /// See [`Writer::on_fatal`].
    pub fn on_fatal(self, on_fatal: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        Self { writer: self.writer.on_fatal(on_fatal), ..self }
    }
}

impl std::fmt::Debug for SqliteFleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteFleet").field("reader", &self.reader).finish_non_exhaustive()
    }
}

/// The column `record`.
#[derive(Serialize, Deserialize)]
struct Stored {
    first_seen: u64,
    dimensions: String,
    state: String,
    version: String,
    address: String,
    identity: String,
    quarantined: Option<String>,
    maintenance: Option<String>,
    dead: bool,
    idle_since: Option<u64>,
    task: Option<(u64, String)>,
    terminated_by: Option<u64>,
    session: u64,
}

fn stored(record: &Record) -> Stored {
    let owned = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    Stored {
        first_seen: record.first_seen.0,
        dimensions: codec::dimensions_to_text(&record.dimensions),
        state: record.state.to_string(),
        version: record.version.to_string(),
        address: record.address.to_string(),
        identity: record.identity.to_string(),
        quarantined: owned(&record.quarantined),
        maintenance: owned(&record.maintenance),
        dead: record.dead,
        idle_since: record.idle_since.map(|at| at.0),
        task: record.task.as_ref().map(|(id, name)| (*id, name.to_string())),
        terminated_by: record.terminated_by,
        session: record.session,
    }
}

fn record(name: &str, stored: Stored) -> Result<Record, Boxed> {
    Ok(Record {
        name: RunnerName::new(name),
        first_seen: WallMs(stored.first_seen),
        dimensions: codec::dimensions_from_text(&stored.dimensions)?,
        state: stored.state.into(),
        version: stored.version.into(),
        address: stored.address.into(),
        identity: stored.identity.into(),
        quarantined: stored.quarantined.map(Into::into),
        maintenance: stored.maintenance.map(Into::into),
        dead: stored.dead,
        idle_since: stored.idle_since.map(WallMs),
        task: stored.task.map(|(id, name)| (id, name.into())),
        terminated_by: stored.terminated_by,
        session: stored.session,
    })
}

fn text_id(db: &Connection, text: &str) -> rusqlite::Result<i64> {
    let known = db
        .prepare_cached(
            "-- source: store/sqlite/fleet.rs text_id
             SELECT text_id FROM machine_text WHERE text = ?",
        )?
        .query_row([text], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    db.prepare_cached("INSERT INTO machine_text (text) VALUES (?)")?.insert([text])
}

fn insert_event(db: &Connection, event: &Event) -> rusqlite::Result<()> {
    let dimensions = text_id(db, &codec::dimensions_to_text(&event.dimensions))?;
    db.prepare_cached(
        "-- source: store/sqlite/fleet.rs insert_event
         INSERT INTO machine_event (name, at_ms, kind, message, task, dimensions, state, version, identity, address,
                                    quarantined, maintenance)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        event.runner.as_str(),
        event.at.0 as i64,
        &*event.kind,
        &*event.message,
        event.task.map(|task| task as i64),
        dimensions,
        &*event.state,
        &*event.version,
        &*event.identity,
        &*event.address,
        event.quarantined,
        event.maintenance.as_deref(),
    ])?;
    Ok(())
}

fn event(row: &Row<'_>) -> Result<(u64, Event), Boxed> {
    let text = |index| -> rusqlite::Result<Arc<str>> { Ok(row.get_ref(index)?.as_str()?.into()) };
    let event = Event {
        runner: RunnerName(text(1)?),
        at: WallMs(row.get::<_, i64>(2)? as u64),
        kind: text(3)?,
        message: text(4)?,
        task: row.get::<_, Option<i64>>(5)?.map(|task| task as u64),
        dimensions: codec::dimensions_from_text(row.get_ref(6)?.as_str()?)?,
        state: text(7)?,
        version: text(8)?,
        identity: text(9)?,
        address: text(10)?,
        quarantined: row.get(11)?,
        maintenance: row.get::<_, Option<String>>(12)?.map(Into::into),
    };
    Ok((row.get::<_, i64>(0)? as u64, event))
}

impl SqliteFleet {
    fn write<T>(
        &self,
        doing: &'static str,
        write: impl FnOnce(&Connection) -> Result<T, Boxed>,
    ) -> Result<T, FleetError> {
        self.writer.write(doing, write).map_err(|e| FleetError { doing, source: e.source })
    }

    fn read<T>(
        &self,
        doing: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, Boxed>,
    ) -> Result<T, FleetError> {
        self.reader.with(doing, read).map_err(|e| FleetError { doing, source: e.source })
    }
}

impl FleetStore for SqliteFleet {
    fn load(&self) -> Result<Vec<(Record, WallMs)>, FleetError> {
        self.read("load the machines", |db| {
            let sql = "-- source: store/sqlite/fleet.rs load
                SELECT name, record, seen_ms FROM machine ORDER BY name";
            all(db, sql, [], |row| {
                let stored = serde_json::from_str(row.get_ref(1)?.as_str()?)?;
                let seen = WallMs(row.get::<_, i64>(2)? as u64);
                Ok((record(row.get_ref(0)?.as_str()?, stored)?, seen))
            })
        })
    }

    fn write(
        &self,
        put: &[(Record, WallMs)],
        deleted: &[RunnerName],
        events: &[Event],
    ) -> Result<(), FleetError> {
        self.write("write what machines report", |db| {
            for name in deleted {
                db.prepare_cached(
                    "-- source: store/sqlite/fleet.rs write delete
                     DELETE FROM machine WHERE name = ?",
                )?
                .execute([name.as_str()])?;
            }
            for (record, seen) in put {
                db.prepare_cached(
                    "-- source: store/sqlite/fleet.rs write put
                     INSERT OR REPLACE INTO machine (name, record, seen_ms) VALUES (?, ?, ?)",
                )?
                .execute(params![
                    record.name.as_str(),
                    serde_json::to_string(&stored(record))?,
                    seen.0 as i64
                ])?;
            }
            events.iter().try_for_each(|event| insert_event(db, event))?;
            Ok(())
        })
    }

    fn events(&self, query: &EventQuery) -> Result<Vec<(u64, Event)>, FleetError> {
        self.read("list a machine's events", |db| {
            let sql = "-- source: store/sqlite/fleet.rs events
                SELECT e.event_id, e.name, e.at_ms, e.kind, e.message, e.task, d.text, e.state, e.version, e.identity,
                       e.address, e.quarantined, e.maintenance
                FROM machine_event e JOIN machine_text d ON d.text_id = e.dimensions
                WHERE e.name = ? AND e.at_ms >= ? AND e.at_ms < ? AND e.event_id < ?
                ORDER BY e.at_ms DESC, e.event_id DESC LIMIT ?";
            let most = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            let parameters = params![
                query.runner.as_str(),
                most(query.at.start.0),
                most(query.at.end.0),
                most(query.before.unwrap_or(u64::MAX)),
                query.limit as i64
            ];
            all(db, sql, parameters, event)
        })
    }

    fn prune_events(&self, before: WallMs, limit: usize) -> Result<usize, FleetError> {
        self.write("drop old events of machines", |db| {
            let gone = db
                .prepare_cached(
                    "-- source: store/sqlite/fleet.rs prune_events
                     DELETE FROM machine_event WHERE event_id IN (
                         SELECT event_id FROM machine_event ORDER BY event_id LIMIT ?2
                     ) AND at_ms < ?1",
                )?
                .execute(params![before.0 as i64, limit as i64])?;
            Ok(gone)
        })
    }
}
