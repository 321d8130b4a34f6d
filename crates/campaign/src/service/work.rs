//! The workers of campaigns: patch sets are applied, changesets brought to what is wanted, and code hosts asked how it stands.

use std::sync::Arc;
use std::time::Duration;

use codehost::{HostError, PullRequest, PullRequestState};
use futures::StreamExt;
use model::{CampaignId, ChangesetId, PatchSetId, WallMs};

use super::publish::{Trouble, events_between};
use super::{Changed, Refusal, Service};
use crate::changeset::{
    BulkKind, BulkOperation, Campaign, Changeset, Phase, PreviewRow, Publication, phase, plan,
    rewire,
};
use crate::page::Window;

/// Changesets in work at once.
const AT_ONCE: usize = 8;
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A changeset that fails as often waits for a person.
const ATTEMPTS_MAX: u32 = 10;
/// How soon and how late the host is asked again: the more recent the last change, the sooner.
const SYNC_SOONEST_MS: u64 = 2 * 60 * 1000;
const SYNC_LATEST_MS: u64 = 8 * 60 * 60 * 1000;

pub(super) async fn run(service: Arc<Service>) {
    loop {
        let worked = service.work_once().await;
        if let Err(error) = &worked {
            tracing::error!("failed to work on campaigns: {error}");
        }
        // More may have become due meanwhile.
        if worked.is_ok_and(|worked| worked > 0) {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = service.work.notified() => {}
        }
    }
}

impl Service {
    /// Does what is due now and says how much that was. May be called at any time.
    pub async fn work_once(self: &Arc<Self>) -> Result<usize, Refusal> {
        let applied = self.apply_patch_sets().await?;
        let bulk = self.work_bulk().await?;
        let now = self.now();
        let due = self.blocking(move |it| it.store.changesets_due(now, 256)).await?;
        let changesets = due.len();
        futures::stream::iter(due)
            .map(|changeset| self.reconcile(changeset.id))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<Vec<()>, Refusal>>()?;
        let to_sync = self.blocking(move |it| it.store.changesets_to_sync(now, 256)).await?;
        let synced = to_sync.len();
        futures::stream::iter(to_sync)
            .map(|changeset| self.look_at(changeset.id))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<Vec<()>, Refusal>>()?;
        Ok(applied + bulk + changesets + synced)
    }

    /// Every open campaign gets the changesets that its patch set wants.
    async fn apply_patch_sets(self: &Arc<Self>) -> Result<usize, Refusal> {
        let campaigns = self.blocking(|it| it.store.campaigns_to_apply()).await?;
        let count = campaigns.len();
        for campaign in campaigns {
            let Some(set) = campaign.patch_set else { continue };
            let (id, now) = (campaign.id, self.now());
            self.blocking(move |it| -> Result<(), Refusal> {
                let rows = it.rewired(&campaign, set)?;
                it.store.apply(id, set, &rows, now)?;
                Ok(())
            })
            .await?;
            self.tell(Changed::Campaign(id));
        }
        Ok(count)
    }

    /// What a patch set would mean for a campaign. Blocks.
    pub(super) fn rewired(
        &self,
        campaign: &Campaign,
        set: PatchSetId,
    ) -> Result<Vec<PreviewRow>, Refusal> {
        let unknown = || Refusal::NotFound(format!("patch set {set}"));
        let coverage = self.store.patch_set(set)?.ok_or_else(unknown)?.coverage;
        let patches =
            self.store.patches(set, Window { after: None, first: usize::MAX >> 1 })?.items;
        let existing = self.changesets_of(campaign.id)?;
        let taken = self.store.branches_of_others(campaign.id)?;
        Ok(rewire(campaign, &existing, &patches, &coverage, &taken))
    }

    /// All changesets of a campaign. Blocks.
    pub(super) fn changesets_of(&self, id: CampaignId) -> Result<Vec<Changeset>, Refusal> {
        let all = Window { after: None, first: usize::MAX >> 1 };
        Ok(self.store.changesets(id, &Default::default(), all)?.items)
    }

    /// Brings one changeset as near to what is wanted as can be now.
    async fn reconcile(self: &Arc<Self>, id: ChangesetId) -> Result<(), Refusal> {
        self.with_in_hand(id, async |mut changeset| self.work_on(&mut changeset).await).await
    }

