//! From the wire's job to ours, and from our outcome to the wire's.

use executor_protocol::{Job, NetworkOrder, OutcomeReport, RuntimeOrder};
use model::{Digest, Outcome, TimeoutKind};
use spec::{BatchChangeContext, RepositoryContext, Run, Step};

use super::Agent;
use crate::job::{Checkout, JobOrder, Limits, MountFile, Network, RuntimeChoice};

/// The order of a job, or why it cannot be followed.
pub(crate) fn order(agent: &Agent, job: Job) -> Result<JobOrder, String> {
    let attempt = job.phalanx.as_ref().map_or(1, |extension| extension.attempt);
    let extension = job.phalanx.and_then(|extension| extension.order);
    let Some(order) = extension else {
        return plain(
            agent,
            PlainJob {
                id: job.id,
                attempt,
                token: job.token,
                repository: job.repository_name,
                commit: job.commit,
                steps: job.docker_steps,
                has_cli_steps: !job.cli_steps.is_empty(),
                redacted: job.redacted_values,
            },
        );
    };
    let unreadable =
        |what: &str, error: serde_json::Error| format!("the job's {what} cannot be read: {error}");
    let mut steps: Vec<Step> =
        serde_json::from_str(order.steps.get()).map_err(|error| unreadable("steps", error))?;
    for variable in steps.iter_mut().flat_map(|step| &mut step.env) {
        let secret = order.secrets.iter().find(|secret| secret.name == variable.name);
        if let (None, Some(secret)) = (&variable.value, secret) {
            variable.value = Some(spec::literal(&secret.value));
        }
    }
    let repository: RepositoryContext = serde_json::from_str(order.repository.get())
        .map_err(|error| unreadable("repository", error))?;
    let batch_change: BatchChangeContext = serde_json::from_str(order.batch_change.get())
        .map_err(|error| unreadable("name", error))?;
    let mounts = order.mounts.into_iter().map(|mount| {
        let digest = Digest::parse_hex(&mount.digest).map_err(|error| error.to_string())?;
        Ok(MountFile { path: mount.path, digest, executable: mount.executable })
    });
    Ok(JobOrder {
        job: job.id,
        attempt,
        checkout: order.checkout.map(|checkout| {
            agent.client.checkout(job.id, &job.token, checkout, agent.config.shares_host)
        }),
        path: order.path,
        only_fetch_workspace: order.only_fetch_workspace,
        steps,
        repository,
        batch_change,
        mounts: mounts.collect::<Result<_, String>>()?,
        secrets: order.secrets.into_iter().map(|secret| (secret.name, secret.value)).collect(),
        runtime: match order.runtime {
            RuntimeOrder::ByStep => RuntimeChoice::ByStep,
            RuntimeOrder::Process => RuntimeChoice::Process,
        },
        network: match order.network {
            NetworkOrder::Host => Network::Host,
            NetworkOrder::None => Network::None,
        },
        limits: Limits { cpus: order.cpus, memory_bytes: order.memory_bytes, pids: order.pids },
        step_timeout_ms: order.step_timeout_ms,
        job_timeout_ms: order.job_timeout_ms,
        use_cache: order.use_cache,
        plain_log: order.plain_log,
    })
}

struct PlainJob {
    id: u64,
    attempt: u32,
    token: String,
    repository: String,
    commit: String,
    steps: Vec<executor_protocol::DockerStep>,
    has_cli_steps: bool,
    redacted: std::collections::BTreeMap<String, String>,
}

/// A job in the executors' own words: its Docker steps, without templates or cache.
fn plain(agent: &Agent, job: PlainJob) -> Result<JobOrder, String> {
    if job.has_cli_steps {
        return Err(
            "the job has `cliSteps`, which need `src`; this runner does not run them".to_owned()
        );
    }
    let checkout = (!job.repository.is_empty()).then(|| Checkout {
        source: agent.client.repository(job.id, &job.token, &job.repository),
        name: job.repository.clone(),
        commit: job.commit.clone(),
    });
    let steps = job.steps.into_iter().map(|step| Step {
        run: Run::Shell(spec::literal(&step.commands.join("\n"))),
        container: (!step.image.is_empty()).then_some(step.image),
        env: step
            .env
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| spec::EnvVar {
                name: name.to_owned(),
                value: Some(spec::literal(value)),
            })
            .collect(),
        files: Default::default(),
        mount: Vec::new(),
        outputs: Default::default(),
        r#if: spec::Condition::Always,
        timeout_ms: None,
        at: spec::Position::default(),
    });
    Ok(JobOrder {
        job: job.id,
        attempt: job.attempt,
        path: String::new(),
        only_fetch_workspace: false,
        steps: steps.collect(),
        repository: RepositoryContext { name: job.repository, ..RepositoryContext::default() },
        batch_change: BatchChangeContext::default(),
        mounts: Vec::new(),
        secrets: job.redacted.into_keys().map(|value| (String::new(), value)).collect(),
        runtime: RuntimeChoice::ByStep,
        network: Network::Host,
        limits: Limits::default(),
        step_timeout_ms: None,
        job_timeout_ms: Some(30 * 60 * 1000),
        use_cache: false,
        plain_log: false,
        checkout,
    })
}

pub(crate) fn outcome(outcome: &Outcome) -> OutcomeReport {
    match outcome {
        Outcome::Succeeded => OutcomeReport::Succeeded,
        Outcome::Failed { exit } => OutcomeReport::Failed { exit_code: *exit },
        Outcome::TimedOut { which: TimeoutKind::Step } => OutcomeReport::StepTimedOut,
        Outcome::TimedOut { which: TimeoutKind::Job } => OutcomeReport::JobTimedOut,
        Outcome::Killed | Outcome::Canceled => OutcomeReport::Killed,
        Outcome::Rejected { why } => OutcomeReport::Rejected { why: why.to_string() },
        // Only the server decides these.
        Outcome::Expired | Outcome::NoResource | Outcome::RunnerLost => OutcomeReport::Rejected {
            why: format!("the runner ended the job as {}", outcome.name()),
        },
    }
}
