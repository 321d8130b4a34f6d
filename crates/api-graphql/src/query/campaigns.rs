//! Campaigns.

use async_graphql::{Context, Object, Result};
use campaign::changeset::CampaignFilter;

use crate::convert::service;
use crate::page::{Connection, cost, window};
use crate::status;
use crate::types::campaign::{Campaign, CampaignState};

#[derive(Default)]
pub(crate) struct CampaignQueries;

#[Object]
impl CampaignQueries {
    /// Newest first; `query` is a part of the name.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn campaigns(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        state: Option<CampaignState>,
        query: Option<String>,
    ) -> Result<Connection<Campaign>> {
        let filter = CampaignFilter {
            closed: state.map(|state| state == CampaignState::Closed),
            query: query.unwrap_or_default(),
        };
        let window = window(first, after.as_deref())?;
        let page = service(ctx).blocking(move |it| it.store.campaigns(&filter, window)).await;
        let page = page.map_err(status::store)?.map(Campaign);
        Ok(Connection::new(page, after.is_some(), |it| it.0.id.to_string()))
    }

    async fn campaign(&self, ctx: &Context<'_>, name: String) -> Result<Option<Campaign>> {
        let found = service(ctx).blocking(move |it| it.store.campaign_named(&name)).await;
        Ok(found.map_err(status::store)?.map(Campaign))
    }
}
