//! What runs actions by itself: schedules and saved searches. A reconciler: what is due is due, however often it looks.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{GroupId, GroupState, SavedSearchId, WallMs};

use super::{Caller, Changed, NewRun, Refusal, Schedule, Service};
use crate::action::{Action, ExecutionFilter, Misfire, Overlap, Reason, Trigger};
use crate::execution::Document;
use crate::page::Window;
use crate::saved_search::{ResultSet, SavedSearch};
use crate::scope::{PatternType, Prepared};
use crate::site::Role;

/// How often saved searches that start actions are run.
const SEARCH_EVERY_MS: u64 = 60_000;
/// How soon after a repository changed they are run: many pushes are one.
const DEBOUNCE: Duration = Duration::from_secs(2);
/// The longest that a saved search may take.
pub const SEARCH_TIME: Duration = Duration::from_secs(60);
/// The longest sleep; clocks jump.
const LOOK_EVERY: Duration = Duration::from_secs(30);

pub(super) async fn run(service: Arc<Service>) {
    let mut searched: Option<WallMs> = None;
    loop {
        let now = service.now();
        if let Err(error) = service.fire_schedules(now).await {
            tracing::error!("failed to run schedules: {error}");
        }
        if searched.is_none_or(|at| at.0 + SEARCH_EVERY_MS <= now.0) {
            searched = Some(now);
            if let Err(error) = service.fire_saved_searches(SEARCH_TIME).await {
                tracing::error!("failed to run saved searches: {error}");
            }
        }
        let next = service.blocking(|it| it.store.next_tick()).await.ok().flatten();
        let next = next.map_or(u64::MAX, |at| at.0.saturating_sub(service.now().0));
        let wait = Duration::from_millis(next).clamp(Duration::from_millis(250), LOOK_EVERY);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = service.triggers.notified() => {
                // Something changed: the searches are due, together with what follows at once.
                tokio::time::sleep(DEBOUNCE).await;
                searched = None;
            }
        }
    }
}

/// An execution that is not over.
struct Running {
    id: GroupId,
    key: Option<String>,
}

fn robot(action: &Action) -> Caller {
    // It runs with the rights of whoever made it.
    Caller { name: action.owner.clone(), role: Role::User }
}

impl Service {
    /// Runs every action whose tick has come. Ticks that were missed are one.
    pub async fn fire_schedules(self: &Arc<Self>, now: WallMs) -> Result<(), Refusal> {
        for action in self.blocking(move |it| it.store.actions_due(now)).await? {
            self.fire(action, now).await?;
        }
        Ok(())
    }

    async fn fire(self: &Arc<Self>, action: Action, now: WallMs) -> Result<(), Refusal> {
        let (Some(due), Some(text)) = (action.next_tick, &action.settings.schedule) else {
            return Ok(());
        };
        let schedule = Schedule::new(text, &action.settings.time_zone);
        let schedule = schedule.map_err(|error| Refusal::invalid(error.to_string()))?;
        let tick = schedule.last(now).unwrap_or(due).max(due);
        let mut detail = format!("the schedule `{text}` at {}", schedule.show(tick));
        if tick != due {
            detail.push_str(", and ticks that were missed before it");
        }
        let key = format!("action/{}/tick/{}", action.id, due.0);
        let running = self.running(&action).await?;
        if running.as_ref().is_some_and(|running| running.key.as_ref() == Some(&key)) {
            // It was started, and the server ended before the tick was crossed off.
            return self.move_on(&action, due, &schedule, now).await;
        }
        match (running.map(|running| running.id), action.settings.overlap) {
            (None, _) => {}
            // The tick stays due until the one before is over.
            (Some(_), Overlap::Queue) => return Ok(()),
            (Some(running), Overlap::Skip) => {
                let why = format!("execution {running} was not over");
                self.misfire(&action, Reason::Schedule, detail, why).await?;
                return self.move_on(&action, due, &schedule, now).await;
            }
            (Some(running), Overlap::CancelPrevious) => {
                // It may end by itself just now, which is fine too.
                let _ = self.cancel_execution(&robot(&action), running).await;
            }
        }
        // Started before the tick is crossed off: after a crash between the two, the key finds the same execution.
        let run =
            NewRun { reason: Reason::Schedule, detail: detail.clone(), only: None, key: Some(key) };
        match self.run_action(&robot(&action), action.id, run).await {
            Ok(_) => {}
            Err(Refusal::Store(error)) => return Err(error.into()),
            Err(error) => {
                self.misfire(&action, Reason::Schedule, detail, error.to_string()).await?
            }
        }
        self.move_on(&action, due, &schedule, now).await
    }

