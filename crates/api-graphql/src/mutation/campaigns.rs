//! Patch sets, campaigns, changesets.

use async_graphql::{Context, ID, InputObject, Object, Result};
use campaign::service::{CampaignChange, Choice, NewCampaign, NewPatch};
use model::{CampaignId, ChangesetId, PatchId, PatchSetId};

use crate::convert::{Kind, caller, key, number, parse_any, service};
use crate::status::{bad, refuse};
use crate::types::campaign::Campaign;
use crate::types::changeset::{BulkKind, BulkOperation, ExternalChangeset};
use crate::types::patch::PatchSet;
use crate::types::site::EmptyResponse;

#[derive(Default)]
pub(crate) struct CampaignMutations;

#[derive(InputObject)]
pub(crate) struct PatchInput {
    repository: ID,
    base_revision: String,
    base_ref: String,
    /// A unified diff.
    patch: String,
}

/// The name of [`PatchInput`] before it was called so.
#[derive(InputObject)]
pub(crate) struct CampaignPlanPatch {
    repository: ID,
    base_revision: String,
    base_ref: String,
    patch: String,
}

#[derive(InputObject)]
pub(crate) struct CreateCampaignInput {
    /// Whose it is: the id of a user. Campaigns belong to whoever makes them.
    namespace: ID,
    name: String,
    description: Option<String>,
    branch: Option<String>,
    patch_set: Option<ID>,
    /// Nothing is published before somebody says so.
    draft: Option<bool>,
}

#[derive(InputObject)]
pub(crate) struct UpdateCampaignInput {
    id: ID,
    name: Option<String>,
    branch: Option<String>,
    description: Option<String>,
    patch_set: Option<ID>,
}

#[derive(InputObject)]
pub(crate) struct CreateChangesetInput {
    repository: ID,
    #[graphql(name = "externalID")]
    external_id: String,
}

async fn create_set(ctx: &Context<'_>, patches: Vec<PatchInput>) -> Result<PatchSet> {
    let mut all = Vec::with_capacity(patches.len());
    for patch in patches {
        all.push(NewPatch {
            repository: key(&patch.repository, Kind::Repository)?,
            base_revision: patch.base_revision,
            base_ref: patch.base_ref,
            diff: patch.patch,
        });
    }
    let made = service(ctx).create_patch_set(caller(ctx), all).await;
    made.map(PatchSet).map_err(refuse)
}

fn set_id(id: Option<ID>) -> Result<Option<PatchSetId>> {
    Ok(id.map(|id| number(&id, Kind::PatchSet)).transpose()?.map(PatchSetId))
}

fn campaign_id(id: &ID) -> Result<CampaignId> {
    Ok(CampaignId(number(id, Kind::Campaign)?))
}

/// A changeset by either of its ids.
fn changeset_id(id: &ID) -> Result<ChangesetId> {
    let (kind, _) = parse_any(id)?;
    match kind {
        Kind::CampaignChangeset | Kind::ExternalChangeset => Ok(ChangesetId(number(id, kind)?)),
        _ => Err(bad("this is not the id of a changeset")),
    }
}

#[Object]
impl CampaignMutations {
    async fn create_patch_set_from_patches(
        &self,
        ctx: &Context<'_>,
        patches: Vec<PatchInput>,
    ) -> Result<PatchSet> {
        create_set(ctx, patches).await
    }

    /// The name of `createPatchSetFromPatches` before it was called so.
    async fn create_campaign_plan_from_patches(
        &self,
        ctx: &Context<'_>,
        patches: Vec<CampaignPlanPatch>,
    ) -> Result<PatchSet> {
        let patches = patches.into_iter().map(|patch| PatchInput {
            repository: patch.repository,
            base_revision: patch.base_revision,
            base_ref: patch.base_ref,
            patch: patch.patch,
        });
        create_set(ctx, patches.collect()).await
    }

    /// Makes pull requests known that somebody else made.
    async fn create_changesets(
        &self,
        ctx: &Context<'_>,
        input: Vec<CreateChangesetInput>,
    ) -> Result<Vec<ExternalChangeset>> {
        let mut wanted = Vec::with_capacity(input.len());
        for one in input {
            wanted.push((key(&one.repository, Kind::Repository)?, one.external_id));
        }
        let made = service(ctx).import_changesets(caller(ctx), &wanted).await.map_err(refuse)?;
        Ok(made.into_iter().map(ExternalChangeset).collect())
    }

