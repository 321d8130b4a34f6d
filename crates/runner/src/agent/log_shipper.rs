//! Sends a job's log while it grows, by offset, and keeps what the server does not yet have for certain.

use std::sync::Arc;
use std::time::Duration;

use model::limit;

use super::lease::Held;
use super::{Agent, ClientError};
use crate::logs::Spool;

/// How long bytes wait for company.
const GATHER: Duration = Duration::from_millis(100);

/// Ships until the log is closed and received, or the lease is lost. Returns how far the server has it.
pub(crate) async fn run(agent: Arc<Agent>, job: u64, held: Held, spool: Arc<Spool>) -> u64 {
    let mut offset = 0u64;
    loop {
        let closed = spool.is_closed();
        let bytes = spool.read_from(offset, limit::LOG_CHUNK_BYTES);
        if bytes.is_empty() {
            if closed && offset >= spool.len() {
                return offset;
            }
            tokio::select! {
                () = spool.changed() => {}
                () = held.fenced.cancelled() => return offset,
            }
            if !spool.is_closed() {
                tokio::time::sleep(GATHER).await;
            }
            continue;
        }
        let sent = bytes.len() as u64;
        let answer = agent
            .client
            .until_answered(&held.fenced, || {
                agent.client.log(job, &held.token, offset, bytes.clone())
            })
            .await;
        match answer {
            Ok(reply) => {
                if reply.cancel {
                    held.cancel.cancel();
                }
                spool.release(reply.durable);
                if reply.received < offset {
                    // Only a loss of power at the server takes bytes back, and only such as it did not call durable.
                    tracing::warn!(
                        "job {job}: the server lost log bytes; sending again from {}",
                        reply.received
                    );
                }
                offset = reply.received.min(offset + sent);
            }
            Err(ClientError::Fenced) => {
                held.fence();
                return offset;
            }
            Err(ClientError::Stopped) => return offset,
            Err(error) => {
                // The outcome is never lost because of the log: it is reported as incomplete.
                tracing::warn!("job {job}: the log is not taken: {error}");
                return offset;
            }
        }
    }
}
