//! Code hosts, secrets and access tokens.

use campaign::site::{AccessTokenRow, CodeHostRow, Role, SecretRow, SiteStore};
use dispatcher::StoreError;
use model::{AccessTokenId, CodeHostId, WallMs};
use rusqlite::{Connection, Row, params};

use super::{Boxed, Int, Json, SqliteCampaigns, all, one, run};

const HOST: &str = "
    SELECT code_host_id, name, settings, credential, has_credential, webhook_secret, created_ms, last_sync_ms, sync_error, who
    FROM code_host";

fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<WallMs>> {
    Ok(row.get::<_, Option<Int>>(index)?.map(|at| WallMs(at.0)))
}

fn host(row: &Row<'_>) -> Result<CodeHostRow, Boxed> {
    Ok(CodeHostRow {
        id: CodeHostId(row.get::<_, Int>(0)?.0),
        name: row.get(1)?,
        settings: row.get::<_, Json<_>>(2)?.0,
        credential: row.get(3)?,
        has_credential: row.get(4)?,
        webhook_secret: row.get(5)?,
        created: WallMs(row.get::<_, Int>(6)?.0),
        last_sync: time(row, 7)?,
        sync_error: row.get(8)?,
        who: row.get(9)?,
    })
}

fn host_by_id(db: &Connection, id: CodeHostId) -> Result<Option<CodeHostRow>, Boxed> {
    one(db, &format!("{HOST} WHERE code_host_id = ?"), [Int(id.0)], host)
}

const SECRET: &str = "SELECT name, value, created_ms, updated_ms, last_used_ms FROM secret";

fn secret(row: &Row<'_>) -> Result<SecretRow, Boxed> {
    Ok(SecretRow {
        name: row.get(0)?,
        value: row.get(1)?,
        created: WallMs(row.get::<_, Int>(2)?.0),
        updated: WallMs(row.get::<_, Int>(3)?.0),
        last_used: time(row, 4)?,
    })
}

const TOKEN: &str =
    "SELECT token_id, name, role, created_ms, created_by, last_used_ms FROM access_token";

fn token(row: &Row<'_>) -> Result<AccessTokenRow, Boxed> {
    Ok(AccessTokenRow {
        id: AccessTokenId(row.get::<_, Int>(0)?.0),
        name: row.get(1)?,
        role: row.get::<_, Json<Role>>(2)?.0,
        created: WallMs(row.get::<_, Int>(3)?.0),
        created_by: row.get(4)?,
        last_used: time(row, 5)?,
    })
}

impl SiteStore for SqliteCampaigns {
    fn create_code_host(&self, row: &CodeHostRow) -> Result<Option<CodeHostRow>, StoreError> {
        self.write("add a code host", |db| {
            let made = run(
                db,
                "INSERT OR IGNORE INTO code_host (name, settings, credential, has_credential, webhook_secret, created_ms)
                 VALUES (?, ?, ?, ?, ?, ?)",
                params![
                    row.name,
                    Json(&row.settings),
                    row.credential,
                    row.has_credential,
                    row.webhook_secret,
                    Int(row.created.0)
                ],
            )?;
            if made == 0 {
                return Ok(None);
            }
            host_by_id(db, CodeHostId(db.last_insert_rowid() as u64))
        })
    }

    fn update_code_host(&self, row: &CodeHostRow) -> Result<bool, StoreError> {
        self.write("update a code host", |db| {
            let changed = run(
                db,
                "UPDATE OR IGNORE code_host SET name = ?, settings = ?, credential = ?, has_credential = ?,
                     webhook_secret = ?, last_sync_ms = NULL, sync_error = NULL, who = NULL
                 WHERE code_host_id = ?",
                params![
                    row.name,
                    Json(&row.settings),
                    row.credential,
                    row.has_credential,
                    row.webhook_secret,
                    Int(row.id.0)
                ],
            )?;
            Ok(changed == 1)
        })
    }

