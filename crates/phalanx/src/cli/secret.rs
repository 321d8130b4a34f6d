//! `phalanx secret set|list|delete`

use std::io::Read;

use anyhow::Context;
use base64::Engine as _;
use clap::{Args, Subcommand};
use serde_json::json;

use super::connect::Connect;
use super::graph::{ago, text, with};
use super::output;
use crate::config::File;

#[derive(Args)]
pub struct Secret {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Set a secret; its value is read from standard input
    Set {
        #[command(flatten)]
        connect: Connect,
        /// Capital letters, digits and `_`
        name: String,
    },
    /// List the names of secrets
    List {
        #[command(flatten)]
        connect: Connect,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a secret
    Delete {
        #[command(flatten)]
        connect: Connect,
        name: String,
    },
}

const SET: &str = "mutation($name: String!, $value: String!) {
  setSecret(name: $name, value: $value) { name }
}";

const LIST: &str = "{ secrets { name createdAt updatedAt lastUsedAt } }";

const DELETE: &str = "mutation($id: ID!) { deleteSecret(secret: $id) { alwaysNil } }";

impl Secret {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        match self.verb {
            Verb::Set { connect, name } => {
                let mut value = String::new();
                std::io::stdin().read_to_string(&mut value).context("read the value")?;
                // What an editor or `echo` puts at the end is not meant.
                let value = value.strip_suffix('\n').unwrap_or(&value);
                let variables = json!({ "name": name, "value": value });
                with(&connect, &file, async |client| client.graph(SET, variables).await).await?;
                output::print_line(&format!("secret {name}"))
            }
            Verb::List { connect, json } => {
                let data =
                    with(&connect, &file, async |client| client.graph(LIST, json!({})).await)
                        .await?;
                let all = data["secrets"].as_array().cloned().unwrap_or_default();
                if json {
                    return output::json(&all);
                }
                if all.is_empty() {
                    return output::print_line("no secrets yet; `phalanx secret set NAME < FILE`");
                }
                let rows = all.iter().map(|secret| {
                    vec![
                        text(&secret["name"]),
                        ago(&secret["updatedAt"]),
                        ago(&secret["lastUsedAt"]),
                    ]
                });
                output::print_line(&output::table(&["name", "set", "used"], rows.collect()))
            }
            Verb::Delete { connect, name } => {
                let id = base64::engine::general_purpose::STANDARD.encode(format!("Secret:{name}"));
                with(&connect, &file, async |client| {
                    client.graph(DELETE, json!({ "id": id })).await
                })
                .await?;
                output::print_line(&format!("the secret {name} is gone"))
            }
        }
    }
}
