//! Results of steps: taken from the cache before anything is checked out, and put there after each step.
//!
//! The cache is a help, never a need: when it does not answer, steps run.

use model::Digest;

use super::*;

impl Run<'_> {
    /// Goes through the steps as long as their results are known. The first that is not is returned, planned already.
    pub(super) async fn replay(&mut self) -> Result<Option<Planned>, Stop> {
        while self.done.reports.len() < self.order.steps.len() {
            let Some(planned) = self.plan().await? else { continue };
            let Some(key) = planned.key.clone() else { return Ok(Some(planned)) };
            let found = match self.until_stopped(self.services.cache_get(key.clone())).await? {
                Ok(found) => found,
                Err(error) => {
                    self.recorder.notice(&format!("the cache cannot be asked: {error}"));
                    None
                }
            };
            let Some(step) = found else { return Ok(Some(planned)) };
            self.recorder.notice(&format!("step {}: taken from the cache", planned.index + 1));
            self.done.changes = match &step.diff {
                Some(digest) => Changes::Stored(digest.clone()),
                None => Changes::None,
            };
            self.done.take(Some(key), &step);
            self.done.report(StepState::Cached, None, Duration::ZERO);
        }
        Ok(None)
    }

    /// Gets the patch that the cache names.
    pub(super) async fn fetch_changes(&mut self, digest: &str) -> Result<(), Stop> {
        let unusable = |error: &dyn std::fmt::Display| Stop::CacheUnusable(error.to_string());
        let digest = Digest::parse_hex(digest).map_err(|error| unusable(&error))?;
        let patch = self.until_stopped(self.services.blob_get(digest)).await?;
        let patch = patch.map_err(|error| unusable(&error))?;
        let changed = self.done.context.steps_files.clone();
        let (added, deleted) = diff::count_lines(&patch);
        let ChangedFiles { modified, added: new, deleted: gone, renamed } = &changed;
        let files = (modified.len() + new.len() + gone.len() + renamed.len()) as u64;
        self.done.changes =
            Changes::Here(Diff { patch, changed, stat: DiffStat { files, added, deleted } });
        Ok(())
    }

    /// Begins to keep what a step came to; `settle` waits for it. SECURITY: the output in it is masked already.
    pub(super) fn store(&mut self, key: String, mut step: CachedStep, patch: &[u8]) {
        let (services, patch) = (self.services.clone(), patch.to_owned());
        self.kept.spawn(async move {
            if !patch.is_empty() {
                step.diff = Some(services.blob_put(patch).await?.to_string());
            }
            services.cache_put(key, step).await
        });
    }

    /// Waits until what the steps came to is kept, unless the job is to stop.
    pub(super) async fn settle(&mut self) {
        let mut kept = std::mem::take(&mut self.kept);
        while let Ok(Some(done)) = self.until_stopped(kept.join_next()).await {
            if let Ok(Err(error)) = done {
                self.recorder
                    .notice(&format!("a step's result cannot be kept in the cache: {error}"));
            }
        }
    }
}
