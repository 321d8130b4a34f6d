//! Patch sets and patches.

use async_graphql::{Context, ID, Object, Result};
use campaign::changeset::Publication;
use campaign::patch_set;

use crate::convert::{DateTime, Kind, id, service};
use crate::loaders::{PublicationOf, batch, unshare};
use crate::page::{Connection, cost, window};
use crate::status;
use crate::types::diff::{DiffStat, PreviewRepositoryComparison};
use crate::types::repository::Repository;

pub(crate) struct PatchSet(pub patch_set::PatchSet);

#[Object]
impl PatchSet {
    pub async fn id(&self) -> ID {
        id(Kind::PatchSet, self.0.id)
    }

    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn patches(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<Patch>> {
        let (window, set) = (window(first, after.as_deref())?, self.0.id);
        let page = service(ctx).blocking(move |it| it.store.patches(set, window)).await;
        let page = page.map_err(status::store)?.map(Patch);
        Ok(Connection::new(page, after.is_some(), |it| it.0.id.to_string()))
    }

    #[graphql(name = "previewURL")]
    async fn preview_url(&self) -> String {
        format!("/campaigns/new?patchSet={}", id(Kind::PatchSet, self.0.id).as_str())
    }

    async fn diff_stat(&self, ctx: &Context<'_>) -> Result<DiffStat> {
        let set = self.0.id;
        let stat = service(ctx).blocking(move |it| it.store.patch_set_stat(set)).await;
        Ok(stat.map_err(status::store)?.into())
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created)
    }
}

pub(crate) struct Patch(pub patch_set::Patch);

#[Object]
impl Patch {
    pub async fn id(&self) -> ID {
        id(Kind::Patch, self.0.id)
    }

    async fn repository(&self, ctx: &Context<'_>) -> Repository {
        Repository::named(service(ctx).searcher.repositories(), &self.0.wanted.repository)
    }

    async fn diff(&self) -> PreviewRepositoryComparison {
        PreviewRepositoryComparison {
            repository: self.0.wanted.repository.clone(),
            digest: self.0.wanted.diff.clone(),
        }
    }

    /// Whether somebody asked for it to be published.
    async fn publication_enqueued(&self, ctx: &Context<'_>) -> Result<bool> {
        let wanted = PublicationOf(self.0.set, self.0.id);
        let found = batch(ctx).load_one(wanted).await.map_err(unshare)?;
        Ok(found.is_some_and(|publication| publication != Publication::None))
    }

    async fn diff_stat(&self) -> DiffStat {
        self.0.stat.clone().into()
    }

    async fn base_ref(&self) -> &str {
        &self.0.wanted.base_ref
    }

    async fn base_revision(&self) -> &str {
        &self.0.wanted.base_revision
    }

    async fn branch(&self) -> Option<&str> {
        self.0.wanted.branch.as_deref()
    }

    async fn title(&self) -> Option<&str> {
        self.0.wanted.title.as_deref()
    }
}
