//! How git is started: nothing of the user's or the host's configuration, nothing that a repository could make it run.

use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use tokio::process::Command;

/// git said no, or could not be started.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("start git; is it installed?")]
    Start(#[source] std::io::Error),
    #[error("`git {subcommand}` failed: {message}")]
    Failed { subcommand: String, message: String },
    #[error("the repository `{name}` has no commit to start from")]
    NoCommit { name: String },
    #[error("{0}")]
    Refused(String),
}

/// A git command in `directory` that reaches no other repository. SECURITY: every argument that comes from outside must stand
/// behind `--end-of-options` or `--`, or be checked not to begin with a dash. The repository is not trusted: where its objects
/// are incomplete, its own configuration would say which program fetches the rest, so no transport is allowed.
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
        .env("GIT_ALLOW_PROTOCOL", "none")
        .env("GIT_NO_LAZY_FETCH", "1")
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

/// A URL with a user's name and password, taken apart. SECURITY: the arguments of a process can be seen by others, its
/// environment cannot.
pub(crate) struct Remote {
    pub url: String,
    authorization: Option<String>,
}

impl Remote {
    /// A remote as a code host wants it to be reached.
    pub fn with(access: &crate::GitAccess) -> Self {
        let authorization = access.authorization.as_ref();
        Self {
            url: access.url.clone(),
            authorization: authorization.map(|value| format!("Authorization: {value}")),
        }
    }

    pub fn new(url: &str) -> Self {
        let whole = || Self { url: url.to_owned(), authorization: None };
        let Ok(mut parsed) = url::Url::parse(url) else { return whole() };
        let has_credentials = !parsed.username().is_empty() || parsed.password().is_some();
        if !matches!(parsed.scheme(), "http" | "https") || !has_credentials {
            return whole();
        }
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pair = format!(
            "{}:{}",
            plain(parsed.username()),
            plain(parsed.password().unwrap_or_default())
        );
        let _ = (parsed.set_username(""), parsed.set_password(None));
        let authorization = format!("Authorization: Basic {}", STANDARD.encode(pair));
        Self { url: parsed.into(), authorization: Some(authorization) }
    }
}

/// A URL without its credentials, and those.
pub fn split_credentials(url: &str) -> (String, crate::Credential) {
    let bare = Remote::new(url).url;
    let credential = match url::Url::parse(url) {
        Ok(parsed) if bare != url => {
            let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            crate::Credential::Basic {
                user: plain(parsed.username()),
                password: plain(parsed.password().unwrap_or_default()),
            }
        }
        _ => crate::Credential::None,
    };
    (bare, credential)
}

/// A URL as it may be shown.
pub fn without_password(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            let _ = parsed.set_password(None);
            parsed.into()
        }
        _ => url.to_owned(),
    }
}

/// A git command in a repository of ours, which may reach `remote`.
pub(crate) fn reaching(directory: &Path, remote: &Remote, arguments: &[&str]) -> Command {
    let mut command = git(directory, arguments);
    command.env("GIT_ALLOW_PROTOCOL", "http:https:ssh:file");
    if let Some(authorization) = &remote.authorization {
        command
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", authorization);
    }
    command
}

/// Runs git in a repository of ours, which may reach `remote`, and returns what it printed.
pub(crate) async fn output_with(
    directory: &Path,
    remote: &Remote,
    arguments: &[&str],
) -> Result<Vec<u8>, GitError> {
    finish(reaching(directory, remote, arguments), arguments).await
}

/// Runs git and returns what it printed.
pub(crate) async fn output(directory: &Path, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
    finish(git(directory, arguments), arguments).await
}

async fn finish(mut command: Command, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
    let output = command.output().await.map_err(GitError::Start)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_url() {
        let remote = Remote::new("https://bot:s%40cret@example.com/o/r.git");
        assert_eq!(remote.url, "https://example.com/o/r.git");
        let header = format!("Authorization: Basic {}", STANDARD.encode("bot:s@cret"));
        assert_eq!(remote.authorization, Some(header));
        for url in ["git@example.com:o/r", "/srv/r.git", "https://example.com/r", "ssh://git@h/r"] {
            let remote = Remote::new(url);
            assert_eq!((remote.url.as_str(), remote.authorization), (url, None));
        }
        assert_eq!(without_password("https://bot:x@h/r"), "https://bot@h/r");
        assert_eq!(without_password("git@h:r"), "git@h:r");
    }
}
