//! Saved searches and what they found last.

use campaign::page::{Page, Window};
use campaign::saved_search::{ResultSet, SavedSearch, SavedSearchStore};
use dispatcher::StoreError;
use model::{SavedSearchId, WallMs};
use rusqlite::{Connection, Row, params};

use super::{Boxed, Int, SqliteCampaigns, all, count, one, one_more, run};

const SEARCH: &str = "
    SELECT saved_search_id, name, query, description, owner, created_ms, updated_ms, last_run_ms, last_error,
           last_change_ms, results
    FROM saved_search";

fn search(row: &Row<'_>) -> Result<SavedSearch, Boxed> {
    let time = |index| row.get::<_, Option<Int>>(index).map(|at| at.map(|at| WallMs(at.0)));
    Ok(SavedSearch {
        id: SavedSearchId(row.get::<_, Int>(0)?.0),
        name: row.get(1)?,
        query: row.get(2)?,
        description: row.get(3)?,
        owner: row.get(4)?,
        created: WallMs(row.get::<_, Int>(5)?.0),
        updated: WallMs(row.get::<_, Int>(6)?.0),
        last_run: time(7)?,
        last_error: row.get(8)?,
        last_change: time(9)?,
        results: row.get::<_, Option<Int>>(10)?.map(|count| count.0),
    })
}

fn by_id(db: &Connection, id: SavedSearchId) -> Result<Option<SavedSearch>, Boxed> {
    one(db, &format!("{SEARCH} WHERE saved_search_id = ?"), [Int(id.0)], search)
}

impl SavedSearchStore for SqliteCampaigns {
    fn create_saved_search(
        &self,
        name: &str,
        query: &str,
        description: &str,
        owner: &str,
        at: WallMs,
    ) -> Result<Option<SavedSearch>, StoreError> {
        self.write("create a saved search", |db| {
            let made = run(
                db,
                "INSERT OR IGNORE INTO saved_search (name, query, description, owner, created_ms, updated_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
                params![name, query, description, owner, Int(at.0)],
            )?;
            if made == 0 {
                return Ok(None);
            }
            by_id(db, SavedSearchId(db.last_insert_rowid() as u64))
        })
    }

    fn update_saved_search(
        &self,
        id: SavedSearchId,
        name: &str,
        query: &str,
        description: &str,
        at: WallMs,
    ) -> Result<Option<SavedSearch>, StoreError> {
        self.write("update a saved search", |db| {
            let Some(known) = by_id(db, id)? else { return Ok(None) };
            let changed = run(
                db,
                "UPDATE OR IGNORE saved_search SET name = ?, query = ?, description = ?, updated_ms = ?
                 WHERE saved_search_id = ?",
                params![name, query, description, Int(at.0), Int(id.0)],
            )?;
            if changed == 0 {
                return Ok(None);
            }
            if known.query != query {
                run(db, "DELETE FROM saved_search_result WHERE saved_search_id = ?", [Int(id.0)])?;
                run(
                    db,
                    "UPDATE saved_search SET results = NULL, last_error = NULL WHERE saved_search_id = ?",
                    [Int(id.0)],
                )?;
            }
            by_id(db, id)
        })
    }

    fn delete_saved_search(&self, id: SavedSearchId) -> Result<bool, StoreError> {
        self.write("delete a saved search", |db| {
            Ok(run(db, "DELETE FROM saved_search WHERE saved_search_id = ?", [Int(id.0)])? == 1)
        })
    }

    fn saved_search(&self, id: SavedSearchId) -> Result<Option<SavedSearch>, StoreError> {
        self.read("read a saved search", |db| by_id(db, id))
    }

    fn saved_search_named(&self, name: &str) -> Result<Option<SavedSearch>, StoreError> {
        self.read("read a saved search", |db| {
            one(db, &format!("{SEARCH} WHERE name = ?"), [name], search)
        })
    }

    fn saved_searches(&self, window: Window<String>) -> Result<Page<SavedSearch>, StoreError> {
        self.read("list saved searches", |db| {
            let total = count(db, "SELECT count(*) FROM saved_search", [])?;
            let sql = format!("{SEARCH} WHERE (?1 IS NULL OR name > ?1) ORDER BY name LIMIT ?2");
            let items = all(db, &sql, params![window.after, one_more(window.first)], search)?;
            Ok(Page::cut(items, window.first, total))
        })
    }

    fn saved_searches_with_query(&self, query: &str) -> Result<Vec<SavedSearch>, StoreError> {
        self.read("find saved searches", |db| {
            all(db, &format!("{SEARCH} WHERE query = ? ORDER BY name"), [query], search)
        })
    }

    fn saved_results(&self, id: SavedSearchId) -> Result<Option<ResultSet>, StoreError> {
        self.read("read the results of a saved search", |db| {
            let Some(SavedSearch { results: Some(_), .. }) = by_id(db, id)? else {
                return Ok(None);
            };
            let sql =
                "SELECT repository, fingerprint FROM saved_search_result WHERE saved_search_id = ?";
            let rows = all(db, sql, [Int(id.0)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(Some(rows.into_iter().collect()))
        })
    }

    fn put_saved_results(
        &self,
        id: SavedSearchId,
        query: &str,
        results: &ResultSet,
        changed: bool,
        at: WallMs,
    ) -> Result<bool, StoreError> {
        self.write("keep the results of a saved search", |db| {
            let kept = run(
                db,
                "UPDATE saved_search SET results = ?, last_run_ms = ?, last_error = NULL,
                     last_change_ms = CASE WHEN ? THEN ?2 ELSE last_change_ms END
                 WHERE saved_search_id = ? AND query = ?",
                params![Int(results.len() as u64), Int(at.0), changed, Int(id.0), query],
            )?;
            if kept == 0 {
                return Ok(false);
            }
            run(db, "DELETE FROM saved_search_result WHERE saved_search_id = ?", [Int(id.0)])?;
            for (repository, fingerprint) in results {
                run(
                    db,
                    "INSERT INTO saved_search_result (saved_search_id, repository, fingerprint) VALUES (?, ?, ?)",
                    params![Int(id.0), repository, fingerprint],
                )?;
            }
            Ok(true)
        })
    }

    fn put_saved_search_error(
        &self,
        id: SavedSearchId,
        error: &str,
        at: WallMs,
    ) -> Result<(), StoreError> {
        self.write("keep the error of a saved search", |db| {
            run(
                db,
                "UPDATE saved_search SET last_error = ?, last_run_ms = ? WHERE saved_search_id = ?",
                params![error, Int(at.0), Int(id.0)],
            )?;
            Ok(())
        })
    }
}
