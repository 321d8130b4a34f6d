//! Faults on purpose, so that clients can be hardened: what fails is decided by a seed and the number of the request alone.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, BodyStream, StreamBody};

/// Which requests fail, and how. As text: `seed=7,rate=0.02,kinds=500+503+delay+drop_after_commit+truncate`.
#[derive(Debug)]
pub struct Chaos {
    seed: u64,
    rate: f64,
    kinds: Vec<Kind>,
    requests: AtomicU64,
    faults: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An error before anything is done.
    InternalError,
    Unavailable,
    /// It takes up to five seconds longer.
    Delay,
    /// It is done, and nobody is told.
    DropAfterCommit,
    /// It is done, and half the answer is sent.
    Truncate,
}

const KINDS: [(&str, Kind); 5] = [
    ("500", Kind::InternalError),
    ("503", Kind::Unavailable),
    ("delay", Kind::Delay),
    ("drop_after_commit", Kind::DropAfterCommit),
    ("truncate", Kind::Truncate),
];

const DELAY_MAX_MS: u64 = 5_000;
const CUT_AFTER: Duration = Duration::from_millis(50);
const HEADER: &str = "x-chaos";

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    kind: Kind,
    seed: u64,
    ordinal: u64,
}

impl FromStr for Chaos {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut seed, mut rate) = (0, 0.02);
        let mut kinds: Vec<Kind> = KINDS.iter().map(|(_, kind)| *kind).collect();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is not a key and a value, such as `rate=0.02`"))?;
            match key {
                "seed" => {
                    seed = value.parse().map_err(|_| format!("seed: `{value}` is no number"))?;
                }
                "rate" => {
                    rate = value.parse().map_err(|_| format!("rate: `{value}` is no number"))?;
                    if !(0.0..=1.0).contains(&rate) {
                        return Err(format!("rate: {value} is not between 0 and 1"));
                    }
                }
                "kinds" => kinds = value.split('+').map(kind).collect::<Result<_, _>>()?,
                other => return Err(format!("`{other}` is none of seed, rate and kinds")),
            }
        }
        let (requests, faults) = Default::default();
        Ok(Self { seed, rate, kinds, requests, faults })
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    let known = KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    known.ok_or_else(|| {
        let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        format!("kinds: `{name}` is none of {}", names.join(", "))
    })
}

impl std::fmt::Display for Chaos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name =
            |kind: &Kind| KINDS.iter().find(|(_, known)| known == kind).map(|(name, _)| *name);
        let kinds: Vec<&str> = self.kinds.iter().filter_map(name).collect();
        write!(f, "seed={},rate={},kinds={}", self.seed, self.rate, kinds.join("+"))
    }
}

impl Chaos {
    /// What the next request suffers. Looks at health and metrics are spared.
    pub fn next(&self, path: &str) -> Option<Fault> {
        if matches!(path, "/healthz" | "/metrics") {
            return None;
        }
        let fault = self.decide(self.requests.fetch_add(1, Ordering::Relaxed))?;
        self.faults.fetch_add(1, Ordering::Relaxed);
        Some(fault)
    }

    /// How many requests suffered something.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    fn decide(&self, ordinal: u64) -> Option<Fault> {
        let hash = hash(self.seed, ordinal, "whether");
        let happens = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        let which = self::hash(self.seed, ordinal, "which") as usize;
        let kind = self.kinds.get(which.checked_rem(self.kinds.len())?)?;
        (happens < self.rate).then_some(Fault { kind: *kind, seed: self.seed, ordinal })
    }
}

