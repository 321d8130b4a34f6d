//! What the engine starts with: live jobs, runners, and keys that were used.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use engine::ops::RunnerSpec;
use engine::{LiveJob, Place, Snapshot, StoredKey};
use model::{
    AttemptNumber, Cancel, GroupId, JobId, NewJob, Priority, Reuse, RunnerName, Session, Slice,
    Terms, WallMs, limit,
};
use rusqlite::{Connection, Row};

use super::read::Boxed;
use crate::codec;

/// Live jobs of which somebody wants to hear.
pub(super) fn notified(db: &Connection) -> rusqlite::Result<BTreeSet<JobId>> {
    let mut statement = db.prepare(
        "-- source: store/sqlite/load.rs notified
         SELECT job_id FROM job_live JOIN job_spec USING (job_id) WHERE notify = 1",
    )?;
    let ids = statement.query_map([], |row| row.get::<_, i64>(0))?;
    ids.map(|id| Ok(JobId(id? as u64))).collect()
}

pub(super) fn load(db: &Connection) -> Result<Snapshot, Boxed> {
    let highest = |table: &str, column: &str| -> rusqlite::Result<u64> {
        let sql = format!("SELECT coalesce(max({column}), 0) FROM {table}");
        db.query_row(&sql, [], |row| row.get::<_, i64>(0)).map(|id| id as u64)
    };
    Ok(Snapshot {
        next_job: highest("job_spec", "job_id")? + 1,
        next_group: highest("job_group", "group_id")? + 1,
        jobs: jobs(db)?,
        runners: runners(db)?,
        keys: keys(db)?,
    })
}

fn jobs(db: &Connection) -> Result<Vec<LiveJob>, Boxed> {
    let mut statement = db.prepare(
        "-- source: store/sqlite/load.rs jobs
         SELECT job_id, group_id, queue, owner, priority, slices, timeout_ms, retries,
                state, slice, attempts, lost, runner, session, poll, since_ms, cancel_ms,
                wire_id, parent, job_order, lease_ms, reuses, reuses_slice, created_ms, facts
         FROM job_live JOIN job_spec USING (job_id) ORDER BY job_id",
    )?;
    // Queues, owners and slices repeat: the same text is the same value, once in memory.
    let mut names: HashMap<String, Arc<str>> = Default::default();
    let mut slices: HashMap<String, Arc<[Slice]>> = Default::default();
    let mut jobs = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut name = |index| -> rusqlite::Result<Arc<str>> {
            let text = row.get_ref(index)?.as_str()?;
            if let Some(name) = names.get(text) {
                return Ok(name.clone());
            }
            let name: Arc<str> = text.into();
            names.insert(text.to_owned(), name.clone());
            Ok(name)
        };
        let (queue, owner) = (name(2)?, name(3)?);
        let text = row.get_ref(5)?.as_str()?;
        let of_job = match slices.get(text) {
            Some(known) => known.clone(),
            None => {
                let read = codec::slices_from_text(text)?;
                slices.insert(text.to_owned(), read.clone());
                read
            }
        };
        jobs.push(LiveJob {
            id: JobId(row.get::<_, i64>(0)? as u64),
            group: row.get::<_, Option<i64>>(1)?.map(|id| GroupId(id as u64)),
            job: Arc::new(NewJob {
                queue,
                owner,
                priority: Priority(row.get(4)?),
                slices: of_job,
                timeout_ms: row.get::<_, Option<i64>>(6)?.map(|ms| ms as u64),
                lost_runner_retries: row.get(7)?,
                payload: [].into(),
                // Labels stay in the store, as the payload does.
                terms: terms(row, 17, [].into())?,
            }),
            attempts: row.get(10)?,
            lost: row.get(11)?,
            created: WallMs(row.get::<_, i64>(23)? as u64),
            place: place(row)?,
        });
    }
    Ok(jobs)
}

/// The terms in six columns from `first`: wire_id, parent, job_order, lease_ms, reuses, reuses_slice.
pub(super) fn terms(row: &Row<'_>, first: usize, labels: Arc<[Arc<str>]>) -> Result<Terms, Boxed> {
    let unsigned = |index| -> rusqlite::Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(index)?.map(|value| value as u64))
    };
    let reuses = match (unsigned(first + 4)?, row.get(first + 5)?) {
        (Some(job), Some(slice)) => Some(Reuse { job: JobId(job), slice }),
        _ => None,
    };
    Ok(Terms {
        order: codec::order_from(row.get_ref(first + 2)?.as_str_or_null()?)?,
        lease_ms: unsigned(first + 3)?,
        parent: unsigned(first + 1)?.map(JobId),
        reuses,
        wire_id: unsigned(first)?,
        // Only ever searched for.
        request_key: None,
        labels,
        // Only the writer looks at it.
        notify: false,
    })
}

pub(super) fn cancel(at: Option<i64>) -> Cancel {
    at.map_or(Cancel::None, |at| Cancel::Requested(WallMs(at as u64)))
}

fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    let slice = row.get(9)?;
    if row.get_ref(8)?.as_str()? == "queued" {
        return Ok(Place::Queued { slice });
    }
    Ok(Place::Running {
        attempt: AttemptNumber(row.get(10)?),
        slice,
        runner: RunnerName::new(row.get_ref(12)?.as_str()?),
        session: Session(row.get::<_, i64>(13)? as u64),
        poll: row.get::<_, i64>(14)? as u64,
        since: WallMs(row.get::<_, i64>(15)? as u64),
        cancel: cancel(row.get(16)?),
        facts: row.get::<_, Option<Vec<u8>>>(24)?.map(Into::into),
    })
}

fn runners(db: &Connection) -> Result<Vec<(RunnerSpec, bool)>, Boxed> {
    let mut statement = db.prepare(
        "-- source: store/sqlite/load.rs runners
         SELECT name, session, slots, draining, queues, dimensions, keep FROM runner ORDER BY name",
    )?;
    let mut runners = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let queues: Vec<String> = serde_json::from_str(row.get_ref(4)?.as_str()?)?;
        let spec = RunnerSpec {
            name: RunnerName::new(row.get_ref(0)?.as_str()?),
            session: Session(row.get::<_, i64>(1)? as u64),
            slots: row.get(2)?,
            queues: queues.iter().map(|queue| queue.as_str().into()).collect(),
            dimensions: codec::dimensions_from_text(row.get_ref(5)?.as_str()?)?,
            keep: row.get(6)?,
        };
        runners.push((spec, row.get(3)?));
    }
    Ok(runners)
}

fn keys(db: &Connection) -> rusqlite::Result<Vec<StoredKey>> {
    let mut statement = db.prepare(
        "-- source: store/sqlite/load.rs keys
         SELECT key, body, first_job, jobs, group_id, created_ms FROM idempotency_key ORDER BY created_ms DESC LIMIT ?",
    )?;
    let rows = statement.query_map([limit::IDEMPOTENCY_KEYS as i64], |row| {
        Ok(StoredKey {
            key: row.get(0)?,
            body: row.get(1)?,
            first_job: JobId(row.get::<_, i64>(2)? as u64),
            jobs: row.get::<_, i64>(3)? as u64,
            group: row.get::<_, Option<i64>>(4)?.map(|id| GroupId(id as u64)),
            at: WallMs(row.get::<_, i64>(5)? as u64),
        })
    })?;
    rows.collect()
}