    /// Does something with a changeset as it is now, while no other worker has it.
    async fn with_in_hand(
        self: &Arc<Self>,
        id: ChangesetId,
        work: impl AsyncFnOnce(Changeset) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if !self.in_hand.lock().insert(id) {
            return Ok(());
        }
        // Read only now: another worker may have had it since it was listed.
        let done = match self.blocking(move |it| it.store.changeset(id)).await {
            Ok(None) => Ok(()),
            Ok(Some(changeset)) => {
                let campaign = changeset.campaign;
                let done = work(changeset).await;
                self.tell(Changed::Campaign(campaign));
                done
            }
            Err(error) => Err(error.into()),
        };
        self.in_hand.lock().remove(&id);
        done
    }

    async fn work_on(self: &Arc<Self>, changeset: &mut Changeset) -> Result<(), Refusal> {
        while let Some(operation) = plan(changeset).first().copied() {
            let before = changeset.actual.pull_request.clone();
            let result = self.perform(changeset, operation).await;
            let now = self.now();
            changeset.updated = now;
            let over = match result {
                Ok(()) => {
                    changeset.work.attempts = 0;
                    changeset.work.waiting = false;
                    changeset.work.error = None;
                    changeset.work.error_is_final = false;
                    changeset.work.next_sync = self.next_sync(changeset, now);
                    // The same operation again would go on for ever.
                    plan(changeset).first() == Some(&operation)
                }
                Err(Trouble::Store(error)) => return Err(error),
                Err(trouble) => {
                    note_trouble(changeset, trouble, now);
                    true
                }
            };
            if over || plan(changeset).is_empty() {
                let waits = changeset.work.due.is_some_and(|due| due > now);
                changeset.work.due = changeset.work.due.filter(|_| waits);
            }
            changeset.phase = phase(changeset);
            self.keep(changeset, before, now).await?;
            if over {
                return Ok(());
            }
            // What is wanted may have changed meanwhile.
            let id = changeset.id;
            match self.blocking(move |it| it.store.changeset(id)).await? {
                Some(stored) => *changeset = stored,
                None => return Ok(()),
            }
        }
        // Nothing is to be done, so that nothing is due.
        if changeset.work.due.is_some() {
            changeset.work.due = None;
            let kept = changeset.clone();
            self.blocking(move |it| it.store.put_changeset(&kept, &[])).await?;
        }
        Ok(())
    }

    pub(super) fn next_sync(&self, changeset: &Changeset, now: WallMs) -> Option<WallMs> {
        let actual = &changeset.actual;
        let over = actual.gone || changeset.detached;
        if over || (actual.pull_request.is_none() && actual.pushed.is_none()) {
            return None;
        }
        let changed = actual.pull_request.as_ref().map_or(changeset.updated.0, |p| p.updated_ms);
        let merged = phase(changeset) == Phase::Merged;
        if merged {
            return None;
        }
        let age = now.0.saturating_sub(changed);
        Some(WallMs(now.0 + (age / 2).clamp(SYNC_SOONEST_MS, SYNC_LATEST_MS)))
    }

    /// Asks the host how a changeset stands.
    async fn look_at(self: &Arc<Self>, id: ChangesetId) -> Result<(), Refusal> {
        self.with_in_hand(id, async |mut changeset| self.look_and_keep(&mut changeset).await).await
    }

    async fn look_and_keep(self: &Arc<Self>, changeset: &mut Changeset) -> Result<(), Refusal> {
        let before = changeset.actual.pull_request.clone();
        let looked = self.look(changeset).await;
        let now = self.now();
        changeset.work.next_sync = match looked {
            Ok(()) => self.next_sync(changeset, now),
            Err(Trouble::Store(error)) => return Err(error),
            Err(Trouble::Host(HostError::RateLimited { retry_after, .. })) => {
                Some(WallMs(now.0 + retry_after.as_millis() as u64))
            }
            Err(trouble) => {
                changeset.work.error = Some(trouble.to_string());
                Some(WallMs(now.0 + SYNC_SOONEST_MS))
            }
        };
        changeset.updated = now;
        if changeset.work.due.is_none() && phase(changeset) == Phase::Queued {
            // What was seen asks for something.
            changeset.work.due = Some(now);
        }
        self.keep(changeset, before, now).await
    }

    /// Writes down what became of a changeset, and what people decided about it on its code host.
    async fn keep(
        self: &Arc<Self>,
        changeset: &Changeset,
        before: Option<PullRequest>,
        now: WallMs,
    ) -> Result<(), Refusal> {
        let after = changeset.actual.pull_request.as_ref();
        let events = events_between(before.as_ref(), after, now);
        let was = before.map(|pull| pull.state);
        use PullRequestState::{Closed, Open};
        let decided = match (was, after.map(|pull| pull.state)) {
            // Whoever closed it meant it: it is not opened again unless somebody asks. And the other way round.
            (Some(Open), Some(Closed)) if !changeset.close => Some(true),
            (Some(Closed), Some(Open)) if changeset.close => Some(false),
            _ => None,
        };
        let kept = changeset.clone();
        self.blocking(move |it| {
            it.store.put_changeset(&kept, &events)?;
            if let Some(close) = decided {
                it.store.put_wishes(&[Changeset { close, ..kept }])?;
            }
            Ok(())
        })
        .await
    }

