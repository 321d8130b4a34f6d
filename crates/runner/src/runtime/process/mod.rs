//! Steps as processes of this host, in a sandbox made of what the kernel gives.
//!
//! The runner starts a launcher (our own program, in its hidden mode) with `posix_spawn`, tells it what to run over a socket
//! pair, and reads the command's output from two pipes. The socket is the life line in both directions: its end kills the
//! sandbox, and its end tells that the sandbox is gone.

mod capabilities;
mod cgroup;
mod command;
mod init;
mod launcher;
mod mounts;
mod protocol;
mod readable;
mod restrict;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::Child;
use tokio::time::Instant;

pub use capabilities::Capabilities;
pub use launcher::launcher_main;
pub use protocol::Without;

use self::protocol::{KILL, Order, Report};
use super::{
    Command, Exit, ImageRef, OutputSink, RuntimeError, RuntimeFactory, Sandbox, SandboxOptions,
    Stream,
};
use crate::job::{BoxFuture, Limits, Network};

/// Where a step finds its work tree, as in a container.
const WORK_TREE: &str = "/work";
/// How long output may still come after the sandbox is gone. Without a process namespace something may hold the pipe.
const DRAIN: Duration = Duration::from_secs(2);
/// How much longer than its grace a launcher may take before it is killed itself.
const PATIENCE: Duration = Duration::from_secs(8);

/// How steps run as processes on this host.
#[derive(Clone, Debug)]
pub struct ProcessRuntime {
    /// The program that calls `launcher_main` when it gets `launcher_args`.
    pub launcher: PathBuf,
    pub launcher_args: Vec<String>,
    /// Folders outside of the system's that every step may read: toolchains.
    pub readable: Vec<PathBuf>,
    /// What no step sees although it lies in a readable folder: the runner's own configuration, for example.
    pub hidden: Vec<PathBuf>,
    /// Variables that every step gets; its own come on top.
    pub env: Vec<(String, String)>,
    pub without: Without,
}

impl ProcessRuntime {
    /// Finds the toolchains on `PATH`.
    pub fn new(launcher: PathBuf, launcher_args: Vec<String>) -> Self {
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into());
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let toolchains = readable::toolchains(&path, home.as_deref());
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        let mut env = vec![
            ("PATH".to_owned(), path),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("USER".to_owned(), user.map_or_else(|| "phalanx".to_owned(), |user| user.name)),
        ];
        env.extend(toolchains.env);
        let hidden = readable::secrets_of_the_host();
        Self {
            launcher,
            launcher_args,
            readable: toolchains.folders,
            hidden,
            env,
            without: Without::default(),
        }
    }

    /// Runs nothing, to see which measures this host gives. For `phalanx doctor`.
    pub async fn probe(&self) -> Result<Capabilities, RuntimeError> {
        let folder =
            tempfile::tempdir().map_err(|error| failed("make a temporary folder", error))?;
        for part in ["tree", "scratch/home", "scratch/tmp"] {
            let made = std::fs::create_dir_all(folder.path().join(part));
            made.map_err(|error| failed("make a temporary folder", error))?;
        }
        let options = SandboxOptions {
            work_tree: folder.path().join("tree"),
            scratch: folder.path().join("scratch"),
            readable: Vec::new(),
            network: Network::Host,
            limits: Limits::default(),
            label: "probe".into(),
            cancel: Default::default(),
            kill_grace_ms: 1000,
        };
        let command = Command {
            argv: vec!["/bin/true".into()],
            env: Vec::new(),
            directory: String::new(),
            mounts: Default::default(),
            timeout_ms: Some(10_000),
        };
        struct Nothing;
        impl OutputSink for Nothing {
            fn write(&self, _: Stream, _: &[u8]) {}
        }
        let mut sandbox = self.sandbox(options);
        sandbox.run_command(&command, &Nothing).await?;
        sandbox.capabilities.ok_or_else(|| RuntimeError::Failed {
            what: "the launcher did not say what it can do".into(),
            source: None,
        })
    }

    fn sandbox(&self, options: SandboxOptions) -> ProcessSandbox {
        ProcessSandbox { runtime: self.clone(), options, capabilities: None }
    }
}

