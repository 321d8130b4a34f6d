//! What many nodes of one answer need is read together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::dataloader::Loader;
use async_graphql::dataloader::{DataLoader, HashMapCache};
use async_graphql::{Context, Error};
use campaign::action::{Action, ExecutionFilter, ExecutionRow};
use campaign::changeset::{Campaign, Publication};
use campaign::execution::{self, JobResultDocument};
use campaign::page::Window;
use campaign::patch_set::{Patch, PatchSet};
use campaign::saved_search::SavedSearch;
use campaign::service::{Refusal, Service};
use dispatcher::{AttemptView, GroupCounts, GroupView, StoreError};
use model::{ActionId, CampaignId, GroupId, JobId, PatchId, PatchSetId, SavedSearchId};

use crate::status;

/// Reads in batches.
pub(crate) struct Batch(pub Arc<Service>);

/// Remembers what it read, so that it lives no longer than one look.
pub(crate) type Loaded = DataLoader<Batch, HashMapCache>;

pub(crate) fn new(service: Arc<Service>) -> Loaded {
    let loader = DataLoader::with_cache(Batch(service), tokio::spawn, HashMapCache::default());
    loader.delay(Duration::ZERO).max_batch_size(2000)
}

/// The loader of a request.
pub(crate) fn batch<'a>(ctx: &Context<'a>) -> &'a Loaded {
    ctx.data_unchecked::<Loaded>()
}

/// A failure that each waiter gets a copy of.
pub(crate) type Shared = Arc<Refusal>;

pub(crate) fn unshare(error: Shared) -> Error {
    match Arc::try_unwrap(error) {
        Ok(refusal) => status::refuse(refusal),
        Err(shared) => Error::new(shared.to_string()),
    }
}

impl Batch {
    async fn each<K: Send + Copy + Eq + std::hash::Hash + 'static, V: Send + 'static>(
        &self,
        keys: &[K],
        read: impl Fn(&Service, K) -> Result<Option<V>, dispatcher::StoreError> + Send + 'static,
    ) -> Result<HashMap<K, V>, Shared> {
        let keys = keys.to_vec();
        self.0
            .blocking(move |it| {
                let mut found = HashMap::new();
                for key in keys {
                    if let Some(value) = read(it, key)? {
                        found.insert(key, value);
                    }
                }
                Ok(found)
            })
            .await
            .map_err(|error: dispatcher::StoreError| Arc::new(error.into()))
    }
}

/// An attempt that is over, with what it left.
pub(crate) struct Ended {
    pub attempt: AttemptView,
    pub result: JobResultDocument,
}

/// The last attempt that is over, with its result: for a page of jobs all of them are read in one go.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EndOf(pub JobId);

impl Loader<EndOf> for Batch {
    type Value = Arc<Ended>;
    type Error = Shared;

    async fn load(&self, keys: &[EndOf]) -> Result<HashMap<EndOf, Self::Value>, Shared> {
        let ids: Vec<JobId> = keys.iter().map(|key| key.0).collect();
        let read = move |it: &Service| {
            let attempts = it.dispatcher.reader().last_attempts(&ids)?;
            let ended = attempts.into_iter().map(|attempt| {
                let result = execution::result_of(&it.cas, &attempt);
                (EndOf(attempt.job), Arc::new(Ended { attempt, result }))
            });
            Ok(ended.collect())
        };
        self.0.blocking(read).await.map_err(|error: StoreError| Arc::new(error.into()))
    }
}

/// Why a live job waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WhyOf(pub JobId);

impl Loader<WhyOf> for Batch {
    type Value = String;
    type Error = Shared;

    async fn load(&self, keys: &[WhyOf]) -> Result<HashMap<WhyOf, String>, Shared> {
        let keys = keys.to_vec();
        let explain = |it: &Service, key: WhyOf| (key, it.dispatcher.explain(key.0).to_string());
        let all = move |it: &Service| keys.into_iter().map(|key| explain(it, key)).collect();
        Ok(self.0.blocking(all).await)
    }
}

impl Loader<GroupId> for Batch {
    type Value = Arc<GroupView>;
    type Error = Shared;

    async fn load(&self, keys: &[GroupId]) -> Result<HashMap<GroupId, Self::Value>, Shared> {
        let keys = keys.to_vec();
        let found = self.0.blocking(move |it| it.dispatcher.reader().groups_by_id(&keys)).await;
        let found = found.map_err(|error| Arc::new(Refusal::from(error)))?;
        Ok(found.into_iter().map(|group| (group.id, Arc::new(group))).collect())
    }
}

/// Where the jobs of a group stand: dear for a large one, so that it is not read with what only names the group.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CountsOf(pub GroupId);

