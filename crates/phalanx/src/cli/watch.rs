//! Seeing an execution through: where its jobs are run, how it is followed, and what its end is in words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use api_rest::types::{Progress, ServerStatus};
use campaign::execution::{JobReport, Report};
use clap::Args;
use runner::agent::Stop;

use super::connect::{Connect, Local};
use super::output::say;
use super::progress::Display;
use super::{Exit, output, patches, runner as runner_command};
use crate::client::Client;
use crate::config::File;
use crate::server::Server;

/// How an execution is followed, and what is made of its end.
#[derive(Args, Clone)]
pub struct Watch {
    /// Jobs at once on this machine [default: one more than there are processors]
    #[arg(short = 'j', long = "jobs", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub slots: Option<u32>,
    /// A folder for one `<repository>.patch` each and `report.json`
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Print the report as JSON instead of the patches
    #[arg(long)]
    pub json: bool,
}

/// A runner in this process, for one command.
pub struct RunnerHere {
    stop: Stop,
    agent: tokio::task::JoinHandle<Result<(), runner::agent::ClientError>>,
}

impl RunnerHere {
    /// `docker`: whether steps may want containers; finding out whether an engine is here takes a while.
    pub async fn start(
        server: &Server,
        file: &File,
        slots: Option<u32>,
        docker: bool,
    ) -> anyhow::Result<Self> {
        let mut section = file.runner.clone();
        // While one job waits for the disk, checking out or reporting, another can run its step.
        let processors = runner_command::processors();
        section.slots = slots.or(section.slots).or(Some(processors + 1));
        section.name = Some(format!("exec-{}", std::process::id()));
        let work = server.data_path("work");
        let token = server.runner_token.clone();
        let mut config = runner_command::agent_config(&section, server.url(), token, Some(work))?;
        config.shares_host = true;
        server.announce_embedded(&config.name)?;
        let stop = Stop::default();
        let agent = tokio::spawn(runner::agent::run(
            config,
            runner_command::runtimes(docker).await?,
            stop.clone(),
        ));
        Ok(Self { stop, agent })
    }

    /// Works until `watch` has seen the execution's end. A runner that ends before leaves jobs that nobody would run.
    pub async fn work(
        mut self,
        watch: &Watch,
        client: &Client,
        execution: u64,
        printed: Option<&[u64]>,
    ) -> anyhow::Result<u8> {
        let ended = tokio::select! {
            code = watch.follow(client, execution, printed, None) => {
                self.stop.drain.cancel();
                self.stop.cancel.cancel();
                let _ = tokio::time::timeout(Duration::from_secs(10), self.agent).await;
                return code;
            }
            ended = &mut self.agent => ended,
        };
        let _ =
            client.post::<serde_json::Value>(&format!("executions/{execution}/cancel"), &()).await;
        match ended {
            Ok(Ok(())) => anyhow::bail!("the runner ended before the jobs; they are cancelled"),
            Ok(Err(error)) => Err(error).context("run the jobs; they are cancelled"),
            Err(error) => Err(error).context("run the jobs; they are cancelled"),
        }
    }
}

/// The server was another command's, and ended with it.
#[derive(Debug, thiserror::Error)]
#[error("the server ended with the command that it belonged to")]
struct ServerEnded;

