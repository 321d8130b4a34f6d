//! The processes that bots live in.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

pub struct Herd {
    processes: Vec<Mutex<Process>>,
    bots: u64,
    ledgers: TempDir,
}

struct Process {
    _child: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// What bots were given, and what the server accepted of them.
#[derive(Default)]
pub struct Ledger {
    pub given: BTreeMap<String, Vec<Given>>,
    /// The bots of which the end of a task was accepted.
    pub accepted: BTreeMap<String, BTreeSet<String>>,
    pub refused: u64,
}

pub struct Given {
    pub late_micros: u64,
}

impl Herd {
    pub fn start(address: &str, bots: u64, processes: u64, kinds: u64) -> anyhow::Result<Self> {
        let ledgers = tempfile::tempdir()?;
        let each = bots.div_ceil(processes);
        let mut all = Vec::new();
        for number in 0..processes {
            let first = number * each;
            let mut child = Command::new(std::env::current_exe()?)
                .args(["bench", "fleet-bots", "--address", address])
                .args(["--first", &first.to_string()])
                .args(["--count", &each.min(bots - first).to_string()])
                .args(["--source", &format!("127.0.0.{}", number + 2)])
                .args(["--kinds", &kinds.to_string()])
                .arg("--ledger")
                .arg(ledgers.path().join(number.to_string()))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .context("start bots")?;
            let ask = child.stdin.take().context("bots are asked")?;
            let answers = BufReader::new(child.stdout.take().context("bots answer")?).lines();
            all.push(Mutex::new(Process { _child: child, ask, answers }));
        }
        Ok(Self { processes: all, bots, ledgers })
    }

    /// How many bots were in touch with the server since then, in milliseconds since 1970.
    pub async fn in_touch(&self, since: u64) -> anyhow::Result<u64> {
        let mut count = 0;
        for process in &self.processes {
            let mut process = process.lock().await;
            process.ask.write_all(format!("{since}\n").as_bytes()).await?;
            let answer = process.answers.next_line().await?.context("bots went away")?;
            count += answer.parse::<u64>()?;
        }
        Ok(count)
    }

    pub async fn wait_for_all(&self, most: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + most;
        loop {
            let there = self.in_touch(0).await?;
            if there == self.bots {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "only {there} of {} bots came", self.bots);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn ledger(&self) -> anyhow::Result<Ledger> {
        // Asked, they write down what they know.
        self.in_touch(0).await?;
        let mut ledger = Ledger::default();
        for entry in std::fs::read_dir(self.ledgers.path())? {
            for line in std::fs::read_to_string(entry?.path())?.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                match words[..] {
                    ["given", run, _, late] => {
                        let given = Given { late_micros: late.parse()? };
                        ledger.given.entry(run.to_owned()).or_default().push(given);
                    }
                    ["accepted", run, bot] => {
                        ledger.accepted.entry(run.to_owned()).or_default().insert(bot.to_owned());
                    }
                    ["refused", ..] => ledger.refused += 1,
                    _ => anyhow::bail!("a line of a ledger is `{line}`"),
                }
            }
        }
        Ok(ledger)
    }
}
