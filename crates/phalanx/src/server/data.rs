//! The data directory: one server at a time, private to its user.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use fs4::fs_std::FileExt;
use serde::{Deserialize, Serialize};

const EMBEDDED_RUNNER: &str = "embedded-runner";

/// An open data directory. The lock goes with it.
#[derive(Debug)]
pub struct DataDirectory {
    root: PathBuf,
    _lock: File,
}

/// Another server has the directory.
#[derive(Debug, thiserror::Error)]
#[error("another phalanx server uses the data directory `{0}`")]
pub struct LockedError(PathBuf);

/// How to reach the server that has a data directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LiveServer {
    pub url: String,
    pub process: u32,
    /// It belongs to a command and ends with it.
    #[serde(default)]
    pub embedded: bool,
    #[serde(skip)]
    pub token: String,
}

/// The server that runs on a data directory, if one does.
pub fn live_server(directory: &Path) -> Option<LiveServer> {
    let lock = File::open(directory.join("lock")).ok()?;
    // Free: whoever wrote the file is gone.
    if FileExt::try_lock_shared(&lock).unwrap_or(false) {
        return None;
    }
    let mut live: LiveServer =
        serde_json::from_slice(&fs::read(directory.join("server.json")).ok()?).ok()?;
    live.token = fs::read_to_string(directory.join("token")).ok()?.trim().to_owned();
    Some(live)
}

impl DataDirectory {
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
        made.with_context(|| format!("make the data directory `{}`", root.display()))?;
        let root = root.canonicalize()?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(root.join("lock"))
            .with_context(|| format!("use the data directory `{}`", root.display()))?;
        // SECURITY: logs and results are its owner's alone, also where somebody else made the folder.
        let _ = fs::set_permissions(&root, fs::Permissions::from_mode(0o700));
        if !FileExt::try_lock_exclusive(&lock)? {
            return Err(LockedError(root).into());
        }
        let data = Self { root, _lock: lock };
        // A server that was killed could not take it back.
        data.forget_live_server();
        Ok(data)
    }

    /// A path inside; `""` is the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root.clone() } else { self.root.join(name) }
    }

    /// A token by its file's name, made at the first start. 256 random bits behind a prefix that scanners can know.
    pub fn token(&self, name: &str) -> anyhow::Result<String> {
        let path = self.root.join(name);
        if let Ok(token) = fs::read_to_string(&path) {
            return Ok(token.trim().to_owned());
        }
        let token = format!("phx_{}", hex::encode(rand::random::<[u8; 32]>()));
        write_private(&path, token.as_bytes())?;
        Ok(token)
    }

    /// The key of lease tokens. Beside the database, not in it.
    pub fn lease_key(&self) -> anyhow::Result<[u8; 32]> {
        self.key("lease-key", "running jobs cannot be recognised without it")
    }

    /// The key of secrets and credentials. Beside the database, not in it.
    pub fn secret_key(&self) -> anyhow::Result<[u8; 32]> {
        self.key("secret-key", "secrets and credentials cannot be read without it")
    }

    /// A key by its file's name, made at the first start.
    fn key(&self, name: &str, without: &str) -> anyhow::Result<[u8; 32]> {
        let path = self.root.join(name);
        if let Ok(bytes) = fs::read(&path) {
            let key: Result<[u8; 32], _> = bytes.try_into();
            return key.map_err(|_| anyhow::anyhow!("`{}` is damaged; {without}", path.display()));
        }
        let key = rand::random::<[u8; 32]>();
        write_private(&path, &key)?;
        Ok(key)
    }

    /// Tells local commands where the server is.
    pub fn announce(&self, url: &str, embedded: bool) -> anyhow::Result<()> {
        let live = LiveServer {
            url: url.to_owned(),
            process: std::process::id(),
            embedded,
            token: String::new(),
        };
        write_private(&self.root.join("server.json"), &serde_json::to_vec(&live)?)
    }

    pub fn keep_embedded_runner(&self, name: &str) -> anyhow::Result<()> {
        write_private(&self.root.join(EMBEDDED_RUNNER), name.as_bytes())
    }

    /// The runner that worked in the last process on this data.
    pub fn embedded_runner(&self) -> Option<String> {
        fs::read_to_string(self.root.join(EMBEDDED_RUNNER)).ok().filter(|name| !name.is_empty())
    }

    pub fn forget_embedded_runner(&self) {
        let _ = fs::remove_file(self.root.join(EMBEDDED_RUNNER));
    }

    pub fn forget_live_server(&self) {
        let _ = fs::remove_file(self.root.join("server.json"));
    }
}

/// Whole or not at all, and for its owner only.
fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension("new");
    let mut file =
        File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    Ok(())
}