impl Watch {
    /// Sees an execution through to its end: by a server that runs, or by one of this command with a runner. When the server
    /// belonged to another command that ends first, this one goes on in its place.
    pub async fn see_through(
        &self,
        mut local: Local,
        connect: &Connect,
        file: &File,
        execution: u64,
        mut containers: bool,
        printed: Option<&[u64]>,
    ) -> anyhow::Result<()> {
        loop {
            let result = match &local {
                Local::Live(live) => {
                    self.follow(&live.client, execution, printed, live.host.as_deref()).await
                }
                Local::Embedded(embedded) => {
                    // Jobs of a command that was killed are still there, and may want containers, too.
                    let status: ServerStatus = embedded.client.get("status").await?;
                    let progress: Progress =
                        embedded.client.get(&format!("executions/{execution}/progress")).await?;
                    let own = progress.queued + progress.running.len() as u64;
                    containers |= status.queued + status.running > own;
                    let here =
                        RunnerHere::start(&embedded.server, file, self.slots, containers).await?;
                    here.work(self, &embedded.client, execution, printed).await
                }
            };
            local.close().await;
            match result {
                Err(error) if error.is::<ServerEnded>() => {
                    local = Local::open(connect, file).await?;
                    containers = true;
                }
                Ok(0) => return Ok(()),
                Ok(code) => return Err(Exit(code).into()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Follows an execution to its end and writes what it left; to standard output only the patches of `printed`, if given.
    /// The exit code.
    pub async fn follow(
        &self,
        client: &Client,
        execution: u64,
        printed: Option<&[u64]>,
        host: Option<&Path>,
    ) -> anyhow::Result<u8> {
        let mut display = Display::new(self.json);
        let mut seen = 0;
        let mut canceled = false;
        let interrupted = interruption();
        tokio::pin!(interrupted);
        loop {
            let path = format!("executions/{execution}/progress?wait=0.5&seen={seen}");
            let progress: Progress = tokio::select! {
                progress = patient(client, &path, host) => progress?,
                _ = &mut interrupted, if !canceled => {
                    canceled = true;
                    say!("cancelling; again to leave at once");
                    // A second one ends the process, whatever it does then.
                    tokio::spawn(async {
                        interruption().await;
                        std::process::exit(130);
                    });
                    let path = format!("executions/{execution}/cancel");
                    let _ = client.post::<serde_json::Value>(&path, &()).await;
                    continue;
                }
            };
            seen = progress.succeeded + progress.failed;
            display.show(&progress);
            if progress.finished {
                break;
            }
        }
        display.close();
        let finish = async {
            let mut report: Report = client.get(&format!("executions/{execution}/report")).await?;
            self.write(client, &mut report, printed).await?;
            anyhow::Ok(report)
        };
        let report = match finish.await {
            Err(_) if has_ended(host) => return Err(ServerEnded.into()),
            other => other?,
        };
        let bad = report.jobs.iter().filter(|job| job.error.is_some() || is_bad(job)).count();
        Ok(if canceled { 130 } else { u8::from(bad > 0) })
    }

    /// Writes the patches: to the folder, or to standard output those of `printed` (all when it is `None`).
    async fn write(
        &self,
        client: &Client,
        report: &mut Report,
        printed: Option<&[u64]>,
    ) -> anyhow::Result<()> {
        if let Some(directory) = &self.output {
            patches::write(directory, client, report)
                .await
                .with_context(|| format!("write to `{}`", directory.display()))?;
        }
        if self.json {
            output::json(report)?;
        } else if self.output.is_none() {
            let wanted = |job: &&JobReport| printed.is_none_or(|only| only.contains(&job.job));
            for job in report.jobs.iter().filter(wanted) {
                let Some(digest) = &job.patch else { continue };
                let mut bytes = client.bytes(&format!("blobs/{digest}")).await?;
                if report.jobs.len() > 1 {
                    // git skips it when it applies a patch.
                    let head = format!("# {}@{}\n", label(job), job.base_revision);
                    bytes.splice(0..0, head.into_bytes());
                }
                output::print_bytes(&bytes).context("print the patches")?;
            }
        }
        summarise(report, self.output.as_deref());
        Ok(())
    }
}

/// Ctrl-C, or whoever started this command ends it: a CI system, a closed terminal.
async fn interruption() {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals = kinds.map(|kind| signal(kind).expect("a signal can be waited for"));
    let any = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures::future::select_all(any).await;
}

/// Whether the server that belonged to another command is gone.
fn has_ended(host: Option<&Path>) -> bool {
    host.is_some_and(|directory| crate::server::live_server(directory).is_none())
}

/// Asks again while the server is away: it may be restarting, and loses nothing.
async fn patient(client: &Client, path: &str, host: Option<&Path>) -> anyhow::Result<Progress> {
    let mut pause = Duration::from_millis(100);
    for _ in 0..60 {
        match client.get(path).await {
            Err(error) if !error.is::<crate::client::Refused>() => {
                if has_ended(host) {
                    return Err(ServerEnded.into());
                }
                if pause > Duration::from_secs(1) {
                    tracing::warn!("{error:#}; asking again");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            answer => return answer,
        }
    }
    client.get(path).await
}

/// The end in words, on standard error.
fn summarise(report: &Report, directory: Option<&Path>) {
    let failed: Vec<&JobReport> = report.jobs.iter().filter(|job| is_bad(job)).collect();
    for job in report.jobs.iter().filter(|job| !is_bad(job)).take(20) {
        if let Some(error) = &job.error {
            say!("{}: {}", label(job), output::plain(error));
        }
    }
    for job in failed.iter().take(20) {
        let error = job.error.as_deref().unwrap_or(&job.state);
        say!("{}: {} (phalanx job logs {})", label(job), output::plain(error), job.job);
    }
    if failed.len() > 20 {
        say!("… and {} more", failed.len() - 20);
    }
    let count = |wanted: &dyn Fn(&&JobReport) -> bool| report.jobs.iter().filter(wanted).count();
    let patches = count(&|job| job.patch.is_some());
    let cached = count(&|job| job.cached);
    let unchanged = count(&|job| job.state == "succeeded" && job.patch.is_none());
    let mut words = vec![format!("{patches} {}", if patches == 1 { "patch" } else { "patches" })];
    if unchanged > 0 {
        words.push(format!("{unchanged} unchanged"));
    }
    if cached > 0 {
        words.push(format!("{cached} cached"));
    }
    if !failed.is_empty() {
        words.push(format!("{} failed", failed.len()));
    }
    let took = report.finished_ms.unwrap_or(report.created_ms).saturating_sub(report.created_ms);
    let place = directory.map(|path| format!(" in {}", path.display())).unwrap_or_default();
    say!(
        "execution {}: {}{place} ({})",
        report.execution,
        words.join(", "),
        output::duration(took)
    );
    if !failed.is_empty() {
        say!("to run only the failed again: phalanx execution retry {}", report.execution);
    }
}

fn is_bad(job: &JobReport) -> bool {
    job.state != "succeeded"
}

fn label(job: &JobReport) -> String {
    let path = if job.path.is_empty() { String::new() } else { format!("/{}", job.path) };
    output::plain(&format!("{}{path}", job.repository))
}

pub fn job_table(report: &Report) -> String {
    let rows = report.jobs.iter().map(|job| {
        let diff = job.diff_stat.as_ref().map(|stat| format!("+{} -{}", stat.added, stat.deleted));
        let took = job.duration_ms.map(output::duration).unwrap_or_default();
        let state = if job.cached { format!("{} (cached)", job.state) } else { job.state.clone() };
        let error = job.error.clone().unwrap_or_default();
        let error = error.lines().next().unwrap_or_default().chars().take(80).collect();
        vec![
            job.job.to_string(),
            label(job),
            state,
            job.attempts.to_string(),
            took,
            diff.unwrap_or_default(),
            error,
        ]
    });
    output::table(
        &["job", "workspace", "state", "attempts", "took", "diff", "error"],
        rows.collect(),
    )
}
