//! Somebody wants tasks to stop.

use engine::ops::{CancelOp, CancelOutcome};

use super::view::TaskView;
use crate::proto::swarming::CancelResponse;
use crate::server::Server;

/// Cancels one task; a running one only when `kill` says so.
pub(crate) async fn cancel(server: &Server, task: &TaskView, kill: bool) -> CancelResponse {
    let op = CancelOp::Job { id: task.job.id, kill };
    match server.dispatcher.cancel(op).await {
        CancelOutcome::Canceled { queued: 1.., .. } => {
            CancelResponse { canceled: true, was_running: false }
        }
        CancelOutcome::Canceled { running: 1.., .. } => {
            CancelResponse { canceled: true, was_running: true }
        }
        CancelOutcome::Canceled { .. } => CancelResponse { canceled: false, was_running: true },
        CancelOutcome::NotLive => CancelResponse { canceled: false, was_running: false },
    }
}
