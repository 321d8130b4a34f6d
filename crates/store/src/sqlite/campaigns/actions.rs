//! Actions and their executions.

use campaign::action::{
    Action, ActionStore, ActionVersion, ExecutionFilter, ExecutionRow, ExecutionState, Misfire,
    Partial, Reason, Settings,
};
use campaign::page::{Page, Window};
use dispatcher::StoreError;
use model::{ActionId, CampaignId, GroupId, PatchSetId, SavedSearchId, WallMs};
use rusqlite::{Connection, Row, params};

use super::{Boxed, Int, Json, SqliteCampaigns, all, count, one, one_more, part, run};

const ACTION: &str = "
    SELECT a.action_id, a.name, a.description, a.version, v.text, a.schedule, a.time_zone, a.overlap, a.paused,
           a.saved_search_id, a.trigger_on, a.only_new, a.campaign_id, a.autoupdate, a.owner, a.created_ms, a.updated_ms,
           a.next_tick_ms
    FROM action a JOIN action_version v ON v.action_id = a.action_id AND v.number = a.version";

fn action(row: &Row<'_>) -> Result<Action, Boxed> {
    let id = |index| row.get::<_, Option<Int>>(index).map(|id| id.map(|id| id.0));
    Ok(Action {
        id: ActionId(row.get::<_, Int>(0)?.0),
        name: row.get(1)?,
        description: row.get(2)?,
        version: row.get(3)?,
        text: row.get(4)?,
        settings: Settings {
            schedule: row.get(5)?,
            time_zone: row.get(6)?,
            overlap: row.get::<_, Json<_>>(7)?.0,
            paused: row.get(8)?,
            saved_search: id(9)?.map(SavedSearchId),
            trigger: row.get::<_, Json<_>>(10)?.0,
            only_new: row.get(11)?,
            campaign: id(12)?.map(CampaignId),
            autoupdate: row.get(13)?,
        },
        owner: row.get(14)?,
        created: WallMs(row.get::<_, Int>(15)?.0),
        updated: WallMs(row.get::<_, Int>(16)?.0),
        next_tick: id(17)?.map(WallMs),
    })
}

fn action_by_id(db: &Connection, id: ActionId) -> Result<Option<Action>, Boxed> {
    one(db, &format!("{ACTION} WHERE a.action_id = ?"), [Int(id.0)], action)
}

fn put_version(
    db: &Connection,
    id: ActionId,
    number: u32,
    text: &str,
    author: &str,
    at: WallMs,
) -> Result<(), Boxed> {
    run(
        db,
        "INSERT INTO action_version (action_id, number, text, author, created_ms) VALUES (?, ?, ?, ?, ?)",
        params![Int(id.0), number, text, author, Int(at.0)],
    )?;
    Ok(())
}

const EXECUTION: &str = "
    SELECT group_id, action_id, version, reason, detail, owner, patch_set_id, partial_by, partial_ms, partial_failed
    FROM execution";

/// Executions of an action (`?1`) that stand so (`?2`).
const OF_STATE: &str = "(?1 IS NULL OR action_id = ?1) AND (?2 IS NULL OR ?2 = (
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM job_done d WHERE d.job_id >= g.first_job AND d.job_id < g.first_job + g.jobs
                     AND d.outcome IN ('canceled', 'killed')) THEN 'canceled'
        WHEN g.finished_ms IS NULL THEN 'processing'
        WHEN EXISTS (SELECT 1 FROM job_done d WHERE d.job_id >= g.first_job AND d.job_id < g.first_job + g.jobs
                     AND d.outcome <> 'succeeded') THEN 'errored'
        ELSE 'completed' END
    FROM job_group g WHERE g.group_id = execution.group_id))";

fn execution(row: &Row<'_>) -> Result<ExecutionRow, Boxed> {
    let by: Option<String> = row.get(7)?;
    let partial = match by {
        None => None,
        Some(by) => Some(Partial {
            by,
            at: WallMs(row.get::<_, Int>(8)?.0),
            failed: row.get::<_, Int>(9)?.0,
        }),
    };
    Ok(ExecutionRow {
        execution: GroupId(row.get::<_, Int>(0)?.0),
        action: row.get::<_, Option<Int>>(1)?.map(|id| ActionId(id.0)),
        version: row.get(2)?,
        reason: row.get::<_, Json<Reason>>(3)?.0,
        detail: row.get(4)?,
        owner: row.get(5)?,
        patch_set: row.get::<_, Option<Int>>(6)?.map(|id| PatchSetId(id.0)),
        partial,
    })
}

