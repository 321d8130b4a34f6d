//! Why a task waits: which bots could run it, and what keeps them from it.
//!
//! Facts: what upstream's task page asks of `CountBots`, which says how many bots match, and not which dimension rules them out.

mod tally;
mod words;

use std::collections::HashSet;
use std::sync::Arc;

use engine::{Explanation, SliceExplanation};

pub(crate) use self::tally::Standing;
use crate::proto::own::{SliceReason, WhyPendingResponse};
use crate::proto::swarming::TaskState;
use crate::prpc::Status;
use crate::server::{Server, now};
use crate::tasks::bot_of;
use crate::tasks::view::{TaskView, timestamp, wall};
use crate::validate::Filter;

/// Ids of the bots that are drained.
pub(crate) fn drained(server: &Server) -> HashSet<String> {
    server.dispatcher.draining().iter().map(|name| bot_of(name).to_owned()).collect()
}

/// Looks at every bot once. Not for an async thread: a large fleet takes some milliseconds.
pub(crate) fn why(server: &Arc<Server>, task: &TaskView) -> Result<WhyPendingResponse, Status> {
    let filters = task.request().task_slices.iter().map(|slice| {
        let pairs = slice.properties.as_ref().map(|it| &it.dimensions[..]).unwrap_or_default();
        Filter::of_bots(pairs).map_err(Status::invalid)
    });
    let filters = filters.collect::<Result<Vec<_>, _>>()?;
    let mut slices = tally::tally(&server.fleet.after(None), &drained(server), &filters);
    let waits = match server.dispatcher.explain(task.job.id) {
        Explanation::Waiting(waits) => Some(waits),
        Explanation::Running { .. } | Explanation::NotLive => None,
    };
    let left_ms = server.dispatcher.slice_left_ms(task.job.id);
    if let Some(waits) = &waits {
        expiries(task, waits, left_ms, &mut slices);
    }
    let state = match waits {
        // It may have been queued again since it was read.
        Some(_) => TaskState::Pending,
        None => task.state(),
    };
    let current = waits.as_ref().map_or(0, |waits| waits.slice);
    let conclusion = words::conclusion(state, waits.as_ref(), left_ms, &slices);
    Ok(WhyPendingResponse {
        state: state as i32,
        conclusion,
        slices,
        current_slice: i32::try_from(current).unwrap_or_default(),
        now: Some(wall(now())),
    })
}

/// The slice that waits ends when its time is over, those after it each as much later as they have time.
fn expiries(
    task: &TaskView,
    waits: &SliceExplanation,
    left_ms: Option<u64>,
    slices: &mut [SliceReason],
) {
    let mut end_ms = left_ms.map(|left| now().0.saturating_add(left));
    let asked = task.request().task_slices.iter().zip(slices).skip(waits.slice as usize);
    for (at, (of_request, reason)) in asked.enumerate() {
        if at == 0 {
            let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
            reason.ahead = count(waits.ahead);
            reason.runners = count(waits.matching - waits.kept);
        } else {
            let more = u64::try_from(of_request.expiration_secs).unwrap_or_default() * 1000;
            end_ms = end_ms.map(|end| end.saturating_add(more));
        }
        reason.expires_ts = end_ms.and_then(|ms| i64::try_from(ms).ok()).map(timestamp);
    }
}
