//! Jobs by label, state and time. Finished ones come from the index of labels, live ones from their own rows.

use dispatcher::{JobSearch, JobStanding};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::{Boxed, all};

/// Sets of label numbers, of each of which a finished job must have one. `None`: no finished job can be found.
fn groups(
    db: &Connection,
    search: &JobSearch,
    reach: Reach,
) -> Result<Option<Vec<Vec<i64>>>, Boxed> {
    let mut wanted: Vec<(&str, Vec<&str>)> = Vec::new();
    if let Some(runner) = &search.runner {
        wanted.push(("runner", vec![runner.as_str()]));
    }
    for one_of in &search.labels {
        wanted.push(("label", one_of.iter().map(|label| &**label).collect()));
    }
    if search.reused == Some(true) {
        wanted.push(("outcome", vec!["reused"]));
    }
    if !search.standings.is_empty() {
        wanted.push(("outcome", finished(search).collect()));
    }
    let mut groups = Vec::new();
    for (kind, names) in wanted {
        let ids = all(
            db,
            "-- source: store/sqlite/read/search.rs groups
             SELECT label_id FROM label WHERE kind = ? AND name IN (SELECT value FROM json_each(?))",
            [kind, &serde_json::to_string(&names)?],
            |row| Ok(row.get::<_, i64>(0)?),
        )?;
        if ids.is_empty() {
            return Ok(None);
        }
        groups.push(ids);
    }
    // One is read in order, and the others are looked up for each of its rows.
    let first = match reach {
        Reach::Newest => sparsest(db, search, &groups)?,
        Reach::All => rarest(db, search, &groups)?,
    };
    if let Some(at) = first {
        groups.swap(0, at);
    }
    Ok(Some(groups))
}

/// How much of what is found is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Newest,
    All,
}

/// Which set of labels has the fewest rows at the newest end of the range: that whose 128th lies furthest back.
fn sparsest(
    db: &Connection,
    search: &JobSearch,
    groups: &[Vec<i64>],
) -> Result<Option<usize>, Boxed> {
    if groups.len() < 2 {
        return Ok(None);
    }
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/read/search.rs sparsest
         SELECT wire_id FROM job_label WHERE label_id = ? AND wire_id >= ? AND wire_id < ?
         ORDER BY wire_id DESC LIMIT 1 OFFSET 127",
    )?;
    let [start, end] = bounds(search);
    let mut back = Vec::new();
    for ids in groups {
        let mut newest = start;
        for id in ids {
            let of_id = statement.query_row([*id, start, end], |row| row.get(0)).optional()?;
            newest = newest.max(of_id.unwrap_or(start));
        }
        back.push(newest);
    }
    Ok(back.iter().enumerate().min_by_key(|(_, at)| **at).map(|(at, _)| at))
}

