//! `phalanx codehost add|list|sync|remove`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::connect::Connect;
use super::graph::{ago, id_in, nodes, text, with, word};
use super::{BadInput, output};
use crate::config::File;

#[derive(Args)]
pub struct Codehost {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Git,
    Github,
    Gitlab,
    Gitea,
}

#[derive(Subcommand)]
enum Verb {
    /// Add a code host
    Add(Box<Add>),
    /// List code hosts
    List {
        #[command(flatten)]
        connect: Connect,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List a host's repositories now
    Sync {
        #[command(flatten)]
        connect: Connect,
        name: String,
    },
    /// Forget a code host and its repositories; nothing changes on the host
    Remove {
        #[command(flatten)]
        connect: Connect,
        name: String,
    },
}

#[derive(Args)]
struct Add {
    #[command(flatten)]
    connect: Connect,
    name: String,
    #[arg(long, value_enum)]
    kind: Kind,
    /// As `https://github.com`; for plain git empty, or the URL under which the folder's repositories are served
    #[arg(long, default_value = "")]
    url: String,
    /// Organisations, groups, users, `owner/name`; for plain git URLs and folders (repeatable)
    #[arg(long, value_name = "WHAT")]
    include: Vec<String>,
    /// Globs over names (repeatable)
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// A file that holds the token
    #[arg(long, value_name = "FILE", conflicts_with = "username")]
    token_file: Option<PathBuf>,
    /// For git over HTTP, with --password-file
    #[arg(long, requires = "password_file")]
    username: Option<String>,
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A GitHub App, with --installation-id and --private-key-file
    #[arg(long, requires = "private_key_file", requires = "installation_id")]
    app_id: Option<String>,
    #[arg(long)]
    installation_id: Option<String>,
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
}

const ADD: &str = "mutation($input: CodeHostInput!) { addCodeHost(input: $input) { name webhookURL webhookSecret } }";

const LIST: &str = "{
  codeHosts(first: 1000) {
    nodes { name kind url include repositoryCount lastSyncAt syncError credentialUser waitingUntil webhookURL }
  }
}";

const SYNC: &str = "mutation($id: ID!) {
  syncCodeHost(codeHost: $id) { repositoryCount syncError }
}";

const REMOVE: &str = "mutation($id: ID!) { deleteCodeHost(codeHost: $id) { alwaysNil } }";

fn secret(path: &Option<PathBuf>) -> anyhow::Result<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| BadInput(format!("{}: {error}", path.display())))?;
    Ok(Some(text.trim().to_owned()))
}

impl Codehost {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        match self.verb {
            Verb::Add(add) => add.run(&file).await,
            Verb::List { connect, json } => {
                let data =
                    with(&connect, &file, async |client| client.graph(LIST, json!({})).await)
                        .await?;
                let all = nodes(&data["codeHosts"]);
                if json {
                    return output::json(&all);
                }
                if all.is_empty() {
                    let hint =
                        "no code hosts yet; add one with `phalanx codehost add NAME --kind KIND`";
                    return output::print_line(hint);
                }
                let rows = all.iter().map(|host| {
                    let error = text(&host["syncError"]);
                    let state = match error.is_empty() {
                        true => format!("listed {}", ago(&host["lastSyncAt"])),
                        false => format!("error: {error}"),
                    };
                    vec![
                        text(&host["name"]),
                        word(&host["kind"]),
                        text(&host["repositoryCount"]),
                        state,
                        text(&host["url"]),
                    ]
                });
                let header = ["name", "kind", "repositories", "state", "url"];
                output::print_line(&output::table(&header, rows.collect()))
            }
            Verb::Sync { connect, name } => {
                let data = with(&connect, &file, async |client| {
                    let id = id_in(client, "codeHosts", &name).await?;
                    client.graph(SYNC, json!({ "id": id })).await
                })
                .await?;
                let host = &data["syncCodeHost"];
                match host["syncError"].as_str() {
                    Some(error) => Err(anyhow::anyhow!("{}", output::plain(error))),
                    None => {
                        output::print_line(&format!("{} repositories", host["repositoryCount"]))
                    }
                }
            }
            Verb::Remove { connect, name } => {
                with(&connect, &file, async |client| {
                    let id = id_in(client, "codeHosts", &name).await?;
                    client.graph(REMOVE, json!({ "id": id })).await
                })
                .await?;
                output::print_line(&format!("the code host {name} is forgotten"))
            }
        }
    }
}

impl Add {
    async fn run(self, file: &File) -> anyhow::Result<()> {
        let kind = self.kind.to_possible_value().map(|kind| kind.get_name().to_uppercase());
        // A folder is named as the user sees it; the server may run elsewhere in the tree.
        let include = self.include.iter().map(|what| {
            let path = std::path::Path::new(what);
            let folder = matches!(self.kind, Kind::Git).then(|| path.canonicalize().ok()).flatten();
            folder.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| what.clone())
        });
        let input = json!({
            "name": self.name,
            "kind": kind,
            "url": self.url,
            "include": include.collect::<Vec<_>>(),
            "exclude": self.exclude,
            "token": secret(&self.token_file)?,
            "username": self.username,
            "password": secret(&self.password_file)?,
            "appID": self.app_id,
            "installationID": self.installation_id,
            "privateKey": secret(&self.private_key_file)?,
        });
        let data = with(&self.connect, file, async |client| {
            client.graph(ADD, json!({ "input": input })).await
        })
        .await?;
        let host = &data["addCodeHost"];
        output::print_line(&format!("code host {}; its repositories are being listed", self.name))?;
        if !matches!(self.kind, Kind::Git) {
            output::print_line(&format!("webhook: {}", text(&host["webhookURL"])))?;
            output::print_line(&format!("secret:  {}", text(&host["webhookSecret"])))?;
        }
        Ok(())
    }
}
