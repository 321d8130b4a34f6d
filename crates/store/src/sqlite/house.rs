//! What is done beside the work: notices, deletion by age, samples.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dispatcher::{House, Notice, StoreError};
use model::{JobId, WallMs};
use parking_lot::Mutex;
use rusqlite::{Connection, params};

use super::blocks;
use super::read::{SqliteReader, all};
use super::shared::Writer;

/// Of old samples one in this time is kept.
const THINNED_MS: i64 = 10 * 60 * 1000;

/// Reads from connections of its own and writes through the engine's.
pub struct SqliteHouse {
    writer: Writer,
    reader: SqliteReader,
    renumbered: Arc<AtomicBool>,
}

impl SqliteHouse {
    pub(super) fn new(
        writer: Arc<Mutex<Connection>>,
        reader: SqliteReader,
        renumbered: Arc<AtomicBool>,
    ) -> Self {
        Self { writer: Writer::new(writer), reader, renumbered }
    }

    /// See [`Writer::on_fatal`].
    pub fn on_fatal(self, on_fatal: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        Self { writer: self.writer.on_fatal(on_fatal), ..self }
    }
}

impl std::fmt::Debug for SqliteHouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteHouse").field("reader", &self.reader).finish_non_exhaustive()
    }
}

/// SQLite's integers end there.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl House for SqliteHouse {
    fn due_notices(&self, now: WallMs, limit: usize) -> Result<Vec<Notice>, StoreError> {
        self.reader.with("list what is to be told", |db| {
            let sql = "-- source: store/sqlite/house.rs due_notices
                SELECT notice_id, job_id, at_ms, tries FROM notice WHERE due_ms <= ?
                ORDER BY due_ms, notice_id LIMIT ?";
            all(db, sql, params![signed(now.0), limit as i64], |row| {
                Ok(Notice {
                    id: row.get::<_, i64>(0)? as u64,
                    job: JobId(row.get::<_, i64>(1)? as u64),
                    at: WallMs(row.get::<_, i64>(2)? as u64),
                    tries: row.get(3)?,
                })
            })
        })
    }

    fn drop_notices(&self, ids: &[u64]) -> Result<(), StoreError> {
        self.writer.write("note what was told", |db| {
            let mut statement = db.prepare_cached(
                "-- source: store/sqlite/house.rs drop_notices
                 DELETE FROM notice WHERE notice_id = ?",
            )?;
            for id in ids {
                statement.execute([signed(*id)])?;
            }
            Ok(())
        })
    }

    fn put_off_notices(&self, ids: &[(u64, WallMs)]) -> Result<(), StoreError> {
        self.writer.write("put off what is to be told", |db| {
            let mut statement = db.prepare_cached(
                "-- source: store/sqlite/house.rs put_off_notices
                 UPDATE notice SET due_ms = ?2, tries = tries + 1 WHERE notice_id = ?1",
            )?;
            for (id, due) in ids {
                statement.execute([signed(*id), signed(due.0)])?;
            }
            Ok(())
        })
    }

    fn delete_jobs(
        &self,
        below: u64,
        ended_before: WallMs,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.writer.write("delete old jobs", |db| {
            // The newest stays: ids go on from it after a restart, and no id may come twice.
            let sql = "-- source: store/sqlite/house.rs delete_jobs
                SELECT s.job_id, s.wire_id FROM job_spec s CROSS JOIN job_done d USING (job_id)
                WHERE s.wire_id < ?1 AND d.ended_ms < ?2 AND s.job_id < (SELECT max(job_id) FROM job_spec)
                AND NOT EXISTS (SELECT 1 FROM job_spec r WHERE r.reuses = s.job_id)
                ORDER BY s.wire_id LIMIT ?3";
            let jobs = all(db, sql, params![signed(below), signed(ended_before.0), limit as i64], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })?;
            let wire_ids: Vec<i64> = jobs.iter().map(|(_, wire_id)| *wire_id).collect();
            if blocks::take_out(db, &wire_ids)? {
                self.renumbered.store(true, Ordering::Relaxed);
            }
            for (job, _) in &jobs {
                for sql in [
                    "DELETE FROM job_reuse WHERE job_id = ?",
                    "DELETE FROM notice WHERE job_id = ?",
                    "DELETE FROM attempt WHERE job_id = ?",
                    "DELETE FROM job_done WHERE job_id = ?",
                    "DELETE FROM job_spec WHERE job_id = ?",
                ] {
                    db.prepare_cached(sql)?.execute([job])?;
                }
            }
            Ok(jobs.len())
        })
    }

    fn delete_labels(&self, limit: usize) -> Result<usize, StoreError> {
        self.writer.write("delete labels of old jobs", |db| {
            let (labels, names_gone) = blocks::forget(db, limit)?;
            if names_gone {
                self.renumbered.store(true, Ordering::Relaxed);
            }
            Ok(labels)
        })
    }

    fn each_log(&self, see: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        self.reader.with("look where logs lie", |db| {
            let mut statement =
                db.prepare_cached("SELECT log_extents FROM attempt WHERE length(log_extents) > 0")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                see(row.get_ref(0)?.as_blob()?);
            }
            Ok(())
        })
    }

    fn put_sample(&self, at: WallMs, record: &str) -> Result<(), StoreError> {
        self.writer.write("write how things stand", |db| {
            db.prepare_cached(
                "-- source: store/sqlite/house.rs put_sample
                 INSERT OR REPLACE INTO sample (at_ms, record) VALUES (?, ?)",
            )?
            .execute(params![signed(at.0), record])?;
            Ok(())
        })
    }

    fn samples(
        &self,
        at: Range<WallMs>,
        limit: usize,
    ) -> Result<Vec<(WallMs, String)>, StoreError> {
        self.reader.with("read how things stood", |db| {
            // The last of each of `limit` equal times.
            let width = at.end.0.saturating_sub(at.start.0).div_ceil(limit.max(1) as u64).max(1);
            let sql = "-- source: store/sqlite/house.rs samples
                SELECT max(at_ms), record FROM sample WHERE at_ms >= ?1 AND at_ms < ?2
                GROUP BY (at_ms - ?1) / ?3 ORDER BY 1";
            all(db, sql, [signed(at.start.0), signed(at.end.0), signed(width)], |row| {
                Ok((WallMs(row.get::<_, i64>(0)? as u64), row.get(1)?))
            })
        })
    }

    fn prune_samples(&self, end: WallMs, thin: WallMs) -> Result<(), StoreError> {
        self.writer.write("drop old samples", |db| {
            db.execute("DELETE FROM sample WHERE at_ms < ?", [signed(end.0)])?;
            db.execute(
                "-- source: store/sqlite/house.rs prune_samples
                 DELETE FROM sample WHERE at_ms < ?1 AND at_ms NOT IN (
                     SELECT max(at_ms) FROM sample WHERE at_ms < ?1 GROUP BY at_ms / ?2
                 )",
                [signed(thin.0), THINNED_MS],
            )?;
            Ok(())
        })
    }
}
