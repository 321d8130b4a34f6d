//! Lists of Swarming's tasks and bots, with few of them in the store and with many.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_swarming::proto::stored::StoredTask;
use api_swarming::proto::swarming::{TaskProperties, TaskRequestResponse, TaskSlice};
use api_swarming::validate::TaskId;
use clap::Args;
use dispatcher::Store;
use engine::Change;
use fleet::{FleetStore, Record};
use model::{
    AttemptNumber, AttemptRecord, Dimensions, Evidence, JobId, NewJob, Order, Outcome, Priority,
    Requirements, RunnerName, Session, Slice, Terms, WallMs,
};
use prost::Message;
use serde_json::{Value, json};

use super::fleet::now_micros;
use super::http::Connection;
use super::server::ServerProcess;
use super::{Figure, figure, median};

#[derive(Args)]
pub struct Lists {
    /// Finished tasks
    #[arg(long, default_value_t = 1_000_000)]
    tasks: u64,
    /// Finished tasks of the store that it is compared to
    #[arg(long, default_value_t = 10_000)]
    few: u64,
    /// Bots
    #[arg(long, default_value_t = 20_000)]
    bots: u64,
    /// Measurements, of which the median counts
    #[arg(long, default_value_t = 21)]
    rounds: usize,
}

/// Between two tasks.
const APART_MS: u64 = 80;

impl Lists {
    pub async fn run(&self) -> anyhow::Result<Vec<Figure>> {
        let mut few = self.start(self.few).await?;
        // The store keeps finished tasks in blocks of 4096, and the last ones otherwise: as many of them here as there.
        let tasks = self.tasks / 4096 * 4096 + self.few % 4096;
        let mut many = self.start(tasks).await?;
        let mut lines = vec![figure(
            format!("start with {tasks} tasks and {} bots", self.bots),
            format!("{:.0} ms", many.start.as_secs_f64() * 1000.0),
            None,
        )];
        for call in calls() {
            // Turn by turn: whatever else the machine does, it does to both.
            let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
            for _ in 0..self.rounds {
                of_few.push(few.time(&call).await?);
                of_many.push(many.time(&call).await?);
            }
            let (of_few, of_many) = (median(&mut of_few), median(&mut of_many));
            lines.push(figure(
                format!("{}: {tasks} tasks", call.what),
                format!("{of_many:.1} ms"),
                Some("≤ 50 ms"),
            ));
            lines.push(figure(
                format!("  / that with {}", self.few),
                format!("{:.2}", of_many / of_few),
                Some("≤ 2"),
            ));
        }
        Ok(lines)
    }

    async fn start(&self, tasks: u64) -> anyhow::Result<Asked> {
        let data = tempfile::tempdir()?;
        let filled = tokio::task::block_in_place(|| fill(data.path(), tasks, self.bots))?;
        let began = Instant::now();
        let server = ServerProcess::start(data.path(), false, 60_000)?;
        let start = began.elapsed();
        let connection = Connection::open(&server.address, "").await?;
        Ok(Asked { connection, start, filled, _server: server, _data: data })
    }
}

struct Call {
    what: &'static str,
    rpc: &'static str,
    request: Value,
    /// Of tasks that were made in so many minutes before the last one.
    minutes: Option<i64>,
}

fn calls() -> Vec<Call> {
    let long_ago = "2020-01-01T00:00:00Z";
    let two_tags = json!(["builder:b-17", "pool:default"]);
    let calls = [
        (
            "ListTasks, two tags and a state",
            "Tasks/ListTasks",
            json!({"state": "QUERY_COMPLETED_FAILURE", "tags": two_tags, "limit": 10}),
            None,
        ),
        ("ListTasks, all", "Tasks/ListTasks", json!({"state": "QUERY_ALL"}), None),
        (
            "ListTasks, a rare state",
            "Tasks/ListTasks",
            json!({"state": "QUERY_EXPIRED", "limit": 10}),
            None,
        ),
        (
            "CountTasks, two tags and a state",
            "Tasks/CountTasks",
            json!({"state": "QUERY_COMPLETED", "tags": two_tags, "start": long_ago}),
            None,
        ),
        (
            "CountTasks, the same of ten minutes",
            "Tasks/CountTasks",
            json!({"state": "QUERY_COMPLETED", "tags": two_tags}),
            Some(10),
        ),
        (
            "CountTasks, all",
            "Tasks/CountTasks",
            json!({"state": "QUERY_ALL", "start": long_ago}),
            None,
        ),
        (
            "ListBots, a dimension",
            "Bots/ListBots",
            json!({"dimensions": [{"key": "rack", "value": "r-7"}]}),
            None,
        ),
        ("GetBotDimensions", "Bots/GetBotDimensions", json!({"pool": "default"}), None),
    ];
    calls.map(|(what, rpc, request, minutes)| Call { what, rpc, request, minutes }).into()
}

/// A server with much or little in its store.
struct Asked {
    connection: Connection,
    start: Duration,
    /// When the last of its tasks was made.
    filled: jiff::Timestamp,
    _server: ServerProcess,
    _data: tempfile::TempDir,
}

impl Asked {
    /// In milliseconds.
    async fn time(&mut self, call: &Call) -> anyhow::Result<f64> {
        let mut request = call.request.clone();
        if let Some(minutes) = call.minutes {
            let start = self.filled - jiff::SignedDuration::from_mins(minutes);
            request["start"] = json!(start.to_string());
        }
        let began = Instant::now();
        let reply = super::fleet::call(&mut self.connection, call.rpc, &request).await?;
        let time = began.elapsed().as_secs_f64() * 1000.0;
        anyhow::ensure!(finds(&reply), "{} found nothing: {reply}", call.what);
        Ok(time)
    }
}

