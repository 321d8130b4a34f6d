//! The zip file that a bot is: an operator's copy of upstream's bot, made ours by two files.
//!
//! Facts: luci-go `swarming/server/cfg/botarchive.go`, luci-py `appengine/swarming/server/bot_archive.py`,
//! `client/utils/zip_package.py`. Everything but [`load`] is pure.

mod load;
mod scripts;

use std::collections::BTreeMap;
use std::io::Write as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

pub use self::load::load;
pub use self::scripts::{bootstrap, hooks_without_cipd};
use crate::bot::manifest::Shape;

/// Path in the archive → bytes. Paths have `/`, are ASCII and lead nowhere else.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Files in one archive; upstream's bot has 389.
pub const MAX_FILES: usize = 5_000;
/// Bytes of all files together; upstream's bot has about 6 MiB.
pub const MAX_BYTES: u64 = 64 << 20;
/// Bytes in the path of a file.
const PATH_BYTES: usize = 512;

const CONFIG: &str = "config/config.json";
const HOOKS: &str = "config/bot_config.py";

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("read `{path}`")]
    Read { path: String, source: std::io::Error },
    #[error("read `{path}` as a zip file")]
    Zip { path: String, source: zip::result::ZipError },
    #[error("use `{path}`: {why}")]
    Unfit { path: String, why: String },
    #[error("write the bot's zip file")]
    Write(#[from] zip::result::ZipError),
}

/// What makes an archive this server's.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Where bots reach the server, such as `https://ci.example.com`.
    pub server: &'a str,
    /// Shown by bots. Every other value is another version of the bot, to which all bots update.
    pub server_version: &'a str,
    /// Python source of hooks for all bots, in place of the operator's.
    pub bot_config: Option<&'a str>,
}

/// A bot to hand out.
#[derive(Clone, Debug)]
pub struct Archive {
    pub zip: Vec<u8>,
    /// What the bot says of itself when it runs: 64 hex digits.
    pub version: String,
    /// How this bot wants to be told what to run.
    pub shape: Shape,
    /// SHA-256 of the hooks for all bots, in hex.
    pub bot_config_rev: String,
}

/// `config/config.json`. The keys are luci-go's.
#[derive(Serialize)]
struct ConfigJson<'a> {
    server: &'a str,
    bot_cipd_instance_id: &'a str,
    server_version: &'a str,
    enable_ts_monitoring: bool,
}

/// Makes the archive of a bot whose files are `files`.
pub fn build(mut files: Files, identity: Identity<'_>) -> Result<Archive, ArchiveError> {
    let unfit =
        |path: &str, why: &str| ArchiveError::Unfit { path: path.to_owned(), why: why.to_owned() };
    if !files.contains_key("__main__.py") {
        return Err(unfit("__main__.py", "it is missing, so this is no bot"));
    }
    let runner = files.get("bot_code/task_runner.py");
    let runner = runner
        .ok_or_else(|| unfit("bot_code/task_runner.py", "it is missing, so this is no bot"))?;
    let shape = Shape::of_task_runner(runner);
    let config = ConfigJson {
        // The bot takes no URL with a slash at its end.
        server: identity.server.trim_end_matches('/'),
        bot_cipd_instance_id: "",
        server_version: identity.server_version,
        enable_ts_monitoring: false,
    };
    let config = serde_json::to_vec_pretty(&config).expect("texts and a bool can be written");
    files.insert(CONFIG.to_owned(), config);
    if let Some(source) = identity.bot_config {
        files.insert(HOOKS.to_owned(), source.as_bytes().to_vec());
    }
    let hooks = files.get(HOOKS).map(Vec::as_slice).unwrap_or_default();
    let bot_config_rev = hex::encode(Sha256::digest(hooks));
    Ok(Archive { zip: pack(&files)?, version: version(&files), shape, bot_config_rev })
}

/// What the bot computes over its own zip file: for every path its length, itself, the content's length, the content.
pub fn version(files: &Files) -> String {
    let mut hash = Sha256::new();
    for (path, content) in files {
        hash.update(path.len().to_string());
        hash.update(path);
        hash.update(content.len().to_string());
        hash.update(content);
    }
    hex::encode(hash.finalize())
}

/// The same bytes for the same files.
fn pack(files: &Files) -> Result<Vec<u8>, ArchiveError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .external_attributes(0o600 << 16);
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, content) in files {
        writer.start_file(path.as_str(), options)?;
        writer.write_all(content).map_err(zip::result::ZipError::from)?;
    }
    Ok(writer.finish()?.into_inner())
}

#[cfg(test)]
mod tests;
