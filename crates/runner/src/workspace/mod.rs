//! The runner's folder on disk: mirrors that stay, and a folder per job that goes when the job ends.
//!
//! ```text
//! work/lock                     one runner at a time
//! work/mirrors/NAME-HASH.git    one per remote repository
//! work/jobs/LABEL/tree          the work tree, which the job may write, with a .git of its own
//! work/jobs/LABEL/base.git      what the tree was at first and how it is compared: the job cannot reach it
//! work/jobs/LABEL/scratch       HOME and TMPDIR of the job
//! work/jobs/LABEL/files         scripts and mounted files, which the job may only read
//! ```

mod checkout;
pub mod git;
pub(crate) mod index;
mod mirrors;
mod remove;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

pub use checkout::{CheckoutError, Tree};
pub use mirrors::{FetchError, Mirrors};
pub use remove::remove_tree;

/// The folder of one runner, locked.
#[derive(Debug)]
pub struct Directories {
    root: PathBuf,
    pub(crate) mirrors: Mirrors,
    _lock: File,
}

impl Directories {
    /// Opens or makes the folder, takes its lock, and removes what a crashed runner left.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        let lock = File::create(root.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::other(format!("`{}` is in use by another runner", root.display()))
            }
            TryLockError::Error(error) => error,
        })?;
        let mirrors = Mirrors::open(root.join("mirrors"))?;
        let directories = Self { root, mirrors, _lock: lock };
        directories.clean()?;
        Ok(directories)
    }

    /// Trusts these certificates, too, when repositories are fetched.
    pub fn trust(&mut self, pem: &[u8]) -> io::Result<()> {
        self.mirrors.trust(pem)
    }

    /// Removes the folders of jobs that an earlier runner did not finish. The lock says that no other runner is here, and it
    /// is called before the first job.
    fn clean(&self) -> io::Result<()> {
        let jobs = self.root.join("jobs");
        fs::create_dir_all(&jobs)?;
        for entry in fs::read_dir(&jobs)? {
            remove_tree(&entry?.path())?;
        }
        self.mirrors.clean()
    }

    /// Makes the folder of a job. A folder of that name from before is removed.
    pub(crate) fn job(&self, label: &str) -> io::Result<JobFolder> {
        let root = self.root.join("jobs").join(label);
        if root.exists() {
            remove_tree(&root)?;
        }
        for folder in ["tree", "scratch/home", "scratch/tmp", "files"] {
            fs::create_dir_all(root.join(folder))?;
        }
        // SECURITY: other users of the host have no business in it.
        fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        Ok(JobFolder { root })
    }
}

/// The folder of one job. Removed by `remove`, or at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct JobFolder {
    root: PathBuf,
}

impl JobFolder {
    pub fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    pub fn base(&self) -> PathBuf {
        self.root.join("base.git")
    }

    pub fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    pub fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    /// Removes it beside the runner's other work.
    pub async fn remove(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for JobFolder {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.root) {
            tracing::warn!("could not remove `{}`: {error}", self.root.display());
        }
    }
}
