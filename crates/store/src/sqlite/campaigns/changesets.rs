//! Campaigns, their changesets, and operations over many of them.

mod bulk;
mod rows;

use std::collections::BTreeMap;

use campaign::changeset::{
    Actual, BulkItem, BulkOperation, Campaign, CampaignCounts, CampaignFilter, CampaignStore,
    Changeset, ChangesetEvent, ChangesetFilter, EventKind, NewBulkOperation, Phase, PreviewRow,
    Publication, Work, is_pushed, phase, plan,
};
use campaign::page::{Page, Window};
use dispatcher::StoreError;
use model::{BulkOperationId, CampaignId, ChangesetId, PatchId, PatchSetId, WallMs};
use rusqlite::{Connection, params};

use super::{Boxed, Int, Json, SqliteCampaigns, all, count, one, one_more, part, run};
use rows::{CAMPAIGN, CHANGESET, campaign, changeset, event, insert, put};

fn campaign_by_id(db: &Connection, id: CampaignId) -> Result<Option<Campaign>, Boxed> {
    one(db, &format!("{CAMPAIGN} WHERE campaign_id = ?"), [Int(id.0)], campaign)
}

fn changeset_by_id(db: &Connection, id: ChangesetId) -> Result<Option<Changeset>, Boxed> {
    one(db, &format!("{CHANGESET} WHERE changeset_id = ?"), [Int(id.0)], changeset)
}

/// Writes a changeset whose wanted half changed: it is due when there is something to do.
fn wish(db: &Connection, changeset: &mut Changeset, at: WallMs) -> Result<(), Boxed> {
    changeset.work.due = (!plan(changeset).is_empty()).then_some(at);
    changeset.work.attempts = 0;
    changeset.work.waiting = false;
    changeset.work.error = None;
    changeset.work.error_is_final = false;
    changeset.updated = at;
    changeset.phase = phase(changeset);
    put(db, changeset)
}