    async fn add_changesets_to_campaign(
        &self,
        ctx: &Context<'_>,
        campaign: ID,
        changesets: Vec<ID>,
    ) -> Result<Campaign> {
        let ids: Result<Vec<ChangesetId>> = changesets.iter().map(changeset_id).collect();
        let id = campaign_id(&campaign)?;
        let changed = service(ctx).add_changesets(caller(ctx), id, ids?).await;
        changed.map(Campaign).map_err(refuse)
    }

    async fn create_campaign(
        &self,
        ctx: &Context<'_>,
        input: CreateCampaignInput,
    ) -> Result<Campaign> {
        key(&input.namespace, Kind::User)?;
        let new = NewCampaign {
            name: input.name,
            description: input.description.unwrap_or_default(),
            branch: input.branch,
            patch_set: set_id(input.patch_set)?,
            draft: input.draft.unwrap_or(false),
        };
        service(ctx).create_campaign(caller(ctx), new).await.map(Campaign).map_err(refuse)
    }

    async fn update_campaign(
        &self,
        ctx: &Context<'_>,
        input: UpdateCampaignInput,
    ) -> Result<Campaign> {
        let change = CampaignChange {
            name: input.name,
            description: input.description,
            branch: input.branch,
            patch_set: set_id(input.patch_set)?,
        };
        let id = campaign_id(&input.id)?;
        service(ctx).update_campaign(caller(ctx), id, change).await.map(Campaign).map_err(refuse)
    }

    /// Tries everything again that failed.
    async fn retry_campaign(&self, ctx: &Context<'_>, campaign: ID) -> Result<Campaign> {
        let id = campaign_id(&campaign)?;
        service(ctx).retry_campaign(caller(ctx), id).await.map(Campaign).map_err(refuse)
    }

    async fn delete_campaign(
        &self,
        ctx: &Context<'_>,
        campaign: ID,
        #[graphql(default = false)] close_changesets: bool,
    ) -> Result<Option<EmptyResponse>> {
        let id = campaign_id(&campaign)?;
        service(ctx).delete_campaign(caller(ctx), id, close_changesets).await.map_err(refuse)?;
        Ok(Some(EmptyResponse::new()))
    }

    async fn close_campaign(
        &self,
        ctx: &Context<'_>,
        campaign: ID,
        #[graphql(default = false)] close_changesets: bool,
    ) -> Result<Campaign> {
        let id = campaign_id(&campaign)?;
        let closed = service(ctx).close_campaign(caller(ctx), id, close_changesets).await;
        closed.map(Campaign).map_err(refuse)
    }

    /// Publishes all changesets, those to come too, but for what the definition keeps back.
    async fn publish_campaign(&self, ctx: &Context<'_>, campaign: ID) -> Result<Campaign> {
        let id = campaign_id(&campaign)?;
        service(ctx).publish_campaign(caller(ctx), id).await.map(Campaign).map_err(refuse)
    }

    /// Publishes the changeset of one patch.
    async fn publish_changeset(&self, ctx: &Context<'_>, patch: ID) -> Result<EmptyResponse> {
        let id = PatchId(number(&patch, Kind::Patch)?);
        service(ctx).publish_patch(caller(ctx), id).await.map_err(refuse)?;
        Ok(EmptyResponse::new())
    }

    /// Asks the code host soon how it stands.
    async fn sync_changeset(&self, ctx: &Context<'_>, changeset: ID) -> Result<EmptyResponse> {
        let id = changeset_id(&changeset)?;
        service(ctx).sync_changeset(caller(ctx), id).await.map_err(refuse)?;
        Ok(EmptyResponse::new())
    }

    /// Does something to many changesets: those with these ids, those that a glob over `repository` or
    /// `repository@branch` fits, or all. The answer lists what it touches.
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn bulk_changesets(
        &self,
        ctx: &Context<'_>,
        campaign: ID,
        operation: BulkKind,
        changesets: Option<Vec<ID>>,
        glob: Option<String>,
        all: Option<bool>,
        text: Option<String>,
    ) -> Result<BulkOperation> {
        let ids: Result<Vec<ChangesetId>> =
            changesets.unwrap_or_default().iter().map(changeset_id).collect();
        let ids = ids?;
        let choice = Choice { changesets: &ids, glob: glob.as_deref(), all: all.unwrap_or(false) };
        let (id, text) = (campaign_id(&campaign)?, text.unwrap_or_default());
        let made = service(ctx).bulk(caller(ctx), id, operation.into(), choice, &text).await;
        made.map(BulkOperation).map_err(refuse)
    }
}
