//! `GET /metrics`: numbers for Prometheus, in OpenMetrics text.
//!
//! Gauges are read when somebody looks; only requests are counted as they come. Labels have few values: never a name that a
//! client chose.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use dispatcher::Dispatcher;
use http::{HeaderValue, Response, StatusCode, header};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::chaos::Chaos;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    door: &'static str,
    /// `2xx`.
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Door {
    door: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// What is counted, and what is looked at.
pub struct Metrics {
    answers: Family<Answered, Counter>,
    durations: Family<Door, Histogram, fn() -> Histogram>,
    connections: AtomicI64,
    dispatcher: Dispatcher,
    swarming: api_swarming::Door,
    chaos: Option<Arc<Chaos>>,
    started: Instant,
}

/// From half a millisecond to half a minute.
fn histogram() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
    ])
}

impl Metrics {
    pub fn new(
        dispatcher: Dispatcher,
        swarming: api_swarming::Door,
        chaos: Option<Arc<Chaos>>,
    ) -> Self {
        Self {
            answers: Family::default(),
            durations: Family::new_with_constructor(histogram),
            connections: AtomicI64::new(0),
            dispatcher,
            swarming,
            chaos,
            started: Instant::now(),
        }
    }

    /// A connection came, and stays until this is dropped.
    pub fn connected(self: &Arc<Self>) -> Connected {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connected(self.clone())
    }

    /// A request was answered.
    pub fn answered(&self, door: &'static str, status: Option<StatusCode>, began: Instant) {
        let status = match status.map_or(0, |status| status.as_u16() / 100) {
            0 => "dropped",
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.answers.get_or_create(&Answered { door, status }).inc();
        self.durations.get_or_create(&Door { door }).observe(began.elapsed().as_secs_f64());
    }

    pub fn answer(&self) -> Response<api_executor::Body> {
        let mut text = String::new();
        let encoded = encode(&mut text, &self.registry());
        let mut response = Response::new(api_executor::full(text));
        if let Err(error) = encoded {
            tracing::error!("failed to write the metrics: {error}");
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    fn registry(&self) -> Registry {
        let mut all = Registry::with_prefix("phalanx");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        all.register("build", "The program", build);
        all.register("requests", "Requests that were answered", self.answers.clone());
        let help = "Time until the head of an answer; polls wait on purpose";
        all.register_with_unit("request_duration", help, Unit::Seconds, self.durations.clone());
        let mut gauge = |name: &str, help: &str, value: i64| {
            all.register(name, help, ConstGauge::new(value));
        };
        gauge("connections", "Open connections", self.connections.load(Ordering::Relaxed));
        gauge(
            "uptime_seconds",
            "Since the process serves",
            self.started.elapsed().as_secs() as i64,
        );
        gauge("chaos", "Whether faults are made on purpose", i64::from(self.chaos.is_some()));
        if let Some(bytes) = resident_bytes() {
            gauge("resident_memory_bytes", "Memory of the process", bytes);
        }
        if let Some(files) = open_files() {
            gauge("open_files", "Open file descriptors of the process", files);
        }
        let (_, _, parked) = self.dispatcher.sizes();
        gauge("parked_polls", "Polls of runners and bots that wait for work", parked as i64);
        let stand = self.swarming.stand();
        let states = |pairs: &[(&'static str, u64)]| {
            let family = Family::<State, Gauge>::default();
            for (state, count) in pairs {
                family.get_or_create(&State { state }).set(*count as i64);
            }
            family
        };
        let jobs = states(&[("queued", stand.queued), ("running", stand.running)]);
        all.register("jobs", "Jobs that are not over", jobs);
        let bots = states(&[
            ("idle", stand.idle),
            ("busy", stand.busy),
            ("quarantined", stand.quarantined),
            ("maintenance", stand.maintenance),
            ("dead", stand.dead),
        ]);
        all.register("bots", "Swarming bots", bots);
        let counts = self.dispatcher.counts();
        let faults = self.chaos.as_ref().map_or(0, |chaos| chaos.faults());
        for (name, help, value) in [
            ("jobs_submitted", "Jobs that were accepted since the start", counts.submitted),
            (
                "jobs_granted",
                "Attempts that were given to a runner since the start",
                counts.granted,
            ),
            ("jobs_finished", "Jobs that ended since the start", counts.finished),
            (
                "jobs_requeued",
                "Attempts that were lost and are tried again, since the start",
                counts.requeued,
            ),
            (
                "calls_fenced",
                "Calls about attempts that are another's by now, since the start",
                counts.fenced,
            ),
            (
                "submissions_repeated",
                "Submissions that came again with their key, since the start",
                counts.duplicates,
            ),
            ("chaos_faults", "Faults that were made on purpose", faults),
        ] {
            all.register(name, help, ConstCounter::new(value));
        }
        all
    }
}

/// See [`Metrics::connected`].
pub struct Connected(Arc<Metrics>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn open_files() -> Option<i64> {
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}
