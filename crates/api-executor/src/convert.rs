//! Between the wire's words and ours.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use campaign::execution::{Document, Network, Runtime, WorkspaceJob, job_order};
use dispatcher::GrantedJob;
use executor_protocol::{
    CheckoutOrder, Completion, Job, JobExtension, MountOrder, NetworkOrder, Order, OutcomeReport,
    RuntimeOrder, SecretOrder,
};
use http::StatusCode;
use model::{Digest, Dimensions, Evidence, GroupId, Outcome, Output, TimeoutKind, limit};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use crate::Door;
use crate::status::Refusal;

/// What the jobs of an execution share, ready for the wire.
struct Shared {
    document: Document,
    steps: Box<RawValue>,
    batch_change: Box<RawValue>,
    /// Names of the secrets that its steps ask for.
    secrets: BTreeSet<String>,
}

/// The documents of executions whose jobs were granted lately.
#[derive(Default)]
pub(crate) struct Documents {
    cached: Mutex<HashMap<GroupId, Arc<Shared>>>,
}

const CACHED_DOCUMENTS: usize = 64;

fn raw(value: &impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("our own types are JSON")
}

fn shared(door: &Door, group: GroupId) -> Result<Option<Arc<Shared>>, Refusal> {
    if let Some(known) = door.documents.cached.lock().get(&group) {
        return Ok(Some(known.clone()));
    }
    let stored = door.dispatcher.reader().group(group).map_err(|e| Refusal::internal(&e))?;
    let Some(stored) = stored else { return Ok(None) };
    let Ok(document) = serde_json::from_slice::<Document>(&stored.group.document) else {
        return Ok(None);
    };
    let spec = &document.spec;
    let change = serde_json::json!({ "name": spec.name, "description": spec.description });
    let secrets = spec.variables_from_outside().map(|(_, name)| name.to_owned()).collect();
    let (steps, batch_change) = (raw(&spec.steps), raw(&change));
    let made = Arc::new(Shared { steps, batch_change, secrets, document });
    let mut cached = door.documents.cached.lock();
    if cached.len() >= CACHED_DOCUMENTS {
        cached.clear();
    }
    cached.insert(group, made.clone());
    Ok(Some(made))
}

/// Granted jobs for the wire. One that cannot be read is over: no runner could do anything with it.
pub(crate) async fn jobs(
    door: &Door,
    granted: Vec<GrantedJob>,
    with_queue: bool,
) -> Result<Vec<Job>, Refusal> {
    let mut all = Vec::with_capacity(granted.len());
    for granted in granted {
        let lease = granted.lease.clone();
        match job(door, granted, with_queue).await? {
            Ok(job) => all.push(job),
            Err(why) => {
                // Whoever looks at the job's output is told, too.
                let said = format!("phalanx: {why}\n");
                door.dispatcher.append_log(lease.job, lease.token, 0, said.as_bytes()).await;
                let outcome = Outcome::Rejected { why: why.into() };
                let (log_bytes, log_crc32) =
                    door.dispatcher.logs().summary(lease.job, lease.attempt);
                let evidence = Evidence { log_bytes, log_crc32, ..Evidence::default() };
                door.dispatcher.complete(lease.job, lease.token, outcome, evidence).await;
            }
        }
    }
    Ok(all)
}

/// The inner error is the job's own: no runner could do anything with it.
async fn job(
    door: &Door,
    granted: GrantedJob,
    with_queue: bool,
) -> Result<Result<Job, String>, Refusal> {
    let GrantedJob { lease, payload } = granted;
    let payload = match payload {
        Some(payload) => payload,
        None => {
            let stored = door.dispatcher.payload(lease.job).map_err(|e| Refusal::internal(&e))?;
            stored.unwrap_or_default()
        }
    };
    let mut job = Job { version: 2, ..Job::default() };
    let mut order = None;
    if let Some(group) = lease.group
        && let Some(shared) = shared(door, group)?
        && let Some(workspace) = job_order(&payload)
    {
        job.repository_name = workspace.repository.clone();
        job.commit = workspace.commit.clone();
        job.shallow_clone = true;
        let secrets = match &shared.secrets {
            none if none.is_empty() => BTreeMap::new(),
            names => {
                let opened = door.service.open_secrets(names.clone()).await;
                match opened.map_err(|error| Refusal::internal(&error))? {
                    Ok(secrets) => secrets,
                    Err(why) => return Ok(Err(why)),
                }
            }
        };
        order = Some(workspace_order(door, &shared, &workspace, secrets));
    } else if let Some(read) = (door.foreign)(&payload, lease.slice) {
        match read {
            Ok(read) => order = Some(read),
            Err(why) => return Ok(Err(why)),
        }
    } else if !payload.is_empty() {
        // A job that was submitted in the executors' own words.
        match serde_json::from_slice(&payload) {
            Ok(read) => job = read,
            Err(error) => {
                let why = format!("its payload is not a job of the executor API: {error}");
                return Ok(Err(why));
            }
        }
    }
    job.id = lease.job.0;
    job.token = lease.token.to_hex();
    job.queue = if with_queue { lease.queue.to_string() } else { String::new() };
    job.phalanx = Some(JobExtension { attempt: lease.attempt.0, lease_ms: lease.lease_ms, order });
    Ok(Ok(job))
}

