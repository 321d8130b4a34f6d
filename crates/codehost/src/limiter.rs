//! How fast a host may be asked: some requests at once, writes one after another, and nothing while the host wants quiet.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, sleep_until};

/// Requests of one credential that are under way at once.
const AT_ONCE: usize = 8;
/// A wait up to this long is waited for; a longer one is the caller's to plan with.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// A host that does not say how long means at least this (GitHub's documentation).
const UNSAID: Duration = Duration::from_secs(60);
/// No host is believed to want a longer wait than this.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);

/// Shared by everything that uses one credential of one host.
#[derive(Debug)]
pub(crate) struct Limiter {
    slots: Semaphore,
    /// Held while a write is under way: when the last one ended.
    turn: tokio::sync::Mutex<Option<Instant>>,
    write_distance: Duration,
    blocked: Mutex<Blocked>,
}

#[derive(Debug, Default)]
struct Blocked {
    until: Option<Instant>,
    /// How often in a row the host did not say how long.
    unsaid: u32,
}

/// A request may be under way while this lives.
pub(crate) struct Pass<'a> {
    turn: Option<MutexGuard<'a, Option<Instant>>>,
    _slot: SemaphorePermit<'a>,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(turn) = &mut self.turn {
            **turn = Some(Instant::now());
        }
    }
}

impl Limiter {
    pub fn new(write_distance: Duration) -> Self {
        Self {
            slots: Semaphore::new(AT_ONCE),
            turn: tokio::sync::Mutex::new(None),
            write_distance,
            blocked: Mutex::default(),
        }
    }

    /// Waits for its turn; the time that is left when the host wants quiet for longer than one waits.
    pub async fn enter(&self, write: bool) -> Result<Pass<'_>, Duration> {
        self.quiet().await?;
        // Before the slot, so that writes that wait do not keep reads out.
        let turn = if write { Some(self.turn.lock().await) } else { None };
        if let Some(ended) = turn.as_deref().copied().flatten() {
            self.quiet().await?;
            sleep_until(ended + self.write_distance).await;
        }
        let slot = self.slots.acquire().await.expect("the semaphore is never closed");
        // Those before us may have been told to wait.
        self.quiet().await?;
        Ok(Pass { turn, _slot: slot })
    }

    async fn quiet(&self) -> Result<(), Duration> {
        while let Some(left) = self.waiting() {
            if left > PATIENCE {
                return Err(left);
            }
            sleep(left).await;
        }
        Ok(())
    }

    /// How long the host still wants quiet.
    pub fn waiting(&self) -> Option<Duration> {
        let left = self.blocked.lock().until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// The host asked for quiet; `None` when it did not say how long. Returns for how long it is.
    pub fn block(&self, wait: Option<Duration>) -> Duration {
        let mut blocked = self.blocked.lock();
        let wait = wait.unwrap_or_else(|| {
            blocked.unsaid += 1;
            UNSAID * 2u32.saturating_pow((blocked.unsaid - 1).min(6))
        });
        let wait = wait.clamp(Duration::from_secs(1), LONGEST);
        let until = Instant::now() + wait;
        blocked.until = Some(blocked.until.map_or(until, |before| before.max(until)));
        wait
    }

    /// The host did what it was asked.
    pub fn served(&self) {
        self.blocked.lock().unsaid = 0;
    }
}

/// What an answer says about the host's limits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Nothing,
    /// This request was served or failed for another reason, but the next has to wait.
    NextWaits(Duration),
    /// This request was not served because of the limit. `None`: for how long was not said.
    Limited(Option<Duration>),
}

