//! `phalanx action create|update|list|show|run|schedule|delete`

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::connect::{Connect, Local};
use super::graph::{ago, id_in, id_of, nodes, stat, text, with, word};
use super::{BadInput, output, watch};
use crate::client::Client;
use crate::config::File;

#[derive(Args)]
pub struct Action {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make an action of a definition
    Create {
        #[command(flatten)]
        connect: Connect,
        name: String,
        /// The batch spec or action definition; `-` reads standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Give an action another definition; executions that are there keep theirs
    Update {
        #[command(flatten)]
        connect: Connect,
        name: String,
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// List actions
    List {
        #[command(flatten)]
        connect: Connect,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show an action, its schedule and its last executions
    Show {
        #[command(flatten)]
        connect: Connect,
        name: String,
        /// Only the definition
        #[arg(long)]
        definition: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Run an action now, on the server
    Run {
        #[command(flatten)]
        connect: Connect,
        name: String,
        /// Do not wait for its end
        #[arg(long)]
        detach: bool,
        #[command(flatten)]
        watch: watch::Watch,
    },
    /// Say when an action runs by itself, and which campaign takes its patches
    Schedule(Box<Schedule>),
    /// Forget an action; its executions stay
    Delete {
        #[command(flatten)]
        connect: Connect,
        name: String,
    },
}

#[derive(Args)]
struct Schedule {
    #[command(flatten)]
    connect: Connect,
    name: String,
    /// Five fields or a nickname: `30 4 * * MON-FRI`, `@daily`
    #[arg(long, value_name = "FIELDS", conflicts_with = "saved_search")]
    cron: Option<String>,
    /// As `Europe/Berlin` [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// What to do when the execution before is not over
    #[arg(long, value_enum)]
    overlap: Option<Overlap>,
    /// Run when the results of this saved search change
    #[arg(long, value_name = "NAME")]
    saved_search: Option<String>,
    /// Which change of the results runs it
    #[arg(long, value_enum)]
    on: Option<On>,
    /// Run only on the repositories that are new in the results
    #[arg(long)]
    only_new: Option<bool>,
    /// The campaign that takes the patches
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Stop running by itself for now
    #[arg(long, conflicts_with = "resume")]
    pause: bool,
    #[arg(long)]
    resume: bool,
    /// Take schedule and saved search away
    #[arg(long, conflicts_with_all = ["cron", "saved_search"])]
    clear: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Overlap {
    Skip,
    Queue,
    CancelPrevious,
}

#[derive(Clone, Copy, ValueEnum)]
enum On {
    Added,
    Removed,
    Any,
}

/// The word of a GraphQL enum.
fn wire(value: impl ValueEnum) -> String {
    let name = value.to_possible_value().map(|value| value.get_name().to_owned());
    name.unwrap_or_default().to_uppercase().replace('-', "_")
}

pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("read standard input")?;
        return Ok(text);
    }
    let read = std::fs::read_to_string(path);
    Ok(read.map_err(|error| BadInput(format!("{}: {error}", path.display())))?)
}

const CREATE: &str = "mutation($name: String!, $text: JSONCString!) {
  createAction(name: $name, definition: $text) { name version }
}";

const UPDATE: &str = "mutation($action: ID!, $text: JSONCString!) {
  updateAction(action: $action, newDefinition: $text) { name version }
}";

const LIST: &str = "query($after: String) {
  actions(first: 200, after: $after) {
    nodes {
      name description schedule schedulePaused savedSearch { name } campaign { name }
      lastExecution { number createdAt status { state } }
    }
    pageInfo { hasNextPage endCursor }
  }
}";

const SHOW: &str = "query($name: String!) {
  action(name: $name) {
    id name description version text schedule timeZone overlapPolicy schedulePaused
    savedSearch { name } trigger onlyNewRepositories campaign { name } autoupdate
    nextRuns(first: 5) webhookURL misfires(first: 3) { at detail why }
    actionExecutions(first: 10) {
      nodes {
        number createdAt reasonDetail status { state }
        counts { total completed withPatch } diffStat { added changed deleted files }
      }
    }
  }
}";

const RUN: &str = "mutation($action: ID!) { createActionExecution(action: $action) { number } }";

const SETTINGS: &str = "mutation($action: ID!, $settings: ActionSettingsInput!) {
  updateActionSettings(action: $action, settings: $settings) {
    name schedule timeZone schedulePaused nextRuns(first: 5) savedSearch { name } trigger campaign { name }
  }
}";

const DELETE: &str = "mutation($action: ID!) { deleteAction(action: $action) { alwaysNil } }";

impl Action {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        match self.verb {
            Verb::Create { connect, name, file: path } => {
                let variables = json!({ "name": name, "text": read(&path)? });
                with(&connect, &file, async |client| client.graph(CREATE, variables).await).await?;
                output::print_line(&format!("action {name}, version 1"))
            }
            Verb::Update { connect, name, file: path } => {
                let text = read(&path)?;
                let data = with(&connect, &file, async |client| {
                    let id = id_of(client, "action", &name).await?;
                    client.graph(UPDATE, json!({ "action": id, "text": text })).await
                })
                .await?;
                let version = &data["updateAction"]["version"];
                output::print_line(&format!("action {name}, version {version}"))
            }
            Verb::List { connect, json } => {
                let all = with(&connect, &file, async |client| list(client).await).await?;
                if json { output::json(&all) } else { print_list(&all) }
            }
            Verb::Show { connect, name, definition, json } => {
                let data = with(&connect, &file, async |client| {
                    id_of(client, "action", &name).await?;
                    client.graph(SHOW, json!({ "name": name })).await
                })
                .await?;
                match (definition, json) {
                    (true, _) => output::print_line(text(&data["action"]["text"]).trim_end()),
                    (false, true) => output::json(&data["action"]),
                    (false, false) => show(&data["action"]),
                }
            }
            Verb::Run { connect, name, detach, watch } => {
                run(&connect, &file, &name, detach, watch).await
            }
            Verb::Schedule(schedule) => schedule.run(file).await,
            Verb::Delete { connect, name } => {
                with(&connect, &file, async |client| {
                    let id = id_of(client, "action", &name).await?;
                    client.graph(DELETE, json!({ "action": id })).await
                })
                .await?;
                output::print_line(&format!("the action {name} is gone; its executions stay"))
            }
        }
    }
}

