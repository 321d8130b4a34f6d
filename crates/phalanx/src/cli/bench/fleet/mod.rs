//! A fleet of Swarming bots, as many as a lab has, in a few processes and from as many addresses of the loopback.

mod bots;
mod herd;
mod mess;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use api_swarming::proto::swarming::{
    NewTaskRequest, StringPair, TaskProperties, TaskRequestMetadataResponse, TaskSlice,
};
use clap::{Args, ValueEnum};
use prost::Message;
use serde_json::{Value, json};

use super::http::Connection;
use super::server::ServerProcess;
use super::{Figure, figure, median, percentile};
pub use bots::Bots;
pub use bots::now_micros;
use herd::Herd;

#[derive(Args)]
pub struct Fleet {
    /// Connected bots
    #[arg(long, default_value_t = 20_000)]
    bots: u64,
    /// Different sets of dimensions among them
    #[arg(long, default_value_t = 100)]
    kinds: u64,
    /// Seconds for which the idle fleet is watched
    #[arg(long, default_value_t = 600)]
    hold: u64,
    /// Tasks a second while it is measured how fast bots get them
    #[arg(long, default_value_t = 200)]
    rate: u64,
    /// Seconds for which that, and how many tasks there can be, is measured
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Bots that are kept busy while it is measured how many tasks there can be
    #[arg(long, default_value_t = 512)]
    busy: u64,
    /// How often the server is killed under the fleet
    #[arg(long, default_value_t = 20)]
    kills: u64,
    /// A binary of `mess`, to compare with in the same run
    #[arg(long, value_name = "FILE")]
    mess: Option<PathBuf>,
    /// Measure only this; may be repeated
    #[arg(long, value_enum)]
    part: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Tasks a second
    Throughput,
    /// What a task costs beside fleets of different sizes
    Cost,
    /// The whole fleet: connected, idle, at work, and with a server that is killed
    Whole,
}

/// Longer than every wait of a bench.
const LEASE_MS: u64 = 60_000;

impl Fleet {
    pub async fn run(&self) -> anyhow::Result<(Vec<Figure>, bool)> {
        let mut lines = Vec::new();
        let wanted = |part| self.part.is_empty() || self.part.contains(&part);
        if wanted(Part::Throughput) {
            self.throughput(&mut lines).await?;
        }
        if wanted(Part::Cost) {
            self.poll_cost(&mut lines).await?;
        }
        let good = !wanted(Part::Whole) || self.whole_fleet(&mut lines).await?;
        Ok((lines, good))
    }

    /// As many tasks as the server takes, with few bots that are always busy.
    async fn throughput(&self, lines: &mut Vec<Figure>) -> anyhow::Result<()> {
        let (mut ours, mut costs) = (Vec::new(), Vec::new());
        let (mut theirs, mut their_costs) = (Vec::new(), Vec::new());
        for _ in 0..if self.mess.is_some() { 3 } else { 1 } {
            let (rate, cost) = self.our_throughput().await?;
            ours.push(rate);
            costs.push(cost);
            if let Some(binary) = &self.mess {
                let window = Duration::from_secs(self.seconds);
                let (rate, cost) = mess::measure(binary, self.busy, window).await?;
                theirs.push(rate);
                their_costs.push(cost.as_secs_f64() * 1e6);
            }
        }
        let (rate, cost) = (median(&mut ours), median(&mut costs));
        let what = format!("tasks/s, {} busy bots, durable: create, claim, complete", self.busy);
        lines.push(figure(what, format!("{rate:.0}/s"), Some("≥ 2000/s")));
        lines.push(figure("  server processor time a task", format!("{cost:.0} µs"), None));
        if self.mess.is_some() {
            let (theirs, their_cost) = (median(&mut theirs), median(&mut their_costs));
            let what = "  the same of mess";
            lines.push(figure(what, format!("{theirs:.0}/s, {their_cost:.0} µs"), None));
            let ratio = format!("{:.1}", rate / theirs);
            lines.push(figure("  ours / theirs", ratio, Some("≥ 5")));
        }
        Ok(())
    }

