//! What the server itself keeps: code hosts, secrets, access tokens.

use dispatcher::StoreError;
use model::{AccessTokenId, CodeHostId, WallMs};
use serde::{Deserialize, Serialize};

/// A code host as an operator added it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeHostRow {
    pub id: CodeHostId,
    pub name: String,
    pub settings: codehost::Settings,
    /// Sealed with the data directory's key.
    pub credential: Vec<u8>,
    pub has_credential: bool,
    /// Checks the deliveries of its webhook.
    pub webhook_secret: String,
    pub created: WallMs,
    pub last_sync: Option<WallMs>,
    pub sync_error: Option<String>,
    /// Who the credential is.
    pub who: Option<String>,
}

/// A secret that steps may use. Its value never leaves the server but for a job that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRow {
    pub name: String,
    /// Sealed with the data directory's key.
    pub value: Vec<u8>,
    pub created: WallMs,
    pub updated: WallMs,
    pub last_used: Option<WallMs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May look.
    Reader,
    /// May run actions and publish campaigns.
    User,
    /// May change code hosts, secrets and tokens.
    Admin,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Reader, Self::User, Self::Admin];

    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name().eq_ignore_ascii_case(name))
    }
}

/// An access token; only its digest is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTokenRow {
    pub id: AccessTokenId,
    /// Whose it is, for the record of who did what.
    pub name: String,
    pub role: Role,
    pub created: WallMs,
    pub created_by: String,
    pub last_used: Option<WallMs>,
}

/// What the store keeps of these.
pub trait SiteStore: Send + Sync {
    /// `None` when the name is taken.
    fn create_code_host(&self, row: &CodeHostRow) -> Result<Option<CodeHostRow>, StoreError>;

    /// Everything but id and creation. Whether it is there and the name is free.
    fn update_code_host(&self, row: &CodeHostRow) -> Result<bool, StoreError>;

    fn put_code_host_sync(
        &self,
        id: CodeHostId,
        error: Option<&str>,
        who: Option<&str>,
        at: WallMs,
    ) -> Result<(), StoreError>;

    fn delete_code_host(&self, id: CodeHostId) -> Result<bool, StoreError>;

    fn code_host(&self, id: CodeHostId) -> Result<Option<CodeHostRow>, StoreError>;

    /// In order of name. There are few.
    fn code_hosts(&self) -> Result<Vec<CodeHostRow>, StoreError>;

    fn put_secret(&self, name: &str, value: &[u8], at: WallMs) -> Result<SecretRow, StoreError>;

    fn delete_secret(&self, name: &str) -> Result<bool, StoreError>;

    fn secrets(&self) -> Result<Vec<SecretRow>, StoreError>;

    fn put_secret_used(&self, name: &str, at: WallMs) -> Result<(), StoreError>;

    fn create_access_token(
        &self,
        name: &str,
        role: Role,
        digest: &[u8; 32],
        by: &str,
        at: WallMs,
    ) -> Result<AccessTokenRow, StoreError>;

    fn delete_access_token(&self, id: AccessTokenId) -> Result<bool, StoreError>;

    fn access_tokens(&self) -> Result<Vec<AccessTokenRow>, StoreError>;

    fn access_token(&self, digest: &[u8; 32]) -> Result<Option<AccessTokenRow>, StoreError>;

    fn put_token_used(&self, id: AccessTokenId, at: WallMs) -> Result<(), StoreError>;
}
