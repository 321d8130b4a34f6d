//! How git is started: nothing of the user's or the host's configuration, nothing that a repository could make it run.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

/// git said no, or could not be started.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("start git; is it installed?")]
    Start(#[source] std::io::Error),
    #[error("`git {subcommand}` failed: {message}")]
    Failed { subcommand: String, message: String },
    #[error("{0}")]
    Refused(String),
}

/// A git command in `directory`. SECURITY: every argument that comes from outside must stand behind
/// `--end-of-options` or `--`, or be checked not to begin with a dash.
pub fn git(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", "http:https:ssh:file")
        .env("GIT_PROTOCOL_FROM_USER", "0")
        .env("GIT_LFS_SKIP_SMUDGE", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes")
        .env("LC_ALL", "C")
        .args(["-c", "core.hooksPath=/dev/null"])
        .args(["-c", "core.fsmonitor=false"])
        .args(["-c", "protocol.ext.allow=never"])
        .args(["-c", "submodule.recurse=false"])
        .args(["-c", "fetch.recurseSubmodules=false"])
        .args(["-c", "transfer.bundleURI=false"])
        .args(["-c", "credential.helper="])
        .args(["-c", "http.followRedirects=false"])
        .args(["-c", "init.templateDir="])
        .args(["-c", "gc.auto=0"])
        .args(["-c", "maintenance.auto=false"])
        .args(["-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs it and returns what it printed.
pub(crate) async fn output(directory: &Path, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
    let output = git(directory, arguments).output().await.map_err(GitError::Start)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let subcommand = arguments.iter().find(|a| !a.starts_with('-')).copied().unwrap_or_default();
    Err(GitError::Failed { subcommand: subcommand.to_owned(), message: last_words(&output.stderr) })
}

/// The last line that says something, without control characters.
pub(crate) fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    line.trim().chars().filter(|c| !c.is_control()).take(400).collect()
}
