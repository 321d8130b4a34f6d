//! `mess` beside us: the same tasks, in the words of its own API. Facts: `maruel/mess` `cmd/mess/webserver_{bot,client}.go`.
//!
//! It has no queue: a task that is made while no bot waits is never run. So one creator makes a task for each poll that it hears
//! of, which is also what gives it its best figures.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Between two bots that connect: it locks its database for each, and refuses those that come in a crowd.
const APART: Duration = Duration::from_millis(25);
/// How long it is left alone then, before it is measured.
const SETTLE: Duration = Duration::from_secs(10);
/// What it refused is tried again after this.
const PAUSE: Duration = Duration::from_millis(500);

struct Shared {
    client: Client,
    url: String,
    /// A permit for each bot that waits.
    waiting: Semaphore,
    completed: AtomicU64,
    over: AtomicBool,
}

/// Ends the process with the measurement.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tasks a second that it takes through their whole life with so many bots that are always busy, and its processor time of
/// each.
pub async fn measure(
    binary: &Path,
    bots: u64,
    window: Duration,
) -> anyhow::Result<(f64, Duration)> {
    let folder = tempfile::tempdir()?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let binary = std::path::absolute(binary)?;
    let child = Command::new(&binary)
        .args(["-local", "-usr", "bench@example.com", "-port", &address.port().to_string()])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("start `{}`", binary.display()))?;
    let running = Running(child);
    until_open(&address.to_string()).await?;
    let shared = Arc::new(Shared {
        client: Client::builder().no_proxy().timeout(Duration::from_secs(70)).build()?,
        url: format!("http://{address}"),
        waiting: Semaphore::new(0),
        completed: AtomicU64::new(0),
        over: AtomicBool::new(false),
    });
    for number in 0..bots {
        tokio::spawn(live(shared.clone(), format!("bot-{number}")));
        tokio::time::sleep(APART).await;
    }
    tokio::time::sleep(SETTLE).await;
    let (began, cpu) = (Instant::now(), super::super::server::cpu_of(running.0.id()));
    let before = shared.completed.load(Ordering::Relaxed);
    let _ = tokio::time::timeout(window, create_for_ever(&shared)).await;
    let done = shared.completed.load(Ordering::Relaxed) - before;
    let cpu = super::super::server::cpu_of(running.0.id()).saturating_sub(cpu);
    shared.over.store(true, Ordering::Relaxed);
    anyhow::ensure!(done > 0, "`{}` completed no task", binary.display());
    let each = cpu / u32::try_from(done).unwrap_or(u32::MAX);
    Ok((done as f64 / began.elapsed().as_secs_f64(), each))
}

async fn until_open(address: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while tokio::net::TcpStream::connect(address).await.is_err() {
        anyhow::ensure!(Instant::now() < deadline, "it does not listen after 30 seconds");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

impl Shared {
    async fn post(&self, path: &str, bot: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.client.post(format!("{}{path}", self.url));
        let request = request.header("X-Luci-Swarming-Bot-ID", bot);
        let answer = request.header("Content-Type", "application/json").body(body.to_string());
        let text = answer.send().await?.error_for_status()?.text().await?;
        Ok(serde_json::from_str(&text)?)
    }
}

async fn create_for_ever(shared: &Shared) {
    let task = json!({
        "name": "bench", "priority": "100",
        "task_slices": [{"expiration_secs": "3600", "wait_for_capacity": true, "properties": {
            "command": ["true"], "execution_timeout_secs": "60",
            "dimensions": [{"key": "pool", "value": "default"}],
        }}],
    });
    loop {
        let Ok(permit) = shared.waiting.acquire().await else { return };
        permit.forget();
        // What it refuses it has not done.
        let _ = shared.post("/_ah/api/swarming/v1/tasks/new", "", &task).await;
    }
}

/// One bot: it does at once what it is told.
async fn live(shared: Arc<Shared>, id: String) {
    while !shared.over.load(Ordering::Relaxed) {
        if serve(&shared, &id).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Until something goes wrong.
async fn serve(shared: &Shared, id: &str) -> anyhow::Result<()> {
    const API: &str = "/swarming/api/v1/bot";
    let mut attributes = json!({
        "dimensions": {"id": [id], "pool": ["default"], "os": ["Linux"]},
        "state": {"running_time": 1.0, "sleep_streak": 0, "cwd": "/b/s", "ram": 24106},
        "version": "bench",
    });
    let reply = shared.post(&format!("{API}/handshake"), id, &attributes).await?;
    attributes["version"] = reply["bot_version"].clone();
    let mut polls = 0_u64;
    while !shared.over.load(Ordering::Relaxed) {
        polls += 1;
        attributes["request_uuid"] = json!(format!("{id}-{polls}"));
        shared.waiting.add_permits(1);
        let reply = shared.post(&format!("{API}/poll"), id, &attributes).await?;
        if reply["cmd"] != "run" {
            continue;
        }
        let run = reply["manifest"]["task_id"].as_str().context("a task has an id")?;
        let end = json!({
            "id": id, "task_id": run, "cost_usd": 0.001, "output": "aGVsbG8K",
            "output_chunk_start": 0, "exit_code": 0, "duration": 0.01,
        });
        let reply = shared.post(&format!("{API}/task_update/{run}"), id, &end).await?;
        if reply["ok"] == true {
            shared.completed.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}
