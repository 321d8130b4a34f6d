//! `phalanx execution list|show|spec|retry|submit|cancel`

use api_rest::types::{Canceled, ExecutionSummary, Retried};
use base64::Engine as _;
use campaign::execution::{JobReport, Report};
use clap::{Args, Subcommand};
use serde_json::json;

use super::connect::{Connect, Local};
use super::graph::with;
use super::output;
use super::output::say;
use super::watch;
use crate::config::File;

#[derive(Args)]
pub struct Execution {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List executions, newest first
    List {
        #[command(flatten)]
        connect: Connect,
        /// At most this many
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show an execution and its jobs
    Show {
        #[command(flatten)]
        connect: Connect,
        execution: u64,
        /// The report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run again the jobs that did not succeed, and only those
    Retry {
        #[command(flatten)]
        connect: Connect,
        execution: u64,
        #[command(flatten)]
        watch: watch::Watch,
    },
    /// Print the spec that an execution runs
    Spec {
        #[command(flatten)]
        connect: Connect,
        execution: u64,
    },
    /// Take what succeeded though other jobs failed
    Submit {
        #[command(flatten)]
        connect: Connect,
        execution: u64,
    },
    /// Stop an execution
    Cancel {
        #[command(flatten)]
        connect: Connect,
        execution: u64,
    },
}

impl Execution {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        match self.verb {
            Verb::List { connect, limit, json } => {
                let local = Local::open(&connect, &file).await?;
                let path = format!("executions?limit={limit}");
                let all: Vec<ExecutionSummary> = local.client().get(&path).await?;
                local.close().await;
                list(&all, json)
            }
            Verb::Show { connect, execution, json } => {
                let local = Local::open(&connect, &file).await?;
                let report: Report =
                    local.client().get(&format!("executions/{execution}/report")).await?;
                local.close().await;
                if json { output::json(&report) } else { show(&report) }
            }
            Verb::Retry { connect, execution, watch } => {
                retry(&connect, &file, execution, watch).await
            }
            Verb::Spec { connect, execution } => {
                let variables = json!({ "id": node(execution) });
                let data =
                    with(&connect, &file, async |client| client.graph(SPEC, variables).await)
                        .await?;
                let Some(text) = data["node"]["text"].as_str() else {
                    let error = format!("there is no execution {execution}");
                    return Err(super::BadInput(error).into());
                };
                Ok(output::print_bytes(text.as_bytes())?)
            }
            Verb::Submit { connect, execution } => {
                let variables = json!({ "id": node(execution) });
                let data =
                    with(&connect, &file, async |client| client.graph(SUBMIT, variables).await)
                        .await?;
                let set = &data["submitPartialExecution"]["patchSet"];
                output::print_line(&format!(
                    "{} patches; `phalanx campaign new NAME --execution {execution}`",
                    set["patches"]["totalCount"]
                ))
            }
            Verb::Cancel { connect, execution } => {
                let local = Local::open(&connect, &file).await?;
                let path = format!("executions/{execution}/cancel");
                let canceled: Canceled = local.client().post(&path, &()).await?;
                local.close().await;
                output::print_line(&format!(
                    "{} waiting jobs are cancelled, {} running ones were told to stop",
                    canceled.queued, canceled.running
                ))
            }
        }
    }
}

const SPEC: &str = "query($id: ID!) { node(id: $id) { ... on ActionExecution { text } } }";

const SUBMIT: &str = "mutation($id: ID!) {
  submitPartialExecution(actionExecution: $id) { patchSet { patches { totalCount } } }
}";

/// The id of an execution.
fn node(execution: u64) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("ActionExecution:{execution}"))
}

fn list(all: &[ExecutionSummary], json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&all);
    }
    if all.is_empty() {
        return output::print_line("no executions yet; start one with `phalanx exec`");
    }
    let rows = all.iter().map(|one| {
        let state = match one.finished_ms {
            None => format!("{} of {} jobs open", one.open, one.jobs),
            Some(at) => {
                format!("finished after {}", output::duration(at.saturating_sub(one.created_ms)))
            }
        };
        let created = output::ago(one.created_ms);
        vec![one.execution.to_string(), one.name.clone(), one.jobs.to_string(), state, created]
    });
    output::print_line(&output::table(&["id", "name", "jobs", "state", "created"], rows.collect()))
}

fn show(report: &Report) -> anyhow::Result<()> {
    output::print_line(&format!(
        "execution {}: {} ({})",
        report.execution, report.name, report.state
    ))?;
    for notice in &report.notices {
        output::print_line(&format!("note: {}", output::plain(notice)))?;
    }
    output::print_line(&watch::job_table(report))
}

async fn retry(
    connect: &Connect,
    file: &File,
    execution: u64,
    watch: watch::Watch,
) -> anyhow::Result<()> {
    let local = Local::open(connect, file).await?;
    let path = format!("executions/{execution}/retry");
    let mut retried: Retried = local.client().post(&path, &()).await?;
    let report: Report = local.client().get(&format!("executions/{execution}/report")).await?;
    let is_open = |job: &&JobReport| job.state == "queued" || job.state == "running";
    let open: Vec<u64> = report.jobs.iter().filter(is_open).map(|job| job.job).collect();
    if open.is_empty() {
        local.close().await;
        return output::print_line("every job succeeded already; nothing is run again");
    }
    let left = open.len() - retried.jobs.len().min(open.len());
    say!("running again: {} of the execution's jobs", retried.jobs.len());
    if left > 0 {
        say!("{left} were not over yet");
        retried.jobs = open;
    }
    let printed = retried.jobs;
    watch.see_through(local, connect, file, execution, true, Some(&printed)).await
}