/// A measurement of nothing is none.
fn finds(reply: &Value) -> bool {
    ["items", "botsDimensions"]
        .iter()
        .any(|key| reply[key].as_array().is_some_and(|a| !a.is_empty()))
        || reply["count"].as_u64().is_some_and(|count| count > 0)
}

/// Says when the last task was made.
fn fill(data: &Path, tasks: u64, bots: u64) -> anyhow::Result<jiff::Timestamp> {
    let store::Sqlite { mut jobs, fleet, .. } = store::open_sqlite(data)?;
    let last_ms = now_micros() / 1000;
    let first_ms = last_ms - tasks.saturating_sub(1) * APART_MS;
    let mut changes = Vec::new();
    for number in 0..tasks {
        finished(number, first_ms + number * APART_MS, &mut changes);
        if changes.len() > 4000 {
            jobs.commit(&changes)?;
            changes.clear();
        }
    }
    jobs.commit(&changes)?;
    let machines: Vec<(Record, WallMs)> = (0..bots).map(machine).collect();
    fleet.write(&machines, &[], &[])?;
    Ok(jiff::Timestamp::from_millisecond(last_ms.cast_signed())?)
}

fn finished(number: u64, created_ms: u64, changes: &mut Vec<Change>) {
    let created = i64::try_from(created_ms).unwrap_or_default();
    let random = u16::try_from(number % 60_000).unwrap_or_default();
    let Some(task) = TaskId::new(created, random) else { return };
    // A hundred builders, of which each has its ten machines.
    let tags = [
        format!("builder:b-{}", number % 100),
        format!("build:{}", number / 10),
        "pool:default".to_owned(),
        format!("os:{}", ["Linux", "Mac", "Windows"][(number % 3) as usize]),
        "priority:100".to_owned(),
        "authenticated:user:ci@example.com".to_owned(),
        "realm:project:ci".to_owned(),
        "service_account:none".to_owned(),
        "user:none".to_owned(),
    ];
    let request = TaskRequestResponse {
        task_id: task.summary(),
        name: format!("task {number}"),
        priority: 100,
        tags: tags.to_vec(),
        authenticated: "user:ci@example.com".to_owned(),
        task_slices: vec![TaskSlice {
            properties: Some(TaskProperties {
                command: vec!["./run_tests".to_owned(), "--shard".to_owned(), number.to_string()],
                execution_timeout_secs: 3600,
                ..TaskProperties::default()
            }),
            expiration_secs: 3600,
            wait_for_capacity: false,
        }],
        ..TaskRequestResponse::default()
    };
    let payload = StoredTask { request: Some(request), ..StoredTask::default() }.encode_to_vec();
    let (id, at) = (JobId(number + 1), WallMs(created_ms));
    let job = NewJob {
        queue: "swarming/default".into(),
        owner: "user:ci@example.com".into(),
        priority: Priority(100),
        slices: [Slice::waiting(Requirements::default())].into(),
        timeout_ms: None,
        lost_runner_retries: 0,
        payload: payload.into(),
        terms: Terms {
            order: Order::Oldest,
            wire_id: u64::try_from(task.number()).ok(),
            labels: tags.iter().map(|tag| tag.as_str().into()).collect(),
            ..Terms::default()
        },
    };
    changes.push(Change::JobInserted { id, group: None, job: Arc::new(job), at });
    let expired = number % 1000 == 999;
    let outcome = match number % 10 {
        _ if expired => Outcome::Expired,
        7 => Outcome::Failed { exit: 1 },
        _ => Outcome::Succeeded,
    };
    if !expired {
        let attempt = AttemptNumber(1);
        let runner = RunnerName::new(&format!("bot-{}", number % 1000));
        let session = Session(1);
        changes.push(Change::JobRunning {
            id,
            attempt,
            runner: runner.clone(),
            session,
            poll: number,
            facts: None,
            at,
        });
        let record = AttemptRecord {
            number: attempt,
            runner,
            slice: 0,
            started: at,
            ended: at,
            cancel_requested: None,
            facts: None,
            outcome: outcome.clone(),
            evidence: Evidence::default(),
        };
        changes.push(Change::AttemptEnded { id, record });
    }
    let attempts = u32::from(!expired);
    changes.push(Change::JobFinished {
        id,
        group: None,
        outcome,
        slice: 0,
        attempts,
        reusable: None,
        at,
    });
}

fn machine(number: u64) -> (Record, WallMs) {
    let name = format!("bot-{number}");
    let (rack, kind) = (format!("r-{}", number % 100), format!("k-{}", number % 10));
    let dimensions = Dimensions::of(&[
        ("id", &name),
        ("pool", "default"),
        ("os", "Linux"),
        ("os", "Debian-12"),
        ("cpu", "x86-64"),
        ("rack", &rack),
        ("kind", &kind),
    ]);
    let record = Record {
        name: RunnerName::new(&name),
        first_seen: WallMs(1),
        dimensions,
        state: r#"{"running_time": 1.0, "sleep_streak": 0}"#.into(),
        version: "v".into(),
        address: "127.0.0.1".into(),
        identity: "bot:whitelisted-ip".into(),
        quarantined: None,
        maintenance: None,
        dead: false,
        idle_since: Some(WallMs(1)),
        task: None,
        terminated_by: None,
        session: 1,
    };
    (record, WallMs(now_micros() / 1000))
}