    async fn move_on(
        self: &Arc<Self>,
        action: &Action,
        from: WallMs,
        schedule: &Schedule,
        now: WallMs,
    ) -> Result<(), Refusal> {
        let (id, next) = (action.id, schedule.after(now));
        self.blocking(move |it| it.store.put_next_tick(id, from, next)).await?;
        self.tell(Changed::Actions);
        Ok(())
    }

    /// The newest execution of an action, while it is not over.
    async fn running(self: &Arc<Self>, action: &Action) -> Result<Option<Running>, Refusal> {
        let filter = ExecutionFilter { action: Some(action.id), state: None };
        self.blocking(move |it| {
            let last = it.store.executions(filter, Window { after: None, first: 1 })?;
            let Some(last) = last.items.first() else { return Ok(None) };
            let group = it.dispatcher.reader().group(last.execution)?;
            let open = group.filter(|group| matches!(group.state, GroupState::Open { .. }));
            Ok(open.map(|group| {
                let document: Option<Document> = serde_json::from_slice(&group.group.document).ok();
                let key = document.and_then(|document| document.origin?.key);
                Running { id: last.execution, key }
            }))
        })
        .await
    }

    async fn misfire(
        self: &Arc<Self>,
        action: &Action,
        reason: Reason,
        detail: String,
        why: String,
    ) -> Result<(), Refusal> {
        let misfire = Misfire { action: action.id, at: self.now(), reason, detail, why };
        self.blocking(move |it| it.store.put_misfire(&misfire)).await?;
        self.tell(Changed::Actions);
        Ok(())
    }

    /// Runs every saved search that an action hangs on.
    pub async fn fire_saved_searches(
        self: &Arc<Self>,
        search_time: Duration,
    ) -> Result<(), Refusal> {
        let window = Window { after: None, first: 10_000 };
        let all = self.blocking(move |it| it.store.saved_searches(window)).await?;
        for search in all.items {
            let id = search.id;
            let actions = self.blocking(move |it| it.store.actions_of_saved_search(id)).await?;
            if actions.is_empty() && search.last_run.is_some() {
                continue;
            }
            self.run_saved_search(search, actions, search_time).await?;
        }
        Ok(())
    }

    /// Runs a saved search now, for whoever asks. Actions that hang on it run if its results changed.
    pub async fn run_saved_search_now(
        self: &Arc<Self>,
        caller: &Caller,
        id: SavedSearchId,
    ) -> Result<(), Refusal> {
        caller.needs(Role::User)?;
        let search = self.blocking(move |it| it.store.saved_search(id)).await?;
        let search = search.ok_or_else(|| Refusal::NotFound(format!("saved search {id}")))?;
        let actions = self.blocking(move |it| it.store.actions_of_saved_search(id)).await?;
        self.run_saved_search(search, actions, SEARCH_TIME).await
    }

    async fn run_saved_search(
        self: &Arc<Self>,
        search: SavedSearch,
        actions: Vec<Action>,
        search_time: Duration,
    ) -> Result<(), Refusal> {
        let (id, now) = (search.id, self.now());
        let found = match self.result_set(&search.query, search_time).await {
            Ok(found) => found,
            Err(why) => {
                // The results stay what they were, so that nothing is missed when it works again.
                self.blocking(move |it| it.store.put_saved_search_error(id, &why, now)).await?;
                self.tell(Changed::Actions);
                return Ok(());
            }
        };
        let known = self.blocking(move |it| it.store.saved_results(id)).await?;
        let Some(known) = known else {
            // The first run is where it starts from.
            return self.keep_results(&search, found, false).await;
        };
        let difference = Difference::between(&known, &found);
        if difference.is_empty() {
            let old = search.last_run.is_none_or(|at| at.0 + SEARCH_EVERY_MS <= now.0);
            if old || search.last_error.is_some() {
                return self.keep_results(&search, found, false).await;
            }
            return Ok(());
        }
        let mut waits = false;
        for action in actions.into_iter().filter(|action| !action.settings.paused) {
            waits |= self.fire_found(&action, &search, &difference, &found).await?;
        }
        if waits {
            // The results stay what they were, so that the difference is found again when the execution is over.
            return Ok(());
        }
        self.keep_results(&search, found, true).await
    }

    async fn keep_results(
        self: &Arc<Self>,
        search: &SavedSearch,
        found: ResultSet,
        changed: bool,
    ) -> Result<(), Refusal> {
        let (id, query, now) = (search.id, search.query.clone(), self.now());
        self.blocking(move |it| it.store.put_saved_results(id, &query, &found, changed, now))
            .await?;
        self.tell(Changed::Actions);
        Ok(())
    }

