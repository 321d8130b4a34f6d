//! Where the pages were in older days.

use axum::extract::{Path, RawQuery};
use axum::response::Response;
use url::form_urlencoded;

use super::{bot_address, task_address};
use crate::cx::go;

pub(crate) async fn bots(RawQuery(query): RawQuery) -> Response {
    go(&list("/botlist", "dimensions", &query.unwrap_or_default()))
}

pub(crate) async fn tasks(RawQuery(query): RawQuery) -> Response {
    go(&list("/tasklist", "task_tag", &query.unwrap_or_default()))
}

pub(crate) async fn bot(Path(id): Path<String>) -> Response {
    go(&bot_address(&id))
}

pub(crate) async fn task(Path(id): Path<String>) -> Response {
    go(&task_address(&id))
}

/// A list with the filters that the old address has under another name.
fn list(page: &str, filter: &str, query: &str) -> String {
    let given = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == filter);
    let filters = given.filter(|(_, value)| !value.trim().is_empty());
    let mut to = form_urlencoded::Serializer::new(String::new());
    to.extend_pairs(filters.map(|(_, value)| ("f", value.trim().to_owned())));
    match &*to.finish() {
        "" => page.to_owned(),
        query => format!("{page}?{query}"),
    }
}
