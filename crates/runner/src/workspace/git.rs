//! How the runner starts git: nothing of the host's or the user's configuration, nothing that a repository or a job could
//! make it run, and with an end in time and memory.
//!
//! Invariant: no git process of the runner ever uses a `GIT_DIR` that a job could write.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;

/// How many git processes this runner has started. Tests and the bench read it: they are most of what a small job costs.
pub static STARTED: AtomicU64 = AtomicU64::new(0);

/// The longest that one git process may take.
const LONGEST: Duration = Duration::from_secs(20 * 60);
/// What one git process may map, so that a work tree full of huge files ends that process and not the host.
const ADDRESS_SPACE: u64 = 16 << 30;
/// The largest file that one git process may write: a pack.
const FILE_SIZE: u64 = 64 << 30;

/// git said no, or could not be started.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("start git; is it installed?")]
    Start(#[source] std::io::Error),
    #[error("`git {subcommand}` failed: {message}")]
    Failed { subcommand: &'static str, message: String },
    #[error("`git {subcommand}` took longer than {} minutes and was ended", LONGEST.as_secs() / 60)]
    TooSlow { subcommand: &'static str },
    #[error("{0}")]
    Refused(String),
}

/// A git command that is being put together.
pub(crate) struct Git {
    subcommand: &'static str,
    command: tokio::process::Command,
    configuration: Vec<(String, String)>,
    input: Option<Vec<u8>>,
}

impl Git {
    /// SECURITY: every argument that comes from outside must stand behind `--end-of-options` or `--`, or have a checked form
    /// (a commit is hexadecimal digits).
    pub fn new(git_dir: &Path, subcommand: &'static str) -> Self {
        let mut command = tokio::process::Command::new(git_program());
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("GIT_DIR", git_dir)
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "/bin/false")
            .env("GIT_SSH_COMMAND", "/bin/false")
            .env("GIT_ALLOW_PROTOCOL", "none")
            .env("GIT_PROTOCOL_FROM_USER", "0")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_PAGER", "cat")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let configuration = [
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("core.untrackedCache", "false"),
            ("core.attributesFile", "/dev/null"),
            ("core.excludesFile", "/dev/null"),
            ("core.autocrlf", "false"),
            ("core.eol", "lf"),
            ("core.safecrlf", "false"),
            ("core.quotePath", "true"),
            ("core.symlinks", "true"),
            ("core.fileMode", "true"),
            ("core.ignoreCase", "false"),
            ("core.precomposeUnicode", "false"),
            ("core.protectHFS", "true"),
            ("core.protectNTFS", "true"),
            ("core.sparseCheckout", "false"),
            ("core.askPass", ""),
            ("credential.helper", ""),
            ("protocol.allow", "never"),
            ("submodule.recurse", "false"),
            ("fetch.recurseSubmodules", "false"),
            ("transfer.fsckObjects", "true"),
            ("transfer.bundleURI", "false"),
            ("http.followRedirects", "false"),
            ("diff.noprefix", "false"),
            ("diff.mnemonicPrefix", "false"),
            ("diff.submodule", "short"),
            ("apply.whitespace", "nowarn"),
            ("advice.addEmbeddedRepo", "false"),
            ("init.templateDir", ""),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("safe.directory", "*"),
        ];
        let configuration =
            configuration.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { subcommand, command, configuration, input: None }
    }

    pub fn work_tree(mut self, path: &Path) -> Self {
        self.command.env("GIT_WORK_TREE", path).current_dir(path);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Configuration beats every file, and unlike `-c` it is not in the argument vector, where others could read a secret.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.configuration.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = Some(bytes);
        self
    }

    /// Runs it and returns what it printed.
    pub async fn run<S: Into<OsString>>(
        mut self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Vec<u8>, GitError> {
        let subcommand = self.subcommand;
        self.command.arg(subcommand).args(arguments.into_iter().map(Into::into));
        self.command.env("GIT_CONFIG_COUNT", self.configuration.len().to_string());
        for (number, (key, value)) in self.configuration.iter().enumerate() {
            self.command.env(format!("GIT_CONFIG_KEY_{number}"), key);
            self.command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        if self.input.is_some() {
            self.command.stdin(Stdio::piped());
        }
        STARTED.fetch_add(1, Ordering::Relaxed);
        let mut child = self.command.spawn().map_err(GitError::Start)?;
        if let Some(pid) = child.id() {
            limit(pid, libc::RLIMIT_AS, ADDRESS_SPACE);
            limit(pid, libc::RLIMIT_FSIZE, FILE_SIZE);
            limit(pid, libc::RLIMIT_CORE, 0);
        }
        let feed = self.input.take().zip(child.stdin.take()).map(|(bytes, mut stdin)| {
            // A git that ends before it has read everything says why itself.
            tokio::spawn(async move {
                let _ = stdin.write_all(&bytes).await;
            })
        });
        let output = tokio::time::timeout(LONGEST, child.wait_with_output()).await;
        if let Some(feed) = feed {
            feed.abort();
        }
        let output =
            output.map_err(|_| GitError::TooSlow { subcommand })?.map_err(GitError::Start)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let mut message = last_words(&output.stderr);
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&output.status) {
            message = format!("ended by signal {signal}; {message}");
        }
        Err(GitError::Failed { subcommand, message })
    }
}

/// The path is looked up once: with an absolute path and without `pre_exec` the standard library uses `posix_spawn`.
fn git_program() -> &'static Path {
    static PROGRAM: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut candidates = std::env::split_paths(&path).map(|folder| folder.join("git"));
        candidates.find(|program| program.is_file()).unwrap_or_else(|| "git".into())
    })
}

fn limit(pid: u32, resource: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `limit` lives through the call and the old value is not asked for. The child is not reaped yet, so the pid is
    // its own. A refusal changes nothing but the bound.
    unsafe { libc::prlimit(pid as libc::pid_t, resource, &limit, std::ptr::null_mut()) };
}

/// The lines that say what went wrong, on one line and without control characters.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let telling: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("fatal:") || line.starts_with("error:"))
        .collect();
    let mut words = match telling.as_slice() {
        [] => text
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("no message")
            .to_owned(),
        few => few[..few.len().min(3)].join("; "),
    };
    words.retain(|c| !c.is_control());
    words.chars().take(600).collect()
}

/// A commit as the runner takes it: 40 or 64 hexadecimal digits.
pub fn check_commit(commit: &str) -> Result<(), GitError> {
    let good = matches!(commit.len(), 40 | 64) && commit.bytes().all(|b| b.is_ascii_hexdigit());
    if good {
        return Ok(());
    }
    let shown: String = commit.chars().take(80).collect();
    Err(GitError::Refused(format!("`{shown}` is not a commit: 40 or 64 hexadecimal digits")))
}
