//! What follows when executions end: they are written down, and their patches become patch sets.

use std::sync::Arc;
use std::time::Duration;

use dispatcher::Event;
use model::GroupId;
use tokio::sync::broadcast::error::RecvError;

use super::{Caller, Changed, Refusal, Service};
use crate::action::{ExecutionRow, Reason};
use crate::execution::Document;
use crate::patch_set::{self, PatchSet};
use crate::site::Role;

/// How often it looks without being told.
const LOOK_EVERY: Duration = Duration::from_secs(30);

pub(super) async fn run(service: Arc<Service>) {
    let mut events = service.dispatcher.events();
    loop {
        match service.blocking(Service::finish).await {
            Ok(built) => {
                for set in built {
                    if let Some(id) = set.execution {
                        service.tell(Changed::Execution(id));
                    }
                    service.work.notify_one();
                    // A schedule may wait for this end.
                    service.triggers.notify_one();
                }
            }
            Err(error) => tracing::error!("failed to finish executions: {error}"),
        }
        let wait = tokio::time::sleep(LOOK_EVERY);
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => break,
                event = events.recv() => match event {
                    Ok(Event::GroupFinished { group }) => {
                        service.tell(Changed::Execution(group));
                        break;
                    }
                    Ok(Event::JobFinished { group, .. }) => {
                        if let Some(group) = group {
                            service.tell(Changed::Execution(group));
                        }
                    }
                    // Some were missed: look.
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

impl Service {
    /// Writes executions down that the engine has, and builds the patch sets of those that ended well. Blocks.
    pub fn finish(&self) -> Result<Vec<PatchSet>, patch_set::BuildError> {
        for id in self.store.executions_to_write()? {
            let Some(group) = self.dispatcher.reader().group(id)? else { continue };
            let document: Option<Document> = serde_json::from_slice(&group.group.document).ok();
            let origin = document.and_then(|document| document.origin);
            self.store.put_execution(&ExecutionRow {
                execution: id,
                action: origin.as_ref().map(|origin| model::ActionId(origin.action)),
                version: origin.as_ref().map(|origin| origin.version),
                reason: origin.as_ref().map_or(Reason::Manual, |origin| origin.reason),
                detail: origin.map_or_else(
                    || format!("{} asked on the command line", group.group.owner),
                    |origin| origin.detail,
                ),
                owner: group.group.owner.to_string(),
                patch_set: None,
                partial: None,
            })?;
        }
        patch_set::finish_executions(&self.dispatcher, &self.cas, &*self.store, self.now())
    }

    /// Takes what succeeded of an execution, though other jobs failed.
    pub async fn submit_partial(
        self: &Arc<Self>,
        caller: &Caller,
        id: GroupId,
    ) -> Result<PatchSet, Refusal> {
        caller.needs(Role::User)?;
        let by = caller.name.clone();
        let built = self
            .blocking(move |it| {
                patch_set::submit_partial(&it.dispatcher, &it.cas, &*it.store, id, &by, it.now())
            })
            .await
            .map_err(refuse)?;
        self.work.notify_one();
        self.tell(Changed::Execution(id));
        Ok(built)
    }
}

fn refuse(error: patch_set::BuildError) -> Refusal {
    match error {
        patch_set::BuildError::Report(crate::execution::ReportError::Unknown(id)) => {
            Refusal::NotFound(format!("execution {id}"))
        }
        patch_set::BuildError::Report(crate::execution::ReportError::Store(error))
        | patch_set::BuildError::Store(error) => error.into(),
        error @ (patch_set::BuildError::Patch { .. } | patch_set::BuildError::Refused(_)) => {
            Refusal::Conflict(error.to_string())
        }
    }
}
