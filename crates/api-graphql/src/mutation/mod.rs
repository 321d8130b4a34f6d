//! What can be changed.

mod actions;
mod agents;
mod campaigns;
mod site;

use async_graphql::MergedObject;

#[derive(MergedObject, Default)]
pub(crate) struct Mutation(actions::Actions, agents::Agents, campaigns::Campaigns, site::Site);
