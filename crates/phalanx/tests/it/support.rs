//! A place to run the program in: its own data, its own repositories, no configuration of the user's.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub struct Place {
    pub folder: tempfile::TempDir,
}

/// A child that does not outlive its test.
pub struct Running {
    pub child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // A stopped process takes a kill, but its children see the closed pipe only then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn run(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One request by hand: the status and the body. `None` when the server breaks off.
pub fn request(
    url: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Option<(u16, String)> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).ok()?;
    let host =
        if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\n");
    write!(stream, "{head}Connection: close\r\n\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Waits until `done` gives something, and fails loudly when it does not in time.
pub fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < deadline, "not in a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn git(&self, repository: &str, arguments: &[&str]) -> Output {
        let output = run(Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"])
            .args(arguments)
            .current_dir(self.path(repository))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1"));
        assert!(output.status.success(), "git {arguments:?}: {}", text(&output.stderr));
        output
    }

    /// A repository with these files in one commit.
    pub fn repository(&self, name: &str, files: &[(&str, &str)]) {
        std::fs::create_dir_all(self.path(name)).unwrap();
        self.git(name, &["init", "-q"]);
        for (file, content) in files {
            self.write(&format!("{name}/{file}"), content);
        }
        self.git(name, &["add", "--all"]);
        self.git(name, &["commit", "-q", "-m", "one"]);
    }

    pub fn phalanx(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx"));
        command
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("PHALANX_DATA_DIRECTORY", self.path("data"))
            .current_dir(self.folder.path());
        command
    }

    pub fn spawn(&self, command: &mut Command) -> Running {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Running { child: child.expect("the program starts") }
    }

    /// A server on the data directory, when it serves, with its URL.
    pub fn server(&self, arguments: &[&str]) -> (Running, String) {
        let _ = std::fs::remove_file(self.path("data/server.json"));
        let mut command = self.phalanx();
        command.arg("server").args(arguments);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let running = self.spawn(&mut command);
        let url = eventually("the server serves", || {
            let file = std::fs::read(self.path("data/server.json")).ok()?;
            let live: serde_json::Value = serde_json::from_slice(&file).ok()?;
            Some(live["url"].as_str()?.to_owned())
        });
        (running, url)
    }

    pub fn token(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("data").join(name)).unwrap().trim().to_owned()
    }

    /// A runner as on another machine: it shares no folder with the server.
    pub fn runner(&self, url: &str, name: &str, slots: u32) -> Running {
        let mut command = self.phalanx();
        command
            .env("PHALANX_DATA_DIRECTORY", self.path("nowhere"))
            .env("PHALANX_RUNNER_TOKEN", self.token("runner-token"))
            .args(["runner", "--server", url, "--name", name, "-j", &slots.to_string()])
            .arg("--work-directory")
            .arg(self.path(&format!("work-{name}")));
        self.spawn(&mut command)
    }

    /// Waits until a job runs.
    pub fn until_a_job_runs(&self) {
        eventually("a job runs", || {
            let running = self.json(&["job", "list", "--state", "running"]);
            (!running.as_array()?.is_empty()).then_some(())
        });
    }

    /// `exec -f spec.yaml` over the repository `r` on a server, without the cache; the result is in `out`.
    pub fn exec_on(&self, url: &str) -> Running {
        let mut command = self.phalanx();
        command
            .args(["exec", "--server", url, "-f", "spec.yaml", "--repo", "r", "-o", "out"])
            .arg("--no-cache");
        self.spawn(&mut command)
    }

    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = run(self.phalanx().args(arguments).arg("--json"));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{arguments:?}: {error}: {}{}", text(&output.stdout), text(&output.stderr))
        })
    }
}

pub fn report(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap()
}

pub const TEMPLATE: &str =
    "changesetTemplate:\n  title: t\n  branch: b\n  commit:\n    message: m\n";
