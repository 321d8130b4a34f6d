//! The writer: the only thread that changes the store.

use std::time::{Duration, Instant};

use crate::gate::Release;
use crate::store::{Store, StoreError};
use crate::{OnFatal, Shared};

/// How long log bytes may be received without being durable when nothing else commits.
const LOG_SYNC: Duration = Duration::from_millis(500);

/// Commits begin no closer together than this while several callers wait for them: each costs two syncs, however much is
/// in it. Who is alone, or two that wait for each other, do not.
const COMMIT_GAP: Duration = Duration::from_millis(2);

pub(crate) fn run(shared: &Shared, mut store: Box<dyn Store>, on_fatal: &OnFatal) {
    let mut last: Option<(Instant, usize)> = None;
    loop {
        if let Some((began, waited)) = last.take()
            && waited > 2
        {
            std::thread::sleep(COMMIT_GAP.saturating_sub(began.elapsed()));
        }
        let (batch, stopping) = {
            let mut core = shared.core.lock();
            while !core.gate.has_work() && !core.stopping {
                if shared.writer.wait_for(&mut core, LOG_SYNC).timed_out() {
                    break;
                }
            }
            (core.gate.take(), core.stopping)
        };
        let waits =
            |release: &&Release<_>| matches!(release, Release::Reply(_) | Release::Poll(..));
        last = Some((Instant::now(), batch.releases.iter().filter(waits).count()));
        // Logs first: a terminal state is never durable before its bytes (I22, I25).
        let written = shared
            .logs
            .sync()
            .map_err(|error| StoreError::new("make logs durable", error))
            .and_then(
                |()| if batch.changes.is_empty() { Ok(()) } else { store.commit(&batch.changes) },
            );
        if let Err(error) = written {
            // Dropping the batch drops its replies unsent. What is on the disk decides at the next start.
            on_fatal(&error);
            return;
        }
        let idle = {
            let mut core = shared.core.lock();
            core.gate.written();
            !core.gate.has_work()
        };
        for release in batch.releases {
            match release {
                Release::Poll(sender, jobs) => {
                    // A client that left is found by its runner's heartbeat.
                    let _ = sender.send(jobs);
                }
                Release::Notify(notify) => notify.notify_waiters(),
                Release::Event(event) => {
                    let _ = shared.events.send(event);
                }
                Release::Reply(sender) => {
                    let _ = sender.send(());
                }
            }
        }
        if stopping && idle {
            return;
        }
    }
}
