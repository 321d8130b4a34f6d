//! Actions: made, changed, and run.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::ops::{CancelOp, CancelOutcome, Refused};
use model::{ActionId, CampaignId, GroupId, SavedSearchId, WallMs};
use spec::{Diagnostic, Parsed, Spec};

use super::{Caller, Changed, Refusal, Schedule, ScheduleError, Service};
use crate::action::{Action, ExecutionRow, Origin, Overlap, Reason, Settings, Trigger};
use crate::execution::{self, Document, Options, Plan};
use crate::site::Role;

/// How the definition of an action is called in messages.
const FILE: &str = "definition";

/// Changes of an action's settings; `None` stays, `Some(None)` is taken away.
#[derive(Clone, Debug, Default)]
pub struct SettingsChange {
    pub schedule: Option<Option<String>>,
    pub time_zone: Option<String>,
    pub overlap: Option<Overlap>,
    pub paused: Option<bool>,
    pub saved_search: Option<Option<SavedSearchId>>,
    pub trigger: Option<Trigger>,
    pub only_new: Option<bool>,
    pub campaign: Option<Option<CampaignId>>,
    pub autoupdate: Option<bool>,
}

/// Why an action is run now.
#[derive(Clone, Debug)]
pub struct NewRun {
    pub reason: Reason,
    /// The evidence in words.
    pub detail: String,
    /// Only these repositories of its scope.
    pub only: Option<BTreeSet<String>>,
    /// The same key again runs nothing twice.
    pub key: Option<String>,
}

impl Service {
    pub async fn create_action(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        text: &str,
    ) -> Result<Action, Refusal> {
        caller.needs(Role::User)?;
        super::check_name("an action", name)?;
        let parsed = parse_definition(name, text)?;
        let (of, text) = (name.to_owned(), text.to_owned());
        let (by, now) = (caller.name.clone(), self.now());
        let made = self
            .blocking(move |it| {
                it.store.create_action(&of, &parsed.spec.description, &text, &by, now)
            })
            .await?;
        let taken = || Refusal::name_taken("an action", name);
        let made = made.ok_or_else(taken)?;
        self.tell(Changed::Actions);
        Ok(made)
    }

    pub async fn update_action(
        self: &Arc<Self>,
        caller: &Caller,
        id: ActionId,
        text: &str,
    ) -> Result<Action, Refusal> {
        caller.needs(Role::User)?;
        let known = self.action(id).await?;
        let parsed = parse_definition(&known.name, text)?;
        let (text, by, now) = (text.to_owned(), caller.name.clone(), self.now());
        let changed = self
            .blocking(move |it| {
                it.store.put_action_version(id, &parsed.spec.description, &text, &by, now)
            })
            .await?;
        self.tell(Changed::Actions);
        changed.ok_or_else(|| unknown(id))
    }

    pub async fn action(self: &Arc<Self>, id: ActionId) -> Result<Action, Refusal> {
        self.blocking(move |it| it.store.action(id)).await?.ok_or_else(|| unknown(id))
    }

    pub async fn delete_action(
        self: &Arc<Self>,
        caller: &Caller,
        id: ActionId,
    ) -> Result<(), Refusal> {
        caller.needs(Role::User)?;
        if !self.blocking(move |it| it.store.delete_action(id)).await? {
            return Err(unknown(id));
        }
        self.tell(Changed::Actions);
        Ok(())
    }