    /// Tasks a second, and microseconds of processor time of each.
    async fn our_throughput(&self) -> anyhow::Result<(f64, f64)> {
        let data = tempfile::tempdir()?;
        let server = ServerProcess::start(data.path(), false, LEASE_MS)?;
        let herd = Herd::start(&server.address, self.busy, 1, 10)?;
        herd.wait_for_all(Duration::from_secs(60)).await?;
        let window = Duration::from_secs(self.seconds);
        let creators = (0..16).map(|_| create_until(&server.address, Instant::now() + window));
        let (began, cpu) = (Instant::now(), server.cpu());
        let made: u64 = futures::future::try_join_all(creators)
            .await?
            .into_iter()
            .map(|ids| ids.len() as u64)
            .sum();
        wait_for_idle(&server.address).await?;
        let (elapsed, cpu) = (began.elapsed().as_secs_f64(), server.cpu().saturating_sub(cpu));
        let rate = made as f64 / elapsed;
        Ok((rate, cpu.as_secs_f64() * 1e6 / made.max(1) as f64))
    }

    /// What a task for one bot costs beside fleets of different sizes and kinds.
    async fn poll_cost(&self, lines: &mut Vec<Figure>) -> anyhow::Result<()> {
        let mut costs = Vec::new();
        for (bots, kinds) in [(100, 10), (self.bots, 10), (self.bots, 10_000)] {
            let data = tempfile::tempdir()?;
            let server = ServerProcess::start(data.path(), false, LEASE_MS)?;
            let herd = Herd::start(&server.address, bots, processes(bots), kinds)?;
            herd.wait_for_all(Duration::from_secs(180)).await?;
            let mut rounds = Vec::new();
            for _ in 0..5 {
                let mut connection = Connection::open(&server.address, "").await?;
                let cpu = server.cpu();
                for _ in 0..500 {
                    create(&mut connection, Some("bot-7")).await?;
                }
                wait_for_idle(&server.address).await?;
                rounds.push(server.cpu().saturating_sub(cpu).as_secs_f64() * 1e6 / 500.0);
            }
            costs.push(median(&mut rounds));
        }
        for (what, cost) in [
            ("100 bots, 10 kinds", costs[0]),
            ("all bots, 10 kinds", costs[1]),
            ("all bots, 10000 kinds", costs[2]),
        ] {
            lines.push(figure(
                format!("processor time a task for one of {what}"),
                format!("{cost:.0} µs"),
                None,
            ));
        }
        let worst = costs[1].max(costs[2]) / costs[0];
        lines.push(figure(
            "  the dearest / that of 100 bots",
            format!("{worst:.2}"),
            Some("≤ 1.5"),
        ));
        Ok(())
    }

    async fn whole_fleet(&self, lines: &mut Vec<Figure>) -> anyhow::Result<bool> {
        let data = tempfile::tempdir()?;
        let mut server = ServerProcess::start(data.path(), false, LEASE_MS)?;
        let began = Instant::now();
        let herd = Herd::start(&server.address, self.bots, processes(self.bots), self.kinds)?;
        herd.wait_for_all(Duration::from_secs(300)).await?;
        lines.push(figure(
            format!("{} bots connected", self.bots),
            format!("{:.1} s", began.elapsed().as_secs_f64()),
            None,
        ));
        let (held, cpu) = (Instant::now(), server.cpu());
        tokio::time::sleep(Duration::from_secs(self.hold)).await;
        let share = server.cpu().saturating_sub(cpu).as_secs_f64() / held.elapsed().as_secs_f64();
        let since = now_micros() / 1000 - 110_000;
        let present = herd.in_touch(since).await?;
        lines.push(figure(
            format!("  in touch after {} s more", self.hold),
            format!("{present}"),
            Some("all"),
        ));
        let memory = server.peak_memory() as f64 / 1e6;
        lines.push(figure(
            "  memory of the server, its peak",
            format!("{memory:.0} MB"),
            Some("≤ 600 MB"),
        ));
        lines.push(figure(
            "  processor of the idle server",
            format!("{:.0} %", share * 100.0),
            Some("≤ 25 %"),
        ));
        let created = create_steadily(&server.address, self.rate, self.seconds).await?;
        wait_for_idle(&server.address).await?;
        let ledger = herd.ledger().await?;
        let mut late: Vec<f64> = created
            .iter()
            .filter_map(|run| {
                ledger.given.get(run)?.first().map(|given| given.late_micros as f64 / 1000.0)
            })
            .collect();
        let what = format!("created to given, {} tasks/s, whole fleet", self.rate);
        lines.push(figure(
            format!("{what}: median"),
            format!("{:.1} ms", median(&mut late)),
            Some("≤ 15 ms"),
        ));
        lines.push(figure(
            format!("{what}: p99"),
            format!("{:.1} ms", percentile(&mut late, 0.99)),
            Some("≤ 150 ms"),
        ));
        self.kill_under(&mut server, &herd, data.path(), created, lines).await
    }

