//! Changes as those hear of them who look again when something has changed: seldom, and never one too few.

use std::time::Duration;

use futures::stream::{self, Stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Changed;

/// Changes that follow one another are told once in this time.
const PAUSE: Duration = Duration::from_millis(300);

/// Rings after changes that fit.
pub(super) fn rings(
    changes: Receiver<Changed>,
    fits: impl Fn(Changed) -> bool + Send,
) -> impl Stream<Item = ()> + Send {
    stream::unfold((changes, fits), |(mut changes, fits)| async move {
        loop {
            match changes.recv().await {
                Ok(changed) if fits(changed) => break,
                Ok(_) => {}
                // What was missed may have been it.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return None,
            }
        }
        tokio::time::sleep(PAUSE).await;
        // Whoever hears it looks after all that came meanwhile: one ring is enough for a thousand changes.
        Some(((), (changes.resubscribe(), fits)))
    })
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use model::GroupId;
    use tokio::sync::broadcast;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_changes_ring_once() {
        let (tell, changes) = broadcast::channel(64);
        let mine = Changed::Execution(GroupId(1));
        let mut rings = std::pin::pin!(rings(changes, move |changed| changed == mine));
        for _ in 0..50 {
            tell.send(mine).unwrap();
        }
        assert_eq!(rings.next().await, Some(()));
        assert_eq!(rings.next().now_or_never(), None);
        let hour = Duration::from_secs(3600);
        assert!(
            tokio::time::timeout(hour, rings.next()).await.is_err(),
            "nothing has changed since"
        );
        tell.send(Changed::Execution(GroupId(2))).unwrap();
        assert!(tokio::time::timeout(hour, rings.next()).await.is_err(), "it is another's");
        // More than are kept: what was missed may have been its own.
        for _ in 0..100 {
            tell.send(Changed::Site).unwrap();
        }
        assert_eq!(rings.next().await, Some(()));
        tell.send(mine).unwrap();
        assert_eq!(rings.next().await, Some(()), "what comes after a ring rings again");
    }
}
