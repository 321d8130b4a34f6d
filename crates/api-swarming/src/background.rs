//! What keeps the fleet in order: it looks at what is, and may run at any time, twice, after any crash.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use engine::ops::LoseOp;
use fleet::{Health, Seen, Update};
use model::WallMs;

use crate::bot::said_of;
use crate::server::{Server, now};
use crate::tasks::{find, hand};
use crate::{notices, series};

/// How long an observation may be in memory only.
const FLUSH: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(5);
/// How often it is written when each machine was heard of last.
const SEEN: Duration = Duration::from_secs(10 * 60);
/// How long events are kept: four weeks, as upstream.
const EVENTS_MS: u64 = 28 * 24 * 60 * 60 * 1000;
/// Events that are dropped at once, so that nobody waits for the database.
const PRUNED: usize = 1000;
/// The same of tasks, of which each has some rows.
const DELETED: usize = 200;
/// How often it is noted how fleet and queue stand, and how long all of that is kept.
const SAMPLE: Duration = Duration::from_secs(60);
const SAMPLES_MS: u64 = 2 * 24 * 60 * 60 * 1000;
/// How long somebody who wants to hear of a task waits at most.
const TELL: Duration = Duration::from_millis(500);

pub(crate) fn start(server: &Arc<Server>) {
    every(server, FLUSH, |server| async move { flush(&server) });
    every(server, LOOK, |server| async move { find_dead(&server).await });
    every(server, SEEN, |server| async move {
        server.fleet.mark_all();
        server.measure_caches();
        server.forget_ended();
        delete_old(&server).await;
    });
    every(server, SAMPLE, |server| async move {
        let record = series::stand(&server);
        let written = tokio::task::spawn_blocking(move || {
            server.house.put_sample(now(), &serde_json::json!(record).to_string())
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!("failed to {error}: {:?}", error.source);
        }
    });
    every(server, TELL, |server| async move { while notices::tell(&server).await {} });
}

/// What is older than the site wants to keep.
pub(crate) async fn delete_old(server: &Arc<Server>) {
    let day_ms = 24 * 60 * 60 * 1000;
    let keep_ms = u64::from(server.config().ours.keep_days) * day_ms;
    let oldest = WallMs(now().0.saturating_sub(keep_ms));
    let is_old = |seen: &Seen| seen.record.dead && seen.last_seen < oldest;
    for seen in server.fleet.after(None).iter().filter(|seen| is_old(seen)) {
        let name = &seen.record.name;
        // It may have come back while others were deleted.
        if server.fleet.get(name).is_some_and(|seen| is_old(&seen)) {
            let why = Update {
                message: "it was dead for too long".into(),
                heard: false,
                ..said_of("bot_deleted")
            };
            server.delete_bot(name, &why).await;
        }
    }
    let of = server.clone();
    let pruned = tokio::task::spawn_blocking(move || -> Result<usize, (String, Cause)> {
        let events_before = WallMs(now().0.saturating_sub(EVENTS_MS.min(keep_ms)));
        let of_fleet = |error: fleet::FleetError| (error.to_string(), error.source);
        let of_store = |error: dispatcher::StoreError| (error.to_string(), error.source);
        while of.fleet.store().prune_events(events_before, PRUNED).map_err(of_fleet)? > 0 {}
        let thin = WallMs(now().0.saturating_sub(SAMPLES_MS));
        of.house.prune_samples(oldest, thin).map_err(of_store)?;
        let below = find::first_of(i64::try_from(oldest.0).unwrap_or(i64::MAX));
        // Others write, too.
        let all = |delete: &dyn Fn() -> Result<usize, dispatcher::StoreError>| {
            let mut gone = 0;
            loop {
                let began = Instant::now();
                match delete().map_err(of_store)? {
                    0 => return Ok(gone),
                    some => gone += some,
                }
                std::thread::sleep(began.elapsed() * 4);
            }
        };
        let gone = all(&|| of.house.delete_jobs(below, oldest, DELETED))?;
        all(&|| of.house.delete_labels(PRUNED))?;
        Ok(gone)
    });
    let gone = match pruned.await {
        Ok(Ok(gone)) => gone,
        Ok(Err((error, source))) => return tracing::warn!("failed to {error}: {source:?}"),
        Err(error) => return tracing::error!("{error}"),
    };
    if gone > 0 {
        tracing::info!("deleted {gone} old tasks");
    }
    if !server.logs_may_go(gone > 0) {
        return;
    }
    match server.dispatcher.delete_unused_logs(server.house.clone()).await {
        Ok(logs) => tracing::info!("deleted {logs} files of output"),
        Err(error) => tracing::warn!("failed to {error}: {:?}", error.source),
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

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
        if server.fleet.get(&runner).is_none_or(|seen| seen.last_seen.0 >= oldest) {
            continue;
        }
        let why = "the bot was silent for too long".to_owned();
        server.dispatcher.lose_runner(LoseOp { runner: hand(runner.as_str()), why }).await;
        // The task stays shown on it.
        let update = Update { health: Health::Dead, heard: false, ..said_of("bot_missing") };
        server.fleet.update(&runner, update, now());
    }
}
