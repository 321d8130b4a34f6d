//! The prototype's runners: they pull jobs, append to logs and send patches with nothing but these mutations.
//!
//! The id of a job that was pulled carries its lease, so that an agent that lost the job can change nothing of it.

use std::time::Duration;

use async_graphql::{Context, Error, ID, Object, Result};
use campaign::execution::{JobResultDocument, QUEUE};
use campaign::service::Refusal;
use campaign::site::Role;
use dispatcher::{AppendReply, CompleteReply, Poll, PollReply};
use engine::ops::{DeregisterOp, DrainOp, RegisterOp, RegisterOutcome, RenewOp, RunnerSpec};
use model::{
    Dimensions, Evidence, JobId, LeaseToken, Outcome, Output, RunnerName, Session, TimeoutKind,
};

use super::actions::job;
use crate::convert::{Kind, caller, key, lease, number, service};
use crate::status::{self, bad, refuse};
use crate::types::agent::Agent;
use crate::types::job::{ActionJob, ActionJobState};
use crate::types::site::EmptyResponse;

#[derive(Default)]
pub(crate) struct AgentMutations;

/// Jobs that an agent may have at once, as the prototype's had.
const SLOTS: u32 = 4;

#[Object]
impl AgentMutations {
    /// `id` is the agent's name; `specs` is what it offers, as `os=Linux cpu=x86-64`.
    async fn register_agent(&self, ctx: &Context<'_>, id: String, specs: String) -> Result<Agent> {
        caller(ctx).needs(Role::User).map_err(refuse)?;
        let mut dimensions = Dimensions::default();
        let mut add = |key: &str, value: &str| {
            dimensions.add(key, value).map_err(|error| bad(format!("specs: {error}")))
        };
        add("protocol", "phalanx")?;
        for pair in specs.split([' ', ',']) {
            if let Some((key, value)) = pair.split_once('=') {
                value.split('|').try_for_each(|value| add(key, value))?;
            }
        }
        let runner = RunnerSpec {
            name: RunnerName::new(&id),
            session: session(ctx, &id).unwrap_or_else(|| Session(rand::random())),
            queues: [QUEUE.into()].into(),
            dimensions,
            slots: SLOTS,
            keep: false,
        };
        match service(ctx).dispatcher.register(RegisterOp { runner }).await {
            RegisterOutcome::Registered => Ok(Agent::named(&service(ctx).dispatcher, &id)),
            RegisterOutcome::SessionSuperseded => {
                Err(bad(format!("another agent has the name `{id}`")))
            }
            RegisterOutcome::Refused { what } => Err(bad(what)),
        }
    }

    /// Its jobs go to others.
    async fn unregister_agent(
        &self,
        ctx: &Context<'_>,
        agent: ID,
    ) -> Result<Option<EmptyResponse>> {
        caller(ctx).needs(Role::User).map_err(refuse)?;
        let runner = RunnerName::new(&key(&agent, Kind::Agent)?);
        service(ctx).dispatcher.deregister(DeregisterOp { runner }).await;
        Ok(Some(EmptyResponse::new()))
    }

    /// It takes no more jobs, and ends those that it has.
    async fn drain_agent(&self, ctx: &Context<'_>, agent: ID, drain: bool) -> Result<Agent> {
        caller(ctx).needs(Role::User).map_err(refuse)?;
        let name = key(&agent, Kind::Agent)?;
        session(ctx, &name).ok_or_else(|| unknown(&name))?;
        let runner = RunnerName::new(&name);
        service(ctx).dispatcher.drain_runner(DrainOp { runner, drain }).await;
        Ok(Agent::named(&service(ctx).dispatcher, &name))
    }

    /// The next job, or nothing. The id in the answer is the right to it: write with that one.
    async fn pull_action_job(&self, ctx: &Context<'_>, agent: ID) -> Result<Option<ActionJob>> {
        caller(ctx).needs(Role::User).map_err(refuse)?;
        let name = key(&agent, Kind::Agent)?;
        let session = session(ctx, &name).ok_or_else(|| unknown(&name))?;
        let dispatcher = &service(ctx).dispatcher;
        let runner = RunnerName::new(&name);
        let poll =
            Poll { runner, session, poll: rand::random(), want: 1, facts: None, idle: false };
        let granted = match dispatcher.poll(poll, Duration::ZERO).await {
            PollReply::Jobs(jobs) => jobs.into_iter().next(),
            PollReply::UnknownRunner => return Err(unknown(&name)),
            PollReply::SessionSuperseded => {
                return Err(bad(format!("another agent has the name `{name}`")));
            }
        };
        let Some(granted) = granted else { return Ok(None) };
        let pulled = job(ctx, granted.lease.job).await?;
        Ok(Some(ActionJob { lease: Some(granted.lease.token), ..pulled }))
    }

