//! `phalanx changeset list|publish|retry|overwrite`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connect::Connect;
use super::graph::{id_of, nodes, stat, text, with, word};
use super::{BadInput, output};
use crate::config::File;

#[derive(Args)]
pub struct Changeset {
    #[command(subcommand)]
    verb: Verb,
}

/// Which changesets of a campaign.
#[derive(Args)]
struct Which {
    #[command(flatten)]
    connect: Connect,
    campaign: String,
    /// Over `repository` or `repository@branch`
    #[arg(required_unless_present = "all")]
    glob: Option<String>,
    /// All of them
    #[arg(long, conflicts_with = "glob")]
    all: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// List the changesets of a campaign
    List {
        #[command(flatten)]
        connect: Connect,
        campaign: String,
        /// Only those that stand so: `failed`, `diverged`, `open`, …
        #[arg(long, value_name = "PHASE")]
        phase: Option<String>,
        /// Only those with this part in repository, branch or title
        #[arg(long, value_name = "TEXT")]
        query: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish changesets
    Publish(Which),
    /// Try again what failed
    Retry(Which),
    /// Take branches though somebody else's commits are on them
    Overwrite(Which),
    /// Close pull requests
    Close(Which),
    /// Open pull requests again
    Reopen(Which),
    /// Take changesets out of their campaign, and leave them as they are
    Detach(Which),
    /// Merge pull requests
    Merge(Which),
    /// Ask the code host how they stand
    Sync(Which),
}

const LIST: &str = "query($name: String!, $phases: [ChangesetPhase!], $query: String, $after: String) {
  campaign(name: $name) {
    campaignChangesets(first: 500, after: $after, phases: $phases, query: $query) {
      nodes {
        id repository { name } branch title phase operations error externalURL waitingUntil pushedCommit foundCommit
        changeset { externalID reviewState checkState } diffStat { added changed deleted files }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
}";

const BULK: &str = "mutation($id: ID!, $operation: BulkKind!, $glob: String, $all: Boolean) {
  bulkChangesets(campaign: $id, operation: $operation, glob: $glob, all: $all) {
    total items(first: 1000) { changeset { repository { name } branch } }
  }
}";

pub const HEADER: [&str; 6] =
    ["repository", "branch", "stands", "review", "checks", "changes or error"];

/// A row for each changeset, under [`HEADER`].
pub fn rows(changesets: &[Value]) -> Vec<Vec<String>> {
    let rows = changesets.iter().map(|it| {
        let error = text(&it["error"]);
        let until = text(&it["waitingUntil"]);
        let last = match (error.is_empty(), until.is_empty()) {
            (true, _) => stat(&it["diffStat"]),
            (false, true) => error,
            (false, false) => format!("{error}; again at {until}"),
        };
        vec![
            text(&it["repository"]["name"]),
            text(&it["branch"]),
            word(&it["phase"]),
            word(&it["changeset"]["reviewState"]),
            word(&it["changeset"]["checkState"]),
            last,
        ]
    });
    rows.collect()
}

impl Changeset {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        let (operation, which) = match self.verb {
            Verb::List { connect, campaign, phase, query, json } => {
                return list(&connect, &file, &campaign, phase, query, json).await;
            }
            Verb::Publish(which) => ("PUBLISH", which),
            Verb::Retry(which) => ("RETRY", which),
            Verb::Overwrite(which) => ("OVERWRITE", which),
            Verb::Close(which) => ("CLOSE", which),
            Verb::Reopen(which) => ("REOPEN", which),
            Verb::Detach(which) => ("DETACH", which),
            Verb::Merge(which) => ("MERGE", which),
            Verb::Sync(which) => ("SYNC", which),
        };
        let data = with(&which.connect, &file, async |client| {
            let id = id_of(client, "campaign", &which.campaign).await?;
            let variables = json!({
                "id": id, "operation": operation, "glob": which.glob, "all": which.all,
            });
            client.graph(BULK, variables).await
        })
        .await?;
        let touched = data["bulkChangesets"]["items"].as_array().into_iter().flatten();
        for item in touched {
            let changeset = &item["changeset"];
            let line = format!(
                "{} {}@{}",
                operation.to_lowercase(),
                text(&changeset["repository"]["name"]),
                text(&changeset["branch"])
            );
            output::print_line(&output::plain(&line))?;
        }
        Ok(())
    }
}

async fn list(
    connect: &Connect,
    file: &File,
    campaign: &str,
    phase: Option<String>,
    query: Option<String>,
    json: bool,
) -> anyhow::Result<()> {
    let phase = phase.map(|phase| phase.to_uppercase());
    let known = campaign::changeset::Phase::ALL.map(|phase| phase.name().to_uppercase());
    if let Some(phase) = &phase
        && !known.contains(phase)
    {
        let known = known.join(", ").to_lowercase();
        return Err(
            BadInput(format!("--phase {}: use one of {known}", phase.to_lowercase())).into()
        );
    }
    let mut all = Vec::new();
    with(connect, file, async |client| {
        id_of(client, "campaign", campaign).await?;
        let mut after = Value::Null;
        loop {
            let variables =
                json!({ "name": campaign, "phases": phase.as_slice(), "query": query, "after": after });
            let data = client.graph(LIST, variables).await?;
            let page = &data["campaign"]["campaignChangesets"];
            all.extend(nodes(page).iter().cloned());
            if page["pageInfo"]["hasNextPage"] != true {
                return Ok(());
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
    })
    .await?;
    if json {
        return output::json(&all);
    }
    if all.is_empty() {
        return output::print_line("no changesets");
    }
    output::print_line(&output::table(&HEADER, rows(&all)))
}