impl Loader<CountsOf> for Batch {
    type Value = Arc<GroupCounts>;
    type Error = Shared;

    async fn load(&self, keys: &[CountsOf]) -> Result<HashMap<CountsOf, Self::Value>, Shared> {
        let ids: Vec<GroupId> = keys.iter().map(|key| key.0).collect();
        let read = move |it: &Service| {
            let counts = it.dispatcher.reader().group_counts(&ids)?;
            let pairs = ids.iter().zip(counts);
            Ok(pairs.map(|(id, counts)| (CountsOf(*id), Arc::new(counts))).collect())
        };
        self.0.blocking(read).await.map_err(|error: StoreError| Arc::new(error.into()))
    }
}

/// The row of an execution.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RowOf(pub GroupId);

impl Loader<RowOf> for Batch {
    type Value = ExecutionRow;
    type Error = Shared;

    async fn load(&self, keys: &[RowOf]) -> Result<HashMap<RowOf, Self::Value>, Shared> {
        let ids: Vec<GroupId> = keys.iter().map(|key| key.0).collect();
        let found = self.0.blocking(move |it| it.store.executions_by_id(&ids)).await;
        let found = found.map_err(|error| Arc::new(Refusal::from(error)))?;
        Ok(found.into_iter().map(|row| (RowOf(row.execution), row)).collect())
    }
}

/// The newest execution of an action.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LastOf(pub ActionId);

impl Loader<LastOf> for Batch {
    type Value = ExecutionRow;
    type Error = Shared;

    async fn load(&self, keys: &[LastOf]) -> Result<HashMap<LastOf, Self::Value>, Shared> {
        self.each(keys, |it, key| {
            let filter = ExecutionFilter { action: Some(key.0), state: None };
            let page = it.store.executions(filter, Window { after: None, first: 1 })?;
            Ok(page.items.into_iter().next())
        })
        .await
    }
}

impl Loader<ActionId> for Batch {
    type Value = Action;
    type Error = Shared;

    async fn load(&self, keys: &[ActionId]) -> Result<HashMap<ActionId, Action>, Shared> {
        self.each(keys, |it, key| it.store.action(key)).await
    }
}

impl Loader<CampaignId> for Batch {
    type Value = Campaign;
    type Error = Shared;

    async fn load(&self, keys: &[CampaignId]) -> Result<HashMap<CampaignId, Campaign>, Shared> {
        self.each(keys, |it, key| it.store.campaign(key)).await
    }
}

impl Loader<SavedSearchId> for Batch {
    type Value = SavedSearch;
    type Error = Shared;

    async fn load(
        &self,
        keys: &[SavedSearchId],
    ) -> Result<HashMap<SavedSearchId, SavedSearch>, Shared> {
        self.each(keys, |it, key| it.store.saved_search(key)).await
    }
}

impl Loader<PatchSetId> for Batch {
    type Value = PatchSet;
    type Error = Shared;

    async fn load(&self, keys: &[PatchSetId]) -> Result<HashMap<PatchSetId, PatchSet>, Shared> {
        self.each(keys, |it, key| it.store.patch_set(key)).await
    }
}

/// How far the changeset of a patch is to go, when the patch is in a campaign.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PublicationOf(pub PatchSetId, pub PatchId);

impl Loader<PublicationOf> for Batch {
    type Value = Publication;
    type Error = Shared;

    async fn load(
        &self,
        keys: &[PublicationOf],
    ) -> Result<HashMap<PublicationOf, Publication>, Shared> {
        let mut sets: HashMap<PatchSetId, Vec<PatchId>> = HashMap::new();
        for PublicationOf(set, patch) in keys {
            sets.entry(*set).or_default().push(*patch);
        }
        let read = move |it: &Service| {
            let mut found = HashMap::new();
            for (set, patches) in sets {
                for changeset in it.changesets_of_patches(set, &patches)? {
                    let patch = changeset.patch.map(|patch| PublicationOf(set, patch));
                    found.extend(patch.map(|patch| (patch, changeset.publication)));
                }
            }
            Ok(found)
        };
        self.0.blocking(read).await.map_err(|error: StoreError| Arc::new(error.into()))
    }
}

impl Loader<PatchId> for Batch {
    type Value = Patch;
    type Error = Shared;

    async fn load(&self, keys: &[PatchId]) -> Result<HashMap<PatchId, Patch>, Shared> {
        let ids = keys.to_vec();
        let found = self.0.blocking(move |it| it.store.patches_by_id(&ids)).await;
        let found = found.map_err(|error| Arc::new(Refusal::from(error)))?;
        Ok(found.into_iter().collect())
    }
}
