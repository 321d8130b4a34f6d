//! `phalanx job list|show|logs|cancel|retry|explain`

use std::io::Write;

use api_rest::types::{Canceled, Explained, JobDetail, Retried};
use clap::{Args, Subcommand};
use reqwest::Method;

use super::connect::{Connect, Local};
use super::output;
use crate::client::Client;
use crate::config::File;

#[derive(Args)]
pub struct Job {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List jobs, newest first
    List {
        #[command(flatten)]
        connect: Connect,
        /// Only an execution's
        #[arg(long)]
        execution: Option<u64>,
        /// Only those in this state, for example queued, running, failed
        #[arg(long)]
        state: Option<String>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a job and its attempts
    Show {
        #[command(flatten)]
        connect: Connect,
        job: u64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a job's log
    Logs {
        #[command(flatten)]
        connect: Connect,
        job: u64,
        /// Go on until the job is over
        #[arg(short, long)]
        follow: bool,
        /// An earlier attempt [default: the last]
        #[arg(long)]
        attempt: Option<u32>,
        /// The bytes as the job wrote them, terminal sequences and all
        #[arg(long)]
        raw: bool,
        /// With the seconds since the attempt's start
        #[arg(short, long)]
        timestamps: bool,
    },
    /// Stop a job
    Cancel {
        #[command(flatten)]
        connect: Connect,
        job: u64,
    },
    /// Give a finished job another attempt
    Retry {
        #[command(flatten)]
        connect: Connect,
        job: u64,
    },
    /// Say why a job does not run
    Explain {
        #[command(flatten)]
        connect: Connect,
        job: u64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

impl Job {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        let connect = match &self.verb {
            Verb::List { connect, .. }
            | Verb::Show { connect, .. }
            | Verb::Logs { connect, .. }
            | Verb::Cancel { connect, .. }
            | Verb::Retry { connect, .. }
            | Verb::Explain { connect, .. } => connect.clone(),
        };
        let local = Local::open(&connect, &file).await?;
        let result = self.verb.run(local.client()).await;
        local.close().await;
        result
    }
}

impl Verb {
    async fn run(self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::List { execution, state, limit, json, .. } => {
                let mut path = format!("jobs?limit={limit}");
                if let Some(execution) = execution {
                    path += &format!("&execution={execution}");
                }
                if let Some(state) = state {
                    path += &format!("&state={state}");
                }
                let jobs: Vec<JobDetail> = client.get(&path).await?;
                if json { output::json(&jobs) } else { list(&jobs) }
            }
            Self::Show { job, json, .. } => {
                let detail: JobDetail = client.get(&format!("jobs/{job}")).await?;
                if json { output::json(&detail) } else { show(&detail) }
            }
            Self::Logs { job, follow, attempt, raw, timestamps, .. } => {
                logs(client, job, follow, attempt, raw, timestamps).await
            }
            Self::Cancel { job, .. } => {
                let canceled: Canceled = client.post(&format!("jobs/{job}/cancel"), &()).await?;
                let what =
                    if canceled.queued > 0 { "is cancelled" } else { "runs and was told to stop" };
                output::print_line(&format!("job {job} {what}"))
            }
            Self::Retry { job, .. } => {
                let _: Retried = client.post(&format!("jobs/{job}/retry"), &()).await?;
                output::print_line(&format!("job {job} is queued again"))
            }
            Self::Explain { job, json, .. } => {
                let explained: Explained = client.get(&format!("jobs/{job}/explain")).await?;
                if json {
                    output::json(&explained)
                } else {
                    output::print_line(&output::plain(&explained.text))
                }
            }
        }
    }
}

fn label(job: &JobDetail) -> String {
    match (&job.repository, &job.path) {
        (Some(repository), Some(path)) => format!("{repository}/{path}"),
        (Some(repository), None) => repository.clone(),
        _ => String::new(),
    }
}

fn list(jobs: &[JobDetail]) -> anyhow::Result<()> {
    if jobs.is_empty() {
        return output::print_line("no jobs");
    }
    let rows = jobs.iter().map(|job| {
        vec![
            job.job.to_string(),
            job.execution.map(|id| id.to_string()).unwrap_or_default(),
            label(job),
            job.state.clone(),
            job.attempts.to_string(),
            output::ago(job.created_ms),
        ]
    });
    let header = ["id", "execution", "workspace", "state", "attempts", "created"];
    output::print_line(&output::table(&header, rows.collect()))
}

fn show(job: &JobDetail) -> anyhow::Result<()> {
    let mut rows = vec![("state", job.state.clone()), ("workspace", label(job))];
    rows.push(("base revision", job.base_revision.clone().unwrap_or_default()));
    rows.push(("execution", job.execution.map(|id| id.to_string()).unwrap_or_default()));
    rows.push(("queue", job.queue.clone()));
    rows.push(("priority", job.priority.to_string()));
    rows.push(("runner", job.runner.clone().unwrap_or_default()));
    rows.push(("created", output::ago(job.created_ms)));
    output::print_line(&format!("job {}", job.job))?;
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        output::print_line(&format!("  {name:<14} {}", output::plain(value)))?;
    }
    if job.canceling {
        output::print_line("  it was told to stop")?;
    }
    for attempt in &job.history {
        let took = output::duration(attempt.ended_ms.saturating_sub(attempt.started_ms));
        let message = attempt.message.as_deref().map(|m| format!(": {m}")).unwrap_or_default();
        let line = format!(
            "  attempt {} on {}: {} after {took}{message}",
            attempt.attempt, attempt.runner, attempt.state
        );
        output::print_line(&output::plain(&line))?;
        for file in &attempt.outputs {
            output::print_line(&format!(
                "    {} {} ({} bytes)",
                file.name, file.digest, file.size
            ))?;
        }
    }
    Ok(())
}

async fn logs(
    client: &Client,
    job: u64,
    follow: bool,
    attempt: Option<u32>,
    raw: bool,
    timestamps: bool,
) -> anyhow::Result<()> {
    let mut offset = 0;
    let mut attempt = attempt;
    let mut printer = LogPrinter { raw, timestamps, pending: Vec::new(), at_start: true };
    loop {
        let wait = if follow { 10 } else { 0 };
        let of_attempt = attempt.map(|n| format!("&attempt={n}")).unwrap_or_default();
        let path = format!("jobs/{job}/log?offset={offset}&wait={wait}{of_attempt}");
        let response = client.send(client.request(Method::GET, &path)).await?;
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let over = header("x-phalanx-log-over").as_deref() == Some("true");
        let length: u64 = header("x-phalanx-log-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        let current: u32 = header("x-phalanx-attempt").and_then(|n| n.parse().ok()).unwrap_or(0);
        let bytes = response.bytes().await?;
        offset += bytes.len() as u64;
        if !printer.print(&bytes)? {
            return Ok(());
        }
        // Once an attempt is followed, its successor is not mixed into it.
        if current > 0 {
            attempt = attempt.or(Some(current));
        }
        let done = offset >= length;
        if done && (over || !follow) {
            return Ok(());
        }
        if bytes.is_empty() && current == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    }
}

/// Takes the stored lines apart: `SECONDS.MILLIS STREAM TEXT`.
struct LogPrinter {
    raw: bool,
    timestamps: bool,
    pending: Vec<u8>,
    at_start: bool,
}

impl LogPrinter {
    /// False when nobody reads any more.
    fn print(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        self.pending.extend_from_slice(bytes);
        let Some(end) = self.pending.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(true);
        };
        let rest = self.pending.split_off(end + 1);
        let lines = std::mem::replace(&mut self.pending, rest);
        let mut out = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.line(line.strip_suffix(b"\n").unwrap_or(line), &mut out);
        }
        match std::io::stdout().write_all(&out).and_then(|()| std::io::stdout().flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            result => result.map(|()| true).map_err(Into::into),
        }
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let (Some(time), Some(stream), text) = (parts.next(), parts.next(), parts.next()) else {
            out.extend(line);
            out.push(b'\n');
            return;
        };
        let text = text.unwrap_or_default();
        let unfinished = stream.ends_with(b"+");
        if self.at_start && self.timestamps {
            out.extend(format!("{:>10} ", String::from_utf8_lossy(time)).bytes());
        }
        if stream == b"---" {
            out.extend(b"--- ");
        }
        if self.raw {
            out.extend(text);
        } else {
            out.extend(output::plain(&String::from_utf8_lossy(text)).bytes());
        }
        self.at_start = !unfinished;
        if !unfinished {
            out.push(b'\n');
        }
    }
}
