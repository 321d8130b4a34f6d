//! `phalanx exec`: a spec over repositories, here or on a server.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use api_rest::types::{CreatedExecution, NewExecution, Progress, ServerStatus};
use campaign::execution::{JobReport, Mount, Network, Options, Report, Runtime};
use clap::{Args, ValueEnum};
use model::limit;
use reqwest::Method;
use runner::agent::Stop;

use super::connect::{Connect, Local};
use super::output::say;
use super::progress::Display;
use super::{BadInput, Exit, output, repositories, runner as runner_command};
use crate::client::Client;
use crate::config::File;
use crate::server::Server;

/// Runs a spec over repositories and collects the patches.
///
/// Without a server everything happens on this machine. The patches go to standard output, or with -o into a folder.
#[derive(Args)]
pub struct Exec {
    #[command(flatten)]
    connect: Connect,
    /// The spec: a batch spec or an action definition; `-` reads it from standard input
    #[arg(short = 'f', long = "file", value_name = "SPEC")]
    file: PathBuf,
    /// A repository: a folder or a URL (repeatable)
    #[arg(long = "repo", value_name = "PATH|URL")]
    repositories: Vec<String>,
    /// A folder whose folders are repositories (repeatable)
    #[arg(long = "repos-in", value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The branch, tag or commit to start from [default: each repository's current branch]
    #[arg(long, value_name = "REVISION")]
    branch: Option<String>,
    /// Where steps run
    #[arg(long, value_enum, default_value = "auto")]
    runtime: RuntimeFlag,
    /// Whether steps reach the network
    #[arg(long, value_enum, default_value = "host")]
    network: NetworkFlag,
    /// Run every step, whatever ran before
    #[arg(long)]
    no_cache: bool,
    /// The longest that one job may run
    #[arg(long, value_name = "DURATION", default_value = "60m", value_parser = parse_duration)]
    timeout: u64,
    /// The longest that one step may run
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    step_timeout: Option<u64>,
    /// Processors for each job's container
    #[arg(long, value_name = "COUNT")]
    cpus: Option<f64>,
    /// Memory for each job, as 512M or 4G
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,
    /// Processes for each job
    #[arg(long, value_name = "COUNT")]
    pids: Option<u64>,
    /// What runners must offer (repeatable)
    #[arg(long = "dimension", value_name = "KEY=VALUE[|VALUE]")]
    dimensions: Vec<String>,
    /// 0 is first, 255 last
    #[arg(long, default_value_t = model::Priority::default().0)]
    priority: u8,
    /// Say what would run, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Submit to the server and do not wait
    #[arg(long, requires = "server")]
    detach: bool,
    #[command(flatten)]
    watch: Watch,
}

/// How an execution is followed, and what is made of its end.
#[derive(Args, Clone)]
pub struct Watch {
    /// Jobs at once on this machine [default: one more than there are processors]
    #[arg(short = 'j', long = "jobs", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub slots: Option<u32>,
    /// A folder for one `<repository>.patch` each and `report.json`
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print the report as JSON instead of the patches
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum RuntimeFlag {
    /// A step with a container in Docker, one without as a process
    Auto,
    /// Every step as a process; `container` is ignored
    Process,
    /// As auto: the steps decide
    Docker,
}

#[derive(Clone, Copy, ValueEnum)]
enum NetworkFlag {
    Host,
    None,
}

/// `90s`, `10m`, `1h`, in milliseconds.
fn parse_duration(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a duration: use 90s, 10m or 1h");
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).ok_or_else(wrong)?);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// `512M`, `4G`, in bytes.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size: use 512M or 4G");
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
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