    /// Also the heartbeat. The answer's state is `CANCELED` when the job is to stop.
    async fn append_log(
        &self,
        ctx: &Context<'_>,
        action_job: ID,
        content: String,
    ) -> Result<Option<ActionJob>> {
        caller(ctx).needs(Role::User).map_err(refuse)?;
        let (id, token) = leased(&action_job)?;
        renew(ctx, id, token).await?;
        let dispatcher = &service(ctx).dispatcher;
        let (offset, _) = dispatcher.logs().summary(id, token.attempt());
        match dispatcher.append_log(id, token, offset, content.as_bytes()).await {
            AppendReply::Appended { .. } => {
                Ok(Some(ActionJob { lease: Some(token), ..job(ctx, id).await? }))
            }
            AppendReply::Fenced(_) => Err(lost(id)),
            AppendReply::Refused(error) => Err(bad(error.to_string())),
        }
    }

    /// Ends a job: with a patch when it is `COMPLETED`.
    async fn update_action_job(
        &self,
        ctx: &Context<'_>,
        action_job: ID,
        patch: Option<String>,
        state: Option<ActionJobState>,
    ) -> Result<ActionJob> {
        caller(ctx).needs(Role::User).map_err(refuse)?;
        let (id, token) = leased(&action_job)?;
        let outcome = match state {
            Some(ActionJobState::Completed) => Outcome::Succeeded,
            Some(ActionJobState::Errored) => Outcome::Failed { exit: 1 },
            Some(ActionJobState::Timeout) => Outcome::TimedOut { which: TimeoutKind::Job },
            Some(ActionJobState::Canceled) => Outcome::Killed,
            Some(ActionJobState::Running) if patch.is_none() => {
                renew(ctx, id, token).await?;
                return job(ctx, id).await;
            }
            Some(ActionJobState::Pending | ActionJobState::Running) | None => {
                return Err(bad("a patch comes with the state `COMPLETED`"));
            }
        };
        let patch = patch.filter(|patch| !patch.trim().is_empty());
        let outputs = match patch {
            Some(patch) if outcome == Outcome::Succeeded => keep(ctx, patch).await?,
            _ => Vec::new(),
        };
        let dispatcher = &service(ctx).dispatcher;
        let (log_bytes, log_crc32) = dispatcher.logs().summary(id, token.attempt());
        let evidence = Evidence { log_bytes, log_crc32, outputs, ..Evidence::default() };
        match dispatcher.complete(id, token, outcome, evidence).await {
            CompleteReply::Finished { .. } | CompleteReply::Already { .. } => job(ctx, id).await,
            CompleteReply::Conflict { recorded } => {
                Err(bad(format!("job {id} is over already: {}", recorded.name())))
            }
            CompleteReply::LogIncomplete { .. } => Err(bad("the log changed meanwhile; try again")),
            CompleteReply::Fenced(_) => Err(lost(id)),
        }
    }
}

/// Stores a patch and what is known of it, as our own runner does.
async fn keep(ctx: &Context<'_>, patch: String) -> Result<Vec<Output>> {
    let write = move |it: &campaign::service::Service| -> Result<Vec<Output>, Refusal> {
        let files = campaign::diff::parse(patch.as_bytes())
            .map_err(|error| Refusal::invalid(error.to_string()))?;
        let mut result = JobResultDocument {
            diff_stat: campaign::diff::stat(&files),
            ..JobResultDocument::default()
        };
        for file in &files {
            let path = String::from_utf8_lossy(file.path()).into_owned();
            let changed = &mut result.changed;
            match (&file.old_path, &file.new_path) {
                (None, _) => changed.added.push(path),
                (_, None) => changed.deleted.push(path),
                _ if file.rename => changed.renamed.push(path),
                _ => changed.modified.push(path),
            }
        }
        let result = serde_json::to_vec(&result).expect("a result is JSON");
        let output = |name: &str, bytes: &[u8]| {
            let digest = it.cas.put(bytes).map_err(|e| Refusal::Conflict(e.to_string()))?;
            let size = bytes.len() as u64;
            Ok::<_, Refusal>(Output { name: name.into(), digest, size })
        };
        Ok(vec![output("patch", patch.as_bytes())?, output("result", &result)?])
    };
    service(ctx).blocking(write).await.map_err(refuse)
}

/// The session of an agent that is registered.
fn session(ctx: &Context<'_>, name: &str) -> Option<Session> {
    let runners = service(ctx).dispatcher.runners();
    runners.into_iter().find(|info| info.name.as_str() == name).map(|info| info.session)
}

async fn renew(ctx: &Context<'_>, id: JobId, token: LeaseToken) -> Result<()> {
    let runner = service(ctx).dispatcher.runners().into_iter().find(|info| {
        info.jobs.contains(&id) && service(ctx).dispatcher.token_of(id, &info.name) == Some(token)
    });
    let runner = runner.ok_or_else(|| lost(id))?;
    let (runner, session) = (runner.name, runner.session);
    let op = RenewOp { runner, session, jobs: vec![(id, Some(token))] };
    service(ctx).dispatcher.renew(op).await;
    Ok(())
}

fn leased(id: &ID) -> Result<(JobId, LeaseToken)> {
    let job = JobId(number(id, Kind::ActionJob)?);
    let token = lease(id).ok_or_else(|| {
        bad("write with the id that `pullActionJob` gave: it is the right to the job")
    })?;
    Ok((job, token))
}

fn lost(id: JobId) -> Error {
    bad(format!(
        "job {id} is no longer yours: it was given to another agent, cancelled, or is over"
    ))
}

fn unknown(name: &str) -> Error {
    status::not_found(format!("agent `{name}`; register it first"))
}