impl RuntimeFactory for ProcessRuntime {
    fn open(
        &self,
        options: SandboxOptions,
        _image: Option<&ImageRef>,
    ) -> BoxFuture<Result<Box<dyn Sandbox>, RuntimeError>> {
        let sandbox: Box<dyn Sandbox> = Box::new(self.sandbox(options));
        Box::pin(std::future::ready(Ok(sandbox)))
    }

    fn resolve(&self, image: &str) -> BoxFuture<Result<ImageRef, RuntimeError>> {
        let message = format!("the image `{image}` cannot run as a process");
        Box::pin(std::future::ready(Err(RuntimeError::Unavailable { message })))
    }
}

/// The sandbox of one job. Each command gets namespaces of its own; files and limits are the job's.
struct ProcessSandbox {
    runtime: ProcessRuntime,
    options: SandboxOptions,
    capabilities: Option<Capabilities>,
}

impl Sandbox for ProcessSandbox {
    fn run<'a>(
        &'a mut self,
        command: &'a Command,
        output: &'a dyn OutputSink,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Exit, RuntimeError>> + Send + 'a>> {
        Box::pin(self.run_command(command, output))
    }

    fn close(self: Box<Self>) -> BoxFuture<()> {
        // Nothing outlives a command.
        Box::pin(std::future::ready(()))
    }
}

impl ProcessSandbox {
    async fn run_command(
        &mut self,
        command: &Command,
        output: &dyn OutputSink,
    ) -> Result<Exit, RuntimeError> {
        if self.options.cancel.is_cancelled() {
            return Ok(Exit::Killed);
        }
        let order = self.order(command)?;
        let mut running = Running::start(&self.runtime, &order).await?;
        let grace = Duration::from_millis(self.options.kill_grace_ms);
        let mut deadline = command.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        let mut why: Option<Exit> = None;
        let mut exit = None;
        let (mut out, mut err) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let mut line = Vec::new();
        loop {
            tokio::select! {
                read = read_some(&mut running.stdout, &mut out) => match read {
                    Some(bytes) => output.write(Stream::Stdout, bytes),
                    None => running.stdout = None,
                },
                read = read_some(&mut running.stderr, &mut err) => match read {
                    Some(bytes) => output.write(Stream::Stderr, bytes),
                    None => running.stderr = None,
                },
                read = running.reports.read_until(b'\n', &mut line) => {
                    if !matches!(read, Ok(n) if n > 0) {
                        break;
                    }
                    match serde_json::from_slice(&line) {
                        Ok(Report::Started(got)) => {
                            if self.capabilities.is_none() {
                                output.notice(&got.to_string());
                                self.capabilities = Some(got);
                            }
                        }
                        Ok(Report::Exited(code)) => exit = Some(Ok(Exit::Code(code))),
                        Ok(Report::Signaled(signal)) => exit = Some(Ok(Exit::Signal(signal))),
                        Ok(Report::Unavailable(message)) => {
                            exit.get_or_insert(Err(RuntimeError::Unavailable { message }));
                        }
                        Ok(Report::Failed(what)) => {
                            exit.get_or_insert(Err(RuntimeError::Failed { what, source: None }));
                        }
                        Err(error) => return Err(failed("understand the launcher", error)),
                    }
                    line.clear();
                }
                () = sleep_until(deadline) => {
                    if why.is_some() {
                        // The launcher did not answer in all its time. Its end takes the sandbox with it.
                        let _ = running.child.start_kill();
                        deadline = Some(Instant::now() + PATIENCE);
                    } else {
                        why = Some(Exit::TimedOut);
                        running.kill().await;
                        deadline = Some(Instant::now() + grace + PATIENCE);
                    }
                }
                () = self.options.cancel.cancelled(), if why.is_none() => {
                    why = Some(Exit::Killed);
                    running.kill().await;
                    deadline = Some(Instant::now() + grace + PATIENCE);
                }
            }
        }
        running.drain(output, &mut out).await;
        let _ = running.child.wait().await;
        match (why, exit) {
            // A command that was quicker than its killer ended by itself all the same, but its time was over.
            (Some(why), Some(Ok(_)) | None) => Ok(why),
            (_, Some(result)) => result,
            (None, None) => Err(RuntimeError::Failed {
                what: "the step's launcher ended without a word".into(),
                source: None,
            }),
        }
    }

