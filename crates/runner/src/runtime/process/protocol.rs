//! What the runner and the launcher say to each other over one socket pair.
//!
//! Runner to launcher: four bytes of length (little endian), the order as JSON, then nothing until `KILL` or the end of the
//! stream; both mean that everything must die. Launcher to runner: reports, one JSON text per line. The end of that stream
//! means that no process of the sandbox is left that could write to it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::capabilities::Capabilities;

/// "Stop it: politely, and after the grace by force."
pub const KILL: u8 = b'K';

/// One command and the place to run it in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    pub argv: Vec<String>,
    /// All of the environment but HOME, TMPDIR and PWD, which depend on what the sandbox can offer.
    pub env: Vec<(String, String)>,
    pub work_tree: PathBuf,
    /// Where the step sees its work tree, when the sandbox can give it another place.
    pub work_tree_seen: PathBuf,
    /// Relative to the work tree.
    pub directory: String,
    pub scratch: PathBuf,
    /// Visible read-only where they are.
    pub readable: Vec<PathBuf>,
    /// Visible as empty although they lie in something readable.
    pub hidden: Vec<PathBuf>,
    /// Host path and the path where the step sees it.
    pub mounts: Vec<(PathBuf, String)>,
    pub network: bool,
    pub memory_bytes: Option<u64>,
    pub pids: Option<u64>,
    pub cpus: Option<f64>,
    pub label: String,
    pub kill_grace_ms: u64,
    pub without: Without,
}

/// Measures that are left out: for hosts on which one of them gets in the way, and for tests of what remains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Without {
    pub pid_namespace: bool,
    pub mount_namespace: bool,
    pub landlock: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Report {
    /// The command is about to run, in a sandbox with these measures.
    Started(Capabilities),
    /// The command ended by itself or was killed, and nothing that it started is left.
    Exited(i32),
    Signaled(i32),
    /// This host cannot run it as asked.
    Unavailable(String),
    Failed(String),
}
