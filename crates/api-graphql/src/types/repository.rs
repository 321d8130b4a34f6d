//! Repositories and code hosts.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use campaign::site::CodeHostRow;
use codehost::git::{Repositories, Repository as Known};
use model::{CodeHostId, WallMs};

use crate::convert::{BigInt, DateTime, Kind, id, int, service};

/// A repository; one that is known no more has a name only.
#[derive(Clone)]
pub(crate) struct Repository {
    pub name: String,
    pub known: Option<Arc<Known>>,
}

#[derive(SimpleObject)]
pub(crate) struct ExternalRepository {
    id: String,
    service_type: String,
    #[graphql(name = "serviceID")]
    service_id: String,
}

#[derive(SimpleObject, Clone)]
pub(crate) struct GitRef {
    name: String,
    display_name: String,
    target: GitObject,
}

impl GitRef {
    pub fn branch(branch: &str, commit: &str) -> Self {
        Self {
            name: format!("refs/heads/{branch}"),
            display_name: branch.to_owned(),
            target: GitObject { oid: commit.to_owned() },
        }
    }
}

#[derive(Clone)]
pub(crate) struct GitObject {
    pub oid: String,
}

#[Object]
impl GitObject {
    async fn oid(&self) -> &str {
        &self.oid
    }

    #[graphql(name = "abbreviatedOID")]
    async fn abbreviated_oid(&self) -> &str {
        self.oid.get(..7).unwrap_or(&self.oid)
    }
}

pub(crate) struct GitCommit {
    pub oid: String,
}

#[Object]
impl GitCommit {
    async fn oid(&self) -> &str {
        &self.oid
    }

    #[graphql(name = "abbreviatedOID")]
    async fn abbreviated_oid(&self) -> &str {
        self.oid.get(..7).unwrap_or(&self.oid)
    }
}

impl Repository {
    pub fn named(all: &Repositories, name: &str) -> Self {
        Self { name: name.to_owned(), known: all.get(name) }
    }

    pub fn of(known: Arc<Known>) -> Self {
        Self { name: known.name.clone(), known: Some(known) }
    }

    fn fact<T: Default>(&self, fact: impl Fn(&Known) -> T) -> T {
        self.known.as_ref().map(|known| fact(known)).unwrap_or_default()
    }

    async fn row(&self, ctx: &Context<'_>) -> Result<Option<CodeHostRow>> {
        let Some(host) = self.known.as_ref().and_then(|known| known.host.clone()) else {
            return Ok(None);
        };
        let id = CodeHostId(host.code_host);
        let row = service(ctx).blocking(move |it| it.store.code_host(id)).await;
        row.map_err(crate::status::store)
    }
}

#[Object]
impl Repository {
    pub async fn id(&self) -> ID {
        id(Kind::Repository, &self.name)
    }

    async fn name(&self) -> &str {
        &self.name
    }

    async fn url(&self) -> String {
        format!("/repositories/{}", self.name)
    }

    async fn external_repository(&self, ctx: &Context<'_>) -> Result<ExternalRepository> {
        let row = self.row(ctx).await?;
        let link = self.known.as_ref().and_then(|known| known.host.clone());
        Ok(ExternalRepository {
            id: link.map(|link| link.external_id).unwrap_or_default(),
            service_type: row.as_ref().map_or("git", |row| row.settings.kind.name()).to_owned(),
            service_id: row.map(|row| row.settings.url).unwrap_or_default(),
        })
    }

    /// Nothing for an empty repository.
    async fn default_branch(&self, ctx: &Context<'_>) -> Option<GitRef> {
        let all = service(ctx).searcher.repositories();
        let head = all.resolve(&self.name, None).await.ok()?;
        Some(GitRef::branch(&head.branch, &head.commit))
    }

    async fn code_host(&self, ctx: &Context<'_>) -> Result<Option<CodeHost>> {
        Ok(self.row(ctx).await?.map(CodeHost))
    }

