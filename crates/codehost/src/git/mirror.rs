//! Mirrors: fetched from where their repository lies, or sent by a client.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::command::{GitError, Remote, output, output_with};
use super::repositories::{Repositories, Source, Sync};
use crate::GitAccess;

impl Repositories {
    /// Brings a mirror up to date. A repository that is used in place always is. `access` is how a code host's is reached
    /// now; without one the URL itself says it.
    pub async fn refresh(&self, name: &str, access: Option<&GitAccess>) -> Result<(), GitError> {
        self.refresh_within(name, access, u64::MAX).await
    }

    /// As [`Self::refresh`], unless all mirrors together have `bytes_max` already: then nothing is fetched that is not here
    /// yet, and what is here is left as it is.
    pub async fn refresh_within(
        &self,
        name: &str,
        access: Option<&GitAccess>,
        bytes_max: u64,
    ) -> Result<(), GitError> {
        let Some(Source::Url(url)) = self.source(name) else { return Ok(()) };
        let used: u64 = self.list().iter().map(|repository| repository.sync.bytes).sum();
        if used >= bytes_max {
            let error = GitError::Refused(format!(
                "the mirrors have {} MiB, more than the {} MiB allowed",
                used >> 20,
                bytes_max >> 20
            ));
            self.note_failure(name, &error.to_string());
            return Err(error);
        }
        let lock = self.lock(name);
        let _held = lock.lock().await;
        let remote = access.map_or_else(|| Remote::new(&url), Remote::with);
        let fetched = fetch(&self.folder(name).join("mirror.git"), &remote).await;
        let last = self.get(name).map(|known| known.sync.clone()).unwrap_or_default();
        self.note_sync(
            name,
            match &fetched {
                Ok(()) => Sync {
                    fetched_ms: Some(now_ms()),
                    error: None,
                    bytes: bytes_in(&self.folder(name)),
                },
                Err(error) => Sync { error: Some(explain(error)), ..last },
            },
        );
        fetched
    }

    /// Keeps why a repository could not be reached.
    pub fn note_failure(&self, name: &str, error: &str) {
        let last = self.get(name).map(|known| known.sync.clone()).unwrap_or_default();
        self.note_sync(name, Sync { error: Some(error.to_owned()), ..last });
    }

    /// Takes the branches of a bundle file that a client sent. `head` is the client's current branch.
    pub async fn unbundle(&self, name: &str, bundle: &Path) -> Result<(), GitError> {
        let lock = self.lock(name);
        let _held = lock.lock().await;
        let mirror = self.folder(name).join("mirror.git");
        let remote = Remote::new(&bundle.to_string_lossy());
        output_with(
            &mirror,
            &remote,
            &[
                "-c",
                "transfer.fsckObjects=true",
                "fetch",
                "--quiet",
                "--no-recurse-submodules",
                "--end-of-options",
                &remote.url,
                "+refs/*:refs/*",
                "+HEAD:refs/phalanx/head",
            ],
        )
        .await
        .map(drop)
    }
}

async fn fetch(mirror: &Path, remote: &Remote) -> Result<(), GitError> {
    output_with(
        mirror,
        remote,
        &[
            "fetch",
            "--quiet",
            "--prune",
            "--no-recurse-submodules",
            "--end-of-options",
            &remote.url,
            "+refs/heads/*:refs/heads/*",
            "+refs/tags/*:refs/tags/*",
        ],
    )
    .await?;
    let ask = ["ls-remote", "--symref", "--end-of-options", &remote.url, "HEAD"];
    let head = output_with(mirror, remote, &ask).await?;
    let head = String::from_utf8_lossy(&head);
    let branch = head.lines().find_map(|line| line.strip_prefix("ref: ")?.split('\t').next());
    if let Some(branch) = branch.filter(|branch| branch.starts_with("refs/heads/")) {
        output(mirror, &["symbolic-ref", "HEAD", branch]).await?;
    }
    Ok(())
}

/// What a folder takes of the disk.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.filter_map(Result::ok).map(|entry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => bytes_in(&entry.path()),
        Ok(facts) => facts.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// The error with its cause.
fn explain(error: &GitError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
