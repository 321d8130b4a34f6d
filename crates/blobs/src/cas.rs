//! Content-addressed files: `blobs/ab/cdef…`, named by SHA-256.
//!
//! A blob is written to a temporary file, synced, renamed, and its folder synced, so that it is there whole or not at all
//! (I24). The crate `object_store` is for remote stores: its local one does not sync (ADR 3).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Digest, limit};
use sha2::{Digest as _, Sha256};

/// A folder of blobs.
#[derive(Debug)]
pub struct Cas {
    root: PathBuf,
    next_temp: AtomicU64,
}

#[derive(Debug, thiserror::Error)]
pub enum CasError {
    #[error("blob `{0}` is not here")]
    Missing(Digest),
    #[error("blob `{0}` is damaged: its bytes have another digest")]
    Damaged(Digest),
    #[error("the upload's bytes have the digest `{found}`, not `{wanted}`")]
    Mismatch { wanted: Digest, found: Digest },
    #[error("the upload is longer than {} bytes", limit::BLOB_BYTES)]
    TooLong,
    #[error("use the blob store at `{path}`")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The SHA-256 of bytes in memory.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

impl Cas {
    /// Opens or makes the folder and removes what crashed uploads left.
    pub fn open(root: &Path) -> Result<Self, CasError> {
        let fail = |source| CasError::Io { path: root.to_owned(), source };
        let temp = root.join("tmp");
        fs::create_dir_all(&temp).map_err(fail)?;
        for entry in fs::read_dir(&temp).map_err(fail)? {
            fs::remove_file(entry.map_err(fail)?.path()).map_err(fail)?;
        }
        // All folders at once, so that no upload pays for making one durable.
        for first in 0..=u8::MAX {
            match fs::create_dir(root.join(format!("{first:02x}"))) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(fail(error));
                }
                _ => {}
            }
        }
        sync_folder(root).map_err(fail)?;
        Ok(Self { root: root.to_owned(), next_temp: AtomicU64::new(0) })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.to_string();
        self.root.join(&hex[..2]).join(&hex[2..])
    }

    pub fn contains(&self, digest: Digest) -> bool {
        self.path(digest).is_file()
    }

    pub fn size(&self, digest: Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().map(|meta| meta.len())
    }

    /// Stores bytes; storing them again is free.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, CasError> {
        let digest = digest_of(bytes);
        if self.contains(digest) {
            return Ok(digest);
        }
        let mut upload = self.begin()?;
        upload.write(bytes)?;
        upload.finish(Some(digest))
    }

    /// The whole blob, checked against its name: damage is reported, never served (I37).
    pub fn get(&self, digest: Digest) -> Result<Vec<u8>, CasError> {
        let path = self.path(digest);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => CasError::Missing(digest),
            _ => CasError::Io { path, source },
        })?;
        if digest_of(&bytes) != digest {
            return Err(CasError::Damaged(digest));
        }
        Ok(bytes)
    }

    /// Starts an upload of unknown content.
    pub fn begin(&self) -> Result<Upload<'_>, CasError> {
        let number = self.next_temp.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("tmp").join(number.to_string());
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.map_err(|source| CasError::Io { path: path.clone(), source })?;
        Ok(Upload { cas: self, path, file: Some(file), hasher: Sha256::new(), length: 0 })
    }

    /// Stores what a reader gives.
    pub fn put_from(
        &self,
        reader: &mut dyn Read,
        wanted: Option<Digest>,
    ) -> Result<Digest, CasError> {
        let mut upload = self.begin()?;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let fail = |source| CasError::Io { path: self.root.clone(), source };
            match reader.read(&mut buffer).map_err(fail)? {
                0 => return upload.finish(wanted),
                n => upload.write(&buffer[..n])?,
            }
        }
    }
}

/// An upload that is not yet visible. Dropping it leaves nothing.
#[derive(Debug)]
pub struct Upload<'a> {
    cas: &'a Cas,
    path: PathBuf,
    file: Option<File>,
    hasher: Sha256,
    length: u64,
}

impl Upload<'_> {
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), CasError> {
        self.length += bytes.len() as u64;
        if self.length > limit::BLOB_BYTES {
            return Err(CasError::TooLong);
        }
        self.hasher.update(bytes);
        let file = self.file.as_mut().expect("an upload writes before it is finished");
        file.write_all(bytes).map_err(|source| CasError::Io { path: self.path.clone(), source })
    }

    /// Makes the blob visible under its digest, durably.
    pub fn finish(mut self, wanted: Option<Digest>) -> Result<Digest, CasError> {
        let found = Digest(std::mem::take(&mut self.hasher).finalize().into());
        if let Some(wanted) = wanted
            && wanted != found
        {
            return Err(CasError::Mismatch { wanted, found });
        }
        let target = self.cas.path(found);
        let fail = |source| CasError::Io { path: target.clone(), source };
        let file = self.file.take().expect("an upload is finished once");
        file.sync_data().map_err(fail)?;
        drop(file);
        let folder = target.parent().expect("a blob lies in a folder");
        fs::rename(&self.path, &target).map_err(fail)?;
        sync_folder(folder).map_err(fail)?;
        Ok(found)
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        // After a rename there is nothing under the old name.
        let _ = fs::remove_file(&self.path);
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let cas = Cas::open(folder.path()).unwrap();
        let digest = cas.put(b"hello").unwrap();
        assert_eq!(cas.get(digest).unwrap(), b"hello");
        assert_eq!(cas.put(b"hello").unwrap(), digest);
        assert_eq!(cas.size(digest), Some(5));

        let mut upload = cas.begin().unwrap();
        upload.write(b"half").unwrap();
        drop(upload);
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);

        let mut upload = cas.begin().unwrap();
        upload.write(b"other").unwrap();
        let error = upload.finish(Some(digest)).unwrap_err();
        assert!(matches!(error, CasError::Mismatch { .. }), "{error}");
        assert!(matches!(cas.get(digest_of(b"none")), Err(CasError::Missing(_))));
    }

    #[test]
    fn damage_is_never_served() {
        let folder = tempfile::tempdir().unwrap();
        let cas = Cas::open(folder.path()).unwrap();
        let digest = cas.put(b"hello").unwrap();
        fs::write(cas.path(digest), b"hellO").unwrap();
        assert!(matches!(cas.get(digest), Err(CasError::Damaged(d)) if d == digest));
    }
}
