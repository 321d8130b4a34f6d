//! Lists of jobs.

use dispatcher::{GroupCounts, JobFilter, JobStanding, JobView};
use model::GroupId;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Boxed, JOB, PAGE_BYTES, all, job_view};

/// The ids of a group's jobs: they are consecutive, so that no index is needed.
fn range(db: &Connection, group: GroupId) -> Result<Option<(i64, i64)>, Boxed> {
    let range: Option<(i64, i64)> = db
        .prepare_cached("SELECT first_job, jobs FROM job_group WHERE group_id = ?")?
        .query_row([group.0 as i64], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(range.map(|(first, count)| (first, first + count - 1)))
}

/// The conditions of a filter beside the range of ids; its parameters are `?1` to `?4`.
const WHICH: &str = "s.job_id BETWEEN ?1 AND ?2
    AND (?3 IS NULL OR coalesce(l.state, d.outcome) IN (SELECT value FROM json_each(?3)))
    AND (?4 IS NULL OR CASE WHEN s.wire_id IS NULL THEN json_extract(CAST(s.payload AS TEXT), '$.repository') || '/' ||
         coalesce(json_extract(CAST(s.payload AS TEXT), '$.path'), '') LIKE ?4 ESCAPE '\\' END)";

fn states(filter: &JobFilter) -> Option<String> {
    if filter.standings.is_empty() {
        return None;
    }
    let names = |standing: &JobStanding| -> &'static [&'static str] {
        match standing {
            JobStanding::Queued => &["queued"],
            JobStanding::Running => &["running"],
            JobStanding::Finished(outcomes) => outcomes,
        }
    };
    let states: Vec<&str> = filter.standings.iter().flat_map(names).copied().collect();
    Some(serde_json::to_string(&states).expect("names are JSON"))
}

fn workspace(filter: &JobFilter) -> Option<String> {
    (!filter.workspace.is_empty()).then(|| crate::sqlite::part(&filter.workspace))
}

pub(super) fn list(db: &Connection, filter: &JobFilter) -> Result<Vec<JobView>, Boxed> {
    let (mut first, mut last) = (0i64, i64::MAX);
    if let Some(group) = filter.group {
        let Some(range) = range(db, group)? else { return Ok(Vec::new()) };
        (first, last) = range;
    }
    if let Some(after) = filter.after {
        if filter.newest_first {
            last = last.min(after.0 as i64 - 1);
        } else {
            first = first.max(after.0 as i64 + 1);
        }
    }
    let order = if filter.newest_first { "DESC" } else { "ASC" };
    let sql = format!(
        "-- source: store/sqlite/read/jobs.rs list\n{JOB} WHERE {WHICH} ORDER BY s.job_id {order} LIMIT ?5"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let parameters = params![first, last, states(filter), workspace(filter), filter.limit as i64];
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let view = job_view(row)?;
        bytes += view.job.payload.len();
        found.push(view);
        // A page of large jobs is a short one.
        if bytes > PAGE_BYTES {
            break;
        }
    }
    Ok(found)
}

pub(super) fn count(db: &Connection, filter: &JobFilter) -> Result<u64, Boxed> {
    let (mut first, mut last) = (0i64, i64::MAX);
    if let Some(group) = filter.group {
        let Some(range) = range(db, group)? else { return Ok(0) };
        (first, last) = range;
    }
    let sql = format!(
        "-- source: store/sqlite/read/jobs.rs count
         SELECT count(*) FROM job_spec s LEFT JOIN job_live l USING (job_id) LEFT JOIN job_done d USING (job_id)
         WHERE {WHICH}"
    );
    let parameters = params![first, last, states(filter), workspace(filter)];
    let count: i64 = db.prepare_cached(&sql)?.query_row(parameters, |row| row.get(0))?;
    Ok(count as u64)
}

pub(super) fn group_counts(db: &Connection, group: GroupId) -> Result<GroupCounts, Boxed> {
    let Some((first, last)) = range(db, group)? else { return Ok(GroupCounts::default()) };
    let pair =
        |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)? as u64));
    let live = all(
        db,
        "-- source: store/sqlite/read/jobs.rs group_counts live
         SELECT state, count(*) FROM job_live WHERE job_id BETWEEN ? AND ? GROUP BY state",
        [first, last],
        pair,
    )?;
    let done = all(
        db,
        "-- source: store/sqlite/read/jobs.rs group_counts done
         SELECT outcome, count(*) FROM job_done WHERE job_id BETWEEN ? AND ? GROUP BY outcome",
        [first, last],
        pair,
    )?;
    let with_patch: i64 = db
        .prepare_cached(
            "-- source: store/sqlite/read/jobs.rs group_counts patches
             SELECT count(*) FROM job_done d JOIN attempt a ON a.job_id = d.job_id AND a.number = d.attempts
             WHERE d.job_id BETWEEN ? AND ? AND d.outcome = 'succeeded' AND a.outputs LIKE '%[\"patch\",%'",
        )?
        .query_row([first, last], |row| row.get(0))?;
    let of = |state: &str| live.iter().find(|(name, _)| name == state).map_or(0, |(_, n)| *n);
    Ok(GroupCounts {
        queued: of("queued"),
        running: of("running"),
        finished: done.into_iter().collect(),
        with_patch: with_patch as u64,
    })
}
