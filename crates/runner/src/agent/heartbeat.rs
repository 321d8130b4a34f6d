//! Keeps leases, hears of cancels, and notices when this process was asleep.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Agent, ClientError};

/// The longest that the server holds a heartbeat when nothing is to stop.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// So that an answer that comes at once does not become a storm.
const PAUSE: Duration = Duration::from_millis(250);
/// How long jobs go on while the server does not answer.
const OUTAGE_MAX: Duration = Duration::from_secs(600);

pub(crate) async fn run(agent: Arc<Agent>, over: CancellationToken) {
    let watch = tokio::spawn(watch_for_sleep(agent.clone(), over.clone()));
    while !over.is_cancelled() {
        let asked = Instant::now();
        let held = agent.leases.all();
        if held.is_empty() {
            // An idle runner is heard of through its claims.
            tokio::select! {
                () = agent.leases.changed.notified() => {}
                () = over.cancelled() => break,
            }
            continue;
        }
        let running: Vec<_> =
            held.iter().map(|(job, held)| (*job, held.queue.clone(), held.token.clone())).collect();
        // Several renewals fit into the shortest lease.
        let shortest = held.iter().map(|(_, held)| held.term).min().unwrap_or(WAIT_MAX);
        let wait = (shortest / 5).min(WAIT_MAX);
        let answer = tokio::select! {
            answer = agent.client.heartbeat(&running, wait) => answer,
            () = over.cancelled() => break,
        };
        match answer {
            Ok(answer) => {
                for (job, held) in &held {
                    let named = format!("{job}-{}", held.queue);
                    if !answer.known_ids.iter().any(|id| id.0 == named) {
                        held.fence();
                    } else {
                        agent.leases.confirm(*job, &held.token, asked);
                        if answer.cancel_ids.iter().any(|id| id.0 == named) {
                            held.cancel.cancel();
                        }
                    }
                }
            }
            Err(ClientError::Superseded) => {
                tracing::error!("{}", ClientError::Superseded);
                held.iter().for_each(|(_, held)| held.fence());
                agent.stop.drain.cancel();
            }
            // The server restarts, or the network does: jobs go on, and the server waits for them too.
            Err(_) => {
                for (job, held) in &held {
                    if held.confirmed.elapsed() > OUTAGE_MAX {
                        tracing::error!(
                            "job {job} is stopped: the server was silent for ten minutes"
                        );
                        held.fence();
                    }
                }
                tokio::time::sleep(PAUSE.mul_f64(rand::random_range(1.0..4.0))).await;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    watch.abort();
}

/// Between two looks at the clock nothing passes but a moment, unless this process was stopped. A lease may have ended in that
/// time, so its job is stopped before anything is written (I32).
async fn watch_for_sleep(agent: Arc<Agent>, over: CancellationToken) {
    let mut last = Instant::now();
    while !over.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let gap = last.elapsed();
        last = Instant::now();
        for (job, held) in agent.leases.all().into_iter().filter(|(_, held)| gap > held.term) {
            tracing::warn!("job {job} is stopped: this process was paused for {} s", gap.as_secs());
            held.fence();
        }
    }
}
