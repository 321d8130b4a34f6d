//! Where the pages were in older days.

use axum::extract::Path;
use axum::response::Response;

use super::{bot_address, task_address};
use crate::cx::go;

pub(crate) async fn bots() -> Response {
    go("/botlist")
}

pub(crate) async fn tasks() -> Response {
    go("/tasklist")
}

pub(crate) async fn bot(Path(id): Path<String>) -> Response {
    go(&bot_address(&id))
}

pub(crate) async fn task(Path(id): Path<String>) -> Response {
    go(&task_address(&id))
}