    /// Where people look at it.
    #[graphql(name = "externalURL")]
    async fn external_url(&self) -> Option<String> {
        self.fact(|known| known.facts.web_url.clone())
    }

    async fn description(&self) -> String {
        self.fact(|known| known.facts.description.clone())
    }

    async fn is_fork(&self) -> bool {
        self.fact(|known| known.facts.fork)
    }

    async fn is_archived(&self) -> bool {
        self.fact(|known| known.facts.archived)
    }

    async fn is_private(&self) -> bool {
        self.fact(|known| known.facts.private)
    }

    async fn topics(&self) -> Vec<String> {
        self.fact(|known| known.facts.topics.clone())
    }

    async fn head_commit(&self, ctx: &Context<'_>) -> Option<GitCommit> {
        let all = service(ctx).searcher.repositories();
        Some(GitCommit { oid: all.resolve(&self.name, None).await.ok()?.commit })
    }

    /// When the mirror was last as the origin; nothing for one that is used in place.
    async fn fetched_at(&self) -> Option<DateTime> {
        self.fact(|known| known.sync.fetched_ms).map(|ms| DateTime(WallMs(ms)))
    }

    async fn sync_error(&self) -> Option<String> {
        self.fact(|known| known.sync.error.clone())
    }

    async fn disk_bytes(&self) -> BigInt {
        BigInt(self.fact(|known| known.sync.bytes))
    }
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "codehost::Kind")]
pub(crate) enum CodeHostKind {
    Git,
    #[graphql(name = "GITHUB")]
    GitHub,
    #[graphql(name = "GITLAB")]
    GitLab,
    Gitea,
}

pub(crate) struct CodeHost(pub CodeHostRow);

#[Object]
impl CodeHost {
    pub async fn id(&self) -> ID {
        id(Kind::CodeHost, self.0.id)
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn kind(&self) -> CodeHostKind {
        self.0.settings.kind.into()
    }

    async fn url(&self) -> &str {
        &self.0.settings.url
    }

    async fn include(&self) -> &[String] {
        &self.0.settings.include
    }

    async fn exclude(&self) -> &[String] {
        &self.0.settings.exclude
    }

    async fn has_credential(&self) -> bool {
        self.0.has_credential
    }

    /// Whom the host takes the credential for.
    async fn credential_user(&self) -> Option<&str> {
        self.0.who.as_deref()
    }

    async fn repository_count(&self, ctx: &Context<'_>) -> i32 {
        let all = service(ctx).searcher.repositories().list();
        let mine = all
            .iter()
            .filter(|it| it.host.as_ref().is_some_and(|link| link.code_host == self.0.id.0));
        int(mine.count() as u64)
    }

    async fn last_sync_at(&self) -> Option<DateTime> {
        self.0.last_sync.map(DateTime)
    }

    async fn sync_error(&self) -> Option<&str> {
        self.0.sync_error.as_deref()
    }

    async fn syncing(&self, ctx: &Context<'_>) -> bool {
        service(ctx).is_syncing(self.0.id)
    }

    /// The host asked us to wait.
    async fn waiting_until(&self, ctx: &Context<'_>) -> Option<DateTime> {
        let wait = service(ctx).host_waits(self.0.id)?;
        Some(DateTime(WallMs(service(ctx).now().0 + wait.as_millis() as u64)))
    }

    /// Where the host sends its webhooks to.
    #[graphql(name = "webhookURL")]
    async fn webhook_url(&self, ctx: &Context<'_>) -> String {
        format!("{}/api/v1/webhooks/{}", service(ctx).url, self.0.id)
    }

    /// What the host signs its deliveries with; for administrators.
    async fn webhook_secret(&self, ctx: &Context<'_>) -> Option<&str> {
        let admin = crate::convert::caller(ctx).role == campaign::site::Role::Admin;
        admin.then_some(&*self.0.webhook_secret)
    }
}