/// Reads `Retry-After`, `X-RateLimit-*` (GitHub, Gitea), `RateLimit-*` (GitLab) and GitHub's words for its secondary limit.
pub(crate) fn said(
    status: StatusCode,
    headers: &HeaderMap,
    message: &str,
    clock: Timestamp,
) -> Said {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    // The host's clock, where it shows it: ours may be wrong.
    let now = text("date").and_then(http_date).unwrap_or(clock).as_second();
    let from_now = |second: i64| Duration::from_secs(second.saturating_sub(now).max(0) as u64);
    let retry_after = text("retry-after").and_then(|value| match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => http_date(value).map(|at| from_now(at.as_second())),
    });
    let either = |one, other| text(one).or_else(|| text(other));
    let used_up = either("x-ratelimit-remaining", "ratelimit-remaining") == Some("0");
    let reset = either("x-ratelimit-reset", "ratelimit-reset")
        .filter(|_| used_up)
        .and_then(|value| value.parse().ok())
        .map(from_now);
    let message = message.to_ascii_lowercase();
    let in_words = message.contains("rate limit") || message.contains("abuse detection");
    let limited = match status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => retry_after.is_some() || used_up || in_words,
        _ => false,
    };
    if limited {
        return Said::Limited(retry_after.or(reset));
    }
    // GitHub counts GraphQL apart, and we need it for little.
    let reset = reset.filter(|_| text("x-ratelimit-resource") != Some("graphql"));
    let overloaded = retry_after.filter(|_| status == StatusCode::SERVICE_UNAVAILABLE);
    overloaded.or(reset).map_or(Said::Nothing, Said::NextWaits)
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn read(status: u16, headers: &[(&'static str, &str)], message: &str) -> Said {
        let map = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        let clock = Timestamp::from_second(1_000_000).unwrap();
        said(StatusCode::from_u16(status).unwrap(), &map.collect(), message, clock)
    }

    #[test]
    fn what_hosts_say() {
        let seconds = |n: u64| Some(Duration::from_secs(n));
        // Sixty seconds are sixty seconds.
        assert_eq!(read(429, &[("retry-after", "60")], ""), Said::Limited(seconds(60)));
        assert_eq!(read(403, &[("retry-after", "60")], ""), Said::Limited(seconds(60)));
        let date = [
            ("retry-after", "Wed, 21 Oct 2015 07:29:30 GMT"),
            ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ];
        assert_eq!(read(429, &date, ""), Said::Limited(seconds(90)));
        let past = [("retry-after", "Wed, 21 Oct 1960 07:28:00 GMT")];
        assert_eq!(read(429, &past, ""), Said::Limited(seconds(0)));
        let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000030")];
        assert_eq!(read(403, &used_up, ""), Said::Limited(seconds(30)));
        assert_eq!(read(200, &used_up, ""), Said::NextWaits(30 * SECOND));
        let gitlab = [("ratelimit-remaining", "0"), ("ratelimit-reset", "1000007")];
        assert_eq!(read(429, &gitlab, ""), Said::Limited(seconds(7)));
        let words = "You have exceeded a secondary rate limit. Please wait a few minutes.";
        assert_eq!(read(403, &[], words), Said::Limited(None));
        assert_eq!(read(429, &[("retry-after", "soon")], ""), Said::Limited(None));
        assert_eq!(read(503, &[("retry-after", "5")], ""), Said::NextWaits(5 * SECOND));
        let left = [("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "1000030")];
        assert_eq!(read(200, &left, ""), Said::Nothing);
        assert_eq!(read(403, &left, "Resource not accessible by integration"), Said::Nothing);
        assert_eq!(read(404, &[], "rate limit"), Said::Nothing);
        let graphql = [used_up[0], used_up[1], ("x-ratelimit-resource", "graphql")];
        assert_eq!(read(200, &graphql, ""), Said::Nothing);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_is_told_and_a_short_one_waited_for() {
        let limiter = Limiter::new(Duration::ZERO);
        assert_eq!(limiter.block(Some(60 * SECOND)), 60 * SECOND);
        assert_eq!(limiter.enter(false).await.err(), Some(60 * SECOND));
        tokio::time::advance(20 * SECOND).await;
        // A shorter wish does not shorten it.
        limiter.block(Some(SECOND));
        assert_eq!(limiter.enter(true).await.err(), Some(40 * SECOND));
        assert_eq!(limiter.waiting(), Some(40 * SECOND));
        tokio::time::advance(38 * SECOND).await;
        let start = Instant::now();
        limiter.enter(false).await.ok().unwrap();
        assert!(start.elapsed() >= 2 * SECOND);
        assert_eq!(limiter.waiting(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_that_are_not_said_grow_and_none_is_endless() {
        let limiter = Limiter::new(Duration::ZERO);
        assert_eq!(limiter.block(None), 60 * SECOND);
        assert_eq!(limiter.block(None), 120 * SECOND);
        limiter.served();
        assert_eq!(limiter.block(None), 60 * SECOND);
        assert_eq!(limiter.block(Some(Duration::MAX)), LONGEST);
        assert_eq!(limiter.block(Some(Duration::ZERO)), SECOND);
        for _ in 0..100 {
            assert!(limiter.block(None) <= LONGEST);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_keep_their_distance_and_do_not_keep_reads_out() {
        let limiter = Limiter::new(SECOND);
        let start = Instant::now();
        for _ in 0..3 {
            drop(limiter.enter(true).await);
        }
        assert_eq!(start.elapsed().as_secs(), 2);
        let writing = limiter.enter(true).await;
        let mut second = Box::pin(limiter.enter(true));
        assert!(futures::poll!(&mut second).is_pending());
        let before = Instant::now();
        drop(limiter.enter(false).await);
        assert_eq!(before.elapsed(), Duration::ZERO);
        // A limit that came while it stood in line holds for it too.
        limiter.block(Some(60 * SECOND));
        drop(writing);
        assert_eq!(second.await.err(), Some(60 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_at_once() {
        let limiter = Arc::new(Limiter::new(Duration::ZERO));
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let all = (0..50).map(|_| async {
            let _pass = limiter.enter(false).await;
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(SECOND).await;
            now.fetch_sub(1, Ordering::SeqCst);
        });
        futures::future::join_all(all).await;
        assert_eq!(most.into_inner(), AT_ONCE);
    }
}
