//! git for the repositories that benches make.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;

/// Runs git as nobody in particular, without the user's configuration.
pub fn git(directory: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let done = Command::new("git")
        .args(["-c", "user.name=bench", "-c", "user.email=b@b"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .status()?;
    ensure!(done.success(), "git {arguments:?} in `{}`", directory.display());
    Ok(())
}
