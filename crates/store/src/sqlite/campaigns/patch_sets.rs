//! Patch sets.

use std::collections::BTreeMap;

use campaign::execution::DiffStat;
use campaign::page::{Page, Window};
use campaign::patch_set::{NewPatchSet, Patch, PatchSet, PatchSetStore};
use dispatcher::StoreError;
use model::{GroupId, PatchId, PatchSetId, WallMs};
use rusqlite::{Connection, Row, params};

use super::{Boxed, Int, Json, SqliteCampaigns, all, count, one, one_more, run};

const SET: &str =
    "SELECT patch_set_id, group_id, created_ms, author, coverage, patches FROM patch_set";

fn set(row: &Row<'_>) -> Result<PatchSet, Boxed> {
    Ok(PatchSet {
        id: PatchSetId(row.get::<_, Int>(0)?.0),
        execution: row.get::<_, Option<Int>>(1)?.map(|id| GroupId(id.0)),
        created: WallMs(row.get::<_, Int>(2)?.0),
        author: row.get(3)?,
        coverage: row.get::<_, Json<_>>(4)?.0,
        patches: row.get::<_, Int>(5)?.0,
    })
}

fn set_by_id(db: &Connection, id: PatchSetId) -> Result<Option<PatchSet>, Boxed> {
    one(db, &format!("{SET} WHERE patch_set_id = ?"), [Int(id.0)], set)
}

const PATCH: &str = "SELECT patch_id, patch_set_id, wanted, files, added, deleted FROM patch";

fn patch(row: &Row<'_>) -> Result<Patch, Boxed> {
    Ok(Patch {
        id: PatchId(row.get::<_, Int>(0)?.0),
        set: PatchSetId(row.get::<_, Int>(1)?.0),
        wanted: row.get::<_, Json<_>>(2)?.0,
        stat: stat(row, 3)?,
    })
}

pub(super) fn stat(row: &Row<'_>, first: usize) -> Result<DiffStat, Boxed> {
    Ok(DiffStat {
        files: row.get::<_, Int>(first)?.0,
        added: row.get::<_, Int>(first + 1)?.0,
        deleted: row.get::<_, Int>(first + 2)?.0,
    })
}

impl PatchSetStore for SqliteCampaigns {
    fn create_patch_set(&self, new: &NewPatchSet, at: WallMs) -> Result<PatchSet, StoreError> {
        self.write("create a patch set", |db| {
            let of = new.of.map(|(execution, ended)| (Int(execution.0), Int(ended.0)));
            if let Some((execution, ended)) = of {
                let sql = format!("{SET} WHERE group_id = ? AND ended_ms = ?");
                if let Some(known) = one(db, &sql, [execution, ended], set)? {
                    return Ok(known);
                }
            }
            run(
                db,
                "INSERT INTO patch_set (group_id, ended_ms, author, coverage, patches, created_ms)
                 VALUES (?, ?, ?, ?, ?, ?)",
                params![
                    of.map(|(execution, _)| execution),
                    of.map(|(_, ended)| ended),
                    new.author,
                    Json(&new.coverage),
                    Int(new.patches.len() as u64),
                    Int(at.0)
                ],
            )?;
            let id = PatchSetId(db.last_insert_rowid() as u64);
            for (wanted, stat) in &new.patches {
                run(
                    db,
                    "INSERT INTO patch (patch_set_id, wanted, files, added, deleted) VALUES (?, ?, ?, ?, ?)",
                    params![
                        Int(id.0),
                        Json(wanted),
                        Int(stat.files),
                        Int(stat.added),
                        Int(stat.deleted)
                    ],
                )?;
            }
            if let Some((execution, ended)) = of {
                hang(db, execution, ended, id, new)?;
                give_to_campaign(db, execution, id, at)?;
            }
            Ok(set_by_id(db, id)?.expect("it was inserted above"))
        })
    }

    fn patch_set(&self, id: PatchSetId) -> Result<Option<PatchSet>, StoreError> {
        self.read("read a patch set", |db| set_by_id(db, id))
    }

    fn patch(&self, id: PatchId) -> Result<Option<Patch>, StoreError> {
        self.read("read a patch", |db| {
            one(db, &format!("{PATCH} WHERE patch_id = ?"), [Int(id.0)], patch)
        })
    }

    fn patches_by_id(&self, ids: &[PatchId]) -> Result<BTreeMap<PatchId, Patch>, StoreError> {
        self.read("read patches", |db| {
            let ids: Vec<u64> = ids.iter().map(|id| id.0).collect();
            let sql = format!("{PATCH} WHERE patch_id IN (SELECT value FROM json_each(?))");
            let found = all(db, &sql, [Json(ids)], patch)?;
            Ok(found.into_iter().map(|patch| (patch.id, patch)).collect())
        })
    }

    fn patches(&self, set: PatchSetId, window: Window<PatchId>) -> Result<Page<Patch>, StoreError> {
        self.read("list patches", |db| {
            let total =
                count(db, "SELECT count(*) FROM patch WHERE patch_set_id = ?", [Int(set.0)])?;
            let sql = format!(
                "{PATCH} WHERE patch_set_id = ? AND patch_id > ? ORDER BY patch_id LIMIT ?"
            );
            let after = Int(window.after.map_or(0, |id| id.0));
            let items = all(db, &sql, params![Int(set.0), after, one_more(window.first)], patch)?;
            Ok(Page::cut(items, window.first, total))
        })
    }

    fn patch_set_stat(&self, set: PatchSetId) -> Result<DiffStat, StoreError> {
        self.read("count a patch set's lines", |db| {
            let sql =
                "SELECT coalesce(sum(files), 0), coalesce(sum(added), 0), coalesce(sum(deleted), 0)
                       FROM patch WHERE patch_set_id = ?";
            let found = one(db, sql, [Int(set.0)], |row| stat(row, 0))?;
            Ok(found.unwrap_or_default())
        })
    }
}

fn hang(
    db: &Connection,
    execution: Int,
    ended: Int,
    id: PatchSetId,
    new: &NewPatchSet,
) -> Result<(), Boxed> {
    let partial = new.partial.as_ref();
    run(
        db,
        "UPDATE execution SET patch_set_id = ?, ended_ms = ?, partial_by = ?, partial_ms = ?, partial_failed = ?
         WHERE group_id = ?",
        params![
            Int(id.0),
            ended,
            partial.map(|partial| &partial.by),
            partial.map(|partial| Int(partial.at.0)),
            partial.map(|partial| Int(partial.failed)),
            execution
        ],
    )?;
    Ok(())
}

/// The campaign of the execution's action takes the patch set, unless a newer execution was quicker.
fn give_to_campaign(
    db: &Connection,
    execution: Int,
    id: PatchSetId,
    at: WallMs,
) -> Result<(), Boxed> {
    run(
        db,
        "UPDATE campaign SET patch_set_id = ?2, updated_ms = ?3
         WHERE closed_ms IS NULL
           AND campaign_id = (SELECT a.campaign_id FROM execution e JOIN action a USING (action_id)
                              WHERE e.group_id = ?1 AND a.autoupdate = 1)
           AND NOT EXISTS (SELECT 1 FROM patch_set p WHERE p.patch_set_id = campaign.patch_set_id AND p.group_id > ?1)",
        params![execution, Int(id.0), Int(at.0)],
    )?;
    Ok(())
}