impl ActionStore for SqliteCampaigns {
    fn create_action(
        &self,
        name: &str,
        description: &str,
        text: &str,
        owner: &str,
        at: WallMs,
    ) -> Result<Option<Action>, StoreError> {
        self.write("create an action", |db| {
            let made = run(
                db,
                "INSERT OR IGNORE INTO action (name, description, version, owner, created_ms, updated_ms)
                 VALUES (?1, ?2, 1, ?3, ?4, ?4)",
                params![name, description, owner, Int(at.0)],
            )?;
            if made == 0 {
                return Ok(None);
            }
            let id = ActionId(db.last_insert_rowid() as u64);
            put_version(db, id, 1, text, owner, at)?;
            action_by_id(db, id)
        })
    }

    fn put_action_version(
        &self,
        id: ActionId,
        description: &str,
        text: &str,
        author: &str,
        at: WallMs,
    ) -> Result<Option<Action>, StoreError> {
        self.write("update an action", |db| {
            let Some(known) = action_by_id(db, id)? else { return Ok(None) };
            if known.text == text {
                return Ok(Some(known));
            }
            let number = known.version + 1;
            put_version(db, id, number, text, author, at)?;
            run(
                db,
                "UPDATE action SET version = ?, description = ?, updated_ms = ? WHERE action_id = ?",
                params![number, description, Int(at.0), Int(id.0)],
            )?;
            action_by_id(db, id)
        })
    }

    fn put_action_settings(
        &self,
        id: ActionId,
        settings: &Settings,
        next_tick: Option<WallMs>,
        at: WallMs,
    ) -> Result<Option<Action>, StoreError> {
        self.write("update an action's settings", |db| {
            run(
                db,
                "UPDATE action SET schedule = ?, time_zone = ?, overlap = ?, paused = ?, saved_search_id = ?, trigger_on = ?,
                     only_new = ?, campaign_id = ?, autoupdate = ?, next_tick_ms = ?, updated_ms = ?
                 WHERE action_id = ?",
                params![
                    settings.schedule,
                    settings.time_zone,
                    Json(settings.overlap),
                    settings.paused,
                    settings.saved_search.map(|id| Int(id.0)),
                    Json(settings.trigger),
                    settings.only_new,
                    settings.campaign.map(|id| Int(id.0)),
                    settings.autoupdate,
                    next_tick.map(|at| Int(at.0)),
                    Int(at.0),
                    Int(id.0)
                ],
            )?;
            action_by_id(db, id)
        })
    }

    fn put_next_tick(
        &self,
        id: ActionId,
        from: WallMs,
        to: Option<WallMs>,
    ) -> Result<bool, StoreError> {
        self.write("move a schedule on", |db| {
            let changed = run(
                db,
                "UPDATE action SET next_tick_ms = ? WHERE action_id = ? AND next_tick_ms = ?",
                params![to.map(|at| Int(at.0)), Int(id.0), Int(from.0)],
            )?;
            Ok(changed == 1)
        })
    }

    fn delete_action(&self, id: ActionId) -> Result<bool, StoreError> {
        self.write("delete an action", |db| {
            Ok(run(db, "DELETE FROM action WHERE action_id = ?", [Int(id.0)])? == 1)
        })
    }

    fn action(&self, id: ActionId) -> Result<Option<Action>, StoreError> {
        self.read("read an action", |db| action_by_id(db, id))
    }

    fn action_named(&self, name: &str) -> Result<Option<Action>, StoreError> {
        self.read("read an action", |db| {
            one(db, &format!("{ACTION} WHERE a.name = ?"), [name], action)
        })
    }