    fn put_code_host_sync(
        &self,
        id: CodeHostId,
        error: Option<&str>,
        who: Option<&str>,
        at: WallMs,
    ) -> Result<(), StoreError> {
        self.write("keep how a sync went", |db| {
            run(
                db,
                "UPDATE code_host SET sync_error = ?, who = coalesce(?, who), last_sync_ms = ? WHERE code_host_id = ?",
                params![error, who, Int(at.0), Int(id.0)],
            )?;
            Ok(())
        })
    }

    fn delete_code_host(&self, id: CodeHostId) -> Result<bool, StoreError> {
        self.write("delete a code host", |db| {
            Ok(run(db, "DELETE FROM code_host WHERE code_host_id = ?", [Int(id.0)])? == 1)
        })
    }

    fn code_host(&self, id: CodeHostId) -> Result<Option<CodeHostRow>, StoreError> {
        self.read("read a code host", |db| host_by_id(db, id))
    }

    fn code_hosts(&self) -> Result<Vec<CodeHostRow>, StoreError> {
        self.read("list code hosts", |db| all(db, &format!("{HOST} ORDER BY name"), [], host))
    }

    fn put_secret(&self, name: &str, value: &[u8], at: WallMs) -> Result<SecretRow, StoreError> {
        self.write("keep a secret", |db| {
            run(
                db,
                "INSERT INTO secret (name, value, created_ms, updated_ms) VALUES (?1, ?2, ?3, ?3)
                 ON CONFLICT (name) DO UPDATE SET value = ?2, updated_ms = ?3",
                params![name, value, Int(at.0)],
            )?;
            let kept = one(db, &format!("{SECRET} WHERE name = ?"), [name], secret)?;
            Ok(kept.expect("it was inserted above"))
        })
    }

    fn delete_secret(&self, name: &str) -> Result<bool, StoreError> {
        self.write("delete a secret", |db| {
            Ok(run(db, "DELETE FROM secret WHERE name = ?", [name])? == 1)
        })
    }

    fn secrets(&self) -> Result<Vec<SecretRow>, StoreError> {
        self.read("list secrets", |db| all(db, &format!("{SECRET} ORDER BY name"), [], secret))
    }

    fn put_secret_used(&self, name: &str, at: WallMs) -> Result<(), StoreError> {
        self.write("note the use of a secret", |db| {
            run(db, "UPDATE secret SET last_used_ms = ? WHERE name = ?", params![Int(at.0), name])?;
            Ok(())
        })
    }

    fn create_access_token(
        &self,
        name: &str,
        role: Role,
        digest: &[u8; 32],
        by: &str,
        at: WallMs,
    ) -> Result<AccessTokenRow, StoreError> {
        self.write("create an access token", |db| {
            run(
                db,
                "INSERT INTO access_token (name, role, digest, created_ms, created_by) VALUES (?, ?, ?, ?, ?)",
                params![name, Json(role), digest, Int(at.0), by],
            )?;
            let id = Int(db.last_insert_rowid() as u64);
            let made = one(db, &format!("{TOKEN} WHERE token_id = ?"), [id], token)?;
            Ok(made.expect("it was inserted above"))
        })
    }

    fn delete_access_token(&self, id: AccessTokenId) -> Result<bool, StoreError> {
        self.write("delete an access token", |db| {
            Ok(run(db, "DELETE FROM access_token WHERE token_id = ?", [Int(id.0)])? == 1)
        })
    }

    fn access_tokens(&self) -> Result<Vec<AccessTokenRow>, StoreError> {
        self.read("list access tokens", |db| {
            all(db, &format!("{TOKEN} ORDER BY token_id"), [], token)
        })
    }

    fn access_token(&self, digest: &[u8; 32]) -> Result<Option<AccessTokenRow>, StoreError> {
        self.read("read an access token", |db| {
            one(db, &format!("{TOKEN} WHERE digest = ?"), [digest], token)
        })
    }

    fn put_token_used(&self, id: AccessTokenId, at: WallMs) -> Result<(), StoreError> {
        self.write("note the use of a token", |db| {
            run(
                db,
                "UPDATE access_token SET last_used_ms = ? WHERE token_id = ?",
                [Int(at.0), Int(id.0)],
            )?;
            Ok(())
        })
    }
}
