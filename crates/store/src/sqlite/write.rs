//! The writer's statements: one function per change.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dispatcher::{Store, StoreError};
use engine::ops::RunnerSpec;
use engine::{Change, Snapshot, StoredKey};
use model::{
    AttemptNumber, AttemptRecord, GroupId, JobId, NewGroup, NewJob, Outcome, RunnerName, Session,
    Terms, WallMs,
};
use parking_lot::Mutex;
use rusqlite::{Connection, TransactionBehavior, params};

use super::read::Boxed;
use super::{blocks, labels, load};
use crate::codec;

/// The read-write connection.
#[derive(Debug)]
pub struct SqliteStore {
    /// Shared with the campaigns' half: SQLite has one writer, and waiting for a lock of ours is fair.
    connection: Arc<Mutex<Connection>>,
    known: Known,
}

/// What the writer remembers of the rows, so that it need not look.
#[derive(Debug)]
struct Known {
    numbers: labels::Numbers,
    /// Finished jobs that are in no block, or more: others take some out.
    loose: usize,
    /// Live jobs of which somebody wants to hear.
    notified: BTreeSet<JobId>,
    /// Names were deleted: their numbers may be others' soon.
    renumbered: Arc<AtomicBool>,
}

impl SqliteStore {
    /// `renumbered` is set by whoever deletes names, with the connection locked.
    pub(super) fn new(connection: Arc<Mutex<Connection>>, renumbered: Arc<AtomicBool>) -> Self {
        let (numbers, loose, notified) = Default::default();
        Self { connection, known: Known { numbers, loose, notified, renumbered } }
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        let connection = self.connection.lock();
        let fail = |error| StoreError::new("load what is live", error);
        self.known.notified = load::notified(&connection).map_err(|error| fail(error.into()))?;
        self.known.loose = blocks::loose(&connection).map_err(|error| fail(error.into()))?;
        load::load(&connection).map_err(fail)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        commit(&mut self.connection.lock(), &mut self.known, changes)
            .map_err(|error| StoreError::new("commit to the database", error))
    }
}