    /// Kills the server again and again, and compares what it promised with what it knows.
    async fn kill_under(
        &self,
        server: &mut ServerProcess,
        herd: &Herd,
        data: &std::path::Path,
        mut created: Vec<String>,
        lines: &mut Vec<Figure>,
    ) -> anyhow::Result<bool> {
        let address = server.address.clone();
        let (mut serving, mut back) = (Vec::new(), Vec::new());
        for _ in 0..self.kills {
            // Tasks are on their way when it dies.
            created.extend(create_steadily(&address, self.rate, 1).await?);
            server.kill();
            let (killed, mark) = (Instant::now(), now_micros() / 1000);
            *server = tokio::task::block_in_place(|| {
                ServerProcess::start_on(data, false, LEASE_MS, &address)
            })?;
            let served = killed.elapsed().as_secs_f64();
            let deadline = killed + Duration::from_secs(120);
            let mut present = herd.in_touch(mark).await?;
            while present < self.bots && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(200)).await;
                present = herd.in_touch(mark).await?;
            }
            let returned = killed.elapsed().as_secs_f64();
            // One by one, so that a slow start can be compared with what the machine did just then.
            eprintln!(
                "killed at {mark} ms of Unix time: serving after {served:.2} s, {present} back after {returned:.1} s"
            );
            serving.push(served);
            back.push(returned);
        }
        if self.kills == 0 {
            return Ok(true);
        }
        wait_for_idle(&address).await?;
        let kills = self.kills;
        lines.push(figure(
            format!("serving again after kill -9, median of {kills}"),
            format!("{:.2} s", median(&mut serving)),
            None,
        ));
        lines.push(figure(
            format!("serving again after kill -9, worst of {kills}"),
            format!("{:.2} s", percentile(&mut serving, 1.0)),
            Some("≤ 2 s"),
        ));
        lines.push(figure(
            format!("all bots back, worst of {kills}"),
            format!("{:.1} s", percentile(&mut back, 1.0)),
            Some("≤ 60 s"),
        ));
        let ledger = herd.ledger().await?;
        let states = states(&address, &created).await?;
        let lost = created.iter().filter(|id| !states.contains_key(*id)).count();
        let dead = states.values().filter(|state| *state != "COMPLETED").count();
        let twice = ledger.accepted.values().filter(|bots| bots.len() > 1).count();
        lines.push(figure("tasks created, all told", created.len().to_string(), None));
        lines.push(figure("  lost", lost.to_string(), Some("0")));
        lines.push(figure(
            "  declared dead or otherwise not completed",
            dead.to_string(),
            Some("0"),
        ));
        lines.push(figure("  accepted of two bots", twice.to_string(), Some("0")));
        lines.push(figure(
            "  bots told that a task was not theirs",
            ledger.refused.to_string(),
            Some("0"),
        ));
        Ok(lost == 0 && dead == 0 && twice == 0)
    }
}

fn processes(bots: u64) -> u64 {
    // Each has its own limit of open files.
    bots.div_ceil(6000).max(1)
}

