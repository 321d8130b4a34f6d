//! Who runs jobs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use engine::RunnerInfo;
use engine::ops::{DrainOp, DrainOutcome};
use model::RunnerName;

use crate::Door;
use crate::status::Failure;
use crate::types::{Drain, RunnerDetail};

fn detail(runner: RunnerInfo) -> RunnerDetail {
    let dimensions = runner.dimensions.iter();
    RunnerDetail {
        dimensions: dimensions
            .map(|(key, values)| (key.to_owned(), values.iter().cloned().collect()))
            .collect(),
        name: runner.name.to_string(),
        queues: runner.queues,
        slots: runner.slots,
        jobs: runner.jobs.iter().map(|job| job.0).collect(),
        draining: runner.draining,
        waiting: runner.waiting,
        seen_ms: runner.seen.0,
    }
}

pub(crate) async fn list(State(door): State<Arc<Door>>) -> Json<Vec<RunnerDetail>> {
    Json(door.dispatcher.runners().into_iter().map(detail).collect())
}

pub(crate) async fn drain(
    State(door): State<Arc<Door>>,
    Path(name): Path<String>,
    Json(asked): Json<Drain>,
) -> Result<Json<RunnerDetail>, Failure> {
    let runner = RunnerName::new(&name);
    let op = DrainOp { runner: runner.clone(), drain: asked.drain };
    match door.dispatcher.drain_runner(op).await {
        DrainOutcome::Done { .. } => {}
        DrainOutcome::UnknownRunner => {
            return Err(Failure::not_found(format!("there is no runner `{name}`")));
        }
    }
    let mut all = door.dispatcher.runners().into_iter();
    let found = all.find(|info| info.name == runner).map(detail);
    found.map(Json).ok_or_else(|| Failure::not_found(format!("there is no runner `{name}`")))
}