async fn list(client: &Client) -> anyhow::Result<Vec<Value>> {
    let (mut all, mut after) = (Vec::new(), Value::Null);
    loop {
        let data = client.graph(LIST, json!({ "after": after })).await?;
        all.extend(nodes(&data["actions"]).iter().cloned());
        if data["actions"]["pageInfo"]["hasNextPage"] != true {
            return Ok(all);
        }
        after = data["actions"]["pageInfo"]["endCursor"].clone();
    }
}

/// What runs an action by itself.
fn runs_on(action: &Value) -> String {
    let paused = if action["schedulePaused"] == true { " (paused)" } else { "" };
    match (action["schedule"].as_str(), action["savedSearch"]["name"].as_str()) {
        (Some(schedule), _) => format!("{schedule}{paused}"),
        (None, Some(search)) => format!("search {search}{paused}"),
        (None, None) => "by hand".to_owned(),
    }
}

fn print_list(all: &[Value]) -> anyhow::Result<()> {
    if all.is_empty() {
        return output::print_line(
            "no actions yet; make one with `phalanx action create NAME -f FILE`",
        );
    }
    let rows = all.iter().map(|action| {
        let last = &action["lastExecution"];
        let state = if last.is_null() {
            "never run".to_owned()
        } else {
            format!("{} {}", word(&last["status"]["state"]), ago(&last["createdAt"]))
        };
        let campaign = text(&action["campaign"]["name"]);
        vec![text(&action["name"]), runs_on(action), state, campaign]
    });
    output::print_line(&output::table(
        &["name", "runs", "last execution", "campaign"],
        rows.collect(),
    ))
}

fn show(action: &Value) -> anyhow::Result<()> {
    let line = |text: String| output::print_line(&output::plain(&text));
    line(format!("action {} (version {})", text(&action["name"]), action["version"]))?;
    if !text(&action["description"]).is_empty() {
        line(text(&action["description"]))?;
    }
    line(format!("runs: {}", runs_on(action)))?;
    for next in action["nextRuns"].as_array().into_iter().flatten() {
        line(format!("  next: {}", text(next)))?;
    }
    if let Some(campaign) = action["campaign"]["name"].as_str() {
        line(format!("campaign: {campaign}"))?;
    }
    line(format!("webhook: POST {}", text(&action["webhookURL"])))?;
    for misfire in action["misfires"].as_array().into_iter().flatten() {
        line(format!("did not run {}: {}", ago(&misfire["at"]), text(&misfire["why"])))?;
    }
    let rows = nodes(&action["actionExecutions"]).iter().map(|execution| {
        let counts = &execution["counts"];
        let jobs = format!("{}/{}", counts["completed"], counts["total"]);
        vec![
            text(&execution["number"]),
            word(&execution["status"]["state"]),
            jobs,
            stat(&execution["diffStat"]),
            ago(&execution["createdAt"]),
            text(&execution["reasonDetail"]),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    let header = ["execution", "state", "jobs", "changes", "when", "why"];
    output::print_line(&output::table(&header, rows))
}

async fn run(
    connect: &Connect,
    file: &File,
    name: &str,
    detach: bool,
    watch: watch::Watch,
) -> anyhow::Result<()> {
    let local = Local::open(connect, file).await?;
    let id = id_of(local.client(), "action", name).await?;
    let data = local.client().graph(RUN, json!({ "action": id })).await?;
    let number = data["createActionExecution"]["number"].as_u64().context("read the answer")?;
    if detach {
        local.close().await;
        return output::print_line(&format!("execution {number}"));
    }
    watch.see_through(local, connect, file, number, true, None).await
}

impl Schedule {
    async fn run(self, file: File) -> anyhow::Result<()> {
        let data = with(&self.connect, &file, async |client| {
            let id = id_of(client, "action", &self.name).await?;
            let search = match &self.saved_search {
                Some(name) => Some(id_in(client, "savedSearches", name).await?),
                None => None,
            };
            let campaign = match &self.campaign {
                Some(name) => Some(id_of(client, "campaign", name).await?),
                None => None,
            };
            let paused = (self.pause || self.resume).then_some(self.pause);
            let settings = json!({
                "schedule": self.cron,
                "timeZone": self.time_zone,
                "overlapPolicy": self.overlap.map(wire),
                "schedulePaused": paused,
                "savedSearch": search,
                "trigger": self.on.map(wire),
                "onlyNewRepositories": self.only_new,
                "campaign": campaign,
                // Another trigger takes the place of the one that is there.
                "clearSchedule": self.clear || search.is_some(),
                "clearSavedSearch": self.clear || self.cron.is_some(),
            });
            client.graph(SETTINGS, json!({ "action": id, "settings": settings })).await
        })
        .await?;
        let action = &data["updateActionSettings"];
        output::print_line(&format!("{} runs: {}", self.name, runs_on(action)))?;
        for next in action["nextRuns"].as_array().into_iter().flatten() {
            output::print_line(&format!("  next: {}", text(next)))?;
        }
        Ok(())
    }
}