/// Makes a task for any bot, or for one, in the codec of the `swarming` command line; its run id.
async fn create(connection: &mut Connection, bot: Option<&str>) -> anyhow::Result<String> {
    let pair = |(key, value): (&str, &str)| StringPair { key: key.into(), value: value.into() };
    let dimensions = [("pool", "default")].into_iter().chain(bot.map(|id| ("id", id))).map(pair);
    let properties = TaskProperties {
        command: vec!["true".into(), now_micros().to_string()],
        execution_timeout_secs: 60,
        dimensions: dimensions.collect(),
        ..TaskProperties::default()
    };
    let request = NewTaskRequest {
        name: "bench".into(),
        priority: 100,
        task_slices: vec![TaskSlice {
            expiration_secs: 3600,
            wait_for_capacity: true,
            properties: Some(properties),
        }],
        ..NewTaskRequest::default()
    };
    let headers = "Content-Type: application/prpc; encoding=binary\r\n\
                   Accept: application/prpc; encoding=binary\r\n";
    let path = "/prpc/swarming.v2.Tasks/NewTask";
    let (status, body) = connection.post(path, headers, &request.encode_to_vec()).await?;
    anyhow::ensure!(status == 200, "NewTask: {status} {}", String::from_utf8_lossy(&body));
    let id = TaskRequestMetadataResponse::decode(&body[..])?.task_id;
    anyhow::ensure!(!id.is_empty(), "a task has an id");
    Ok(format!("{}1", &id[..id.len() - 1]))
}

pub async fn call(
    connection: &mut Connection,
    rpc: &str,
    request: &Value,
) -> anyhow::Result<Value> {
    let headers = "Content-Type: application/json\r\nAccept: application/json\r\n";
    let path = format!("/prpc/swarming.v2.{rpc}");
    let (status, body) = connection.post(&path, headers, request.to_string().as_bytes()).await?;
    let text = String::from_utf8_lossy(&body);
    anyhow::ensure!(status == 200, "{rpc}: {status} {text}");
    Ok(serde_json::from_str(text.trim_start_matches(")]}'\n"))?)
}

async fn create_until(address: &str, until: Instant) -> anyhow::Result<Vec<String>> {
    let mut connection = Connection::open(address, "").await?;
    let mut made = Vec::new();
    while Instant::now() < until {
        made.push(create(&mut connection, None).await?);
    }
    Ok(made)
}

/// So many a second, whatever the answers take.
async fn create_steadily(address: &str, rate: u64, seconds: u64) -> anyhow::Result<Vec<String>> {
    const HANDS: u64 = 8;
    let began = Instant::now();
    let hands = (0..HANDS).map(|hand| async move {
        let mut connection = Connection::open(address, "").await?;
        let mut made = Vec::new();
        for turn in (hand..rate * seconds).step_by(HANDS as usize) {
            let due = began + Duration::from_secs_f64(turn as f64 / rate as f64);
            tokio::time::sleep_until(due.into()).await;
            made.push(create(&mut connection, None).await?);
        }
        anyhow::Ok(made)
    });
    Ok(futures::future::try_join_all(hands).await?.into_iter().flatten().collect())
}

/// Until no task waits or runs.
async fn wait_for_idle(address: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(address, "").await?;
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let live = json!({"state": "QUERY_PENDING_RUNNING", "limit": 1});
        if call(&mut connection, "Tasks/ListTasks", &live).await?.get("items").is_none() {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "tasks are still waiting after five minutes");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn states(address: &str, runs: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut connection = Connection::open(address, "").await?;
    let mut states = BTreeMap::new();
    for some in runs.chunks(1000) {
        let reply =
            call(&mut connection, "Tasks/BatchGetResult", &json!({"taskIds": some})).await?;
        for one in reply["results"].as_array().into_iter().flatten() {
            if let (Some(id), Some(state)) =
                (one["taskId"].as_str(), one["result"]["state"].as_str())
            {
                states.insert(id.to_owned(), state.to_owned());
            }
        }
    }
    Ok(states)
}
