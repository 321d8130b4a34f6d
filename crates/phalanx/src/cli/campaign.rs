//! `phalanx campaign new|preview|apply|status|publish|close|list|delete`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connect::Connect;
use super::graph::{ago, id_of, nodes, stat, text, with, word};
use super::{BadInput, Exit, output};
use crate::client::Client;
use crate::config::File;

#[derive(Args)]
pub struct Campaign {
    #[command(subcommand)]
    verb: Verb,
}

/// Where patches come from.
#[derive(Args)]
struct Patches {
    /// The patches of this execution
    #[arg(long, value_name = "NUMBER", conflicts_with = "patch_set")]
    execution: Option<u64>,
    /// A patch set by its id
    #[arg(long, value_name = "ID")]
    patch_set: Option<String>,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a campaign; nothing is published before `campaign publish`
    New {
        #[command(flatten)]
        connect: Connect,
        name: String,
        #[command(flatten)]
        patches: Patches,
        /// For patches that name no branch
        #[arg(long)]
        branch: Option<String>,
        #[arg(long, default_value = "")]
        description: String,
        /// Publish at once
        #[arg(long)]
        publish: bool,
    },
    /// Say what applying patches would do; nothing is done
    Preview {
        #[command(flatten)]
        connect: Connect,
        name: String,
        #[command(flatten)]
        patches: Patches,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a campaign other patches: its changesets follow
    Apply {
        #[command(flatten)]
        connect: Connect,
        name: String,
        #[command(flatten)]
        patches: Patches,
    },
    /// Show a campaign and how its changesets stand; exit code 1 when something failed
    Status {
        #[command(flatten)]
        connect: Connect,
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish all changesets, or those that a glob fits
    Publish {
        #[command(flatten)]
        connect: Connect,
        name: String,
        /// Over `repository` or `repository@branch`
        #[arg(long)]
        glob: Option<String>,
        /// As drafts
        #[arg(long, conflicts_with = "push_only")]
        draft: bool,
        /// Only branches, no pull requests
        #[arg(long)]
        push_only: bool,
    },
    /// Close a campaign
    Close {
        #[command(flatten)]
        connect: Connect,
        name: String,
        /// Its pull requests too
        #[arg(long)]
        changesets: bool,
    },
    /// List campaigns
    List {
        #[command(flatten)]
        connect: Connect,
        /// Closed ones too
        #[arg(long)]
        all: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a campaign
    Delete {
        #[command(flatten)]
        connect: Connect,
        name: String,
        /// Close its pull requests first
        #[arg(long)]
        changesets: bool,
    },
}

const VIEWER: &str = "{ viewer { id } }";

const SET_OF: &str = "query($id: ID!) {
  node(id: $id) { ... on ActionExecution { status { state pendingCount } patchSet { id } } }
}";

const CREATE: &str = "mutation($input: CreateCampaignInput!) {
  createCampaign(input: $input) { name url counts { total } status { errors } }
}";

const UPDATE: &str = "mutation($input: UpdateCampaignInput!) {
  updateCampaign(input: $input) { name counts { total } status { errors } }
}";

const PREVIEW: &str = "query($name: String!, $set: ID) {
  campaign(name: $name) {
    preview(patchSet: $set) {
      totalCount counts { operation count }
      nodes {
        repository { name } branch title operations reason refused
        diffStat { added changed deleted files }
      }
    }
  }
}";

const STATUS: &str = "query($name: String!) {
  campaign(name: $name) {
    name state url createdAt status { state errors }
    counts { total unpublished processing open draft merged closed failed diverged pushedOnly keptBack }
    campaignChangesets(first: 1000) {
      nodes {
        repository { name } branch phase error externalURL waitingUntil
        changeset { reviewState checkState } diffStat { added changed deleted files }
      }
    }
  }
}";

const PUBLISH: &str =
    "mutation($id: ID!) { publishCampaign(campaign: $id) { counts { total keptBack } } }";

const BULK: &str = "mutation($id: ID!, $operation: BulkKind!, $glob: String, $all: Boolean) {
  bulkChangesets(campaign: $id, operation: $operation, glob: $glob, all: $all) { total }
}";

const CLOSE: &str = "mutation($id: ID!, $changesets: Boolean!) {
  closeCampaign(campaign: $id, closeChangesets: $changesets) { name }
}";

const LIST: &str = "query($state: CampaignState) {
  campaigns(first: 1000, state: $state) {
    nodes {
      name state createdAt
      counts { total unpublished processing open draft merged closed failed diverged pushedOnly }
    }
  }
}";

