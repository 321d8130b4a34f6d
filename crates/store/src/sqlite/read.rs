//! Readers: any number of connections that see only what is committed.

mod jobs;
mod search;

use std::path::PathBuf;
use std::sync::Arc;

use dispatcher::{
    AttemptView, GroupCounts, GroupView, JobFilter, JobSearch, JobView, Reader, StoreError,
};
use model::{
    AttemptNumber, AttemptRecord, Evidence, GroupId, GroupState, JobId, JobState, NewGroup, NewJob,
    Priority, ReuseKey, RunnerName, WallMs,
};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Row};

use super::load;
use crate::codec;

/// A pool of read-only connections, opened when needed.
#[derive(Debug)]
pub struct SqliteReader {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

pub(super) type Boxed = Box<dyn std::error::Error + Send + Sync>;

/// More idle readers than this are closed.
const IDLE: usize = 8;

impl SqliteReader {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(Vec::new()) }
    }

    pub(super) fn with<T>(
        &self,
        doing: &str,
        read: impl FnOnce(&Connection) -> Result<T, Boxed>,
    ) -> Result<T, StoreError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => super::open_reader(&self.path).map_err(|e| StoreError::new(doing, e))?,
        };
        let result = read(&connection).map_err(|error| StoreError::new(doing, error));
        let mut idle = self.idle.lock();
        if idle.len() < IDLE {
            idle.push(connection);
        }
        result
    }
}

/// About how much of payloads one page of jobs holds.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

const JOB: &str = "
    SELECT s.job_id, s.group_id, s.queue, s.owner, s.priority, s.slices, s.timeout_ms, s.retries, s.created_ms,
           s.payload, l.state, l.slice, l.attempts, l.runner, l.cancel_ms, d.outcome, d.detail, d.attempts, d.ended_ms,
           s.wire_id, s.parent, s.job_order, s.lease_ms, s.reuses, s.reuses_slice, s.labels, l.since_ms, l.facts, d.slice
    FROM job_spec s LEFT JOIN job_live l USING (job_id) LEFT JOIN job_done d USING (job_id)";

fn job_view(row: &Row<'_>) -> Result<JobView, Boxed> {
    let live: Option<String> = row.get(10)?;
    let (state, attempts) = match live.as_deref() {
        Some("queued") => (JobState::Queued { slice: row.get(11)? }, row.get(12)?),
        Some(_) => {
            let attempts: u32 = row.get(12)?;
            let running = JobState::Running {
                attempt: AttemptNumber(attempts),
                runner: RunnerName::new(row.get_ref(13)?.as_str()?),
                slice: row.get(11)?,
                since: WallMs(row.get::<_, i64>(26)? as u64),
                cancel: load::cancel(row.get(14)?),
                facts: row.get::<_, Option<Vec<u8>>>(27)?.map(Into::into),
            };
            (running, attempts)
        }
        None => {
            let detail: Option<String> = row.get(16)?;
            let outcome = codec::outcome_from(row.get_ref(15)?.as_str()?, detail.as_deref())?;
            let at = WallMs(row.get::<_, i64>(18)? as u64);
            (JobState::Finished { outcome, slice: row.get(28)?, at }, row.get(17)?)
        }
    };
    Ok(JobView {
        id: JobId(row.get::<_, i64>(0)? as u64),
        group: row.get::<_, Option<i64>>(1)?.map(|id| GroupId(id as u64)),
        job: Arc::new(NewJob {
            queue: row.get_ref(2)?.as_str()?.into(),
            owner: row.get_ref(3)?.as_str()?.into(),
            priority: Priority(row.get(4)?),
            slices: codec::slices_from_text(row.get_ref(5)?.as_str()?)?,
            timeout_ms: row.get::<_, Option<i64>>(6)?.map(|ms| ms as u64),
            lost_runner_retries: row.get(7)?,
            payload: row.get_ref(9)?.as_blob()?.into(),
            terms: load::terms(
                row,
                19,
                codec::labels_from_text(row.get_ref(25)?.as_str_or_null()?)?,
            )?,
        }),
        created: WallMs(row.get::<_, i64>(8)? as u64),
        state,
        attempts,
    })
}

const ATTEMPT: &str = "
    SELECT job_id, number, runner, started_ms, ended_ms, outcome, detail, message, log_bytes, log_crc32,
           log_incomplete, log_extents, outputs, slice, cancel_ms, facts, report FROM attempt";

