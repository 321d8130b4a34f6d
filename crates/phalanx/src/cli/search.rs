//! `phalanx search QUERY`

use clap::Args;
use serde_json::{Value, json};

use super::connect::Connect;
use super::graph::{nodes, text, with};
use super::output::{self, say};
use super::{BadInput, Exit};
use crate::config::File;

#[derive(Args)]
pub struct Search {
    #[command(flatten)]
    connect: Connect,
    /// As `repo:^github.com/acme/ file:go.mod log4j`
    #[arg(required = true, num_args = 1..)]
    query: Vec<String>,
    /// At most this many results
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Only the names of repositories
    #[arg(long)]
    repositories: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

const SEARCH: &str = "query($query: String!, $first: Int, $after: String) {
  search(query: $query, first: $first, after: $after) {
    error { message start end }
    nodes { repository { name } path revision lines { number text } }
    pageInfo { hasNextPage endCursor }
    notSearched { repository reason }
  }
}";

const PAGE: usize = 500;

impl Search {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        let query = self.query.join(" ");
        let (mut found, mut not_searched, mut more) = (Vec::new(), Vec::new(), true);
        let mut after = Value::Null;
        with(&self.connect, &file, async |client| {
            while more && found.len() < self.limit {
                let first = (self.limit - found.len()).min(PAGE);
                let variables = json!({ "query": query, "first": first, "after": after });
                let data = client.graph(SEARCH, variables).await?;
                let results = &data["search"];
                if !results["error"].is_null() {
                    return Err(wrong(&query, &results["error"]).into());
                }
                found.extend(nodes(results).iter().cloned());
                not_searched
                    .extend(results["notSearched"].as_array().into_iter().flatten().cloned());
                more = results["pageInfo"]["hasNextPage"] == true;
                after = results["pageInfo"]["endCursor"].clone();
            }
            Ok(())
        })
        .await?;
        if self.json {
            output::json(&json!({ "results": found, "notSearched": not_searched, "more": more }))?;
        } else {
            self.print(&found)?;
        }
        for one in &not_searched {
            let name = text(&one["repository"]);
            say!("not searched: {} {}", output::plain(&name), output::plain(&text(&one["reason"])));
        }
        if more {
            say!("there is more; --limit shows it");
        }
        // As grep does: finding nothing is not well.
        if found.is_empty() { Err(Exit(1).into()) } else { Ok(()) }
    }

    fn print(&self, found: &[Value]) -> anyhow::Result<()> {
        let mut last = String::new();
        for result in found {
            let name = text(&result["repository"]["name"]);
            if self.repositories || result["path"].is_null() {
                if name != last {
                    output::print_line(&output::plain(&name))?;
                }
                last = name;
                continue;
            }
            let place = format!("{name}:{}", text(&result["path"]));
            let lines = result["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
            if lines.is_empty() {
                output::print_line(&output::plain(&place))?;
            }
            for line in lines {
                let line = format!("{place}:{}: {}", line["number"], text(&line["text"]));
                output::print_line(&output::plain(&line))?;
            }
        }
        Ok(())
    }
}

/// The query with the token marked.
fn wrong(query: &str, error: &Value) -> BadInput {
    let at = |field: &str| error[field].as_u64().unwrap_or(0) as usize;
    let before = query.get(..at("start")).unwrap_or_default().chars().count();
    let token = query.get(at("start")..at("end")).unwrap_or_default().chars().count();
    let marks = "^".repeat(token.max(1));
    let blank = " ".repeat(before);
    BadInput(format!("{}\n  {query}\n  {blank}{marks}", text(&error["message"])))
}