fn workspace_order(
    door: &Door,
    shared: &Shared,
    workspace: &WorkspaceJob,
    secrets: BTreeMap<String, String>,
) -> Order {
    let options = &shared.document.options;
    let repository = serde_json::json!({
        "name": workspace.repository,
        "branch": workspace.branch,
        "search_result_paths": workspace.search_result_paths,
    });
    let local_path =
        if door.share_paths { door.repositories.git_dir(&workspace.repository) } else { None };
    let mounts = shared.document.mounts.iter().map(|mount| MountOrder {
        path: mount.path.clone(),
        digest: mount.digest.clone(),
        executable: mount.executable,
    });
    Order {
        checkout: Some(CheckoutOrder {
            name: workspace.repository.clone(),
            commit: workspace.commit.clone(),
            local_path: local_path.map(|path| path.to_string_lossy().into_owned()),
        }),
        path: workspace.path.clone(),
        only_fetch_workspace: workspace.only_fetch_workspace,
        steps: shared.steps.clone(),
        repository: raw(&repository),
        batch_change: shared.batch_change.clone(),
        mounts: mounts.collect(),
        secrets: secrets.into_iter().map(|(name, value)| SecretOrder { name, value }).collect(),
        runtime: match options.runtime {
            Runtime::ByStep => RuntimeOrder::ByStep,
            Runtime::Process => RuntimeOrder::Process,
        },
        network: match options.network {
            Network::Host => NetworkOrder::Host,
            Network::None => NetworkOrder::None,
        },
        cpus: options.cpus,
        memory_bytes: options.memory_bytes,
        pids: options.pids,
        step_timeout_ms: options.step_timeout_ms,
        job_timeout_ms: options.job_timeout_ms,
        use_cache: options.cache,
        plain_log: false,
    }
}

fn bad(text: impl Into<String>) -> Refusal {
    Refusal::text(StatusCode::BAD_REQUEST, text)
}

pub(crate) fn dimensions(offered: &BTreeMap<String, Vec<String>>) -> Result<Dimensions, Refusal> {
    let mut all = Dimensions::default();
    for (key, values) in offered {
        for value in values {
            all.add(key, value).map_err(|error| bad(error.to_string()))?;
        }
    }
    Ok(all)
}

pub(crate) fn outcome(report: OutcomeReport) -> Outcome {
    match report {
        OutcomeReport::Succeeded => Outcome::Succeeded,
        OutcomeReport::Failed { exit_code } => Outcome::Failed { exit: exit_code },
        OutcomeReport::StepTimedOut => Outcome::TimedOut { which: TimeoutKind::Step },
        OutcomeReport::JobTimedOut => Outcome::TimedOut { which: TimeoutKind::Job },
        OutcomeReport::Killed => Outcome::Killed,
        OutcomeReport::Rejected { why } => {
            Outcome::Rejected { why: clip(&why, limit::MESSAGE_BYTES).into() }
        }
    }
}

/// What an attempt's end is backed by. The extents of its log are the dispatcher's to add.
pub(crate) fn evidence(completion: &Completion) -> Result<Evidence, Refusal> {
    if completion.outputs.len() > limit::OUTPUTS {
        return Err(bad(format!("more than {} outputs", limit::OUTPUTS)));
    }
    let outputs = completion.outputs.iter().map(|output| {
        if output.name.is_empty() || output.name.len() > limit::NAME_BYTES {
            return Err(bad(format!(
                "an output's name is empty or longer than {} bytes",
                limit::NAME_BYTES
            )));
        }
        let digest = Digest::parse_hex(&output.digest).map_err(|error| bad(error.to_string()))?;
        Ok(Output { name: output.name.as_str().into(), digest, size: output.size })
    });
    let message = completion.message.as_deref().map(|text| clip(text, limit::MESSAGE_BYTES).into());
    Ok(Evidence {
        log_bytes: completion.log_bytes,
        log_crc32: completion.log_crc32,
        log_incomplete: completion.log_incomplete,
        outputs: outputs.collect::<Result<_, Refusal>>()?,
        message,
        ..Evidence::default()
    })
}

/// At most `max` bytes, on a character's edge.
pub(crate) fn clip(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
