//! A server of our own in another process, on a data directory of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::http::Connection;

pub struct ServerProcess {
    child: Child,
    pub address: String,
    pub token: String,
    pub runner_token: String,
}

impl ServerProcess {
    pub fn start(data: &Path, null_store: bool, lease_ms: u64) -> anyhow::Result<Self> {
        Self::start_on(data, null_store, lease_ms, "127.0.0.1:0")
    }

    /// Starts it and waits until it serves.
    pub fn start_on(
        data: &Path,
        null_store: bool,
        lease_ms: u64,
        listen: &str,
    ) -> anyhow::Result<Self> {
        let _ = std::fs::remove_file(data.join("server.json"));
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("server")
            .args(["--listen", listen, "--lease-ms", &lease_ms.to_string()])
            .arg("--data-directory")
            .arg(data)
            .env("PHALANX_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if null_store {
            command.arg("--null-store");
        }
        let mut child = command.spawn().context("start a server")?;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let file = std::fs::read(data.join("server.json")).ok();
            let live: Option<serde_json::Value> =
                file.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if let Some(url) = live.as_ref().and_then(|live| live["url"].as_str()) {
                let token = |name| -> anyhow::Result<String> {
                    Ok(std::fs::read_to_string(data.join(name))?.trim().to_owned())
                };
                return Ok(Self {
                    address: url.trim_start_matches("http://").to_owned(),
                    token: token("token")?,
                    runner_token: token("runner-token")?,
                    child,
                });
            }
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("the server ended at its start: {status}");
            }
            anyhow::ensure!(Instant::now() < deadline, "the server did not start in a minute");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that it ever was.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes: u64 =
            line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        kilobytes * 1024
    }

    /// Processor time used so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    pub async fn worker(&self) -> anyhow::Result<Connection> {
        Connection::open(&self.address, &format!("token-executor {}", self.runner_token)).await
    }

    pub async fn user(&self) -> anyhow::Result<Connection> {
        Connection::open(&self.address, &format!("Bearer {}", self.token)).await
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Processor time that a process used so far.
pub fn cpu_of(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}