    fn actions(&self, query: &str, window: Window<String>) -> Result<Page<Action>, StoreError> {
        self.read("list actions", |db| {
            let like = part(query);
            let total = count(
                db,
                "SELECT count(*) FROM action WHERE name LIKE ? ESCAPE '\\'",
                [&like],
            )?;
            let sql = format!(
                "{ACTION} WHERE a.name LIKE ?1 ESCAPE '\\' AND (?2 IS NULL OR a.name > ?2) ORDER BY a.name LIMIT ?3"
            );
            let items =
                all(db, &sql, params![like, window.after, one_more(window.first)], action)?;
            Ok(Page::cut(items, window.first, total))
        })
    }

    fn actions_due(&self, now: WallMs) -> Result<Vec<Action>, StoreError> {
        self.read("list actions that are due", |db| {
            let sql = format!(
                "{ACTION} WHERE a.next_tick_ms IS NOT NULL AND a.next_tick_ms <= ? ORDER BY a.next_tick_ms"
            );
            all(db, &sql, [Int(now.0)], action)
        })
    }

    fn next_tick(&self) -> Result<Option<WallMs>, StoreError> {
        self.read("read the next tick", |db| {
            let sql = "SELECT min(next_tick_ms) FROM action WHERE next_tick_ms IS NOT NULL";
            let at = one(db, sql, [], |row| Ok(row.get::<_, Option<Int>>(0)?))?;
            Ok(at.flatten().map(|at| WallMs(at.0)))
        })
    }

    fn actions_of_saved_search(&self, id: SavedSearchId) -> Result<Vec<Action>, StoreError> {
        self.read("list the actions of a saved search", |db| {
            all(
                db,
                &format!("{ACTION} WHERE a.saved_search_id = ? ORDER BY a.name"),
                [Int(id.0)],
                action,
            )
        })
    }

    fn actions_of_campaign(&self, id: CampaignId) -> Result<Vec<Action>, StoreError> {
        self.read("list the actions of a campaign", |db| {
            all(
                db,
                &format!("{ACTION} WHERE a.campaign_id = ? ORDER BY a.name"),
                [Int(id.0)],
                action,
            )
        })
    }

    fn action_versions(
        &self,
        id: ActionId,
        window: Window<u32>,
    ) -> Result<Page<ActionVersion>, StoreError> {
        self.read("list versions", |db| {
            let total =
                count(db, "SELECT count(*) FROM action_version WHERE action_id = ?", [Int(id.0)])?;
            let sql = format!(
                "{VERSION} WHERE action_id = ?1 AND (?2 IS NULL OR number < ?2) ORDER BY number DESC LIMIT ?3"
            );
            let items =
                all(db, &sql, params![Int(id.0), window.after, one_more(window.first)], version)?;
            Ok(Page::cut(items, window.first, total))
        })
    }

    fn action_version(
        &self,
        id: ActionId,
        number: u32,
    ) -> Result<Option<ActionVersion>, StoreError> {
        self.read("read a version", |db| {
            let sql = format!("{VERSION} WHERE action_id = ? AND number = ?");
            one(db, &sql, params![Int(id.0), number], version)
        })
    }

    fn put_execution(&self, row: &ExecutionRow) -> Result<(), StoreError> {
        self.write("write an execution down", |db| {
            run(
                db,
                "INSERT OR IGNORE INTO execution (group_id, action_id, version, reason, detail, owner)
                 VALUES (?, ?, ?, ?, ?, ?)",
                params![
                    Int(row.execution.0),
                    row.action.map(|id| Int(id.0)),
                    row.version,
                    Json(row.reason),
                    row.detail,
                    row.owner
                ],
            )?;
            Ok(())
        })
    }

    fn execution(&self, id: GroupId) -> Result<Option<ExecutionRow>, StoreError> {
        self.read("read an execution", |db| {
            one(db, &format!("{EXECUTION} WHERE group_id = ?"), [Int(id.0)], execution)
        })
    }

    fn executions_by_id(&self, ids: &[GroupId]) -> Result<Vec<ExecutionRow>, StoreError> {
        self.read("read executions", |db| {
            let ids: Vec<u64> = ids.iter().map(|id| id.0).collect();
            let sql = format!("{EXECUTION} WHERE group_id IN (SELECT value FROM json_each(?))");
            all(db, &sql, [Json(ids)], execution)
        })
    }

