//! `phalanx saved-search create|list|run|delete`

use clap::{Args, Subcommand};
use serde_json::json;

use super::connect::Connect;
use super::graph::{ago, id_in, nodes, text, with};
use super::output;
use crate::config::File;

#[derive(Args)]
pub struct SavedSearch {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Save a query
    Create {
        #[command(flatten)]
        connect: Connect,
        name: String,
        query: String,
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Give a saved search another query; what it finds first is where it starts from
    Update {
        #[command(flatten)]
        connect: Connect,
        name: String,
        query: String,
    },
    /// List saved searches
    List {
        #[command(flatten)]
        connect: Connect,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a saved search now; its actions run if the results changed
    Run {
        #[command(flatten)]
        connect: Connect,
        name: String,
    },
    /// Forget a saved search
    Delete {
        #[command(flatten)]
        connect: Connect,
        name: String,
    },
}

const CREATE: &str = "mutation($name: String!, $query: String!, $description: String) {
  createSavedSearch(name: $name, query: $query, description: $description) { name }
}";

const UPDATE: &str = "mutation($id: ID!, $query: String!) {
  updateSavedSearch(savedSearch: $id, query: $query) { name }
}";

const LIST: &str = "{
  savedSearches(first: 1000) {
    nodes { name query resultCount lastRunAt lastChangeAt lastError actions { name } }
  }
}";

const RUN: &str = "mutation($id: ID!) {
  runSavedSearch(savedSearch: $id) { resultCount lastError lastChangeAt }
}";

const DELETE: &str = "mutation($id: ID!) { deleteSavedSearch(savedSearch: $id) { alwaysNil } }";

impl SavedSearch {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        match self.verb {
            Verb::Create { connect, name, query, description } => {
                let variables = json!({ "name": name, "query": query, "description": description });
                with(&connect, &file, async |client| client.graph(CREATE, variables).await).await?;
                output::print_line(&format!("saved search {name}"))
            }
            Verb::Update { connect, name, query } => {
                with(&connect, &file, async |client| {
                    let id = id_in(client, "savedSearches", &name).await?;
                    client.graph(UPDATE, json!({ "id": id, "query": query })).await
                })
                .await?;
                output::print_line(&format!("saved search {name}"))
            }
            Verb::List { connect, json } => {
                let data =
                    with(&connect, &file, async |client| client.graph(LIST, json!({})).await)
                        .await?;
                let all = nodes(&data["savedSearches"]);
                if json {
                    return output::json(&all);
                }
                if all.is_empty() {
                    let hint = "no saved searches yet; `phalanx saved-search create NAME QUERY`";
                    return output::print_line(hint);
                }
                let rows = all.iter().map(|search| {
                    let actions = search["actions"].as_array().into_iter().flatten();
                    let actions: Vec<String> =
                        actions.map(|action| text(&action["name"])).collect();
                    let error = text(&search["lastError"]);
                    let found = text(&search["resultCount"]);
                    let found = if error.is_empty() { found } else { format!("error: {error}") };
                    vec![
                        text(&search["name"]),
                        found,
                        ago(&search["lastRunAt"]),
                        actions.join(", "),
                        text(&search["query"]),
                    ]
                });
                let header = ["name", "repositories", "last run", "runs", "query"];
                output::print_line(&output::table(&header, rows.collect()))
            }
            Verb::Run { connect, name } => {
                let data = with(&connect, &file, async |client| {
                    let id = id_in(client, "savedSearches", &name).await?;
                    client.graph(RUN, json!({ "id": id })).await
                })
                .await?;
                let search = &data["runSavedSearch"];
                match search["lastError"].as_str() {
                    Some(error) => Err(anyhow::anyhow!("the search found nothing out: {error}")),
                    None => output::print_line(&format!(
                        "{} repositories; last change {}",
                        search["resultCount"],
                        ago(&search["lastChangeAt"])
                    )),
                }
            }
            Verb::Delete { connect, name } => {
                with(&connect, &file, async |client| {
                    let id = id_in(client, "savedSearches", &name).await?;
                    client.graph(DELETE, json!({ "id": id })).await
                })
                .await?;
                output::print_line(&format!("the saved search {name} is gone"))
            }
        }
    }
}