fn attempt_view(row: &Row<'_>) -> Result<AttemptView, Boxed> {
    let detail: Option<String> = row.get(6)?;
    let message: Option<String> = row.get(7)?;
    Ok(AttemptView {
        job: JobId(row.get::<_, i64>(0)? as u64),
        record: AttemptRecord {
            number: AttemptNumber(row.get(1)?),
            runner: RunnerName::new(row.get_ref(2)?.as_str()?),
            slice: row.get(13)?,
            started: WallMs(row.get::<_, i64>(3)? as u64),
            ended: WallMs(row.get::<_, i64>(4)? as u64),
            cancel_requested: row.get::<_, Option<i64>>(14)?.map(|at| WallMs(at as u64)),
            facts: row.get::<_, Option<Vec<u8>>>(15)?.map(Into::into),
            outcome: codec::outcome_from(row.get_ref(5)?.as_str()?, detail.as_deref())?,
            evidence: Evidence {
                log_bytes: row.get::<_, i64>(8)? as u64,
                log_crc32: row.get(9)?,
                log_incomplete: row.get(10)?,
                log_extents: row.get_ref(11)?.as_blob()?.into(),
                outputs: codec::outputs_from_text(row.get_ref(12)?.as_str()?)?,
                message: message.map(Into::into),
                report: row.get::<_, Option<Vec<u8>>>(16)?.map(Into::into),
            },
        },
    })
}

const GROUP: &str = "
    SELECT group_id, name, owner, first_job, jobs, created_ms, finished_ms, document FROM job_group";

fn group_view(db: &Connection, row: &Row<'_>) -> Result<GroupView, Boxed> {
    let first_job: i64 = row.get(3)?;
    let jobs: i64 = row.get(4)?;
    let state = match row.get::<_, Option<i64>>(6)? {
        Some(at) => GroupState::Finished { at: WallMs(at as u64) },
        None => {
            let mut statement = db.prepare_cached(
                "-- source: store/sqlite/read.rs group_view
                 SELECT count(*) FROM job_live WHERE job_id >= ?1 AND job_id < ?1 + ?2",
            )?;
            let open: i64 = statement.query_row([first_job, jobs], |row| row.get(0))?;
            GroupState::Open { jobs: open as u64 }
        }
    };
    Ok(GroupView {
        id: GroupId(row.get::<_, i64>(0)? as u64),
        group: NewGroup {
            name: row.get_ref(1)?.as_str()?.into(),
            owner: row.get_ref(2)?.as_str()?.into(),
            document: row.get_ref(7)?.as_blob()?.into(),
        },
        first_job: JobId(first_job as u64),
        jobs: jobs as u64,
        created: WallMs(row.get::<_, i64>(5)? as u64),
        state,
    })
}

/// All rows of a query, each mapped.
pub(super) fn all<T>(
    db: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    map: impl Fn(&Row<'_>) -> Result<T, Boxed>,
) -> Result<Vec<T>, Boxed> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(map(row)?);
    }
    Ok(found)
}

impl Reader for SqliteReader {
    fn job(&self, id: JobId) -> Result<Option<JobView>, StoreError> {
        self.with("read a job", |db| {
            let sql = format!("-- source: store/sqlite/read.rs job\n{JOB} WHERE s.job_id = ?");
            Ok(all(db, &sql, [id.0 as i64], job_view)?.pop())
        })
    }

    fn jobs(&self, filter: JobFilter) -> Result<Vec<JobView>, StoreError> {
        self.with("list jobs", |db| jobs::list(db, &filter))
    }

    fn count_jobs(&self, filter: JobFilter) -> Result<u64, StoreError> {
        self.with("count jobs", |db| jobs::count(db, &filter))
    }

    fn group_counts(&self, groups: &[GroupId]) -> Result<Vec<GroupCounts>, StoreError> {
        self.with("count the jobs of groups", |db| {
            groups.iter().map(|group| jobs::group_counts(db, *group)).collect()
        })
    }

    fn last_attempts(&self, jobs: &[JobId]) -> Result<Vec<AttemptView>, StoreError> {
        self.with("read attempts", |db| {
            let sql = format!(
                "-- source: store/sqlite/read.rs last_attempts\n{ATTEMPT} a WHERE job_id IN (SELECT value FROM json_each(?))
                 AND number = (SELECT max(number) FROM attempt l WHERE l.job_id = a.job_id)"
            );
            let ids: Vec<u64> = jobs.iter().map(|id| id.0).collect();
            all(db, &sql, [serde_json::to_string(&ids)?], attempt_view)
        })
    }

    fn groups_by_id(&self, ids: &[GroupId]) -> Result<Vec<GroupView>, StoreError> {
        self.with("read groups", |db| {
            let sql = format!(
                "-- source: store/sqlite/read.rs groups_by_id\n{GROUP} WHERE group_id IN (SELECT value FROM json_each(?))"
            );
            let ids: Vec<u64> = ids.iter().map(|id| id.0).collect();
            all(db, &sql, [serde_json::to_string(&ids)?], |row| group_view(db, row))
        })
    }

