//! Kills, pauses and stops real runners at any moment of real jobs, and compares what came of them with an undisturbed run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use api_rest::types::{
    CreatedExecution, ExecutionSummary, JobDetail, NamedRepository, NewExecution, NewRepository,
    Retried, ServerStatus,
};
use campaign::execution::Options;
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::RngExt;
use reqwest::Method;

use super::server::ServerProcess;
use super::{Figure, figure};
use crate::client::Client;

#[derive(Args)]
pub struct Runners {
    /// How often to kill, pause or stop one
    #[arg(long, default_value_t = 200)]
    faults: u64,
    /// Runners, of two slots each
    #[arg(long, default_value_t = 3)]
    runners: usize,
}

const REPOSITORIES: usize = 10;
/// Jobs that wait or run at once, so that no fault finds a runner idle for long.
const OPEN_JOBS: u64 = 30;
const LEASE_MS: u64 = 2000;

struct Ground {
    folder: tempfile::TempDir,
    /// An argument that only processes of these jobs have.
    marker: String,
}

/// How an undisturbed run came out: the digest of each repository's patch.
type Expected = BTreeMap<String, String>;

#[derive(Default)]
struct Counts {
    kills: u64,
    pauses: u64,
    stops: u64,
    survivors: u64,
}

impl Runners {
    pub async fn run(&self) -> anyhow::Result<(Vec<Figure>, bool)> {
        let began = Instant::now();
        let marker = format!("31536{}", rand::rng().random_range(10_000_000..99_999_999u32));
        let ground = Ground { folder: tempfile::tempdir()?, marker };
        let repositories = ground.make_repositories()?;
        let server = ServerProcess::start(&ground.path("data"), false, LEASE_MS)?;
        let url = format!("http://{}", server.address);
        let client = Client::new(&url, &server.token, None)?;
        for (name, path) in &repositories {
            let path = Some(path.display().to_string());
            let body = NewRepository { name: name.clone(), path, url: None };
            client.send(client.request(Method::POST, "repositories").json(&body)).await?;
        }
        let mut runners: Vec<Runner> = (0..self.runners)
            .map(|n| Runner::start(&ground, &server, n))
            .collect::<Result<_, _>>()?;

        submit(&client, &ground, &repositories).await?;
        settle(&client).await?;
        let expected = patches_of_first(&client).await?;
        ensure!(expected.len() == REPOSITORIES, "the undisturbed run failed");

        let mut counts = Counts::default();
        for _ in 0..self.faults {
            while client.get::<ServerStatus>("status").await?.queued < OPEN_JOBS {
                submit(&client, &ground, &repositories).await?;
            }
            let pause = rand::rng().random_range(0..400);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let victim = rand::rng().random_range(0..runners.len());
            disturb(&mut runners[victim], &ground, &server, &mut counts).await?;
        }
        let retried = settle_all(&client).await?;
        let mut verdict = judge(&client, &expected).await?;
        for runner in &mut runners {
            runner.stop().await?;
        }
        let folders: usize = runners.iter().map(Runner::folders).sum();
        let left = processes_with(&ground.marker).len();
        verdict.texts.truncate(20);
        for text in &verdict.texts {
            eprintln!("{text}");
        }
        let good = verdict.texts.is_empty() && counts.survivors == 0 && folders == 0 && left == 0;
        let lines = vec![
            figure("kill -9 of a runner", counts.kills.to_string(), None),
            figure("kill -STOP past the lease, then -CONT", counts.pauses.to_string(), None),
            figure("kill -TERM of a runner", counts.stops.to_string(), None),
            figure("jobs", verdict.jobs.to_string(), None),
            figure("attempts", verdict.attempts.to_string(), None),
            figure("given up after too many lost runners, retried", retried.to_string(), None),
            figure("lost", verdict.lost.to_string(), Some("0")),
            figure("accepted twice", verdict.twice.to_string(), Some("0")),
            figure("patches unlike an undisturbed run's", verdict.unlike.to_string(), Some("0")),
            figure(
                "steps alive 5 s after their runner died",
                counts.survivors.to_string(),
                Some("0"),
            ),
            figure("processes left at the end", left.to_string(), Some("0")),
            figure("folders left at the end", folders.to_string(), Some("0")),
            figure("time", format!("{:.0} s", began.elapsed().as_secs_f64()), None),
        ];
        Ok((lines, good))
    }
}