    /// Runs an action for what its search found. Whether it must wait for the execution before.
    async fn fire_found(
        self: &Arc<Self>,
        action: &Action,
        search: &SavedSearch,
        difference: &Difference,
        found: &ResultSet,
    ) -> Result<bool, Refusal> {
        let settings = &action.settings;
        let wanted = match settings.trigger {
            Trigger::Added => !difference.added.is_empty(),
            Trigger::Removed => !difference.removed.is_empty(),
            Trigger::Any => true,
        };
        if !wanted {
            return Ok(false);
        }
        let detail = format!("the saved search `{}` found {difference}", search.name);
        let only = settings.only_new.then(|| {
            difference.added.iter().chain(&difference.changed).cloned().collect::<BTreeSet<_>>()
        });
        if only.as_ref().is_some_and(BTreeSet::is_empty) {
            return Ok(false);
        }
        // From which results to which: the same change runs nothing twice, whenever the server was killed, and results that
        // come back are another change.
        let digest = blake3::hash(&serde_json::to_vec(found).expect("results are JSON"));
        let since = search.last_change.map_or(0, |at| at.0);
        let key = format!("action/{}/since/{since}/results/{}", action.id, digest.to_hex());
        if let Some(running) = self.running(action).await? {
            if running.key.as_ref() == Some(&key) {
                return Ok(false);
            }
            if settings.overlap != Overlap::CancelPrevious {
                return Ok(true);
            }
            let _ = self.cancel_execution(&robot(action), running.id).await;
        }
        let run =
            NewRun { reason: Reason::SavedSearch, detail: detail.clone(), only, key: Some(key) };
        match self.run_action(&robot(action), action.id, run).await {
            Ok(_) => {}
            Err(Refusal::Store(error)) => return Err(error.into()),
            Err(error) => {
                self.misfire(action, Reason::SavedSearch, detail, error.to_string()).await?
            }
        }
        Ok(false)
    }

    /// What a query finds now, in fingerprints. A search that did not see everything found nothing out.
    async fn result_set(
        self: &Arc<Self>,
        query: &str,
        search_time: Duration,
    ) -> Result<ResultSet, String> {
        let prepared = Prepared::new(query, PatternType::Keyword).map_err(|e| e.to_string())?;
        self.searching(move |it| {
            let mut found = ResultSet::new();
            let deadline = Some(Instant::now() + search_time);
            let ended = it.searcher.run(&prepared, deadline, |hit| {
                let mut hasher = blake3::Hasher::new();
                for file in &hit.found.files {
                    let lines = file.lines.iter().map(|range| (range.first, range.last));
                    let lines: Vec<_> = lines.collect();
                    hasher.update(format!("{:?}", (&file.revision, &file.path, lines)).as_bytes());
                }
                let fingerprint = hasher.finalize().to_hex()[..32].to_owned();
                found.insert(hit.repository.name.clone(), fingerprint);
                ControlFlow::Continue(())
            });
            if ended.timed_out {
                return Err(format!("it took longer than {} s", search_time.as_secs()));
            }
            if let Some((repository, why)) = ended.not_searched.first() {
                return Err(format!("`{repository}` cannot be searched: {why}"));
            }
            Ok(found)
        })
        .await
    }
}

/// What became another result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Difference {
    added: Vec<String>,
    removed: Vec<String>,
    /// There before and after, with other matches.
    changed: Vec<String>,
}

impl Difference {
    fn between(before: &ResultSet, after: &ResultSet) -> Self {
        let mut difference = Self::default();
        for (name, fingerprint) in after {
            match before.get(name) {
                None => difference.added.push(name.clone()),
                Some(known) if known != fingerprint => difference.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        difference.removed = gone.cloned().collect();
        difference
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// In words, with the first names.
impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        for (what, names) in
            [("new", &self.added), ("gone", &self.removed), ("changed", &self.changed)]
        {
            if names.is_empty() {
                continue;
            }
            let shown: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
            let more = names.len() - shown.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            parts.push(format!("{} {what}: {}{more}", names.len(), shown.join(", ")));
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> ResultSet {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn differences_are_told_in_words() {
        let before = set(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let after = set(&[("b", "1"), ("c", "2"), ("d", "1")]);
        let difference = Difference::between(&before, &after);
        assert_eq!(difference.to_string(), "1 new: d; 1 gone: a; 1 changed: c");
        assert!(Difference::between(&before, &before).is_empty());
    }
}