    fn attempts(&self, job: JobId) -> Result<Vec<AttemptView>, StoreError> {
        self.with("read attempts", |db| {
            let sql = format!(
                "-- source: store/sqlite/read.rs attempts\n{ATTEMPT} WHERE job_id = ? ORDER BY number"
            );
            all(db, &sql, [job.0 as i64], attempt_view)
        })
    }

    fn attempt(
        &self,
        job: JobId,
        number: AttemptNumber,
    ) -> Result<Option<AttemptView>, StoreError> {
        self.with("read an attempt", |db| {
            let sql = format!(
                "-- source: store/sqlite/read.rs attempt\n{ATTEMPT} WHERE job_id = ? AND number = ?"
            );
            Ok(all(db, &sql, [job.0 as i64, i64::from(number.0)], attempt_view)?.pop())
        })
    }

    fn payload(&self, job: JobId) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.with("read a job's payload", |db| {
            let mut statement = db.prepare_cached(
                "-- source: store/sqlite/read.rs payload
                 SELECT payload FROM job_spec WHERE job_id = ?",
            )?;
            let payload = statement
                .query_row([job.0 as i64], |row| Ok(Arc::from(row.get_ref(0)?.as_blob()?)))
                .optional()?;
            Ok(payload)
        })
    }

    fn group(&self, id: GroupId) -> Result<Option<GroupView>, StoreError> {
        self.with("read a group", |db| {
            let sql = format!("-- source: store/sqlite/read.rs group\n{GROUP} WHERE group_id = ?");
            Ok(all(db, &sql, [id.0 as i64], |row| group_view(db, row))?.pop())
        })
    }

    fn jobs_by_wire_id(&self, ids: &[u64]) -> Result<Vec<JobView>, StoreError> {
        self.with("read jobs", |db| {
            let sql = format!(
                "-- source: store/sqlite/read.rs jobs_by_wire_id\n{JOB} WHERE s.wire_id IN (SELECT value FROM json_each(?))"
            );
            all(db, &sql, [serde_json::to_string(ids)?], job_view)
        })
    }

    fn job_by_request_key(&self, key: [u8; 16]) -> Result<Option<JobView>, StoreError> {
        self.with("read a job", |db| {
            let sql = format!(
                "-- source: store/sqlite/read.rs job_by_request_key\n{JOB} WHERE s.request_key = ?
                 ORDER BY s.job_id DESC LIMIT 1"
            );
            Ok(all(db, &sql, [key], job_view)?.pop())
        })
    }

    fn last_wire_id(&self) -> Result<Option<u64>, StoreError> {
        self.with("read the last wire id", |db| {
            let sql = "-- source: store/sqlite/read.rs last_wire_id
                SELECT max(wire_id) FROM job_spec WHERE wire_id IS NOT NULL";
            let last: Option<i64> = db.query_row(sql, [], |row| row.get(0))?;
            Ok(last.map(|id| id as u64))
        })
    }

    fn search_jobs(&self, search: &JobSearch, limit: usize) -> Result<Vec<u64>, StoreError> {
        self.with("search jobs", |db| search::find(db, search, limit))
    }

    fn count_found(&self, search: &JobSearch) -> Result<u64, StoreError> {
        self.with("count jobs", |db| search::count(db, search))
    }

    fn reusable(&self, key: ReuseKey) -> Result<Option<(JobId, WallMs)>, StoreError> {
        self.with("look for a result to reuse", |db| {
            let mut statement = db.prepare_cached(
                "-- source: store/sqlite/read.rs reusable
                 SELECT job_id, ended_ms FROM job_reuse WHERE key = ?",
            )?;
            let found = statement
                .query_row([key.0], |row| {
                    let (id, at): (i64, i64) = (row.get(0)?, row.get(1)?);
                    Ok((JobId(id as u64), WallMs(at as u64)))
                })
                .optional()?;
            Ok(found)
        })
    }

    fn groups(&self, before: Option<GroupId>, limit: usize) -> Result<Vec<GroupView>, StoreError> {
        self.with("list groups", |db| {
            let sql = format!(
                "-- source: store/sqlite/read.rs groups\n{GROUP} WHERE group_id < ? ORDER BY group_id DESC LIMIT ?"
            );
            let before = before.map_or(i64::MAX, |id| id.0 as i64);
            all(db, &sql, [before, limit as i64], |row| group_view(db, row))
        })
    }
}