    fn executions(
        &self,
        filter: ExecutionFilter,
        window: Window<GroupId>,
    ) -> Result<Page<ExecutionRow>, StoreError> {
        self.read("list executions", |db| {
            let of = filter.action.map(|id| Int(id.0));
            let state = filter.state.map(|state| match state {
                ExecutionState::Processing => "processing",
                ExecutionState::Errored => "errored",
                ExecutionState::Completed => "completed",
                ExecutionState::Canceled => "canceled",
            });
            let count = count(
                db,
                &format!("SELECT count(*) FROM execution WHERE {OF_STATE}"),
                params![of, state],
            )?;
            let sql = format!(
                "{EXECUTION} WHERE {OF_STATE} AND (?3 IS NULL OR group_id < ?3) ORDER BY group_id DESC LIMIT ?4"
            );
            let after = window.after.map(|id| Int(id.0));
            let items =
                all(db, &sql, params![of, state, after, one_more(window.first)], execution)?;
            Ok(Page::cut(items, window.first, count))
        })
    }

    fn executions_to_write(&self) -> Result<Vec<GroupId>, StoreError> {
        self.read("list executions that are not written down", |db| {
            let sql = "SELECT g.group_id FROM job_group g LEFT JOIN execution e USING (group_id)
                       WHERE e.group_id IS NULL ORDER BY g.group_id LIMIT 1000";
            all(db, sql, [], |row| Ok(GroupId(row.get::<_, Int>(0)?.0)))
        })
    }

    fn executions_to_finish(&self) -> Result<Vec<GroupId>, StoreError> {
        self.read("list executions that ended", |db| {
            // One whose jobs did not all succeed waits for a person.
            let sql = "
                SELECT e.group_id FROM execution e JOIN job_group g USING (group_id)
                WHERE g.finished_ms IS NOT NULL AND e.ended_ms IS NOT g.finished_ms
                  AND NOT EXISTS (SELECT 1 FROM job_done d WHERE d.job_id >= g.first_job
                                  AND d.job_id < g.first_job + g.jobs AND d.outcome <> 'succeeded')
                ORDER BY e.group_id";
            all(db, sql, [], |row| Ok(GroupId(row.get::<_, Int>(0)?.0)))
        })
    }

    fn put_misfire(&self, misfire: &Misfire) -> Result<(), StoreError> {
        self.write("write a misfire down", |db| {
            run(
                db,
                "INSERT INTO misfire (action_id, at_ms, reason, detail, why) VALUES (?, ?, ?, ?, ?)",
                params![
                    Int(misfire.action.0),
                    Int(misfire.at.0),
                    Json(misfire.reason),
                    misfire.detail,
                    misfire.why
                ],
            )?;
            run(
                db,
                "DELETE FROM misfire WHERE action_id = ?1 AND misfire_id <= (
                     SELECT misfire_id FROM misfire WHERE action_id = ?1 ORDER BY misfire_id DESC LIMIT 1 OFFSET 100)",
                [Int(misfire.action.0)],
            )?;
            Ok(())
        })
    }

    fn misfires(&self, of: Option<ActionId>, limit: usize) -> Result<Vec<Misfire>, StoreError> {
        self.read("list misfires", |db| {
            all(
                db,
                "SELECT action_id, at_ms, reason, detail, why FROM misfire WHERE (?1 IS NULL OR action_id = ?1)
                 ORDER BY misfire_id DESC LIMIT ?2",
                params![of.map(|id| Int(id.0)), Int(limit as u64)],
                |row| {
                    Ok(Misfire {
                        action: ActionId(row.get::<_, Int>(0)?.0),
                        at: WallMs(row.get::<_, Int>(1)?.0),
                        reason: row.get::<_, Json<Reason>>(2)?.0,
                        detail: row.get(3)?,
                        why: row.get(4)?,
                    })
                },
            )
        })
    }
}

const VERSION: &str = "SELECT number, text, author, created_ms FROM action_version";

fn version(row: &Row<'_>) -> Result<ActionVersion, Boxed> {
    Ok(ActionVersion {
        number: row.get(0)?,
        text: row.get(1)?,
        author: row.get(2)?,
        created: WallMs(row.get::<_, Int>(3)?.0),
    })
}