fn commit(connection: &mut Connection, known: &mut Known, changes: &[Change]) -> Result<(), Boxed> {
    if known.renumbered.swap(false, Ordering::Relaxed) {
        known.numbers = labels::Numbers::default();
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for change in changes {
        apply(&transaction, known, change)?;
    }
    let mut labels = 0;
    // The next commit goes on.
    while known.loose >= blocks::JOBS && labels < blocks::LABELS {
        match blocks::fold(&transaction)? {
            Some(folded) => {
                known.loose -= folded.jobs;
                labels += folded.labels;
            }
            None => known.loose = blocks::loose(&transaction)?,
        }
    }
    Ok(transaction.commit()?)
}

/// Millisecond times and ids fit SQLite's signed integers; sessions and poll ids are any 64 bits and wrap.
fn signed(value: u64) -> i64 {
    value as i64
}

fn apply(db: &Connection, known: &mut Known, change: &Change) -> Result<(), Boxed> {
    let applied = match change {
        Change::JobInserted { id, group, job, at } => {
            if job.terms.notify {
                known.notified.insert(*id);
            }
            job_spec_insert(db, *id, *group, job, *at)?;
            job_live_put_queued(db, *id, 0, 0, 0, *at)
        }
        Change::JobQueued { id, slice, attempts, lost, at } => {
            job_live_put_queued(db, *id, *slice, *attempts, *lost, *at)
        }
        Change::JobRunning { id, attempt, runner, session, poll, facts, at } => {
            let running = RunningRow {
                attempt: *attempt,
                runner,
                session: *session,
                poll: *poll,
                facts: facts.as_deref(),
                at: *at,
            };
            known.notice(db, *id, *at)?;
            job_live_set_running(db, *id, &running)
        }
        Change::JobCancelRequested { id, at } => {
            known.notice(db, *id, *at)?;
            job_live_set_cancel(db, *id, *at)
        }
        Change::AttemptEnded { id, record } => attempt_insert(db, *id, record),
        Change::JobFinished { id, outcome, slice, attempts, reusable, at, group: _ } => {
            job_done_insert(db, *id, outcome, *slice, *attempts, *at)?;
            known.loose += usize::from(labels::put(db, &mut known.numbers, *id, outcome)?);
            known.notice(db, *id, *at)?;
            known.notified.remove(id);
            if let Some(key) = reusable {
                labels::put_reuse(db, *key, *id, *at)?;
            }
            job_live_delete(db, *id)
        }
        Change::JobRevived { id, attempts, at } => {
            if labels::remove(db, *id)? {
                known.numbers = labels::Numbers::default();
            }
            if is_notified(db, *id)? {
                known.notified.insert(*id);
            }
            job_done_delete(db, *id)?;
            job_live_put_queued(db, *id, 0, *attempts, 0, *at)
        }
        Change::GroupInserted { id, group, first_job, jobs, at } => {
            job_group_insert(db, *id, group, *first_job, *jobs, *at)
        }
        Change::GroupReopened { id, at: _ } => job_group_set_finished(db, *id, None),
        Change::GroupFinished { id, at } => job_group_set_finished(db, *id, Some(*at)),
        Change::RunnerPut { runner, draining, at } => runner_put(db, runner, *draining, *at),
        Change::RunnerRemoved { name, at: _ } => runner_delete(db, name),
        Change::KeyPut { key, body, first_job, jobs, group, at } => key_insert(
            db,
            &StoredKey {
                key: *key,
                body: *body,
                first_job: *first_job,
                jobs: *jobs,
                group: *group,
                at: *at,
            },
        ),
        Change::KeyRemoved { key } => key_delete(db, key),
    };
    Ok(applied?)
}

impl Known {
    /// Has it told that something happened to a job, if somebody wants to hear of that.
    fn notice(&self, db: &Connection, id: JobId, at: WallMs) -> rusqlite::Result<()> {
        if !self.notified.contains(&id) {
            return Ok(());
        }
        let mut statement = db.prepare_cached(
            "-- source: store/sqlite/write.rs notice
             INSERT INTO notice (job_id, at_ms, due_ms) VALUES (?1, ?2, ?2)",
        )?;
        exactly_one(statement.execute([signed(id.0), signed(at.0)])?)
    }
}

fn is_notified(db: &Connection, id: JobId) -> rusqlite::Result<bool> {
    let mut statement = db.prepare_cached("SELECT notify FROM job_spec WHERE job_id = ?")?;
    statement.query_row([signed(id.0)], |row| row.get(0))
}

/// A statement that must have changed exactly one row; anything else is a store that does not match the engine.
fn exactly_one(changed: usize) -> rusqlite::Result<()> {
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}

fn job_spec_insert(
    db: &Connection,
    id: JobId,
    group: Option<GroupId>,
    job: &NewJob,
    at: WallMs,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs job_spec_insert
         INSERT INTO job_spec (job_id, group_id, queue, owner, priority, slices, timeout_ms, retries, created_ms, payload,
                               wire_id, parent, job_order, lease_ms, reuses, reuses_slice, labels, request_key, notify)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let Terms { order, lease_ms, parent, reuses, wire_id, request_key, labels, notify } =
        &job.terms;
    let changed = statement.execute(params![
        signed(id.0),
        group.map(|group| signed(group.0)),
        &*job.queue,
        &*job.owner,
        job.priority.0,
        codec::slices_to_text(&job.slices),
        job.timeout_ms.map(signed),
        job.lost_runner_retries,
        signed(at.0),
        &*job.payload,
        wire_id.map(signed),
        parent.map(|parent| signed(parent.0)),
        codec::order_name(*order),
        lease_ms.map(signed),
        reuses.map(|reuse| signed(reuse.job.0)),
        reuses.map(|reuse| reuse.slice),
        codec::labels_to_text(labels),
        request_key,
        notify,
    ])?;
    exactly_one(changed)
}

fn job_live_put_queued(
    db: &Connection,
    id: JobId,
    slice: u32,
    attempts: u32,
    lost: u32,
    at: WallMs,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs job_live_put_queued
         INSERT OR REPLACE INTO job_live (job_id, state, slice, attempts, lost, since_ms)
         VALUES (?, 'queued', ?, ?, ?, ?)",
    )?;
    let changed = statement.execute(params![signed(id.0), slice, attempts, lost, signed(at.0)])?;
    exactly_one(changed)
}

struct RunningRow<'a> {
    attempt: AttemptNumber,
    runner: &'a RunnerName,
    session: Session,
    poll: u64,
    facts: Option<&'a [u8]>,
    at: WallMs,
}

fn job_live_set_running(
    db: &Connection,
    id: JobId,
    running: &RunningRow<'_>,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs job_live_set_running
         UPDATE job_live SET state = 'running', attempts = ?, runner = ?, session = ?, poll = ?, since_ms = ?, facts = ?
         WHERE job_id = ? AND state = 'queued' AND attempts < ?1",
    )?;
    let changed = statement.execute(params![
        running.attempt.0,
        running.runner.as_str(),
        signed(running.session.0),
        signed(running.poll),
        signed(running.at.0),
        running.facts,
        signed(id.0),
    ])?;
    exactly_one(changed)
}

