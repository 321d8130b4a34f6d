//! Results of steps by their cache key: `step-cache/ab/cdef…`, a small JSON file that names its diff by digest.
//!
//! Losing an entry costs a run, so an entry is not synced; a torn one does not parse and counts as missing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use spec::CachedStep;

/// A folder of step results.
#[derive(Debug)]
pub struct StepCache {
    root: PathBuf,
    next_temp: AtomicU64,
}

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("`{0}` is not a cache key: 64 hexadecimal digits")]
    BadKey(String),
    #[error("use the step cache")]
    Io(#[from] io::Error),
}

impl StepCache {
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.to_owned(), next_temp: AtomicU64::new(0) })
    }

    fn path(&self, key: &str) -> Result<PathBuf, CacheError> {
        let good = key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit());
        if !good {
            return Err(CacheError::BadKey(key.chars().take(80).collect()));
        }
        Ok(self.root.join(&key[..2]).join(&key[2..]))
    }

    pub fn get(&self, key: &str) -> Result<Option<CachedStep>, CacheError> {
        match fs::read(self.path(key)?) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub fn put(&self, key: &str, step: &CachedStep) -> Result<(), CacheError> {
        let path = self.path(key)?;
        fs::create_dir_all(path.parent().expect("an entry lies in a folder"))?;
        let number = self.next_temp.fetch_add(1, Ordering::Relaxed);
        let temporary = self.root.join(format!("tmp-{}-{number}", std::process::id()));
        fs::write(&temporary, serde_json::to_vec(step).expect("a step result is JSON"))?;
        fs::rename(&temporary, &path)?;
        Ok(())
    }
}
