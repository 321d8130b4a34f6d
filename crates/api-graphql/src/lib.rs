//! The users' door: GraphQL at `/api/graphql`, and at `/.api/graphql`, where Sourcegraph's tools look for it.
//!
//! The operations of the prototype and of its campaign API keep their names, arguments and results; what is ours beside them
//! follows their style. `api/schema.graphql` is this schema, committed.

mod auth;
mod check;
mod convert;
mod http_door;
mod loaders;
mod mutation;
mod page;
mod query;
mod status;
mod subscription;
mod types;

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
pub use async_graphql::{Request, Variables};
use async_graphql::{Response, Schema};
use campaign::service::{Caller, Service};

pub use auth::Door;
pub use http_door::router;

use mutation::Mutation;
use query::Query;
use subscription::Subscription;

type Graph = Schema<Query, Mutation, Subscription>;

/// Deepest nesting of a query, and most fields, counting each field of a list as often as the list is long.
const DEPTH: usize = 16;
const COMPLEXITY: usize = 100_000;

/// The schema without data: its text is `api/schema.graphql`.
pub fn sdl() -> String {
    Schema::build(Query::default(), Mutation::default(), Subscription).finish().sdl()
}

fn schema(service: Arc<Service>) -> Graph {
    Schema::build(Query::default(), Mutation::default(), Subscription)
        .data(service)
        .limit_depth(DEPTH)
        .limit_complexity(COMPLEXITY)
        .limit_directives(8)
        .finish()
}

/// Whether an operation is one of the schema's; nothing is run. What is wrong with it otherwise.
pub fn check(operation: &str) -> Result<(), Vec<String>> {
    let schema = Schema::build(Query::default(), Mutation::default(), Subscription)
        .extension(check::OnlyCheck)
        .finish();
    let response = futures::executor::block_on(schema.execute(operation));
    let errors: Vec<String> = response.errors.into_iter().map(|error| error.message).collect();
    if errors == [check::GOOD] { Ok(()) } else { Err(errors) }
}

impl Door {
    /// Runs a request with the rights of a caller. Batches of what it loads live as long as the request.
    pub async fn run(&self, caller: Caller, request: Request) -> Response {
        self.graph().execute(self.with_data(caller, request)).await
    }

    fn with_data(&self, caller: Caller, request: Request) -> Request {
        let loader = loaders::new(self.service().clone());
        let mut request = request;
        // What a mutation answers is as the one before it left it, not as it was read then.
        let is_query = request.parsed_query().is_ok_and(|document| {
            document
                .operations
                .iter()
                .all(|(_, operation)| operation.node.ty == OperationType::Query)
        });
        loader.enable_all_cache(is_query);
        request.data(caller).data(loader)
    }
}
