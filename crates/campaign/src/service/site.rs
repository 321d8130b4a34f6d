//! Secrets and access tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dispatcher::StoreError;
use model::AccessTokenId;

use super::{Caller, Changed, Refusal, Service};
use crate::site::{AccessTokenRow, Role, SecretRow};

/// A token that was just made. This is the only time that its secret is seen.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub token: String,
    pub row: AccessTokenRow,
}

/// Longest value of a secret.
const SECRET_BYTES: usize = 64 * 1024;

/// SECURITY: a shorter value is not masked in logs.
const SECRET_SHORTEST: usize = 6;

/// How old the note of a token's or a secret's last use may be.
const USED_NOTE_MS: u64 = 60_000;

impl Service {
    pub async fn set_secret(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        value: &str,
    ) -> Result<SecretRow, Refusal> {
        caller.needs(Role::Admin)?;
        if !is_secret_name(name) {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
            let message = format!(
                "`{shown}` is not a secret's name: use capital letters, digits and `_`, a letter first"
            );
            return Err(Refusal::of_field("name", message));
        }
        if value.trim_end().len() < SECRET_SHORTEST || value.len() > SECRET_BYTES {
            let most = SECRET_BYTES / 1024;
            let text = format!(
                "the value of a secret has {SECRET_SHORTEST} bytes to {most} KiB: a shorter one cannot be masked in logs"
            );
            return Err(Refusal::of_field("value", text));
        }
        let sealed = self.vault.seal(&format!("secret/{name}"), value.as_bytes());
        let (name, now) = (name.to_owned(), self.now());
        let kept = self.blocking(move |it| it.store.put_secret(&name, &sealed, now)).await?;
        self.tell(Changed::Site);
        Ok(kept)
    }

    pub async fn delete_secret(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
    ) -> Result<(), Refusal> {
        caller.needs(Role::Admin)?;
        let of = name.to_owned();
        if !self.blocking(move |it| it.store.delete_secret(&of)).await? {
            return Err(Refusal::NotFound(format!("secret `{name}`")));
        }
        self.tell(Changed::Site);
        Ok(())
    }

    /// Values of secrets, for a job whose steps name them; or why it cannot have them.
    pub async fn open_secrets(
        self: &Arc<Self>,
        names: BTreeSet<String>,
    ) -> Result<Result<BTreeMap<String, String>, String>, StoreError> {
        self.blocking(move |it| {
            let now = it.now();
            let mut known = it.store.secrets()?.into_iter().filter(|row| names.contains(&row.name));
            let mut values = BTreeMap::new();
            for row in known.by_ref() {
                let opened = it.vault.open(&format!("secret/{}", row.name), &row.value).ok();
                let value = opened.and_then(|value| String::from_utf8(value).ok());
                // What was set before there was a limit may be too short to be masked.
                let Some(value) = value.filter(|it| it.trim_end().len() >= SECRET_SHORTEST) else {
                    return Ok(Err(format!(
                        "the secret `{}` cannot be used: set it again",
                        row.name
                    )));
                };
                if row.last_used.is_none_or(|used| used.0 + USED_NOTE_MS < now.0)
                    && let Err(error) = it.store.put_secret_used(&row.name, now)
                {
                    tracing::warn!("failed to {error}");
                }
                values.insert(row.name, value);
            }
            Ok(match names.iter().find(|name| !values.contains_key(*name)) {
                Some(gone) => {
                    Err(format!("the secret `{gone}`, which its steps need, was removed"))
                }
                None => Ok(values),
            })
        })
        .await
    }

    pub async fn create_token(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        role: Role,
    ) -> Result<NewToken, Refusal> {
        caller.needs(Role::Admin)?;
        super::check_name("an access token", name)?;
        let token = format!("phx_{}", hex::encode(rand::random::<[u8; 32]>()));
        let digest = digest(&token);
        let (name, by, now) = (name.to_owned(), caller.name.clone(), self.now());
        let row = self
            .blocking(move |it| it.store.create_access_token(&name, role, &digest, &by, now))
            .await?;
        self.tell(Changed::Site);
        Ok(NewToken { token, row })
    }

    pub async fn delete_token(
        self: &Arc<Self>,
        caller: &Caller,
        id: AccessTokenId,
    ) -> Result<(), Refusal> {
        caller.needs(Role::Admin)?;
        if !self.blocking(move |it| it.store.delete_access_token(id)).await? {
            return Err(Refusal::NotFound(format!("access token {id}")));
        }
        self.tell(Changed::Site);
        Ok(())
    }

    /// Whom a token belongs to.
    pub async fn caller(self: &Arc<Self>, token: &str) -> Result<Option<Caller>, Refusal> {
        let (digest, now) = (digest(token), self.now());
        self.blocking(move |it| {
            let Some(row) = it.store.access_token(&digest)? else { return Ok(None) };
            if row.last_used.is_none_or(|used| used.0 + USED_NOTE_MS < now.0) {
                it.store.put_token_used(row.id, now)?;
            }
            Ok(Some(Caller { name: row.name, role: row.role }))
        })
        .await
    }
}

pub(super) fn is_secret_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_uppercase());
    begins && name.len() <= 128 && name.chars().all(fine)
}

fn digest(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}
