//! What keeps the fleet in order: it looks at what is, and may run at any time, twice, after any crash.

use std::sync::{Arc, Weak};
use std::time::Duration;

use engine::ops::LoseOp;
use fleet::{Health, Update};
use model::WallMs;

use crate::server::{Server, now};
use crate::tasks::hand;

/// How long an observation may be in memory only.
const FLUSH: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(5);
/// How often it is written when each machine was heard of last.
const SEEN: Duration = Duration::from_secs(10 * 60);
/// How long events are kept: four weeks, as upstream.
const EVENTS_MS: u64 = 28 * 24 * 60 * 60 * 1000;
/// Events that are dropped at once, so that nobody waits for the database.
const PRUNED: usize = 1000;

pub(crate) fn start(server: &Arc<Server>) {
    every(server, FLUSH, |server| async move { flush(&server) });
    every(server, LOOK, |server| async move { find_dead(&server).await });
    every(server, SEEN, |server| async move {
        server.fleet.mark_all();
        server.measure_caches();
        server.forget_ended();
        let before = WallMs(now().0.saturating_sub(EVENTS_MS));
        let pruned = tokio::task::spawn_blocking(move || {
            loop {
                match server.fleet.store().prune_events(before, PRUNED) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!("failed to {error}: {:?}", error.source);
                        break;
                    }
                }
            }
        });
        let _ = pruned.await;
    });
}

fn every<F: Future<Output = ()> + Send + 'static>(
    server: &Arc<Server>,
    pause: Duration,
    work: impl Fn(Arc<Server>) -> F + Send + 'static,
) {
    let weak: Weak<Server> = Arc::downgrade(server);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(pause).await;
            let Some(server) = weak.upgrade() else { return };
            work(server).await;
        }
    });
}

pub(crate) fn flush(server: &Server) {
    if let Err(error) = server.fleet.flush() {
        tracing::warn!("failed to {error}, and will try again: {:?}", error.source);
    }
}

/// Bots that were silent for too long are dead, and with them what they ran.
pub(crate) async fn find_dead(server: &Server) {
    let silence_ms = u64::from(server.config().settings.bot_death_timeout_secs) * 1000;
    let oldest = now().0.saturating_sub(silence_ms);
    for seen in server.fleet.after(None) {
        if seen.record.dead || seen.last_seen.0 >= oldest {
            continue;
        }
        let runner = seen.record.name.clone();
        // It may have come back while others were given up.
        let Some(seen) = server.fleet.get(&runner).filter(|seen| seen.last_seen.0 < oldest) else {
            continue;
        };
        let why = "the bot was silent for too long".to_owned();
        server.dispatcher.lose_runner(LoseOp { runner: hand(runner.as_str()), why }).await;
        // The task stays shown on it.
        let update = Update {
            health: Health::Dead,
            about: seen.record.task.as_ref().map(|(id, _)| *id),
            heard: false,
            ..Update::new("bot_missing")
        };
        server.fleet.update(&runner, update, now());
    }
}
