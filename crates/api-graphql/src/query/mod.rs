//! What can be asked.

mod actions;
mod campaigns;
mod repositories;
mod site;

use async_graphql::MergedObject;

#[derive(MergedObject, Default)]
pub(crate) struct Query(
    actions::ActionQueries,
    campaigns::CampaignQueries,
    repositories::RepositoryQueries,
    site::SiteQueries,
);