    fn order(&self, command: &Command) -> Result<Order, RuntimeError> {
        let options = &self.options;
        let directory = Path::new(&command.directory);
        if directory.is_absolute() || !super::is_inside(Path::new(""), directory) {
            let message = format!("`{}` is not a folder in the work tree", command.directory);
            return Err(RuntimeError::Unavailable { message });
        }
        let readable: Vec<PathBuf> =
            self.runtime.readable.iter().chain(&options.readable).cloned().collect();
        // On a host that itself uses `/work`, the work tree stays where it is.
        let work = Path::new(WORK_TREE);
        let taken = readable.iter().any(|path| path.starts_with(work))
            || command
                .mounts
                .iter()
                .any(|(from, to)| from.starts_with(work) && from == Path::new(to));
        let mut env = self.runtime.env.clone();
        for (name, value) in &command.env {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), value.clone()));
        }
        Ok(Order {
            argv: command.argv.clone(),
            env,
            work_tree: options.work_tree.clone(),
            work_tree_seen: if taken { options.work_tree.clone() } else { work.to_owned() },
            directory: command.directory.clone(),
            scratch: options.scratch.clone(),
            readable,
            hidden: self.runtime.hidden.clone(),
            mounts: command.mounts.iter().map(|(from, to)| (from.clone(), to.clone())).collect(),
            network: options.network == Network::Host,
            memory_bytes: options.limits.memory_bytes,
            pids: options.limits.pids,
            cpus: options.limits.cpus,
            label: options.label.clone(),
            kill_grace_ms: options.kill_grace_ms,
            without: self.runtime.without,
        })
    }
}

/// A launcher at work. Dropping it closes the socket, and so kills the sandbox.
struct Running {
    child: Child,
    control: OwnedWriteHalf,
    reports: BufReader<tokio::net::unix::OwnedReadHalf>,
    stdout: Option<tokio::process::ChildStdout>,
    stderr: Option<tokio::process::ChildStderr>,
}

impl Running {
    async fn start(runtime: &ProcessRuntime, order: &Order) -> Result<Self, RuntimeError> {
        let text = serde_json::to_vec(order)
            .map_err(|error| failed("write the launcher's order", error))?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()
            .map_err(|error| failed("make a socket", error))?;
        ours.set_nonblocking(true).map_err(|error| failed("make a socket", error))?;
        // No `pre_exec`, no other user: so the standard library uses `posix_spawn`, which does not copy this process.
        let mut child = tokio::process::Command::new(&runtime.launcher)
            .args(&runtime.launcher_args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                failed(&format!("start the launcher `{}`", runtime.launcher.display()), error)
            })?;
        let socket = tokio::net::UnixStream::from_std(ours)
            .map_err(|error| failed("use a socket", error))?;
        let (reports, mut control) = socket.into_split();
        let length = (text.len() as u32).to_le_bytes();
        let sent = async {
            control.write_all(&length).await?;
            control.write_all(&text).await
        };
        sent.await.map_err(|error| failed("talk to the launcher", error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Ok(Self { child, control, reports: BufReader::new(reports), stdout, stderr })
    }

    async fn kill(&mut self) {
        let _ = self.control.write_all(&[KILL]).await;
    }

    /// Reads what is still in the pipes.
    async fn drain(&mut self, output: &dyn OutputSink, buffer: &mut [u8]) {
        let deadline = Instant::now() + DRAIN;
        let (mut out, mut err) = (self.stdout.take(), self.stderr.take());
        let all = async {
            while out.is_some() {
                match read_some(&mut out, buffer).await {
                    Some(bytes) => output.write(Stream::Stdout, bytes),
                    None => out = None,
                }
            }
            while err.is_some() {
                match read_some(&mut err, buffer).await {
                    Some(bytes) => output.write(Stream::Stderr, bytes),
                    None => err = None,
                }
            }
        };
        let _ = tokio::time::timeout_at(deadline, all).await;
    }
}

/// `None` at the end of the stream; waits for ever when there is no stream.
async fn read_some<'a, R: AsyncRead + Unpin>(
    from: &mut Option<R>,
    buffer: &'a mut [u8],
) -> Option<&'a [u8]> {
    match from {
        None => std::future::pending().await,
        Some(from) => match from.read(buffer).await {
            Ok(0) | Err(_) => None,
            Ok(n) => Some(&buffer[..n]),
        },
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn failed(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> RuntimeError {
    RuntimeError::Failed { what: what.to_owned(), source: Some(Box::new(source)) }
}