fn job_live_set_cancel(db: &Connection, id: JobId, at: WallMs) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs job_live_set_cancel
         UPDATE job_live SET cancel = 1, cancel_ms = ? WHERE job_id = ? AND state = 'running'",
    )?;
    exactly_one(statement.execute([signed(at.0), signed(id.0)])?)
}

fn job_live_delete(db: &Connection, id: JobId) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs job_live_delete
         DELETE FROM job_live WHERE job_id = ?",
    )?;
    exactly_one(statement.execute([signed(id.0)])?)
}

fn job_done_insert(
    db: &Connection,
    id: JobId,
    outcome: &Outcome,
    slice: u32,
    attempts: u32,
    at: WallMs,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs job_done_insert
         INSERT INTO job_done (job_id, outcome, detail, slice, attempts, ended_ms) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    let detail = codec::outcome_detail(outcome);
    let (id, at) = (signed(id.0), signed(at.0));
    let changed = statement.execute(params![id, outcome.name(), detail, slice, attempts, at])?;
    exactly_one(changed)
}

fn job_done_delete(db: &Connection, id: JobId) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs job_done_delete
         DELETE FROM job_done WHERE job_id = ?",
    )?;
    exactly_one(statement.execute([signed(id.0)])?)
}

fn attempt_insert(db: &Connection, id: JobId, record: &AttemptRecord) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs attempt_insert
         INSERT INTO attempt (job_id, number, runner, started_ms, ended_ms, outcome, detail, message, log_bytes,
                              log_crc32, log_incomplete, log_extents, outputs, slice, cancel_ms, facts, report)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let evidence = &record.evidence;
    let changed = statement.execute(params![
        signed(id.0),
        record.number.0,
        record.runner.as_str(),
        signed(record.started.0),
        signed(record.ended.0),
        record.outcome.name(),
        codec::outcome_detail(&record.outcome),
        evidence.message.as_deref(),
        signed(evidence.log_bytes),
        evidence.log_crc32,
        evidence.log_incomplete,
        &*evidence.log_extents,
        codec::outputs_to_text(&evidence.outputs),
        record.slice,
        record.cancel_requested.map(|at| signed(at.0)),
        record.facts.as_deref(),
        evidence.report.as_deref(),
    ])?;
    exactly_one(changed)
}

fn job_group_insert(
    db: &Connection,
    id: GroupId,
    group: &NewGroup,
    first_job: JobId,
    jobs: u64,
    at: WallMs,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs job_group_insert
         INSERT INTO job_group (group_id, name, owner, first_job, jobs, created_ms, document)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    let changed = statement.execute(params![
        signed(id.0),
        &*group.name,
        &*group.owner,
        signed(first_job.0),
        signed(jobs),
        signed(at.0),
        &*group.document,
    ])?;
    exactly_one(changed)
}

fn job_group_set_finished(
    db: &Connection,
    id: GroupId,
    at: Option<WallMs>,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs job_group_set_finished
         UPDATE job_group SET finished_ms = ?1 WHERE group_id = ?2 AND (finished_ms IS NULL) = (?1 IS NOT NULL)",
    )?;
    exactly_one(statement.execute(params![at.map(|at| signed(at.0)), signed(id.0)])?)
}

fn runner_put(
    db: &Connection,
    runner: &RunnerSpec,
    draining: bool,
    at: WallMs,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs runner_put
         INSERT OR REPLACE INTO runner (name, session, slots, draining, keep, queues, dimensions, changed_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let queues: Vec<&str> = runner.queues.iter().map(|queue| &**queue).collect();
    let changed = statement.execute(params![
        runner.name.as_str(),
        signed(runner.session.0),
        runner.slots,
        draining,
        runner.keep,
        serde_json::json!(queues).to_string(),
        codec::dimensions_to_text(&runner.dimensions),
        signed(at.0),
    ])?;
    exactly_one(changed)
}

fn runner_delete(db: &Connection, name: &RunnerName) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs runner_delete
         DELETE FROM runner WHERE name = ?",
    )?;
    // A runner that was made up for a job without its row has none to delete.
    statement.execute([name.as_str()]).map(drop)
}

fn key_insert(db: &Connection, key: &StoredKey) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs key_insert
         INSERT INTO idempotency_key (key, body, first_job, jobs, group_id, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    let changed = statement.execute(params![
        key.key,
        key.body,
        signed(key.first_job.0),
        signed(key.jobs),
        key.group.map(|group| signed(group.0)),
        signed(key.at.0),
    ])?;
    exactly_one(changed)
}

fn key_delete(db: &Connection, key: &[u8; 16]) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/write.rs key_delete
         DELETE FROM idempotency_key WHERE key = ?",
    )?;
    exactly_one(statement.execute([key])?)
}