impl Exec {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        let (name, text) = self.read_spec()?;
        // Here too, so that a spec with errors starts nothing.
        let parsed = spec::parse(&name, &text).map_err(|diagnostics| {
            let all: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
            say!("{}", output::plain(&all.join("\n")));
            Exit(2)
        })?;
        if let Some(directory) = &self.watch.output {
            // Before the work, not after it.
            let made = std::fs::create_dir_all(directory);
            made.and_then(|()| tempfile::tempfile_in(directory).map(drop)).map_err(|error| {
                BadInput(format!("-o {}: it cannot be written: {error}", directory.display()))
            })?;
        }
        let found = repositories::find(&self.repositories, &self.folders)?;
        let mounts = self.mounts(&name, &parsed.spec)?;
        let local = Local::open(&self.connect, &file).await?;
        let submitted = self.submit(&local, name, text, &parsed.spec, &found, mounts).await;
        let execution = match submitted {
            Ok(Some(execution)) => execution,
            done => {
                local.close().await;
                return done.map(drop);
            }
        };
        let containers = parsed.spec.steps.iter().any(|step| step.container.is_some());
        self.watch.see_through(local, &self.connect, &file, execution, containers, None).await
    }

    /// The execution, if there is one to wait for.
    async fn submit(
        &self,
        local: &Local,
        name: String,
        text: Vec<u8>,
        spec: &spec::Spec,
        found: &[repositories::Named],
        mounts: Vec<(Mount, Vec<u8>)>,
    ) -> anyhow::Result<Option<u64>> {
        let client = local.client();
        let named = repositories::announce(client, found, self.branch.as_deref()).await?;
        for (mount, bytes) in &mounts {
            let path = format!("blobs/{}", mount.digest);
            client.send(client.request(Method::PUT, &path).body(bytes.clone())).await?;
        }
        let passed = spec.steps.iter().flat_map(|step| &step.env).filter(|v| v.value.is_none());
        let environment: BTreeMap<String, String> = passed
            .filter_map(|variable| {
                Some((variable.name.clone(), std::env::var(&variable.name).ok()?))
            })
            .collect();
        let body = NewExecution {
            file: name,
            spec: String::from_utf8(text).context("read the spec")?,
            repositories: named,
            options: self.options(),
            mounts: mounts.into_iter().map(|(mount, _)| mount).collect(),
            environment,
            dry_run: self.dry_run,
        };
        let key = hex::encode(rand::random::<[u8; 16]>());
        let request = client.request(Method::POST, "executions").header("idempotency-key", key);
        let created: CreatedExecution = client.send(request.json(&body)).await?.json().await?;
        if self.watch.json && created.execution.is_none() {
            output::json(&created)?;
            return Ok(None);
        }
        for notice in &created.notices {
            say!("note: {}", output::plain(notice));
        }
        let Some(execution) = created.execution else {
            for workspace in &created.workspaces {
                output::print_line(workspace)?;
            }
            return Ok(None);
        };
        if self.detach {
            output::print_line(&format!("execution {execution}: {} jobs", created.jobs))?;
            return Ok(None);
        }
        Ok(Some(execution))
    }

    fn options(&self) -> Options {
        Options {
            runtime: match self.runtime {
                RuntimeFlag::Auto | RuntimeFlag::Docker => Runtime::ByStep,
                RuntimeFlag::Process => Runtime::Process,
            },
            network: match self.network {
                NetworkFlag::Host => Network::Host,
                NetworkFlag::None => Network::None,
            },
            cache: !self.no_cache,
            step_timeout_ms: self.step_timeout,
            job_timeout_ms: Some(self.timeout),
            cpus: self.cpus,
            memory_bytes: self.memory,
            pids: self.pids,
            priority: self.priority,
            dimensions: self.dimensions.clone(),
        }
    }

    fn read_spec(&self) -> anyhow::Result<(String, Vec<u8>)> {
        let name = self.file.display().to_string();
        let wrong = |error: std::io::Error| BadInput(format!("{name}: {error}"));
        let mut text = Vec::new();
        // One byte more than may be, to notice; a huge file is not read whole.
        let most = limit::SPEC_BYTES as u64 + 1;
        if name == "-" {
            std::io::stdin().take(most).read_to_end(&mut text).map_err(wrong)?;
        } else {
            std::fs::File::open(&self.file)
                .and_then(|f| f.take(most).read_to_end(&mut text))
                .map_err(wrong)?;
        }
        if text.len() > limit::SPEC_BYTES {
            return Err(BadInput(format!(
                "{name}: a spec may have {} bytes; this has more",
                limit::SPEC_BYTES
            ))
            .into());
        }
        Ok((name, text))
    }

    /// The files that steps mount, with their content.
    fn mounts(&self, name: &str, spec: &spec::Spec) -> anyhow::Result<Vec<(Mount, Vec<u8>)>> {
        let root =
            if name == "-" { Path::new(".") } else { self.file.parent().unwrap_or(Path::new(".")) };
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        let mut wrong = Vec::new();
        let mut mounts = BTreeMap::new();
        for mount in spec.steps.iter().flat_map(|step| &step.mount) {
            if let Err(error) = collect_mount(root, Path::new(&mount.path), &mut mounts) {
                wrong.push(format!(
                    "{name}:{}:{}: mount `{}`: {error}",
                    mount.at.line, mount.at.column, mount.path
                ));
            }
        }
        if wrong.is_empty() {
            Ok(mounts.into_values().collect())
        } else {
            Err(BadInput(wrong.join("\n")).into())
        }
    }
}

