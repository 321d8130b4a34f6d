//! Whatever has an id.

use async_graphql::{Context, ID, Interface, Result};
use model::{
    ActionId, BulkOperationId, CampaignId, ChangesetId, CodeHostId, GroupId, JobId, PatchId,
    PatchSetId, SavedSearchId,
};

use crate::convert::{Kind, number, parse_any, service};
use crate::loaders::{RowOf, batch, unshare};
use crate::status;
use crate::types::action::Action;
use crate::types::agent::Agent;
use crate::types::campaign::Campaign;
use crate::types::changeset::{BulkOperation, CampaignChangeset, ExternalChangeset};
use crate::types::execution::ActionExecution;
use crate::types::job::ActionJob;
use crate::types::patch::{Patch, PatchSet};
use crate::types::repository::{CodeHost, Repository};
use crate::types::search::SavedSearch;
use crate::types::site::User;

#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"))]
pub(crate) enum Node {
    Action(Action),
    ActionExecution(ActionExecution),
    ActionJob(ActionJob),
    Agent(Agent),
    Repository(Repository),
    CodeHost(CodeHost),
    SavedSearch(SavedSearch),
    PatchSet(PatchSet),
    Patch(Patch),
    Campaign(Campaign),
    CampaignChangeset(CampaignChangeset),
    ExternalChangeset(ExternalChangeset),
    BulkOperation(BulkOperation),
    User(User),
}

/// What an id names; nothing when it is not there.
pub(crate) async fn node(ctx: &Context<'_>, id: &ID) -> Result<Option<Node>> {
    let service = service(ctx);
    let (kind, key) = parse_any(id)?;
    let number = || number(id, kind);
    Ok(match kind {
        Kind::Action => batch(ctx)
            .load_one(ActionId(number()?))
            .await
            .map_err(unshare)?
            .map(Action)
            .map(Node::Action),
        Kind::ActionExecution => {
            let row = batch(ctx).load_one(RowOf(GroupId(number()?))).await.map_err(unshare)?;
            row.map(ActionExecution).map(Node::ActionExecution)
        }
        Kind::ActionJob => {
            let job = JobId(number()?);
            let view = service.blocking(move |it| it.dispatcher.reader().job(job)).await;
            let view = view.map_err(status::store)?;
            view.map(ActionJob::of).map(Node::ActionJob)
        }
        Kind::Agent => {
            let agent = Agent::named(&service.dispatcher, &key);
            agent.info.is_some().then_some(Node::Agent(agent))
        }
        Kind::Repository => {
            let repository = Repository::named(service.searcher.repositories(), &key);
            repository.known.is_some().then_some(Node::Repository(repository))
        }
        Kind::CodeHost => {
            let of = CodeHostId(number()?);
            let row = service.blocking(move |it| it.store.code_host(of)).await;
            row.map_err(status::store)?.map(CodeHost).map(Node::CodeHost)
        }
        Kind::SavedSearch => {
            let found = batch(ctx).load_one(SavedSearchId(number()?)).await.map_err(unshare)?;
            found.map(SavedSearch).map(Node::SavedSearch)
        }
        Kind::PatchSet => {
            let found = batch(ctx).load_one(PatchSetId(number()?)).await.map_err(unshare)?;
            found.map(PatchSet).map(Node::PatchSet)
        }
        Kind::Patch => {
            let found = batch(ctx).load_one(PatchId(number()?)).await.map_err(unshare)?;
            found.map(Patch).map(Node::Patch)
        }
        Kind::Campaign => {
            let found = batch(ctx).load_one(CampaignId(number()?)).await.map_err(unshare)?;
            found.map(Campaign).map(Node::Campaign)
        }
        Kind::CampaignChangeset => {
            let of = ChangesetId(number()?);
            let found = service.blocking(move |it| it.store.changeset(of)).await;
            found.map_err(status::store)?.map(CampaignChangeset).map(Node::CampaignChangeset)
        }
        Kind::ExternalChangeset => {
            let of = ChangesetId(number()?);
            let found = service.blocking(move |it| it.store.changeset(of)).await;
            let found = found.map_err(status::store)?;
            let found = found.filter(|it| it.actual.pull_request.is_some());
            found.map(ExternalChangeset).map(Node::ExternalChangeset)
        }
        Kind::BulkOperation => {
            let of = BulkOperationId(number()?);
            let found = service.blocking(move |it| it.store.bulk(of)).await;
            found.map_err(status::store)?.map(BulkOperation).map(Node::BulkOperation)
        }
        Kind::User => Some(Node::User(User::named(&key))),
        Kind::AccessToken | Kind::Secret | Kind::ChangesetEvent => None,
    })
}