const DELETE: &str = "mutation($id: ID!, $changesets: Boolean!) {
  deleteCampaign(campaign: $id, closeChangesets: $changesets) { alwaysNil }
}";

impl Patches {
    /// The id of the patch set that is meant; nothing when none is named.
    async fn id(&self, client: &Client) -> anyhow::Result<Option<String>> {
        let Some(number) = self.execution else { return Ok(self.patch_set.clone()) };
        use base64::Engine as _;
        let id =
            base64::engine::general_purpose::STANDARD.encode(format!("ActionExecution:{number}"));
        let data = client.graph(SET_OF, json!({ "id": id })).await?;
        let execution = &data["node"];
        if execution.is_null() {
            return Err(BadInput(format!("there is no execution {number}")).into());
        }
        match execution["patchSet"]["id"].as_str() {
            Some(id) => Ok(Some(id.to_owned())),
            None if execution["status"]["pendingCount"].as_u64() > Some(0) => {
                Err(BadInput(format!("execution {number} is not over")).into())
            }
            None => Err(BadInput(format!(
                "not every job of execution {number} succeeded; retry them, or take what succeeded with `phalanx execution submit {number}`"
            ))
            .into()),
        }
    }

    async fn needed(&self, client: &Client) -> anyhow::Result<String> {
        let id = self.id(client).await?;
        Ok(id.ok_or_else(|| BadInput("give `--execution` or `--patch-set`".to_owned()))?)
    }
}

impl Campaign {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        match self.verb {
            Verb::New { connect, name, patches, branch, description, publish } => {
                let data = with(&connect, &file, async |client| {
                    let viewer = client.graph(VIEWER, json!({})).await?;
                    let input = json!({
                        "namespace": viewer["viewer"]["id"],
                        "name": name,
                        "description": description,
                        "branch": branch,
                        "patchSet": patches.id(client).await?,
                        "draft": !publish,
                    });
                    client.graph(CREATE, json!({ "input": input })).await
                })
                .await?;
                created(&data["createCampaign"])
            }
            Verb::Preview { connect, name, patches, json } => {
                let data = with(&connect, &file, async |client| {
                    id_of(client, "campaign", &name).await?;
                    let set = patches.id(client).await?;
                    client.graph(PREVIEW, json!({ "name": name, "set": set })).await
                })
                .await?;
                let preview = &data["campaign"]["preview"];
                if json { output::json(preview) } else { print_preview(preview) }
            }
            Verb::Apply { connect, name, patches } => {
                let data = with(&connect, &file, async |client| {
                    let id = id_of(client, "campaign", &name).await?;
                    let input = json!({ "id": id, "patchSet": patches.needed(client).await? });
                    client.graph(UPDATE, json!({ "input": input })).await
                })
                .await?;
                created(&data["updateCampaign"])
            }
            Verb::Status { connect, name, json } => {
                let data = with(&connect, &file, async |client| {
                    id_of(client, "campaign", &name).await?;
                    client.graph(STATUS, json!({ "name": name })).await
                })
                .await?;
                status(&data["campaign"], json)
            }
            Verb::Publish { connect, name, glob, draft, push_only } => {
                let (total, kept_back) = with(&connect, &file, async |client| {
                    let id = id_of(client, "campaign", &name).await?;
                    if glob.is_none() && !draft && !push_only {
                        let data = client.graph(PUBLISH, json!({ "id": id })).await?;
                        let counts = &data["publishCampaign"]["counts"];
                        let of = |name: &str| counts[name].as_u64().unwrap_or(0);
                        return Ok((of("total") - of("keptBack"), of("keptBack")));
                    }
                    let operation = match (draft, push_only) {
                        (true, _) => "PUBLISH_DRAFT",
                        (false, true) => "PUSH_ONLY",
                        (false, false) => "PUBLISH",
                    };
                    let all = glob.is_none();
                    let variables =
                        json!({ "id": id, "operation": operation, "glob": glob, "all": all });
                    let data = client.graph(BULK, variables).await?;
                    Ok((data["bulkChangesets"]["total"].as_u64().unwrap_or(0), 0))
                })
                .await?;
                if total > 0 || kept_back == 0 {
                    output::print_line(&format!(
                        "{total} changesets are being published; `phalanx campaign status {name}`"
                    ))?;
                }
                match kept_back {
                    0 => Ok(()),
                    _ => output::print_line(&kept(kept_back, &name)),
                }
            }
            Verb::Close { connect, name, changesets } => {
                with(&connect, &file, async |client| {
                    let id = id_of(client, "campaign", &name).await?;
                    client.graph(CLOSE, json!({ "id": id, "changesets": changesets })).await
                })
                .await?;
                output::print_line(&format!("the campaign {name} is closed"))
            }
            Verb::List { connect, all, json } => {
                let state = (!all).then_some("OPEN");
                let data = with(&connect, &file, async |client| {
                    client.graph(LIST, json!({ "state": state })).await
                })
                .await?;
                let all = nodes(&data["campaigns"]);
                if json { output::json(&all) } else { print_list(all) }
            }
            Verb::Delete { connect, name, changesets } => {
                with(&connect, &file, async |client| {
                    let id = id_of(client, "campaign", &name).await?;
                    client.graph(DELETE, json!({ "id": id, "changesets": changesets })).await
                })
                .await?;
                output::print_line(&format!("the campaign {name} is gone"))
            }
        }
    }
}