    /// Does what people asked for many changesets at once.
    async fn work_bulk(self: &Arc<Self>) -> Result<usize, Refusal> {
        let to_do = self.blocking(|it| it.store.bulk_to_do(256)).await?;
        let mut count = 0;
        for (operation, id) in to_do {
            let changeset = self.blocking(move |it| it.store.changeset(id)).await?;
            let error = match changeset {
                None => Some("the changeset is gone".to_owned()),
                Some(changeset) => match self.bulk_one(&operation, changeset).await {
                    Ok(()) => None,
                    Err(Trouble::Store(error)) => return Err(error),
                    Err(Trouble::Host(HostError::RateLimited { .. })) => continue,
                    Err(trouble) => Some(trouble.to_string()),
                },
            };
            let (of, now) = (operation.id, self.now());
            self.blocking(move |it| it.store.put_bulk_item(of, id, error.as_deref(), now)).await?;
            self.tell(Changed::Campaign(operation.campaign));
            count += 1;
        }
        Ok(count)
    }

    async fn bulk_one(
        self: &Arc<Self>,
        operation: &BulkOperation,
        mut changeset: Changeset,
    ) -> Result<(), Trouble> {
        let refuse = |why: &str| Err(Trouble::Final(why.to_owned()));
        let imported = changeset.actual.imported;
        match operation.kind {
            BulkKind::Publish | BulkKind::PublishDraft | BulkKind::PushOnly if imported => {
                return refuse("it was imported, so that it is published already");
            }
            BulkKind::Close | BulkKind::Reopen | BulkKind::Overwrite if imported => {
                return refuse("it was imported: whoever made it decides that on its code host");
            }
            BulkKind::Reopen if changeset.wanted.is_none() => {
                return refuse("no patch wants it any more");
            }
            BulkKind::Publish => changeset.publication = Publication::PullRequest,
            BulkKind::PublishDraft => {
                changeset.publication = changeset.publication.max(Publication::Draft);
            }
            BulkKind::PushOnly => {
                changeset.publication = changeset.publication.max(Publication::PushOnly);
            }
            BulkKind::Close => changeset.close = true,
            BulkKind::Reopen => changeset.close = false,
            BulkKind::Detach => changeset.detached = true,
            BulkKind::Retry => {}
            BulkKind::Sync => changeset.work.next_sync = Some(self.now()),
            BulkKind::Overwrite => match &changeset.actual.found {
                Some(found) => changeset.work.overwrite = Some(found.clone()),
                None => return refuse("nobody else's commit is on its branch"),
            },
            BulkKind::Merge => return self.merge(changeset).await,
            BulkKind::Comment => return self.comment(&changeset, &operation.text).await,
        }
        changeset.updated = self.now();
        self.blocking(move |it| it.store.put_wishes(&[changeset])).await.map_err(Refusal::from)?;
        Ok(())
    }
}

/// Writes down why an operation did not go well, and when it is tried again.
fn note_trouble(changeset: &mut Changeset, trouble: Trouble, now: WallMs) {
    let work = &mut changeset.work;
    work.error = Some(trouble.to_string());
    work.waiting = false;
    match trouble {
        Trouble::Host(HostError::RateLimited { retry_after, .. }) => {
            work.waiting = true;
            work.due = Some(WallMs(now.0 + retry_after.as_millis() as u64));
        }
        Trouble::Host(ref error) if !error.is_final() => try_again(changeset, now),
        Trouble::Passing(_) => try_again(changeset, now),
        Trouble::Host(_) | Trouble::Final(_) => work.error_is_final = true,
        Trouble::Diverged => {}
        Trouble::Store(_) => {}
    }
    if work_is_final(changeset) {
        changeset.work.due = None;
    }
}

fn work_is_final(changeset: &Changeset) -> bool {
    changeset.work.error_is_final || changeset.actual.found.is_some()
}

fn try_again(changeset: &mut Changeset, now: WallMs) {
    let work = &mut changeset.work;
    work.attempts += 1;
    if work.attempts >= ATTEMPTS_MAX {
        work.error_is_final = true;
        return;
    }
    let wait = 1000u64 << work.attempts.min(9);
    let jitter = rand::random::<u64>() % (wait / 4 + 1);
    work.due = Some(WallMs(now.0 + wait + jitter));
}
