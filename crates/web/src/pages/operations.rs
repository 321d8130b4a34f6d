//! Buttons that do one thing: each is one mutation, its arguments are the form's fields, and then the page it came from.

use axum::extract::Path;
use serde_json::{Map, Value};

use crate::cx::{Answer, Cx, go};
use crate::pages::failure;
use crate::session::Posted;

/// How a field becomes an argument.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    /// A field that may be there several times.
    Many,
}

use Kind::{Flag, Many, Text};

struct Operation {
    name: &'static str,
    query: &'static str,
    arguments: &'static [(&'static str, Kind)],
}

macro_rules! operations {
    ($($name:literal: $($argument:literal $kind:ident),+;)+) => {
        &[$(Operation {
            name: $name,
            query: include_str!(concat!("../../queries/do/", $name, ".graphql")),
            arguments: &[$(($argument, $kind)),+],
        }),+]
    };
}

const OPERATIONS: &[Operation] = operations! {
    "cancelActionExecution": "actionExecution" Text;
    "retryActionExecution": "actionExecution" Text;
    "submitPartialExecution": "actionExecution" Text;
    "createActionExecution": "action" Text;
    "deleteAction": "action" Text;
    "cancelActionJob": "actionJob" Text;
    "retryActionJob": "actionJob" Text;
    "deleteSavedSearch": "savedSearch" Text;
    "createActionExecutionsForSavedSearch": "savedSearch" Text;
    "publishCampaign": "campaign" Text;
    "retryCampaign": "campaign" Text;
    "closeCampaign": "campaign" Text, "closeChangesets" Flag;
    "deleteCampaign": "campaign" Text, "closeChangesets" Flag;
    "bulkChangesets": "campaign" Text, "operation" Text, "changesets" Many, "glob" Text, "all" Flag, "text" Text;
    "publishChangeset": "patch" Text;
    "syncChangeset": "changeset" Text;
    "syncCodeHost": "codeHost" Text;
    "deleteCodeHost": "codeHost" Text;
    "syncRepository": "repository" Text;
    "drainAgent": "agent" Text, "drain" Flag;
    "deleteSecret": "secret" Text;
    "deleteAccessToken": "accessToken" Text;
};

pub(crate) async fn act(Path(name): Path<String>, posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    let operation = OPERATIONS.iter().find(|operation| operation.name == name);
    let operation = operation.ok_or_else(|| cx.not_found("There is no such operation."))?;
    let mut variables = Map::new();
    for (argument, kind) in operation.arguments {
        let value = match kind {
            Text => fields.get(argument).map(Value::from),
            Flag => Some(Value::from(fields.get(argument) == Some("true"))),
            Many => {
                let all = fields.all(argument);
                (!all.is_empty()).then(|| Value::from(all))
            }
        };
        variables.insert((*argument).to_owned(), value.unwrap_or(Value::Null));
    }
    let done = run(&cx, operation.query, Value::Object(variables)).await?;
    // What was made is shown; else the page from which it was asked, or where it says.
    let address = done["url"].as_str().or(fields.get("back")).unwrap_or("/");
    Ok(go(address))
}

async fn run(cx: &Cx, query: &str, variables: Value) -> Result<Value, crate::cx::Refusal> {
    let answer: Result<Value, _> = cx.try_ask(query, variables).await;
    match answer {
        Ok(data) => Ok(data["done"].clone()),
        Err(errors) => Err(failure::errors(cx, &errors).into()),
    }
}
