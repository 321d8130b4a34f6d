//! Many bots in one process: each speaks the bot API over a connection of its own and runs nothing.
//!
//! What they are given and what the server accepts of them goes into a ledger, one line each.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::Semaphore;

use super::super::http::Connection;

#[derive(Args)]
pub struct Bots {
    #[arg(long)]
    address: SocketAddr,
    /// Number of the first bot
    #[arg(long)]
    first: u64,
    #[arg(long)]
    count: u64,
    /// An address of this host's loopback: each has ports of its own
    #[arg(long)]
    source: IpAddr,
    /// How many different sets of dimensions the bots have
    #[arg(long)]
    kinds: u64,
    #[arg(long)]
    ledger: PathBuf,
}

struct Shared {
    address: SocketAddr,
    source: IpAddr,
    ledger: Mutex<std::io::BufWriter<std::fs::File>>,
    /// When each bot was last in touch, in milliseconds since 1970.
    touched: Vec<AtomicU64>,
    /// Connects at once, so that a fleet that comes back does not overflow the queue of the listener.
    connecting: Semaphore,
}

/// Microseconds since 1970.
pub fn now_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

impl Bots {
    /// Until its standard input ends. A line in it is a time in milliseconds: the answer is how many bots were in touch since.
    pub async fn run(self) -> anyhow::Result<()> {
        let ledger = std::fs::File::create(&self.ledger)?;
        let shared = Arc::new(Shared {
            address: self.address,
            source: self.source,
            ledger: Mutex::new(std::io::BufWriter::new(ledger)),
            touched: (0..self.count).map(|_| AtomicU64::new(0)).collect(),
            connecting: Semaphore::new(64),
        });
        for index in 0..self.count {
            let number = self.first + index;
            let kind = number % self.kinds.max(1);
            tokio::spawn(live(shared.clone(), index as usize, number, kind));
        }
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = lines.next_line().await? {
            let since: u64 = line.trim().parse().context("a time in milliseconds")?;
            let recent = |at: &&AtomicU64| at.load(Ordering::Relaxed) > since;
            println!("{}", shared.touched.iter().filter(recent).count());
            std::io::stdout().flush()?;
            shared.ledger.lock().flush()?;
        }
        shared.ledger.lock().flush()?;
        Ok(())
    }
}

/// One bot, for ever: it asks, does what it is told, and comes back when the server was away.
async fn live(shared: Arc<Shared>, index: usize, number: u64, kind: u64) {
    let id = format!("bot-{number}");
    let mut attributes = json!({
        "dimensions": {"id": [id], "pool": ["default"], "os": ["Linux"], "kind": [format!("k{kind}")]},
        "state": {"running_time": 1.0, "sleep_streak": 0, "cwd": "/b/s", "ram": 24106},
        "version": "bench",
        "session": null,
    });
    let mut polls = 0_u64;
    let mut connection: Option<Connection> = None;
    // What must be said before anything else: a task's end whose answer was lost.
    let mut unfinished: Option<String> = None;
    let mut shaken = false;
    loop {
        let result = step(
            &shared,
            index,
            &id,
            &mut attributes,
            &mut polls,
            &mut connection,
            &mut unfinished,
            &mut shaken,
        );
        let pause = match result.await {
            Ok(pause) => pause,
            Err(_) => {
                connection = None;
                Duration::from_millis(rand::random_range(100..1000))
            }
        };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "all that a bot remembers")]
async fn step(
    shared: &Shared,
    index: usize,
    id: &str,
    attributes: &mut Value,
    polls: &mut u64,
    connection: &mut Option<Connection>,
    unfinished: &mut Option<String>,
    shaken: &mut bool,
) -> anyhow::Result<Duration> {
    const API: &str = "/swarming/api/v1/bot";
    let open = match connection {
        Some(open) => open,
        None => {
            let _permit = shared.connecting.acquire().await?;
            connection.insert(Connection::open_from(shared.source, shared.address).await?)
        }
    };
    let touch = || shared.touched[index].store(now_micros() / 1000, Ordering::Relaxed);
    if !*shaken {
        let (status, body) =
            open.post(&format!("{API}/handshake"), "", attributes.to_string().as_bytes()).await?;
        anyhow::ensure!(status == 200, "handshake: {status}");
        let reply: Value = serde_json::from_slice(&body)?;
        attributes["session"] = reply["session"].clone();
        *shaken = true;
    }
    if let Some(run) = unfinished {
        let body = json!({
            "id": id, "task_id": run, "session": attributes["session"], "cost_usd": 0.001,
            "output": "aGVsbG8K", "output_chunk_start": 0, "exit_code": 0, "duration": 0.01,
        });
        let path = format!("{API}/task_update/{run}");
        let (status, body) = open.post(&path, "", body.to_string().as_bytes()).await?;
        anyhow::ensure!(status == 200, "task_update: {status}");
        let reply: Value = serde_json::from_slice(&body)?;
        let word = if reply["ok"] == true { "accepted" } else { "refused" };
        writeln!(shared.ledger.lock(), "{word} {run} {id}")?;
        *unfinished = None;
    }
    // A lost answer is asked for again under the same name.
    attributes["request_uuid"] = json!(format!("{id}-{polls}"));
    touch();
    let body = attributes.to_string();
    let (status, body) = open.post(&format!("{API}/poll"), "", body.as_bytes()).await?;
    anyhow::ensure!(status == 200, "poll: {status}");
    touch();
    *polls += 1;
    let reply: Value = serde_json::from_slice(&body)?;
    match reply["cmd"].as_str() {
        Some("run") => {
            let manifest = &reply["manifest"];
            let run = manifest["task_id"].as_str().context("a task has an id")?.to_owned();
            let made = manifest["command"][1].as_str().and_then(|text| text.parse::<u64>().ok());
            let late = made.map_or(0, |made| now_micros().saturating_sub(made));
            writeln!(shared.ledger.lock(), "given {run} {id} {late}")?;
            *unfinished = Some(run);
            Ok(Duration::ZERO)
        }
        Some("sleep") => {
            let seconds = reply["duration"].as_f64().unwrap_or(1.0);
            if seconds > 0.0 {
                // The server closes it too: it has not enough for all.
                *connection = None;
            }
            Ok(Duration::from_secs_f64(seconds))
        }
        Some("bot_restart") => {
            *shaken = false;
            Ok(Duration::ZERO)
        }
        other => anyhow::bail!("told {other:?}"),
    }
}