fn hash(seed: u64, ordinal: u64, what: &str) -> u64 {
    let hash = blake3::hash(format!("{seed}/{ordinal}/{what}").as_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight of thirty-two bytes"))
}

/// What becomes of a request.
pub type Answer = Result<Response<api_executor::Body>, std::io::Error>;

impl Fault {
    /// Answers a request, which `work` would answer well. `Err` ends the connection.
    pub async fn over(self, work: impl Future<Output = Response<api_executor::Body>>) -> Answer {
        let name = HeaderValue::from_str(&format!("{}/{}", self.seed, self.ordinal));
        let name = name.expect("two numbers are a header");
        let mut response = match self.kind {
            Kind::InternalError => refusal(StatusCode::INTERNAL_SERVER_ERROR),
            Kind::Unavailable => refusal(StatusCode::SERVICE_UNAVAILABLE),
            Kind::Delay => {
                let ms = hash(self.seed, self.ordinal, "how long") % DELAY_MAX_MS;
                tokio::time::sleep(Duration::from_millis(ms)).await;
                work.await
            }
            Kind::DropAfterCommit => {
                drop(work.await);
                return Err(std::io::Error::other("the answer is dropped on purpose"));
            }
            Kind::Truncate => truncate(work.await),
        };
        response.headers_mut().insert(HEADER, name);
        Ok(response)
    }
}

fn refusal(status: StatusCode) -> Response<api_executor::Body> {
    let mut response = Response::new(api_executor::full("this fault is on purpose: --chaos\n"));
    *response.status_mut() = status;
    response
}

/// The first half of the first piece, and then the connection breaks.
fn truncate(response: Response<api_executor::Body>) -> Response<api_executor::Body> {
    response.map(|body| {
        let first = BodyStream::new(body).take(1).map(|frame| {
            frame.map(|frame| frame.map_data(|data: Bytes| data.slice(..data.len() / 2)))
        });
        let broken = stream::once(async {
            // So that what was said is on its way before the connection breaks.
            tokio::time::sleep(CUT_AFTER).await;
            Err(std::io::Error::other("the answer is cut on purpose"))
        });
        StreamBody::new(first.chain(broken)).boxed_unsync()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let faults = |text: &str| -> Vec<Option<Fault>> {
            let chaos: Chaos = text.parse().unwrap();
            (0..10_000).map(|_| chaos.next("/prpc/x")).collect()
        };
        let some = faults("seed=7,rate=0.02");
        assert_eq!(some, faults("seed=7,rate=0.02"));
        assert_ne!(some, faults("seed=8,rate=0.02"));
        let count = some.iter().flatten().count();
        assert!((100..300).contains(&count), "two in a hundred of 10,000: {count}");
        for (_, kind) in KINDS {
            assert!(some.iter().flatten().any(|fault| fault.kind == kind), "{kind:?}");
        }
        assert_eq!(faults("rate=0"), vec![None; 10_000]);
        assert!(faults("rate=1,kinds=500").iter().all(Option::is_some));
        let chaos: Chaos = "rate=1".parse().unwrap();
        assert_eq!((chaos.next("/healthz"), chaos.next("/metrics")), (None, None));
    }

    #[test]
    fn mistakes_are_told() {
        for (text, why) in [
            ("x", "`x` is not a key and a value"),
            ("rate=2", "rate: 2 is not between 0 and 1"),
            ("rate=x", "rate: `x` is no number"),
            ("speed=1", "`speed` is none of seed, rate and kinds"),
            ("kinds=dup", "kinds: `dup` is none of 500, 503, delay, drop_after_commit, truncate"),
        ] {
            let error = text.parse::<Chaos>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let chaos: Chaos = "kinds=delay+503,seed=3".parse().unwrap();
        assert_eq!(chaos.to_string(), "seed=3,rate=0.02,kinds=delay+503");
    }

    #[tokio::test]
    async fn faults_are_what_they_are_called() {
        let fault = |kind| Fault { kind, seed: 7, ordinal: 3 };
        let good = || async { Response::new(api_executor::full("a good answer")) };
        let refused = fault(Kind::Unavailable).over(good()).await.unwrap();
        assert_eq!(
            (refused.status(), &refused.headers()[HEADER]),
            (StatusCode::SERVICE_UNAVAILABLE, &HeaderValue::from_static("7/3"))
        );
        assert!(fault(Kind::DropAfterCommit).over(good()).await.is_err());
        let mut cut = fault(Kind::Truncate).over(good()).await.unwrap().into_body();
        let first = cut.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "a good");
        assert!(cut.frame().await.unwrap().is_err());
    }
}