impl CampaignStore for SqliteCampaigns {
    fn create_campaign(&self, new: &Campaign) -> Result<Option<Campaign>, StoreError> {
        self.write("create a campaign", |db| {
            let made = run(
                db,
                "INSERT OR IGNORE INTO campaign (name, description, branch, patch_set_id, publication, author, created_ms,
                     updated_ms, published_ms)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    new.name,
                    new.description,
                    new.branch,
                    new.patch_set.map(|id| Int(id.0)),
                    Json(new.publication),
                    new.author,
                    Int(new.created.0),
                    Int(new.updated.0),
                    new.published.map(|at| Int(at.0))
                ],
            )?;
            if made == 0 {
                return Ok(None);
            }
            campaign_by_id(db, CampaignId(db.last_insert_rowid() as u64))
        })
    }

    fn put_campaign(&self, it: &Campaign) -> Result<bool, StoreError> {
        self.write("update a campaign", |db| {
            // Whatever its changesets take from it may have changed, so they are made anew from the patch set.
            let changed = run(
                db,
                "UPDATE OR IGNORE campaign SET name = ?, description = ?, branch = ?, patch_set_id = ?, applied_id = NULL,
                     publication = ?, updated_ms = ?, published_ms = ?, closed_ms = ?
                 WHERE campaign_id = ?",
                params![
                    it.name,
                    it.description,
                    it.branch,
                    it.patch_set.map(|id| Int(id.0)),
                    Json(it.publication),
                    Int(it.updated.0),
                    it.published.map(|at| Int(at.0)),
                    it.closed.map(|at| Int(at.0)),
                    Int(it.id.0)
                ],
            )?;
            Ok(changed == 1)
        })
    }

    fn delete_campaign(&self, id: CampaignId) -> Result<bool, StoreError> {
        self.write("delete a campaign", |db| {
            Ok(run(db, "DELETE FROM campaign WHERE campaign_id = ?", [Int(id.0)])? == 1)
        })
    }

    fn campaign(&self, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        self.read("read a campaign", |db| campaign_by_id(db, id))
    }

    fn campaign_named(&self, name: &str) -> Result<Option<Campaign>, StoreError> {
        self.read("read a campaign", |db| {
            one(db, &format!("{CAMPAIGN} WHERE name = ?"), [name], campaign)
        })
    }

    fn campaign_of_patch_set(&self, id: PatchSetId) -> Result<Option<Campaign>, StoreError> {
        self.read("read a campaign", |db| {
            one(db, &format!("{CAMPAIGN} WHERE patch_set_id = ?"), [Int(id.0)], campaign)
        })
    }

    fn campaigns(
        &self,
        filter: &CampaignFilter,
        window: Window<CampaignId>,
    ) -> Result<Page<Campaign>, StoreError> {
        self.read("list campaigns", |db| {
            let like = part(&filter.query);
            let which = "(?1 IS NULL OR (closed_ms IS NOT NULL) = ?1) AND name LIKE ?2 ESCAPE '\\'";
            let total = count(
                db,
                &format!("SELECT count(*) FROM campaign WHERE {which}"),
                params![filter.closed, like],
            )?;
            let sql = format!(
                "{CAMPAIGN} WHERE {which} AND (?3 IS NULL OR campaign_id < ?3) ORDER BY campaign_id DESC LIMIT ?4"
            );
            let after = window.after.map(|id| Int(id.0));
            let parameters = params![filter.closed, like, after, one_more(window.first)];
            Ok(Page::cut(all(db, &sql, parameters, campaign)?, window.first, total))
        })
    }

    fn campaigns_to_apply(&self) -> Result<Vec<Campaign>, StoreError> {
        self.read("list campaigns to apply", |db| {
            let sql = format!(
                "{CAMPAIGN} WHERE closed_ms IS NULL AND patch_set_id IS NOT NULL AND applied_id IS NOT patch_set_id"
            );
            all(db, &sql, [], campaign)
        })
    }

    fn apply(
        &self,
        id: CampaignId,
        set: PatchSetId,
        rows: &[PreviewRow],
        at: WallMs,
    ) -> Result<bool, StoreError> {
        self.write("apply a patch set", |db| {
            let refused: Vec<String> = rows
                .iter()
                .filter_map(|row| Some(format!("{}: {}", row.repository, row.refused.as_ref()?)))
                .take(100)
                .collect();
            let applied = run(
                db,
                "UPDATE campaign SET applied_id = ?2, updated_ms = ?3, refused = ?4
                 WHERE campaign_id = ?1 AND patch_set_id = ?2 AND closed_ms IS NULL",
                params![Int(id.0), Int(set.0), Int(at.0), Json(refused)],
            )?;
            if applied == 0 {
                return Ok(false);
            }
            for row in rows.iter().filter(|row| row.refused.is_none()) {
                apply_row(db, id, row, at)?;
            }
            Ok(true)
        })
    }

    fn branches_of_others(
        &self,
        id: CampaignId,
    ) -> Result<BTreeMap<(String, String), String>, StoreError> {
        self.read("list the branches of other campaigns", |db| {
            let sql = "SELECT s.repository, s.branch, c.name FROM changeset s JOIN campaign c USING (campaign_id)
                       WHERE c.campaign_id <> ? AND c.closed_ms IS NULL AND s.detached = 0 AND s.imported = 0
                         AND s.phase NOT IN ('merged', 'closed')";
            let rows = all(db, sql, [Int(id.0)], |row| {
                Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
            })?;
            Ok(rows.into_iter().collect())
        })
    }

    fn rename_repository(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.write("rename a repository", |db| {
            for sql in [
                "UPDATE changeset SET repository = ?2, wanted = json_set(wanted, '$.repository', ?2) WHERE repository = ?1",
                "UPDATE patch SET wanted = json_set(wanted, '$.repository', ?2)
                 WHERE json_extract(wanted, '$.repository') = ?1",
                "UPDATE patch_set SET coverage = replace(coverage, json_quote(?1), json_quote(?2))
                 WHERE instr(coverage, json_quote(?1)) > 0",
                "UPDATE OR REPLACE saved_search_result SET repository = ?2 WHERE repository = ?1",
            ] {
                run(db, sql, [from, to])?;
            }
            Ok(())
        })
    }

    fn is_history(
        &self,
        id: CampaignId,
        repository: &str,
        branch: &str,
        commit: &str,
    ) -> Result<bool, StoreError> {
        self.read("look for a commit", |db| {
            let sql = "SELECT count(*) FROM changeset
                       WHERE campaign_id = ?1 AND repository = ?2 AND branch = ?3 AND detached = 1
                         AND (json_extract(actual, '$.pushed') = ?4
                              OR (state = 'merged' AND json_extract(actual, '$.pullRequest.headCommit') = ?4))";
            Ok(count(db, sql, params![Int(id.0), repository, branch, commit])? > 0)
        })
    }

    fn import_changeset(
        &self,
        campaign: Option<CampaignId>,
        it: &Changeset,
        events: &[(EventKind, WallMs)],
    ) -> Result<Changeset, StoreError> {
        self.write("import a changeset", |db| {
            let mut it = it.clone();
            if let Some(campaign) = campaign {
                it.campaign = campaign;
            }
            let external = it.actual.pull_request.as_ref().map(|pull| pull.external_id.as_str());
            let sql = format!(
                "{CHANGESET} WHERE repository = ?1 AND external_id = ?2 AND detached = 0
                   AND coalesce(campaign_id, 0) = ?3"
            );
            let known = params![it.repository, external, Int(it.campaign.0)];
            if let Some(known) = one(db, &sql, known, changeset)? {
                return Ok(known);
            }
            insert(db, &mut it)?;
            put_events(db, it.id, events)?;
            Ok(it)
        })
    }

    fn changeset(&self, id: ChangesetId) -> Result<Option<Changeset>, StoreError> {
        self.read("read a changeset", |db| changeset_by_id(db, id))
    }

    fn changesets(
        &self,
        of: CampaignId,
        filter: &ChangesetFilter,
        window: Window<ChangesetId>,
    ) -> Result<Page<Changeset>, StoreError> {
        self.read("list changesets", |db| {
            let which = "campaign_id = ?1 AND (?2 IS NULL OR (external_id IS NOT NULL) = ?2)
                AND (?3 IS NULL OR phase IN (SELECT value FROM json_each(?3))) AND (?4 IS NULL OR state = ?4) AND (?5 IS NULL OR review = ?5)
                AND (?6 IS NULL OR checks = ?6)
                AND (?7 IS NULL OR repository LIKE ?7 ESCAPE '\\' OR branch LIKE ?7 ESCAPE '\\' OR title LIKE ?7 ESCAPE '\\')";
            let like = (!filter.query.is_empty()).then(|| part(&filter.query));
            let phases: Vec<&str> = filter.phases.iter().map(|phase| phase.name()).collect();
            let phases = (!phases.is_empty()).then(|| serde_json::json!(phases).to_string());
            let state = filter.state.map(Json);
            let (review, checks) = (filter.review.map(Json), filter.checks.map(Json));
            let total = count(
                db,
                &format!("SELECT count(*) FROM changeset WHERE {which}"),
                params![Int(of.0), filter.published, phases, state, review, checks, like],
            )?;
            let sql = format!(
                "{CHANGESET} WHERE {which} AND changeset_id > ?8 ORDER BY changeset_id LIMIT ?9"
            );
            let after = Int(window.after.map_or(0, |id| id.0));
            let most = one_more(window.first);
            let parameters =
                params![Int(of.0), filter.published, phases, state, review, checks, like, after, most];
            Ok(Page::cut(all(db, &sql, parameters, changeset)?, window.first, total))
        })
    }

    fn changesets_of_pull_request(
        &self,
        repository: &str,
        external_id: &str,
    ) -> Result<Vec<Changeset>, StoreError> {
        self.read("find changesets", |db| {
            let sql = format!("{CHANGESET} WHERE repository = ? AND external_id = ?");
            all(db, &sql, [repository, external_id], changeset)
        })
    }

    fn changesets_of_patches(
        &self,
        campaign: CampaignId,
        patches: &[PatchId],
    ) -> Result<Vec<Changeset>, StoreError> {
        self.read("find changesets", |db| {
            let ids: Vec<u64> = patches.iter().map(|id| id.0).collect();
            let sql = format!(
                "{CHANGESET} WHERE campaign_id = ? AND detached = 0 AND patch_id IN (SELECT value FROM json_each(?))"
            );
            all(db, &sql, params![Int(campaign.0), Json(ids)], changeset)
        })
    }

    fn changesets_of_branch(
        &self,
        repository: &str,
        branch: Option<&str>,
    ) -> Result<Vec<Changeset>, StoreError> {
        self.read("find changesets", |db| {
            let sql = format!(
                "{CHANGESET} WHERE repository = ?1 AND (?2 IS NULL OR branch = ?2) AND detached = 0"
            );
            all(db, &sql, params![repository, branch], changeset)
        })
    }

    fn changesets_due(&self, now: WallMs, limit: usize) -> Result<Vec<Changeset>, StoreError> {
        self.read("list changesets that are due", |db| {
            // Of a closed campaign only the closing is done.
            let sql = format!(
                "{CHANGESET} WHERE due_ms IS NOT NULL AND due_ms <= ? AND (close = 1 OR campaign_id NOT IN (
                     SELECT campaign_id FROM campaign WHERE closed_ms IS NOT NULL)) ORDER BY due_ms LIMIT ?"
            );
            all(db, &sql, [Int(now.0), Int(limit as u64)], changeset)
        })
    }

    fn changesets_to_sync(&self, now: WallMs, limit: usize) -> Result<Vec<Changeset>, StoreError> {
        self.read("list changesets to look after", |db| {
            let sql = format!(
                "{CHANGESET} WHERE next_sync_ms IS NOT NULL AND next_sync_ms <= ? ORDER BY next_sync_ms LIMIT ?"
            );
            all(db, &sql, [Int(now.0), Int(limit as u64)], changeset)
        })
    }

    fn put_changeset(
        &self,
        seen: &Changeset,
        events: &[(EventKind, WallMs)],
    ) -> Result<(), StoreError> {
        self.write("keep a changeset", |db| {
            let Some(known) = changeset_by_id(db, seen.id)? else { return Ok(()) };
            // What is wanted may have changed while the host was asked; that half is the stored one's.
            let same = known.wanted == seen.wanted
                && known.publication == seen.publication
                && known.close == seen.close
                && known.detached == seen.detached
                && known.work.overwrite == seen.work.overwrite;
            let mut next = Changeset {
                actual: seen.actual.clone(),
                work: seen.work.clone(),
                updated: seen.updated,
                ..known.clone()
            };
            if !same {
                next.work = Work { next_sync: seen.work.next_sync, ..known.work };
                next.work.due = (!plan(&next).is_empty()).then_some(seen.updated);
            }
            next.phase = phase(&next);
            put(db, &next)?;
            put_events(db, seen.id, events)?;
            let pushed = next.wanted.as_ref().is_none_or(|wanted| is_pushed(&next, wanted));
            if next.phase == Phase::Merged && known.phase != Phase::Merged && !pushed {
                // It was merged without the newest patch, which needs a changeset of its own.
                run(
                    db,
                    "UPDATE campaign SET applied_id = NULL WHERE campaign_id = ?",
                    [Int(known.campaign.0)],
                )?;
            }
            Ok(())
        })
    }

    fn put_wishes(&self, changesets: &[Changeset]) -> Result<(), StoreError> {
        self.write("change what is wanted", |db| {
            for wished in changesets {
                let Some(mut known) = changeset_by_id(db, wished.id)? else { continue };
                let before = known.clone();
                known.work.next_sync = wished.work.next_sync;
                let only_look = known.work.next_sync != before.work.next_sync;
                known.publication = wished.publication;
                known.close = wished.close;
                known.detached = wished.detached;
                known.work.overwrite.clone_from(&wished.work.overwrite);
                let same = Work { next_sync: before.work.next_sync, ..known.work.clone() }
                    == before.work
                    && (known.publication, known.close, known.detached)
                        == (before.publication, before.close, before.detached);
                // To look sooner is no reason to try again what failed; the same wish again is.
                if same && only_look {
                    put(db, &known)?;
                } else {
                    wish(db, &mut known, wished.updated)?;
                }
            }
            Ok(())
        })
    }

    fn set_publication(
        &self,
        id: CampaignId,
        publication: Publication,
        at: WallMs,
    ) -> Result<(), StoreError> {
        self.write("publish a campaign", |db| {
            run(
                db,
                "UPDATE campaign SET publication = ?, updated_ms = ?2, published_ms = coalesce(published_ms, ?2)
                 WHERE campaign_id = ?3",
                params![Json(publication), Int(at.0), Int(id.0)],
            )?;
            let sql = format!("{CHANGESET} WHERE campaign_id = ? AND detached = 0 AND imported = 0");
            for mut known in all(db, &sql, [Int(id.0)], changeset)? {
                // Where the spec says how far, it stays with that.
                let said = known.wanted.as_ref().and_then(|wanted| wanted.published);
                if said.is_none() && known.publication < publication {
                    known.publication = publication;
                    wish(db, &mut known, at)?;
                }
            }
            Ok(())
        })
    }

    fn counts(&self, id: CampaignId) -> Result<CampaignCounts, StoreError> {
        self.read("count changesets", |db| {
            let sql = "SELECT phase, count(*) FROM changeset WHERE campaign_id = ? GROUP BY phase";
            let phases = all(db, sql, [Int(id.0)], |row| {
                Ok((row.get::<_, Json<Phase>>(0)?.0, row.get::<_, Int>(1)?.0))
            })?;
            let sql = "SELECT count(*) FROM changeset WHERE campaign_id = ? AND phase = 'unpublished'
                       AND wanted ->> 'published' = 'no'";
            let kept_back = count(db, sql, [Int(id.0)])?;
            let sql = "SELECT DISTINCT error FROM changeset
                       WHERE campaign_id = ? AND error IS NOT NULL AND detached = 0 ORDER BY error LIMIT 20";
            let errors = all(db, sql, [Int(id.0)], |row| Ok(row.get(0)?))?;
            let sql = "SELECT coalesce(sum(files), 0), coalesce(sum(added), 0), coalesce(sum(deleted), 0)
                       FROM changeset WHERE campaign_id = ? AND detached = 0";
            let stat = one(db, sql, [Int(id.0)], |row| super::patch_sets::stat(row, 0))?;
            Ok(CampaignCounts {
                by_phase: phases.into_iter().collect(),
                kept_back,
                errors,
                stat: stat.unwrap_or_default(),
            })
        })
    }

    fn events(&self, id: CampaignId) -> Result<Vec<ChangesetEvent>, StoreError> {
        self.read("list what happened", |db| {
            let sql = "SELECT e.event_id, e.changeset_id, e.kind, e.at_ms FROM changeset_event e
                       JOIN changeset s USING (changeset_id) WHERE s.campaign_id = ? ORDER BY e.at_ms, e.event_id";
            all(db, sql, [Int(id.0)], event)
        })
    }

    fn events_of(&self, id: ChangesetId) -> Result<Vec<ChangesetEvent>, StoreError> {
        self.read("list what happened", |db| {
            let sql = "SELECT event_id, changeset_id, kind, at_ms FROM changeset_event
                       WHERE changeset_id = ? ORDER BY at_ms, event_id";
            all(db, sql, [Int(id.0)], event)
        })
    }

    fn create_bulk(&self, new: &NewBulkOperation, at: WallMs) -> Result<BulkOperation, StoreError> {
        self.write("begin an operation", |db| bulk::create(db, new, at))
    }

    fn bulk(&self, id: BulkOperationId) -> Result<Option<BulkOperation>, StoreError> {
        self.read("read an operation", |db| bulk::by_id(db, id))
    }

    fn bulks(&self, of: CampaignId, limit: usize) -> Result<Vec<BulkOperation>, StoreError> {
        self.read("list operations", |db| bulk::of_campaign(db, of, limit))
    }

    fn bulk_items(&self, id: BulkOperationId) -> Result<Vec<BulkItem>, StoreError> {
        self.read("list what an operation touched", |db| bulk::items(db, id))
    }

    fn bulk_to_do(&self, limit: usize) -> Result<Vec<(BulkOperation, ChangesetId)>, StoreError> {
        self.read("list what is to be done", |db| bulk::to_do(db, limit))
    }

    fn put_bulk_item(
        &self,
        id: BulkOperationId,
        of: ChangesetId,
        error: Option<&str>,
        at: WallMs,
    ) -> Result<(), StoreError> {
        self.write("keep how an operation went", |db| {
            run(
                db,
                "UPDATE bulk_item SET done_ms = ?, error = ? WHERE bulk_id = ? AND changeset_id = ?",
                params![Int(at.0), error, Int(id.0), Int(of.0)],
            )?;
            Ok(())
        })
    }
}

