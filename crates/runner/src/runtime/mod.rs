//! Where steps run. One folder per runtime, each with this shape; adding one costs a folder and a line here.

pub mod docker;
pub mod process;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::job::{BoxFuture, Limits, Network};

/// One command of a job, ready to run: nothing left to render.
#[derive(Clone, Debug)]
pub struct Command {
    /// The whole vector; empty in a container means the image's own command.
    pub argv: Vec<String>,
    /// All of the environment that the step defines; the runtime adds HOME, TMPDIR, PATH and nothing else.
    pub env: Vec<(String, String)>,
    /// Relative to the work tree.
    pub directory: String,
    /// Host path of a file or folder → where the step sees it, read-only.
    pub mounts: BTreeMap<PathBuf, String>,
    pub timeout_ms: Option<u64>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    TimedOut,
    /// The job was cancelled; everything it started is dead.
    Killed,
}

/// A place in which the steps of one job run one after the other. Dropping it kills whatever still runs; `close` waits until
/// nothing is left.
pub trait Sandbox: Send + Sync {
    /// Runs to the end. `output` receives bytes as they come. Cancelling is by the token that the sandbox was opened with.
    fn run<'a>(
        &'a mut self,
        command: &'a Command,
        output: &'a dyn OutputSink,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Exit, RuntimeError>> + Send + 'a>>;

    fn close(self: Box<Self>) -> BoxFuture<()>;
}

/// Where a command's output goes.
pub trait OutputSink: Send + Sync {
    fn write(&self, stream: Stream, bytes: &[u8]);

    /// Something that the runtime has to say to whoever reads the log, in one line.
    fn notice(&self, _text: &str) {}
}

/// Opens sandboxes of one kind.
pub trait RuntimeFactory: Send + Sync {
    /// `image` is `None` for steps that run as processes.
    fn open(
        &self,
        options: SandboxOptions,
        image: Option<&ImageRef>,
    ) -> BoxFuture<Result<Box<dyn Sandbox>, RuntimeError>>;

    /// Pulls an image if it is not here, and says which one it is.
    fn resolve(&self, image: &str) -> BoxFuture<Result<ImageRef, RuntimeError>>;
}

/// An image, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageRef {
    /// As the spec names it.
    pub name: String,
    /// What it is now: `sha256:…`. Part of the cache key, so that a moved tag is a miss.
    pub digest: String,
}

/// The runtimes of a runner.
#[derive(Clone)]
pub struct Runtimes {
    pub process: Arc<dyn RuntimeFactory>,
    /// `None` where no Docker is.
    pub docker: Option<Arc<dyn RuntimeFactory>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// What every runtime is told when it opens a sandbox.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The job's work tree on the host; the only place that a step may write, next to HOME and TMPDIR.
    pub work_tree: PathBuf,
    /// A private folder for HOME and TMPDIR, made and removed by the caller.
    pub scratch: PathBuf,
    /// Folders that a step may read although they are outside of the work tree: objects that the checkout borrows.
    pub readable: Vec<PathBuf>,
    pub network: Network,
    pub limits: Limits,
    /// `job-12-attempt-1`: names containers and cgroups.
    pub label: String,
    pub cancel: tokio_util::sync::CancellationToken,
    /// From cancel or timeout to SIGKILL.
    pub kill_grace_ms: u64,
}

/// The runtime itself failed, not the command.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The step cannot be run on this host as it is written; trying again does not help.
    #[error("{message}")]
    Unavailable { message: String },
    #[error("{what}")]
    Failed {
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// Whether `inner` lies in `outer`, both as given. Used before a path from a spec is trusted.
pub fn is_inside(outer: &Path, inner: &Path) -> bool {
    inner.starts_with(outer)
        && !inner.components().any(|part| matches!(part, std::path::Component::ParentDir))
}
