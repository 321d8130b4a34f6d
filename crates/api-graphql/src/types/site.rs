//! People, tokens, secrets, and how the server is.

use async_graphql::{Context, Enum, ID, Interface, Object, SimpleObject};
use campaign::site::{AccessTokenRow, SecretRow};

use crate::convert::{DateTime, Kind, caller, id};

#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
#[graphql(remote = "campaign::site::Role")]
pub(crate) enum Role {
    Reader,
    User,
    Admin,
}

/// Whoever a token was made for.
#[derive(Clone)]
pub(crate) struct User {
    name: String,
}

impl User {
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

#[Object]
impl User {
    pub async fn id(&self) -> ID {
        id(Kind::User, &self.name)
    }

    async fn username(&self) -> String {
        self.name.clone()
    }

    pub async fn namespace_name(&self) -> String {
        self.name.clone()
    }

    pub async fn url(&self) -> String {
        "/settings".to_owned()
    }

    /// The viewer's own; of others it is not told.
    async fn role(&self, ctx: &Context<'_>) -> Role {
        let viewer = caller(ctx);
        if viewer.name == self.name { viewer.role.into() } else { Role::User }
    }
}

/// Where campaigns belong to. There is one for each user.
#[derive(Interface)]
#[graphql(
    field(name = "id", ty = "ID"),
    field(name = "namespace_name", ty = "String"),
    field(name = "url", ty = "String")
)]
#[expect(clippy::duplicated_attributes, reason = "each field has a type, and two have the same")]
pub(crate) enum Namespace {
    User(User),
}

#[derive(SimpleObject)]
pub(crate) struct EmptyResponse {
    always_nil: Option<String>,
}

impl EmptyResponse {
    pub fn new() -> Self {
        Self { always_nil: None }
    }
}

pub(crate) struct AccessToken(pub AccessTokenRow);

#[Object]
impl AccessToken {
    async fn id(&self) -> ID {
        id(Kind::AccessToken, self.0.id)
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn role(&self) -> Role {
        self.0.role.into()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created)
    }

    async fn last_used_at(&self) -> Option<DateTime> {
        self.0.last_used.map(DateTime)
    }

    /// Who made it.
    async fn by(&self) -> User {
        User::named(&self.0.created_by)
    }
}

/// The token itself is shown this once.
#[derive(SimpleObject)]
pub(crate) struct NewAccessToken {
    pub token: String,
    pub access_token: AccessToken,
}

pub(crate) struct Secret(pub SecretRow);

#[Object]
impl Secret {
    async fn id(&self) -> ID {
        id(Kind::Secret, &self.0.name)
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated)
    }

    async fn last_used_at(&self) -> Option<DateTime> {
        self.0.last_used.map(DateTime)
    }
}

#[derive(SimpleObject)]
pub(crate) struct ServerStatus {
    pub version: String,
    pub started_at: DateTime,
    pub queued_jobs: i32,
    pub running_jobs: i32,
    pub runners: i32,
    /// How long the oldest waiting job has waited, and why.
    pub oldest_queued_seconds: Option<i32>,
    pub waiting_reason: Option<String>,
    /// What a person should look at.
    pub attention: Vec<Attention>,
}

#[derive(SimpleObject)]
pub(crate) struct Attention {
    pub text: String,
    pub url: String,
    pub since: Option<DateTime>,
}