impl Ground {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn make_repositories(&self) -> anyhow::Result<Vec<(String, PathBuf)>> {
        let mut all = Vec::new();
        for number in 0..REPOSITORIES {
            let folder = self.path(&format!("repositories/r{number}"));
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("f"), format!("{number}\n"))?;
            let script = "git init -q -b main && git add -A && git -c user.name=b -c user.email=b@b commit -q -m one";
            let done = Command::new("sh").args(["-c", script]).current_dir(&folder).status()?;
            ensure!(done.success(), "make a repository");
            all.push((format!("r{number}"), folder));
        }
        Ok(all)
    }

    /// A first step that writes before and after it waits, a second that looks at what the first left, and a process that
    /// would stay for a year.
    fn spec(&self) -> String {
        let marker = &self.marker;
        format!(
            "name: crash\nsteps:\n  - run: 'echo one >> f; (setsid sleep {marker} &) ; sleep 0.1; echo two >> f'\n  \
             - run: 'test $(wc -l < f) = 3 && cp f g'\n\
             changesetTemplate:\n  title: t\n  branch: b\n  commit:\n    message: m\n"
        )
    }
}

async fn submit(
    client: &Client,
    ground: &Ground,
    repositories: &[(String, PathBuf)],
) -> anyhow::Result<()> {
    let body = NewExecution {
        file: "crash.yaml".to_owned(),
        spec: ground.spec(),
        repositories: repositories
            .iter()
            .map(|(name, _)| NamedRepository { name: name.clone(), branch: None })
            .collect(),
        options: Options { cache: false, ..Options::default() },
        mounts: Vec::new(),
        environment: BTreeMap::new(),
        dry_run: false,
    };
    let created: CreatedExecution = client.post("executions", &body).await?;
    ensure!(created.jobs == REPOSITORIES as u64, "{:?}", created.notices);
    Ok(())
}

/// Waits until nothing waits and nothing runs.
async fn settle(client: &Client) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let status: ServerStatus = client.get("status").await?;
        if (status.queued, status.running) == (0, 0) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "jobs do not end: {status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The same, and retries what was given up because its runners died too often. How many those were.
async fn settle_all(client: &Client) -> anyhow::Result<usize> {
    let mut retried = 0;
    loop {
        settle(client).await?;
        let mut again = 0;
        for execution in executions(client).await? {
            let jobs = jobs_of(client, execution).await?;
            if jobs.iter().any(|job| job.state == "runner_lost") {
                let path = format!("executions/{execution}/retry");
                again += client.post::<Retried>(&path, &()).await?.jobs.len();
            }
        }
        if again == 0 {
            return Ok(retried);
        }
        retried += again;
    }
}

async fn executions(client: &Client) -> anyhow::Result<Vec<u64>> {
    let all: Vec<ExecutionSummary> = client.get("executions?limit=1000").await?;
    Ok(all.into_iter().map(|execution| execution.execution).collect())
}

async fn jobs_of(client: &Client, execution: u64) -> anyhow::Result<Vec<JobDetail>> {
    client.get(&format!("jobs?limit=1000&execution={execution}")).await
}

async fn patches_of_first(client: &Client) -> anyhow::Result<Expected> {
    let first = executions(client).await?.into_iter().min().context("an execution")?;
    let mut expected = Expected::new();
    for job in jobs_of(client, first).await? {
        let detail: JobDetail = client.get(&format!("jobs/{}", job.job)).await?;
        let patch = patch_of(&detail).with_context(|| format!("{detail:?} left no patch"))?;
        expected.insert(detail.repository.unwrap_or_default(), patch);
    }
    Ok(expected)
}

/// The patch of the attempt that was accepted.
fn patch_of(job: &JobDetail) -> Option<String> {
    let accepted = job.history.iter().find(|attempt| attempt.state == "succeeded")?;
    Some(accepted.outputs.iter().find(|output| output.name == "patch")?.digest.clone())
}

#[derive(Default)]
struct Verdict {
    jobs: usize,
    attempts: usize,
    lost: usize,
    twice: usize,
    unlike: usize,
    texts: Vec<String>,
}

