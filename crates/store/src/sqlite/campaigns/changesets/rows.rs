//! Rows of campaigns and changesets.

use campaign::changeset::{Campaign, Changeset, ChangesetEvent, Work};
use model::{CampaignId, ChangesetId, PatchId, PatchSetId, WallMs};
use rusqlite::{Connection, Row, params};

use super::super::{Boxed, Int, Json, patch_sets, run};

pub(super) const CAMPAIGN: &str = "
    SELECT campaign_id, name, description, branch, patch_set_id, applied_id, publication, author, created_ms, updated_ms,
           published_ms, closed_ms, refused
    FROM campaign";

fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<WallMs>> {
    Ok(row.get::<_, Option<Int>>(index)?.map(|at| WallMs(at.0)))
}

pub(super) fn campaign(row: &Row<'_>) -> Result<Campaign, Boxed> {
    let set = |index| row.get::<_, Option<Int>>(index).map(|id| id.map(|id| PatchSetId(id.0)));
    Ok(Campaign {
        id: CampaignId(row.get::<_, Int>(0)?.0),
        name: row.get(1)?,
        description: row.get(2)?,
        branch: row.get(3)?,
        patch_set: set(4)?,
        applied: set(5)?,
        publication: row.get::<_, Json<_>>(6)?.0,
        author: row.get(7)?,
        created: WallMs(row.get::<_, Int>(8)?.0),
        updated: WallMs(row.get::<_, Int>(9)?.0),
        published: time(row, 10)?,
        closed: time(row, 11)?,
        refused: row.get::<_, Json<_>>(12)?.0,
    })
}

pub(super) const CHANGESET: &str = "
    SELECT changeset_id, campaign_id, repository, branch, patch_id, wanted, publication, close, detached, actual, phase, due_ms,
           attempts, waiting, error, error_is_final, next_sync_ms, overwrite, files, added, deleted, created_ms, updated_ms
    FROM changeset";

pub(super) fn changeset(row: &Row<'_>) -> Result<Changeset, Boxed> {
    Ok(Changeset {
        id: ChangesetId(row.get::<_, Int>(0)?.0),
        campaign: CampaignId(row.get::<_, Option<Int>>(1)?.map_or(0, |id| id.0)),
        repository: row.get(2)?,
        branch: row.get(3)?,
        patch: row.get::<_, Option<Int>>(4)?.map(|id| PatchId(id.0)),
        wanted: row.get::<_, Option<Json<_>>>(5)?.map(|wanted| wanted.0),
        publication: row.get::<_, Json<_>>(6)?.0,
        close: row.get(7)?,
        detached: row.get(8)?,
        actual: row.get::<_, Json<_>>(9)?.0,
        phase: row.get::<_, Json<_>>(10)?.0,
        work: Work {
            due: time(row, 11)?,
            attempts: row.get(12)?,
            waiting: row.get(13)?,
            error: row.get(14)?,
            error_is_final: row.get(15)?,
            next_sync: time(row, 16)?,
            overwrite: row.get(17)?,
        },
        stat: patch_sets::stat(row, 18)?,
        created: WallMs(row.get::<_, Int>(21)?.0),
        updated: WallMs(row.get::<_, Int>(22)?.0),
    })
}

pub(super) fn event(row: &Row<'_>) -> Result<ChangesetEvent, Boxed> {
    Ok(ChangesetEvent {
        id: row.get::<_, Int>(0)?.0,
        changeset: ChangesetId(row.get::<_, Int>(1)?.0),
        kind: row.get::<_, Json<_>>(2)?.0,
        at: WallMs(row.get::<_, Int>(3)?.0),
    })
}

/// Inserts what identifies a changeset, sets its id, and writes the rest.
pub(super) fn insert(db: &Connection, it: &mut Changeset) -> Result<(), Boxed> {
    run(
        db,
        "INSERT INTO changeset (campaign_id, repository, branch, publication, close, detached, actual, imported, title, phase,
             attempts, waiting, error_is_final, files, added, deleted, created_ms, updated_ms)
         VALUES (?, ?, ?, 'none', 0, ?, '{}', ?, '', 'unpublished', 0, 0, 0, 0, 0, 0, ?, ?)",
        params![
            (it.campaign.0 != 0).then_some(Int(it.campaign.0)),
            it.repository,
            it.branch,
            it.detached,
            it.actual.imported,
            Int(it.created.0),
            Int(it.updated.0)
        ],
    )?;
    it.id = ChangesetId(db.last_insert_rowid() as u64);
    put(db, it)
}

/// Writes all of a changeset that can change.
pub(super) fn put(db: &Connection, it: &Changeset) -> Result<(), Boxed> {
    let pull = it.actual.pull_request.as_ref();
    let title = it.wanted.as_ref().and_then(|wanted| wanted.title.clone());
    run(
        db,
        "UPDATE changeset SET patch_id = ?, wanted = ?, publication = ?, close = ?, detached = ?, actual = ?, imported = ?,
             external_id = ?, state = ?, review = ?, checks = ?, title = ?, phase = ?, due_ms = ?, attempts = ?, waiting = ?,
             error = ?, error_is_final = ?, next_sync_ms = ?, overwrite = ?, files = ?, added = ?, deleted = ?, updated_ms = ?
         WHERE changeset_id = ?",
        params![
            it.patch.map(|id| Int(id.0)),
            it.wanted.as_ref().map(Json),
            Json(it.publication),
            it.close,
            it.detached,
            Json(&it.actual),
            it.actual.imported,
            pull.map(|pull| &pull.external_id),
            pull.map(|pull| Json(pull.state)),
            pull.map(|pull| Json(pull.review)),
            pull.map(|pull| Json(pull.checks)),
            title.or_else(|| pull.map(|pull| pull.title.clone())).unwrap_or_default(),
            Json(it.phase),
            it.work.due.map(|at| Int(at.0)),
            it.work.attempts,
            it.work.waiting,
            it.work.error,
            it.work.error_is_final,
            it.work.next_sync.map(|at| Int(at.0)),
            it.work.overwrite,
            Int(it.stat.files),
            Int(it.stat.added),
            Int(it.stat.deleted),
            Int(it.updated.0),
            Int(it.id.0)
        ],
    )?;
    Ok(())
}
