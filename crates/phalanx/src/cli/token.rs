//! `phalanx token create|list|delete`

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::connect::Connect;
use super::graph::{ago, text, with, word};
use super::output::{self, say};
use crate::config::File;

#[derive(Args)]
pub struct Token {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// May look
    Reader,
    /// May run actions and publish campaigns
    User,
    /// May change code hosts, secrets and tokens
    Admin,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a token; it is printed this once
    Create {
        #[command(flatten)]
        connect: Connect,
        /// Whose it is
        name: String,
        #[arg(long, value_enum, default_value = "user")]
        role: Role,
    },
    /// List tokens
    List {
        #[command(flatten)]
        connect: Connect,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a token back, by its id in the list
    Delete {
        #[command(flatten)]
        connect: Connect,
        id: String,
    },
}

const CREATE: &str = "mutation($name: String!, $role: Role!) {
  createAccessToken(name: $name, role: $role) { token accessToken { id } }
}";

const LIST: &str = "{ accessTokens { id name role createdAt lastUsedAt by { username } } }";

const DELETE: &str = "mutation($id: ID!) { deleteAccessToken(accessToken: $id) { alwaysNil } }";

impl Token {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        match self.verb {
            Verb::Create { connect, name, role } => {
                let role = role.to_possible_value().map(|role| role.get_name().to_uppercase());
                let variables = json!({ "name": name, "role": role });
                let data =
                    with(&connect, &file, async |client| client.graph(CREATE, variables).await)
                        .await?;
                say!("this is the only time that the token is shown");
                output::print_line(&text(&data["createAccessToken"]["token"]))
            }
            Verb::List { connect, json } => {
                let data =
                    with(&connect, &file, async |client| client.graph(LIST, json!({})).await)
                        .await?;
                let all = data["accessTokens"].as_array().cloned().unwrap_or_default();
                if json {
                    return output::json(&all);
                }
                if all.is_empty() {
                    return output::print_line("no access tokens yet; `phalanx token create NAME`");
                }
                let rows = all.iter().map(|token| {
                    vec![
                        text(&token["id"]),
                        text(&token["name"]),
                        word(&token["role"]),
                        ago(&token["createdAt"]),
                        ago(&token["lastUsedAt"]),
                    ]
                });
                let header = ["id", "name", "role", "made", "used"];
                output::print_line(&output::table(&header, rows.collect()))
            }
            Verb::Delete { connect, id } => {
                with(&connect, &file, async |client| {
                    client.graph(DELETE, json!({ "id": id })).await
                })
                .await?;
                output::print_line("the token opens nothing any more")
            }
        }
    }
}
