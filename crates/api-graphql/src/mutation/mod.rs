//! What can be changed.

mod actions;
mod agents;
mod campaigns;
mod site;

use async_graphql::MergedObject;

#[derive(MergedObject, Default)]
pub(crate) struct Mutation(
    actions::ActionMutations,
    agents::AgentMutations,
    campaigns::CampaignMutations,
    site::SiteMutations,
);
