//! Jobs by label, state and time. Finished ones come from the blocks, live ones from their own rows.

use std::ops::Range;

use dispatcher::{JobSearch, JobStanding};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::super::blocks::{self, Wanted};
use super::{Boxed, all};

/// What finished jobs must have. `None`: none can be found.
fn wanted(db: &Connection, search: &JobSearch) -> Result<Option<Wanted>, Boxed> {
    let wire_ids = bounds(search);
    let mut names: Vec<(&str, Vec<&str>)> = Vec::new();
    if let Some(runner) = &search.runner {
        names.push(("runner", vec![runner.as_str()]));
    }
    for one_of in &search.labels {
        names.push(("label", one_of.iter().map(|label| &**label).collect()));
    }
    if search.reused == Some(true) {
        names.push(("outcome", vec!["reused"]));
    }
    if !search.standings.is_empty() {
        names.push(("outcome", finished(search).collect()));
    }
    let mut one_of = Vec::new();
    for (kind, names) in names {
        let numbers = numbers(db, kind, &names)?;
        if numbers.is_empty() {
            return Ok(None);
        }
        one_of.push(numbers);
    }
    one_of.sort_unstable();
    one_of.dedup();
    let without = match search.reused {
        Some(false) => numbers(db, "outcome", &["reused"])?.pop(),
        Some(true) | None => None,
    };
    Ok(Some(Wanted { one_of, without, wire_ids }))
}

/// They rise.
fn numbers(db: &Connection, kind: &str, names: &[&str]) -> Result<Vec<i64>, Boxed> {
    let sql = "-- source: store/sqlite/read/search.rs numbers
        SELECT label_id FROM label WHERE kind = ? AND name IN (SELECT value FROM json_each(?))
        ORDER BY label_id";
    all(db, sql, [kind, &serde_json::to_string(names)?], |row| Ok(row.get(0)?))
}

fn wants_finished(search: &JobSearch) -> bool {
    search.standings.is_empty() || finished(search).next().is_some()
}

fn finished(search: &JobSearch) -> impl Iterator<Item = &'static str> {
    search
        .standings
        .iter()
        .flat_map(|standing| match standing {
            JobStanding::Queued | JobStanding::Running => &[],
            JobStanding::Finished(outcomes) => *outcomes,
        })
        .copied()
}

/// States of live jobs that are looked for.
fn live(search: &JobSearch) -> Vec<&'static str> {
    if search.runner.is_some() || search.reused == Some(true) {
        return Vec::new();
    }
    if search.standings.is_empty() {
        return vec!["queued", "running"];
    }
    let states = search.standings.iter().filter_map(|standing| match standing {
        JobStanding::Queued => Some("queued"),
        JobStanding::Running => Some("running"),
        JobStanding::Finished(_) => None,
    });
    states.collect()
}

/// A query for the wire ids of live jobs, with its parameters from `?3`.
fn live_sql(search: &JobSearch, states: &[&str]) -> Result<(String, Vec<String>), Boxed> {
    let mut parameters = vec![serde_json::to_string(states)?];
    // The order of this join is told: there are few live jobs, and SQLite would look at all.
    let mut sql = "SELECT s.wire_id FROM job_live l CROSS JOIN job_spec s USING (job_id)
         WHERE s.wire_id >= ?1 AND s.wire_id < ?2 AND l.state IN (SELECT value FROM json_each(?3))"
        .to_owned();
    for one_of in &search.labels {
        let labels: Vec<&str> = one_of.iter().map(|label| &**label).collect();
        parameters.push(serde_json::to_string(&labels)?);
        sql += &format!(
            " AND EXISTS (SELECT 1 FROM json_each(s.labels) j
               WHERE j.value IN (SELECT value FROM json_each(?{})))",
            parameters.len() + 2
        );
    }
    Ok((sql, parameters))
}

/// What live jobs are found by, if any can be.
fn live_query(search: &JobSearch) -> Result<Option<(String, Vec<Value>)>, Boxed> {
    let states = live(search);
    if states.is_empty() {
        return Ok(None);
    }
    let (sql, more) = live_sql(search, &states)?;
    let Range { start, end } = bounds(search);
    let bounds = [start, end].map(Value::from).into_iter();
    Ok(Some((sql, bounds.chain(more.into_iter().map(Value::from)).collect())))
}

fn bounds(search: &JobSearch) -> Range<i64> {
    let [start, end] = [search.wire_ids.start, search.wire_ids.end]
        .map(|id| i64::try_from(id).unwrap_or(i64::MAX));
    start..end.max(start)
}

pub(super) fn find(db: &Connection, search: &JobSearch, limit: usize) -> Result<Vec<u64>, Boxed> {
    // One view of the database: a job that ends in between is in one of the parts.
    let snapshot = db.unchecked_transaction()?;
    let mut found = Vec::new();
    if let Some((sql, parameters)) = live_query(search)? {
        let sql = format!(
            "-- source: store/sqlite/read/search.rs find\n{sql}\nORDER BY 1 DESC LIMIT {limit}"
        );
        found = all(&snapshot, &sql, params_from_iter(parameters), |row| Ok(row.get(0)?))?;
    }
    if wants_finished(search)
        && let Some(wanted) = wanted(&snapshot, search)?
    {
        found.extend(blocks::find(&snapshot, &wanted, limit)?);
    }
    found.sort_unstable_by(|a: &i64, b| b.cmp(a));
    found.truncate(limit);
    Ok(found.into_iter().map(|id| id as u64).collect())
}

pub(super) fn count(db: &Connection, search: &JobSearch) -> Result<u64, Boxed> {
    let snapshot = db.unchecked_transaction()?;
    let mut count: i64 = 0;
    if let Some((sql, parameters)) = live_query(search)? {
        let sql =
            format!("-- source: store/sqlite/read/search.rs count\nSELECT count(*) FROM ({sql})");
        count = snapshot.query_row(&sql, params_from_iter(parameters), |row| row.get(0))?;
    }
    if wants_finished(search)
        && let Some(wanted) = wanted(&snapshot, search)?
    {
        count += blocks::count(&snapshot, &wanted)? as i64;
    }
    Ok(count as u64)
}