    pub async fn change_settings(
        self: &Arc<Self>,
        caller: &Caller,
        id: ActionId,
        change: SettingsChange,
    ) -> Result<Action, Refusal> {
        caller.needs(Role::User)?;
        let known = self.action(id).await?;
        let old = &known.settings;
        let settings = Settings {
            schedule: change.schedule.unwrap_or_else(|| old.schedule.clone()),
            time_zone: change.time_zone.unwrap_or_else(|| old.time_zone.clone()),
            overlap: change.overlap.unwrap_or(old.overlap),
            paused: change.paused.unwrap_or(old.paused),
            saved_search: change.saved_search.unwrap_or(old.saved_search),
            trigger: change.trigger.unwrap_or(old.trigger),
            only_new: change.only_new.unwrap_or(old.only_new),
            campaign: change.campaign.unwrap_or(old.campaign),
            autoupdate: change.autoupdate.unwrap_or(old.autoupdate),
        };
        if settings.schedule.is_some() && settings.saved_search.is_some() {
            return Err(Refusal::of_field(
                "savedSearch",
                "an action has a schedule or a saved search, not both; take one away first",
            ));
        }
        let now = self.now();
        let next = next_tick(&settings, now)?;
        // A tick that is awaited stays awaited: saving the form again must not swallow a run.
        let same_schedule = settings.schedule == old.schedule
            && settings.time_zone == old.time_zone
            && settings.paused == old.paused;
        let next = if same_schedule { known.next_tick } else { next };
        let (search, campaign) = (settings.saved_search, settings.campaign);
        let changed = self
            .blocking(move |it| -> Result<_, Refusal> {
                if let Some(id) = search
                    && it.store.saved_search(id)?.is_none()
                {
                    return Err(Refusal::NotFound(format!("saved search {id}")));
                }
                if let Some(id) = campaign
                    && it.store.campaign(id)?.is_none()
                {
                    return Err(Refusal::NotFound(format!("campaign {id}")));
                }
                Ok(it.store.put_action_settings(id, &settings, next, now)?)
            })
            .await?;
        self.triggers.notify_one();
        self.tell(Changed::Actions);
        changed.ok_or_else(|| unknown(id))
    }

    /// What an action would run on now; nothing is run.
    pub async fn preview_scope(self: &Arc<Self>, name: &str, text: &str) -> Result<Plan, Refusal> {
        let parsed = parse_definition(name, text)?;
        self.plan(&parsed, None).await
    }

    async fn plan(
        self: &Arc<Self>,
        parsed: &Parsed,
        only: Option<&BTreeSet<String>>,
    ) -> Result<Plan, Refusal> {
        let missing = self.missing_secrets(FILE, &parsed.spec).await?;
        if !missing.is_empty() {
            return Err(broken(missing));
        }
        let planned = execution::plan(FILE, &parsed.spec, &[], &self.searcher).await;
        let mut plan = planned.map_err(|error| broken(error.diagnostics))?;
        if let Some(only) = only {
            plan.workspaces.retain(|workspace| only.contains(&workspace.job.repository));
            plan.skipped.retain(|skipped| only.contains(&skipped.repository));
        }
        Ok(plan)
    }

    /// Variables of steps that neither have a value nor are a secret here.
    pub async fn missing_secrets(
        self: &Arc<Self>,
        file: &str,
        spec: &Spec,
    ) -> Result<Vec<Diagnostic>, Refusal> {
        if spec.variables_from_outside().next().is_none() {
            return Ok(Vec::new());
        }
        let known = self.blocking(|it| it.store.secrets()).await?;
        let missing = spec
            .variables_from_outside()
            .filter(|(_, name)| !known.iter().any(|secret| secret.name == *name));
        let diagnostics = missing.map(|(index, name)| Diagnostic {
            file: file.to_owned(),
            at: spec.steps[index].at,
            field: format!("steps[{index}].env"),
            message: format!("`{name}` has no value here, and there is no secret of this name"),
            hint: Some(match super::site::is_secret_name(name) {
                true => format!("give it a value, or run `phalanx secret set {name}`"),
                false => "give it a value".to_owned(),
            }),
        });
        Ok(diagnostics.collect())
    }