/// A mounted file, or all files of a mounted folder, by path relative to the spec's folder.
fn collect_mount(
    root: &Path,
    path: &Path,
    mounts: &mut BTreeMap<String, (Mount, Vec<u8>)>,
) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let full = root.join(path).canonicalize()?;
    // SECURITY: a spec names files beside it, not files of the person who runs it.
    anyhow::ensure!(full.starts_with(root.canonicalize()?), "it is outside of the spec's folder");
    let meta = full.metadata()?;
    if meta.is_dir() {
        for entry in std::fs::read_dir(&full)? {
            collect_mount(root, &path.join(entry?.file_name()), mounts)?;
        }
        return Ok(());
    }
    anyhow::ensure!(meta.is_file(), "it is not a file");
    anyhow::ensure!(meta.len() <= 10 * 1024 * 1024, "it is larger than 10 MiB");
    let bytes = std::fs::read(&full)?;
    let relative = path.to_str().context("its name is not UTF-8")?;
    let relative = relative.strip_prefix("./").unwrap_or(relative).to_owned();
    let mount = Mount {
        path: relative.clone(),
        digest: blobs::digest_of(&bytes).to_string(),
        executable: meta.permissions().mode() & 0o111 != 0,
    };
    mounts.insert(relative, (mount, bytes));
    Ok(())
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
            write_folder(directory, client, report)
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

/// The name of each job's patch, in the order of the jobs: `REPOSITORY[--PATH].patch` with `-` for `/`. Where two agree, or
/// one is longer than a file's name may be, a part of a digest keeps them apart.
fn patch_names(jobs: &[JobReport]) -> Vec<String> {
    const LONGEST: usize = 200;
    let plain = |job: &JobReport| {
        let path = if job.path.is_empty() { String::new() } else { format!("--{}", job.path) };
        format!("{}{path}", job.repository).replace('/', "-")
    };
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for job in jobs {
        *seen.entry(plain(job)).or_default() += 1;
    }
    let name = |job: &JobReport| {
        let name = plain(job);
        if seen[&name] == 1 && name.len() <= LONGEST {
            return format!("{name}.patch");
        }
        let whole = format!("{}\0{}\0{}", job.repository, job.path, job.branch);
        let digest = blobs::digest_of(whole.as_bytes());
        let end = name.floor_char_boundary(LONGEST);
        format!("{}-{}.patch", &name[..end], &digest.to_string()[..8])
    };
    jobs.iter().map(name).collect()
}

/// A patch of an earlier run that is not made again would be taken for one of this run.
fn remove_patches_of_before(directory: &Path) {
    let before = std::fs::read(directory.join("report.json")).ok();
    let before = before.and_then(|bytes| serde_json::from_slice::<Report>(&bytes).ok());
    for name in before.iter().flat_map(|report| &report.jobs).filter_map(|job| job.patch.as_ref()) {
        // Only what such a run can have written there.
        if name.ends_with(".patch") && !name.contains('/') {
            let _ = std::fs::remove_file(directory.join(name));
        }
    }
}

/// Writes the patches and `report.json`, in which `patch` becomes the file's name.
async fn write_folder(
    directory: &Path,
    client: &Client,
    report: &mut Report,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)?;
    let names = patch_names(&report.jobs);
    remove_patches_of_before(directory);
    for (job, name) in report.jobs.iter_mut().zip(names) {
        let file = directory.join(&name);
        if let Some(digest) = &job.patch {
            std::fs::write(file, client.bytes(&format!("blobs/{digest}")).await?)?;
            job.patch = Some(name);
        }
    }
    std::fs::write(directory.join("report.json"), serde_json::to_vec_pretty(report)?)?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn job(repository: &str, path: &str, branch: &str) -> JobReport {
        serde_json::from_value(serde_json::json!({
            "job": 1, "repository": repository, "path": path, "branch": branch, "baseRevision": "", "state": "succeeded",
            "attempts": 1, "cached": false,
        }))
        .unwrap()
    }

    #[test]
    fn no_two_patches_have_one_name() {
        let long = "x".repeat(250);
        let jobs = [
            job("one", "", "main"),
            job("a/b", "", "main"),
            job("a-b", "", "main"),
            job("two", "x/y", "main"),
            job("two", "x/y", "next"),
            job(&long, "", "main"),
            job(&long, "y", "main"),
        ];
        let names = patch_names(&jobs);
        assert_eq!(names[0], "one.patch");
        assert!(names[3].starts_with("two--x-y-"), "{names:?}");
        assert!(names.iter().all(|name| name.len() < 255), "{names:?}");
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), jobs.len(), "{names:?}");
    }

    #[test]
    fn durations_and_sizes_do_not_overflow() {
        assert_eq!(parse_duration("90s"), Ok(90_000));
        assert_eq!(parse_size("4G"), Ok(4 << 30));
        for bad in ["", "h", "10", "10y", "99999999999999999999h", "9999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert!(parse_size("99999999999G").is_err());
    }
}