/// Which set of labels has the fewest rows in the range. Costs as many steps as that set has rows, or a few times that: all
/// are counted up to a bound that grows until one is below it.
fn rarest(
    db: &Connection,
    search: &JobSearch,
    groups: &[Vec<i64>],
) -> Result<Option<usize>, Boxed> {
    if groups.len() < 2 {
        return Ok(None);
    }
    let mut statement = db.prepare_cached(
        "-- source: store/sqlite/read/search.rs rarest
         SELECT count(*) FROM (SELECT 1 FROM job_label WHERE label_id = ? AND wire_id >= ? AND wire_id < ? LIMIT ?)",
    )?;
    let [start, end] = bounds(search);
    for bound in [128_i64, 2048, 32_768] {
        let mut rows = Vec::new();
        for ids in groups {
            let mut all = 0;
            for id in ids {
                all += statement.query_row([*id, start, end, bound], |row| row.get::<_, i64>(0))?;
            }
            rows.push(all);
        }
        let least = rows.iter().enumerate().min_by_key(|(_, rows)| **rows);
        if let Some((at, rows)) = least
            && *rows < bound
        {
            return Ok(Some(at));
        }
    }
    // All are common: one that need not be merged is best.
    Ok(groups.iter().position(|ids| ids.len() == 1))
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

fn list(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

/// A query for the wire ids of finished jobs; `?1` and `?2` bound them. Numbers only are put into its text.
fn finished_sql(search: &JobSearch, groups: &[Vec<i64>]) -> String {
    let Some((first, rest)) = groups.split_first() else {
        return "SELECT s.wire_id FROM job_spec s JOIN job_done USING (job_id)
                WHERE s.wire_id >= ?1 AND s.wire_id < ?2"
            .to_owned()
            + not_reused(search, "s.wire_id").as_str();
    };
    let mut conditions = String::new();
    for ids in rest {
        conditions += &format!(
            " AND EXISTS (SELECT 1 FROM job_label x WHERE x.label_id IN ({}) AND x.wire_id = d.wire_id)",
            list(ids)
        );
    }
    conditions += &not_reused(search, "d.wire_id");
    // SQLite takes no more parts than 500.
    if first.len() > 100 {
        return format!(
            "SELECT DISTINCT d.wire_id FROM job_label d
             WHERE d.label_id IN ({}) AND d.wire_id >= ?1 AND d.wire_id < ?2{conditions}",
            list(first)
        );
    }
    // Several labels in the index's own order are merged, not sorted.
    let parts = first.iter().map(|id| {
        format!(
            "SELECT d.wire_id FROM job_label d WHERE d.label_id = {id} AND d.wire_id >= ?1 AND d.wire_id < ?2{conditions}"
        )
    });
    parts.collect::<Vec<_>>().join("\nUNION ")
}

fn not_reused(search: &JobSearch, wire_id: &str) -> String {
    match search.reused {
        Some(false) => format!(
            " AND NOT EXISTS (SELECT 1 FROM job_label x JOIN label n USING (label_id)
               WHERE n.kind = 'outcome' AND n.name = 'reused' AND x.wire_id = {wire_id})"
        ),
        Some(true) | None => String::new(),
    }
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

/// The parts of a search: a query and its parameters after the two bounds.
fn parts(
    db: &Connection,
    search: &JobSearch,
    reach: Reach,
) -> Result<Vec<(String, Vec<String>)>, Boxed> {
    let mut parts = Vec::new();
    let states = live(search);
    if !states.is_empty() {
        parts.push(live_sql(search, &states)?);
    }
    let wants_finished = search.standings.is_empty() || finished(search).next().is_some();
    if wants_finished && let Some(groups) = groups(db, search, reach)? {
        parts.push((finished_sql(search, &groups), Vec::new()));
    }
    Ok(parts)
}

fn bounds(search: &JobSearch) -> [i64; 2] {
    [search.wire_ids.start, search.wire_ids.end].map(|id| i64::try_from(id).unwrap_or(i64::MAX))
}

fn parameters(search: &JobSearch, more: Vec<String>) -> Vec<rusqlite::types::Value> {
    let bounds = bounds(search).into_iter().map(rusqlite::types::Value::from);
    bounds.chain(more.into_iter().map(rusqlite::types::Value::from)).collect()
}

pub(super) fn find(db: &Connection, search: &JobSearch, limit: usize) -> Result<Vec<u64>, Boxed> {
    // One view of the database: a job that ends in between is in one of the parts.
    let snapshot = db.unchecked_transaction()?;
    let mut found = Vec::new();
    for (sql, more) in parts(&snapshot, search, Reach::Newest)? {
        let sql = format!(
            "-- source: store/sqlite/read/search.rs find\n{sql}\nORDER BY 1 DESC LIMIT {limit}"
        );
        let parameters = params_from_iter(parameters(search, more));
        found.extend(all(&snapshot, &sql, parameters, |row| Ok(row.get::<_, i64>(0)? as u64))?);
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.truncate(limit);
    Ok(found)
}

pub(super) fn count(db: &Connection, search: &JobSearch) -> Result<u64, Boxed> {
    let snapshot = db.unchecked_transaction()?;
    let mut count = 0;
    for (sql, more) in parts(&snapshot, search, Reach::All)? {
        let sql =
            format!("-- source: store/sqlite/read/search.rs count\nSELECT count(*) FROM ({sql})");
        let parameters = params_from_iter(parameters(search, more));
        count += snapshot.query_row(&sql, parameters, |row| row.get::<_, i64>(0))? as u64;
    }
    Ok(count)
}
