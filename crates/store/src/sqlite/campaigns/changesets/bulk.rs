//! Operations over many changesets.

use campaign::changeset::{BulkItem, BulkOperation, NewBulkOperation};
use model::{BulkOperationId, CampaignId, ChangesetId, WallMs};
use rusqlite::{Connection, Row, params};

use super::super::{Boxed, Int, Json, all, one, run};

const BULK: &str = "
    SELECT b.bulk_id, b.campaign_id, b.kind, b.author, b.text, b.created_ms,
           count(i.changeset_id), count(i.done_ms), count(i.error), max(i.done_ms)
    FROM bulk_operation b LEFT JOIN bulk_item i USING (bulk_id)";

fn bulk(row: &Row<'_>) -> Result<BulkOperation, Boxed> {
    let count = |index| row.get::<_, Int>(index).map(|count| count.0);
    let (total, done, failed) = (count(6)?, count(7)?, count(8)?);
    let created = WallMs(row.get::<_, Int>(5)?.0);
    let last = row.get::<_, Option<Int>>(9)?.map_or(created, |at| WallMs(at.0));
    Ok(BulkOperation {
        id: BulkOperationId(row.get::<_, Int>(0)?.0),
        campaign: CampaignId(row.get::<_, Int>(1)?.0),
        kind: row.get::<_, Json<_>>(2)?.0,
        by: row.get(3)?,
        text: row.get(4)?,
        created,
        finished: (done == total).then_some(last),
        total,
        done,
        failed,
    })
}

pub(super) fn create(
    db: &Connection,
    new: &NewBulkOperation,
    at: WallMs,
) -> Result<BulkOperation, Boxed> {
    run(
        db,
        "INSERT INTO bulk_operation (campaign_id, kind, author, text, created_ms) VALUES (?, ?, ?, ?, ?)",
        params![Int(new.campaign.0), Json(new.kind), new.by, new.text, Int(at.0)],
    )?;
    let id = BulkOperationId(db.last_insert_rowid() as u64);
    for changeset in &new.changesets {
        run(
            db,
            "INSERT OR IGNORE INTO bulk_item (bulk_id, changeset_id) VALUES (?, ?)",
            [Int(id.0), Int(changeset.0)],
        )?;
    }
    Ok(by_id(db, id)?.expect("it was inserted above"))
}

pub(super) fn by_id(db: &Connection, id: BulkOperationId) -> Result<Option<BulkOperation>, Boxed> {
    one(db, &format!("{BULK} WHERE b.bulk_id = ? GROUP BY b.bulk_id"), [Int(id.0)], bulk)
}

pub(super) fn of_campaign(
    db: &Connection,
    of: CampaignId,
    limit: usize,
) -> Result<Vec<BulkOperation>, Boxed> {
    let sql = format!(
        "{BULK} WHERE b.campaign_id = ? GROUP BY b.bulk_id ORDER BY b.bulk_id DESC LIMIT ?"
    );
    all(db, &sql, [Int(of.0), Int(limit as u64)], bulk)
}

pub(super) fn items(db: &Connection, id: BulkOperationId) -> Result<Vec<BulkItem>, Boxed> {
    let sql = "SELECT changeset_id, done_ms, error FROM bulk_item WHERE bulk_id = ? ORDER BY changeset_id";
    all(db, sql, [Int(id.0)], |row| {
        Ok(BulkItem {
            changeset: ChangesetId(row.get::<_, Int>(0)?.0),
            done: row.get::<_, Option<Int>>(1)?.map(|at| WallMs(at.0)),
            error: row.get(2)?,
        })
    })
}

pub(super) fn to_do(
    db: &Connection,
    limit: usize,
) -> Result<Vec<(BulkOperation, ChangesetId)>, Boxed> {
    let sql = "SELECT bulk_id, changeset_id FROM bulk_item WHERE done_ms IS NULL ORDER BY bulk_id, changeset_id LIMIT ?";
    let pairs = all(db, sql, [Int(limit as u64)], |row| {
        Ok((BulkOperationId(row.get::<_, Int>(0)?.0), ChangesetId(row.get::<_, Int>(1)?.0)))
    })?;
    let mut found: Vec<(BulkOperation, ChangesetId)> = Vec::new();
    for (id, changeset) in pairs {
        let known = found.last().filter(|(operation, _)| operation.id == id);
        let operation = match known {
            Some((operation, _)) => Some(operation.clone()),
            None => by_id(db, id)?,
        };
        found.extend(operation.map(|operation| (operation, changeset)));
    }
    Ok(found)
}
