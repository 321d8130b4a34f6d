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
        let Some(Source::Url(url)) = self.source(name) else { return Ok(()) };
        let lock = self.lock(name);
        let _held = lock.lock().await;
        let remote = access.map_or_else(|| Remote::new(&url), Remote::with);
        let fetched = fetch(&self.folder(name).join("mirror.git"), &remote).await;
        let last = self.get(name).map(|known| known.sync.clone()).unwrap_or_default();
        self.note_sync(
            name,
            match &fetched {
                Ok(()) => Sync { fetched_ms: Some(now_ms()), error: None },
                Err(error) => Sync { error: Some(explain(error)), ..last },
            },
        );
        fetched
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
