//! A plan becomes a group of jobs, in one commit.

use std::sync::Arc;

use dispatcher::Dispatcher;
use engine::ops::{Refused, SubmitOp, SubmitOutcome};
use model::{DimensionsError, GroupId, NewGroup, NewJob, Priority, Requirements, Slice, Terms};

use super::{Document, Plan};

/// The queue of workspace jobs. An unmodified executor may serve only `batches` and `codeintel`.
pub const QUEUE: &str = "batches";

/// How often a workspace may start again after its runner was lost (I12).
const LOST_RUNNER_RETRIES: u32 = 3;

/// What became of an execution's submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    pub execution: GroupId,
    pub jobs: u64,
    /// The same request came before.
    pub duplicate: bool,
}

/// Submits the plan. `key` is the client's idempotency key with the request's body.
pub async fn submit(
    dispatcher: &Dispatcher,
    owner: &str,
    document: &Document,
    plan: &Plan,
    key: Option<(&str, &[u8])>,
) -> Result<Submitted, Refused> {
    let slices: Arc<[Slice]> = [Slice::waiting(
        requirements(&document.options.dimensions)
            .map_err(|_| Refused::Invalid { what: "dimensions: use KEY=VALUE or KEY=A|B" })?,
    )]
    .into();
    let owner: Arc<str> = owner.into();
    let queue: Arc<str> = QUEUE.into();
    let jobs = plan.workspaces.iter().map(|workspace| {
        let payload = serde_json::to_vec(&workspace.job).expect("a workspace is JSON");
        Arc::new(NewJob {
            queue: queue.clone(),
            owner: owner.clone(),
            priority: Priority(document.options.priority),
            slices: slices.clone(),
            timeout_ms: document.options.job_timeout_ms,
            lost_runner_retries: LOST_RUNNER_RETRIES,
            payload: payload.into(),
            terms: Terms::default(),
        })
    });
    let group = NewGroup {
        name: document.spec.name.as_str().into(),
        owner: owner.clone(),
        document: serde_json::to_vec(document).expect("a document is JSON").into(),
    };
    let half = |bytes: &[u8]| -> [u8; 16] {
        blake3::hash(bytes).as_bytes()[..16].try_into().expect("sixteen of thirty-two bytes")
    };
    let key = key.map(|(key, body)| (half(key.as_bytes()), half(body)));
    let op = SubmitOp { key, group: Some(group), jobs: jobs.collect() };
    match dispatcher.submit(op).await {
        SubmitOutcome::Accepted { group: Some(execution), jobs, .. } => {
            Ok(Submitted { execution, jobs, duplicate: false })
        }
        SubmitOutcome::Duplicate { group: Some(execution), jobs, .. } => {
            Ok(Submitted { execution, jobs, duplicate: true })
        }
        // The key was used for jobs without a group.
        SubmitOutcome::Accepted { group: None, .. }
        | SubmitOutcome::Duplicate { group: None, .. } => Err(Refused::KeyReused),
        SubmitOutcome::Refused(refused) => Err(refused),
    }
}

/// `os=Linux|Mac`, one each. Workspace jobs need a runner that knows our extension.
fn requirements(dimensions: &[String]) -> Result<Requirements, DimensionsError> {
    let mut all = Requirements::default();
    all.add("protocol", &["phalanx"])?;
    for dimension in dimensions {
        let (key, values) = dimension.split_once('=').unwrap_or((dimension, ""));
        let values: Vec<&str> = values.split('|').collect();
        all.add(key, &values)?;
    }
    Ok(all)
}
