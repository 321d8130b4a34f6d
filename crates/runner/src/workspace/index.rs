//! Just enough of git's index format (versions 2 and 3) to answer two questions without starting git: which paths are
//! submodules, and which files may have changed.
//!
//! git compares times in whole seconds, so after a fresh checkout it must read every file again ("racily clean"), which costs
//! more than all the rest of a diff. The index holds nanoseconds, though, and the kernel keeps them: they are compared here,
//! and git is told of the files that differ.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

const GITLINK: u32 = 0o160000;
const EXTENDED: u16 = 0x4000;
const SKIP_WORKTREE: u16 = 0x4000;
/// Two changes of a file this far apart have different times on every file system clock (its tick is at most 10 ms).
const TICK: Duration = Duration::from_millis(20);

/// An index, as bytes, with the places of its entries.
pub struct Index {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    start: usize,
    mode: u32,
    path: std::ops::Range<usize>,
    absent: bool,
}

impl Index {
    pub fn read(path: &Path, hash_bytes: usize) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        let entries = parse(&bytes, hash_bytes).ok_or_else(|| {
            io::Error::other(format!("the index `{}` cannot be read", path.display()))
        })?;
        Ok(Self { bytes, entries })
    }

    /// The paths of submodules.
    pub fn gitlinks(&self) -> Vec<Vec<u8>> {
        let links = self.entries.iter().filter(|entry| entry.mode == GITLINK);
        links.map(|entry| self.bytes[entry.path.clone()].to_owned()).collect()
    }

    /// Writes the index back to `path` such that git reads again exactly the files that may differ from it. `quiet_until` is
    /// when the last step began: before it nobody but the runner wrote.
    pub fn write_hinted(
        mut self,
        path: &Path,
        work_tree: &Path,
        quiet_until: SystemTime,
    ) -> io::Result<()> {
        let quiet = quiet_until.checked_sub(TICK).unwrap_or(SystemTime::UNIX_EPOCH);
        let quiet = quiet.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let quiet = (quiet.as_secs() as i64, i64::from(quiet.subsec_nanos()));
        for entry in &self.entries {
            if entry.absent || entry.mode == GITLINK {
                continue;
            }
            let name = std::ffi::OsStr::from_bytes(&self.bytes[entry.path.clone()]);
            let Ok(found) = fs::symlink_metadata(work_tree.join(name)) else { continue };
            let now = [
                found.ctime() as u32,
                found.ctime_nsec() as u32,
                found.mtime() as u32,
                found.mtime_nsec() as u32,
                found.dev() as u32,
                found.ino() as u32,
            ];
            let field = |n: usize| read_u32(&self.bytes, entry.start + 4 * n).unwrap_or(0);
            let same = (0..6).all(|n| field(n) == now[n])
                && field(9) == found.size() as u32
                && (found.ctime(), found.ctime_nsec()) < quiet;
            if !same {
                // Another time than the file's makes git read it.
                let other = (found.mtime() as u32) ^ 1;
                self.bytes[entry.start + 8..entry.start + 12].copy_from_slice(&other.to_be_bytes());
            }
        }
        // The checksum at the end is not verified when git reads an index; `git fsck` alone does.
        fs::write(path, &self.bytes)?;
        // An index from the future: git trusts the times in it and takes no file for racily clean.
        let file = fs::File::options().write(true).open(path)?;
        file.set_modified(SystemTime::now() + Duration::from_secs(3600))
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn parse(bytes: &[u8], hash_bytes: usize) -> Option<Vec<Entry>> {
    if bytes.get(..4)? != b"DIRC" || !matches!(read_u32(bytes, 4)?, 2 | 3) {
        return None;
    }
    let count = read_u32(bytes, 8)? as usize;
    let mut entries = Vec::with_capacity(count.min(bytes.len() / 62));
    let mut start = 12;
    for _ in 0..count {
        let mode = read_u32(bytes, start + 24)?;
        let flags_at = start + 40 + hash_bytes;
        let flags = read_u16(bytes, flags_at)?;
        let mut name = flags_at + 2;
        let mut absent = false;
        if flags & EXTENDED != 0 {
            absent = read_u16(bytes, name)? & SKIP_WORKTREE != 0;
            name += 2;
        }
        let length = bytes.get(name..)?.iter().position(|&b| b == 0)?;
        entries.push(Entry { start, mode, path: name..name + length, absent });
        // One to eight zero bytes fill up to a multiple of eight from the entry's start.
        start += (name + length - start + 8) & !7;
    }
    Some(entries)
}