fn created(campaign: &Value) -> anyhow::Result<()> {
    let (name, total) = (text(&campaign["name"]), &campaign["counts"]["total"]);
    output::print_line(&format!("campaign {name}: {total} changesets"))?;
    for error in campaign["status"]["errors"].as_array().into_iter().flatten() {
        output::print_line(&format!("note: {}", output::plain(&text(error))))?;
    }
    Ok(())
}

fn operations(row: &Value) -> String {
    let all = row["operations"].as_array().into_iter().flatten();
    let all: Vec<String> = all.map(word).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

fn print_preview(preview: &Value) -> anyhow::Result<()> {
    let rows = nodes(preview).iter().map(|row| {
        let operations =
            if row["refused"].is_null() { operations(row) } else { "refused".to_owned() };
        vec![
            text(&row["repository"]["name"]),
            text(&row["branch"]),
            operations,
            stat(&row["diffStat"]),
            text(&row["reason"]),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        let header = ["repository", "branch", "would", "changes", "why"];
        output::print_line(&output::table(&header, rows))?;
    }
    let counts = preview["counts"].as_array().into_iter().flatten();
    let counts: Vec<String> =
        counts.map(|one| format!("{} {}", one["count"], word(&one["operation"]))).collect();
    let total = &preview["totalCount"];
    output::print_line(&format!("{total} changesets: {}", counts.join(", ")))
}

fn summary(counts: &Value) -> String {
    let names = [
        "unpublished",
        "processing",
        "pushedOnly",
        "draft",
        "open",
        "merged",
        "closed",
        "failed",
        "diverged",
    ];
    let parts = names.iter().filter_map(|name| {
        let count = counts[*name].as_u64().filter(|count| *count > 0)?;
        let name = if *name == "pushedOnly" { "pushed" } else { name };
        Some(format!("{count} {name}"))
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "no changesets".to_owned() } else { parts.join(", ") }
}

/// Why changesets are not published though the campaign is.
fn kept(count: u64, name: &str) -> String {
    format!(
        "{count} changesets stay unpublished, for their definition says `published: false`; \
         `phalanx changeset publish {name} GLOB` publishes those of the repositories that you name"
    )
}

fn status(campaign: &Value, json: bool) -> anyhow::Result<()> {
    let counts = &campaign["counts"];
    let bad = counts["failed"].as_u64() > Some(0) || counts["diverged"].as_u64() > Some(0);
    if json {
        output::json(campaign)?;
    } else {
        let (name, state) = (text(&campaign["name"]), word(&campaign["state"]));
        output::print_line(&format!("campaign {name} ({state}): {}", summary(counts)))?;
        if let Some(count) = counts["keptBack"].as_u64().filter(|count| *count > 0) {
            output::print_line(&kept(count, &name))?;
        }
        let rows = super::changeset::rows(nodes(&campaign["campaignChangesets"]));
        if !rows.is_empty() {
            output::print_line(&output::table(&super::changeset::HEADER, rows))?;
        }
        for error in campaign["status"]["errors"].as_array().into_iter().flatten() {
            output::print_line(&format!("error: {}", output::plain(&text(error))))?;
        }
    }
    if bad { Err(Exit(1).into()) } else { Ok(()) }
}

fn print_list(all: &[Value]) -> anyhow::Result<()> {
    if all.is_empty() {
        let hint = "no campaigns yet; make one with `phalanx campaign new NAME --execution NUMBER`";
        return output::print_line(hint);
    }
    let rows = all.iter().map(|campaign| {
        vec![
            text(&campaign["name"]),
            word(&campaign["state"]),
            summary(&campaign["counts"]),
            ago(&campaign["createdAt"]),
        ]
    });
    output::print_line(&output::table(&["name", "state", "changesets", "created"], rows.collect()))
}