fn put_events(
    db: &Connection,
    of: ChangesetId,
    events: &[(EventKind, WallMs)],
) -> Result<(), Boxed> {
    for (kind, at) in events {
        run(
            db,
            "INSERT INTO changeset_event (changeset_id, kind, at_ms) VALUES (?, ?, ?)",
            params![Int(of.0), Json(kind), Int(at.0)],
        )?;
    }
    Ok(())
}

fn apply_row(db: &Connection, of: CampaignId, row: &PreviewRow, at: WallMs) -> Result<(), Boxed> {
    let mut known = match row.changeset {
        Some(id) => changeset_by_id(db, id)?,
        None => None,
    };
    if row.archive
        && let Some(mut merged) = known.take()
    {
        merged.detached = true;
        wish(db, &mut merged, at)?;
    }
    match known {
        Some(known) if row.forget => {
            run(db, "DELETE FROM changeset WHERE changeset_id = ?", [Int(known.id.0)])?;
        }
        Some(mut known) => {
            let before = known.clone();
            known.patch = row.patch;
            known.wanted.clone_from(&row.wanted);
            known.publication = row.publication;
            known.close = row.close;
            known.stat = row.stat.clone();
            let same = Changeset { patch: before.patch, ..known.clone() } == before;
            // The same wish again must not undo the wait for a code host.
            if same {
                put(db, &known)?;
            } else {
                wish(db, &mut known, at)?;
            }
        }
        None => {
            let mut new = Changeset {
                id: ChangesetId(0),
                campaign: of,
                repository: row.repository.clone(),
                branch: row.branch.clone(),
                patch: row.patch,
                wanted: row.wanted.clone(),
                publication: row.publication,
                close: false,
                detached: false,
                actual: Actual::default(),
                work: Work::default(),
                phase: Phase::Unpublished,
                stat: row.stat.clone(),
                created: at,
                updated: at,
            };
            insert(db, &mut new)?;
            wish(db, &mut new, at)?;
        }
    }
    Ok(())
}