async fn judge(client: &Client, expected: &Expected) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    for execution in executions(client).await? {
        let jobs = jobs_of(client, execution).await?;
        let names: BTreeSet<_> = jobs.iter().filter_map(|job| job.repository.clone()).collect();
        if names.len() != REPOSITORIES {
            verdict.lost += REPOSITORIES - names.len();
            verdict.texts.push(format!("execution {execution} has jobs of {names:?} only"));
        }
        for job in jobs {
            let job: JobDetail = client.get(&format!("jobs/{}", job.job)).await?;
            verdict.jobs += 1;
            verdict.attempts += job.history.len();
            let accepted = job.history.iter().filter(|a| a.state == "succeeded").count();
            if accepted > 1 {
                verdict.twice += 1;
                verdict.texts.push(format!("job {} was accepted {accepted} times", job.job));
            }
            if job.state != "succeeded" || accepted == 0 {
                verdict.lost += 1;
                let last = job.history.last().and_then(|a| a.message.clone()).unwrap_or_default();
                verdict.texts.push(format!("job {} is {}: {last}", job.job, job.state));
            } else if patch_of(&job).as_ref()
                != expected.get(job.repository.as_deref().unwrap_or_default())
            {
                verdict.unlike += 1;
                verdict.texts.push(format!("job {} left another patch", job.job));
            }
        }
    }
    Ok(verdict)
}

/// A runner as on another machine, except that it is on this one.
struct Runner {
    child: Child,
    name: String,
    work: PathBuf,
}

impl Runner {
    fn start(ground: &Ground, server: &ServerProcess, number: usize) -> anyhow::Result<Self> {
        let name = format!("runner-{number}");
        let work = ground.path(&name);
        let child = Self::spawn(&name, &work, ground, server)?;
        Ok(Self { child, name, work })
    }

    fn spawn(
        name: &str,
        work: &Path,
        ground: &Ground,
        server: &ServerProcess,
    ) -> anyhow::Result<Child> {
        Command::new(std::env::current_exe()?)
            .args([
                "runner",
                "--server",
                &format!("http://{}", server.address),
                "--name",
                name,
                "-j",
                "2",
            ])
            .arg("--work-directory")
            .arg(work)
            .env("PHALANX_RUNNER_TOKEN", &server.runner_token)
            .env("PHALANX_DATA_DIRECTORY", ground.path("nowhere"))
            .env("PHALANX_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("start a runner")
    }

    fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), signal);
    }

    fn start_again(&mut self, ground: &Ground, server: &ServerProcess) -> anyhow::Result<()> {
        self.child = Self::spawn(&self.name, &self.work, ground, server)?;
        Ok(())
    }

    /// Lets it finish what it runs.
    async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "`{}` did not stop in 30 s", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Folders of jobs that it did not remove.
    fn folders(&self) -> usize {
        std::fs::read_dir(self.work.join("jobs")).map_or(0, Iterator::count)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn disturb(
    runner: &mut Runner,
    ground: &Ground,
    server: &ServerProcess,
    counts: &mut Counts,
) -> anyhow::Result<()> {
    match rand::rng().random_range(0..10) {
        0 => {
            counts.pauses += 1;
            runner.signal(Signal::SIGSTOP);
            tokio::time::sleep(Duration::from_millis(LEASE_MS * 3 / 2)).await;
            runner.signal(Signal::SIGCONT);
        }
        1 => {
            counts.stops += 1;
            runner.stop().await?;
            runner.start_again(ground, server)?;
        }
        _ => {
            counts.kills += 1;
            runner.child.kill()?;
            runner.child.wait()?;
            let steps = runner.work.join("jobs").display().to_string();
            let deadline = Instant::now() + Duration::from_secs(5);
            while !processes_with(&steps).is_empty() {
                if Instant::now() > deadline {
                    counts.survivors += 1;
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            runner.start_again(ground, server)?;
        }
    }
    Ok(())
}

/// Processes with `text` in an argument.
fn processes_with(text: &str) -> Vec<u32> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let is_runner = arguments.windows(8).any(|window| window == b"--server");
            !is_runner && String::from_utf8_lossy(&arguments).contains(text)
        })
        .collect()
}