    /// Plans an action as it is now and gives its jobs to the engine.
    pub async fn run_action(
        self: &Arc<Self>,
        caller: &Caller,
        id: ActionId,
        run: NewRun,
    ) -> Result<GroupId, Refusal> {
        caller.needs(Role::User)?;
        let action = self.action(id).await?;
        let parsed = parse_definition(&action.name, &action.text)?;
        let plan = self.plan(&parsed, run.only.as_ref()).await?;
        if plan.workspaces.is_empty() {
            return Err(Refusal::invalid("no repository of the scope needs a run"));
        }
        let mut notices: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
        notices.extend(plan.notices.iter().cloned());
        notices.extend(plan.skipped.iter().map(ToString::to_string));
        let origin = Origin {
            action: id.0,
            version: action.version,
            reason: run.reason,
            detail: run.detail,
            whole_scope: run.only.is_none(),
            not_searched: plan.not_searched.clone(),
            key: run.key.clone(),
        };
        let document = Document {
            file: FILE.to_owned(),
            text: action.text,
            spec: parsed.spec,
            options: Options::default(),
            mounts: Vec::new(),
            notices,
            origin: Some(origin.clone()),
        };
        // The key alone says that it is the same: between two tries the scope may have changed.
        let key = run.key.as_ref().map(|key| (key.as_str(), b"".as_slice()));
        let submitted =
            execution::submit(&self.dispatcher, &caller.name, &document, &plan, key).await;
        let submitted = submitted.map_err(refused)?;
        let row = ExecutionRow {
            execution: submitted.execution,
            action: Some(id),
            version: Some(origin.version),
            reason: origin.reason,
            detail: origin.detail,
            owner: caller.name.clone(),
            patch_set: None,
            partial: None,
        };
        self.blocking(move |it| it.store.put_execution(&row)).await?;
        // It may have ended before it was written down.
        self.work.notify_one();
        self.tell(Changed::Actions);
        self.tell(Changed::Execution(submitted.execution));
        Ok(submitted.execution)
    }

    /// What waits is over at once, what runs is told to stop.
    pub async fn cancel_execution(
        self: &Arc<Self>,
        caller: &Caller,
        id: GroupId,
    ) -> Result<(), Refusal> {
        caller.needs(Role::User)?;
        match self.dispatcher.cancel(CancelOp::Group(id)).await {
            CancelOutcome::Canceled { .. } => {
                self.tell(Changed::Execution(id));
                Ok(())
            }
            CancelOutcome::NotLive => {
                let known = self.blocking(move |it| it.dispatcher.reader().group(id)).await?;
                known.ok_or_else(|| Refusal::NotFound(format!("execution {id}")))?;
                Err(Refusal::Conflict(format!("execution {id} is over already")))
            }
        }
    }
}

/// Reads a definition. On a server there is nobody's folder.
pub fn parse_definition(name: &str, text: &str) -> Result<Parsed, Refusal> {
    let parsed = spec::parse_named(FILE, text.as_bytes(), name).map_err(broken)?;
    let mut diagnostics = Vec::new();
    for (index, step) in parsed.spec.steps.iter().enumerate() {
        for mount in &step.mount {
            diagnostics.push(Diagnostic {
                file: FILE.to_owned(),
                at: mount.at,
                field: format!("steps[{index}].mount"),
                message: format!("there is no file `{}` beside an action on a server", mount.path),
                hint: Some("write the file's content into `files`".to_owned()),
            });
        }
    }
    if diagnostics.is_empty() { Ok(parsed) } else { Err(broken(diagnostics)) }
}

fn broken(diagnostics: Vec<Diagnostic>) -> Refusal {
    let message = match &diagnostics[..] {
        [] => "the definition is not right".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    };
    Refusal::Invalid { message, field: Some("definition"), diagnostics }
}

fn refused(refused: Refused) -> Refusal {
    match refused {
        Refused::KeyReused => {
            Refusal::Conflict("the key belongs to something else already".to_owned())
        }
        Refused::TooMany { what, max } => {
            Refusal::Conflict(format!("too many {what}: {max} at most; try again later"))
        }
        Refused::Invalid { what } => Refusal::invalid(what),
    }
}

/// When a schedule fires next.
pub(super) fn next_tick(settings: &Settings, now: WallMs) -> Result<Option<WallMs>, Refusal> {
    let Some(text) = &settings.schedule else { return Ok(None) };
    let schedule = Schedule::new(text, &settings.time_zone);
    let schedule = schedule.map_err(|error| {
        let field = match error {
            ScheduleError::Bad { .. } => "schedule",
            ScheduleError::Zone(_) => "timeZone",
        };
        Refusal::of_field(field, error.to_string())
    })?;
    let next = schedule.after(now);
    if next.is_none() {
        return Err(Refusal::of_field("schedule", format!("the schedule `{text}` never fires")));
    }
    Ok(next.filter(|_| !settings.paused))
}

fn unknown(id: ActionId) -> Refusal {
    Refusal::NotFound(format!("action {id}"))
}
