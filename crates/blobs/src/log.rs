//! Logs of attempts, in shared append-only segment files.
//!
//! One file takes the chunks of all running attempts, so that one sync covers them all. Each record names its attempt and
//! offset and carries a checksum. In memory each live log has its length, its running CRC and the extents where its bytes lie;
//! when the attempt ends the extents go into the attempt's row and the log leaves memory.
//!
//! A new segment begins with a record per live log that repeats its state, so that a start reads only the last segment. It
//! gets its name only when those records are on the disk.
//!
//! Many small chunks are now and then written again as one, so that a log's extents stay few.
//!
//! Invariants: a log only grows; bytes at an offset never change (I20, I21); a gap is refused; a log that is over stays over.

mod extents;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::{AttemptNumber, JobId, limit};
use parking_lot::{Mutex, RwLock};

/// A segment is closed when it is longer than this.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// So many extents, one after the other, are made one, if they are short enough to fit into a chunk.
const MERGE_EXTENTS: usize = 4096;

pub use extents::Extents;
use extents::put_varint;
use record::{CARRY, CHUNK, HEADER_BYTES, MERGED, put_record, recover};

type Key = (JobId, AttemptNumber);

/// A live log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    pub length: u64,
    pub crc32: u32,
    pub extents: Extents,
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The log's length now; survives a crash of the process.
    pub received: u64,
    /// How much of it survives a loss of power.
    pub durable: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Bytes between the log's end and the chunk are missing: send from `expected`.
    #[error("the chunk leaves a gap: the log ends at {expected}")]
    Gap { expected: u64 },
    /// The chunk says other bytes for an offset that is stored already.
    #[error("the chunk contradicts bytes that are stored already")]
    Conflict { expected: u64 },
    #[error("the log is longer than {} bytes", limit::LOG_BYTES)]
    TooLong { expected: u64 },
    #[error("the attempt is over")]
    Closed,
    #[error(transparent)]
    Log(#[from] LogError),
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("use log segment `{path}`")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("log segment {segment} is damaged at {position}")]
    Damaged { segment: u32, position: u64 },
}

/// All logs of a data directory.
#[derive(Debug)]
pub struct Logs {
    root: PathBuf,
    active: Mutex<Active>,
    files: RwLock<BTreeMap<u32, Arc<File>>>,
    dirty: AtomicBool,
    /// A sync failed: what is on the disk is not known any more, so no later sync may succeed (I36).
    broken: AtomicBool,
    /// How often [`sync`](Self::sync) ended well.
    syncs: AtomicU64,
    segment_bytes: u64,
}

#[derive(Debug)]
struct Active {
    number: u32,
    file: Arc<File>,
    end: u64,
    live: BTreeMap<Key, Live>,
    /// Segments closed since the last sync, which must be synced too.
    unsynced: Vec<Arc<File>>,
    buffer: Vec<u8>,
}

#[derive(Debug, Default)]
struct Live {
    state: LogState,
    durable: u64,
    /// Extents before this one are not made fewer any more.
    merged: usize,
}

impl Logs {
    /// Opens the folder and reads the last segment back. A torn record at its end is cut off: nobody was told of it.
    pub fn open(root: &Path) -> Result<Self, LogError> {
        Self::open_with(root, SEGMENT_BYTES)
    }

    fn open_with(root: &Path, segment_bytes: u64) -> Result<Self, LogError> {
        let fail = |source| LogError::Io { path: root.to_owned(), source };
        fs::create_dir_all(root).map_err(fail)?;
        let mut last = None;
        for entry in fs::read_dir(root).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.ends_with(".new")) {
                // A segment that was not begun whole.
                fs::remove_file(entry.path()).map_err(fail)?;
                continue;
            }
            let number =
                name.to_str().and_then(|n| n.strip_suffix(".log")).and_then(|n| n.parse().ok());
            last = last.max(number);
        }
        let number = last.unwrap_or(1);
        let path = segment_path(root, number);
        let fail = |source| LogError::Io { path: path.clone(), source };
        let options =
            File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = Arc::new(options.map_err(fail)?);
        let (live, end) = recover(&file, number).map_err(fail)?;
        file.set_len(end).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        File::open(root).and_then(|folder| folder.sync_all()).map_err(fail)?;
        let active = Active {
            number,
            file: file.clone(),
            end,
            live,
            unsynced: Vec::new(),
            buffer: Vec::new(),
        };
        Ok(Self {
            root: root.to_owned(),
            active: Mutex::new(active),
            files: RwLock::new(BTreeMap::from([(number, file)])),
            dirty: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
            segment_bytes,
        })
    }

    /// Begins the log of an attempt. Without it nothing can be appended.
    pub fn begin(&self, job: JobId, attempt: AttemptNumber) {
        self.active.lock().live.entry((job, attempt)).or_default();
    }

    /// Adds bytes at an offset. Bytes that are stored already are compared and skipped, so a chunk may be sent again.
    pub fn append(
        &self,
        job: JobId,
        attempt: AttemptNumber,
        offset: u64,
        bytes: &[u8],
    ) -> Result<Appended, AppendError> {
        let mut active = self.active.lock();
        let live = active.live.get_mut(&(job, attempt)).ok_or(AppendError::Closed)?;
        let length = live.state.length;
        let answer = Appended { received: length, durable: live.durable };
        if offset > length {
            return Err(AppendError::Gap { expected: length });
        }
        let known = (length - offset).min(bytes.len() as u64) as usize;
        if known > 0 {
            let state = live.state.clone();
            drop(active);
            let stored = self.read_extents(&state.extents, offset, known)?;
            if stored != bytes[..known] {
                return Err(AppendError::Conflict { expected: length });
            }
            if known == bytes.len() {
                return Ok(answer);
            }
            // The log may have grown meanwhile; the rest is compared again.
            return self.append(job, attempt, offset + known as u64, &bytes[known..]);
        }
        if bytes.is_empty() {
            return Ok(answer);
        }
        if length + bytes.len() as u64 > limit::LOG_BYTES + limit::LOG_CHUNK_BYTES as u64 {
            return Err(AppendError::TooLong { expected: length });
        }
        let durable = live.durable;
        active.write_chunk(&self.root, (job, attempt), bytes)?;
        self.dirty.store(true, Ordering::Release);
        self.merge(&mut active, (job, attempt))?;
        if active.end > self.segment_bytes {
            self.roll(&mut active)?;
        }
        Ok(Appended { received: length + bytes.len() as u64, durable })
    }

    /// The log, while its attempt runs.
    pub fn state(&self, job: JobId, attempt: AttemptNumber) -> Option<LogState> {
        self.active.lock().live.get(&(job, attempt)).map(|live| live.state.clone())
    }

    /// Length and checksum of the live log; zero of one that has no bytes.
    pub fn summary(&self, job: JobId, attempt: AttemptNumber) -> (u64, u32) {
        let active = self.active.lock();
        active
            .live
            .get(&(job, attempt))
            .map_or((0, 0), |live| (live.state.length, live.state.crc32))
    }

    /// Takes the log out of memory: its attempt is over, and the caller keeps the extents.
    pub fn close(&self, job: JobId, attempt: AttemptNumber) -> LogState {
        self.active.lock().live.remove(&(job, attempt)).map(|live| live.state).unwrap_or_default()
    }

    /// After a start: these attempts run, and no others do.
    pub fn restore(&self, running: &BTreeSet<(JobId, AttemptNumber)>) {
        let mut active = self.active.lock();
        active.live.retain(|key, _| running.contains(key));
        for key in running {
            active.live.entry(*key).or_default();
        }
    }

    /// Whether there are bytes that a loss of power would take.
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// Makes everything appended before the call durable.
    pub fn sync(&self) -> Result<(), LogError> {
        if self.broken.load(Ordering::Acquire) {
            let source = io::Error::other("an earlier sync failed");
            return Err(LogError::Io { path: self.root.clone(), source });
        }
        if !self.dirty.swap(false, Ordering::AcqRel) {
            self.syncs.fetch_add(1, Ordering::Release);
            return Ok(());
        }
        let (files, marks) = {
            let mut active = self.active.lock();
            let mut files = std::mem::take(&mut active.unsynced);
            files.push(active.file.clone());
            let pending = active.live.iter().filter(|(_, live)| live.durable < live.state.length);
            let marks: Vec<(Key, u64)> = pending.map(|(key, l)| (*key, l.state.length)).collect();
            (files, marks)
        };
        for file in files {
            let fail = |source| LogError::Io { path: self.root.clone(), source };
            file.sync_data().map_err(fail)?;
        }
        let mut active = self.active.lock();
        for (key, length) in marks {
            if let Some(live) = active.live.get_mut(&key) {
                live.durable = live.durable.max(length);
            }
        }
        drop(active);
        self.syncs.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Rises with each [`sync`](Self::sync): what was there before a look at it is on the disk when it is higher by two.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Acquire)
    }

    /// Segments with bytes of logs that are live now, and the one that is written to.
    pub fn live_segments(&self) -> (BTreeSet<u32>, u32) {
        let active = self.active.lock();
        let live = active.live.values().flat_map(|live| &live.state.extents.0);
        (live.map(|(segment, _, _)| *segment).collect(), active.number)
    }

    /// Deletes those segments before `end` that are in no use, and says how many.
    pub fn delete_segments(&self, end: u32, in_use: &BTreeSet<u32>) -> Result<usize, LogError> {
        let fail = |source| LogError::Io { path: self.root.clone(), source };
        let mut gone = 0;
        for entry in fs::read_dir(&self.root).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
            let Some(number) = number.and_then(|number| number.parse().ok()) else { continue };
            if number >= end || in_use.contains(&number) {
                continue;
            }
            let path = segment_path(&self.root, number);
            fs::remove_file(&path).map_err(|source| LogError::Io { path, source })?;
            self.files.write().remove(&number);
            gone += 1;
        }
        Ok(gone)
    }

    /// Reads up to `max` bytes of a log from `offset`, through its extents.
    pub fn read_extents(
        &self,
        extents: &Extents,
        offset: u64,
        max: usize,
    ) -> Result<Vec<u8>, LogError> {
        let mut out = Vec::new();
        let mut start = 0u64;
        for (segment, position, length) in &extents.0 {
            let end = start + u64::from(*length);
            if end > offset && out.len() < max {
                let skip = offset.saturating_sub(start);
                let take = (u64::from(*length) - skip).min((max - out.len()) as u64) as usize;
                let at = out.len();
                out.resize(at + take, 0);
                let file = self.file(*segment)?;
                file.read_exact_at(&mut out[at..], position + skip).map_err(|source| {
                    LogError::Io { path: segment_path(&self.root, *segment), source }
                })?;
            }
            start = end;
        }
        Ok(out)
    }

    fn file(&self, segment: u32) -> Result<Arc<File>, LogError> {
        if let Some(file) = self.files.read().get(&segment) {
            return Ok(file.clone());
        }
        let path = segment_path(&self.root, segment);
        let file = File::open(&path).map_err(|source| LogError::Io { path, source })?;
        let file = Arc::new(file);
        let mut files = self.files.write();
        // A reader of old logs must not collect open files without end.
        if files.len() >= 64 {
            files.pop_first();
        }
        files.insert(segment, file.clone());
        Ok(file)
    }

    fn roll(&self, active: &mut Active) -> Result<(), LogError> {
        let number = active.number + 1;
        let path = segment_path(&self.root, number);
        let fail = |source| LogError::Io { path: path.clone(), source };
        let mut carried = Vec::new();
        for ((job, attempt), live) in active.live.iter().filter(|(_, live)| live.state.length > 0) {
            let mut data = Vec::new();
            put_varint(&mut data, live.state.length);
            put_varint(&mut data, u64::from(live.state.crc32));
            data.extend(live.state.extents.encode());
            put_record(&mut carried, CARRY, (*job, *attempt), 0, &data);
        }
        // A full disk is found here, and changes nothing: the old segment goes on.
        let new = path.with_extension("new");
        let options = File::options().read(true).write(true).create(true).truncate(true).open(&new);
        let file = Arc::new(options.map_err(fail)?);
        file.write_all_at(&carried, 0).map_err(fail)?;
        // The old segment must be on the disk before a start would read only the new one.
        let switched = active
            .file
            .sync_data()
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| File::open(&self.root)?.sync_all());
        if let Err(source) = switched {
            self.broken.store(true, Ordering::Release);
            return Err(fail(source));
        }
        self.files.write().insert(number, file.clone());
        active.number = number;
        active.file = file;
        active.end = carried.len() as u64;
        Ok(())
    }

    /// Writes the last extents of a log again as one, when they are many and short: an extent costs memory and a place in the
    /// store for as long as its log is kept.
    fn merge(&self, active: &mut Active, key: Key) -> Result<(), LogError> {
        let live = active.live.get_mut(&key).expect("it was just appended to");
        let extents = &live.state.extents.0;
        if extents.len() < live.merged + MERGE_EXTENTS {
            return Ok(());
        }
        let bytes: u64 =
            extents[live.merged..].iter().map(|(_, _, length)| u64::from(*length)).sum();
        if bytes > limit::LOG_CHUNK_BYTES as u64 {
            live.merged = extents.len();
            return Ok(());
        }
        let short = Extents(extents[live.merged..].to_vec());
        let data = self.read_extents(&short, 0, bytes as usize)?;
        active.write_merged(&self.root, key, &data)
    }
}

impl Active {
    fn write_chunk(&mut self, root: &Path, key: Key, bytes: &[u8]) -> Result<(), LogError> {
        let live = self.live.get_mut(&key).expect("a chunk's log is live");
        self.buffer.clear();
        put_record(&mut self.buffer, CHUNK, key, live.state.length, bytes);
        let written = self.file.write_all_at(&self.buffer, self.end);
        written.map_err(|source| LogError::Io { path: segment_path(root, self.number), source })?;
        let position = self.end + HEADER_BYTES as u64;
        live.state.extents.push(self.number, position, bytes.len() as u32);
        let mut crc = crc32fast::Hasher::new_with_initial_len(live.state.crc32, live.state.length);
        crc.update(bytes);
        live.state.crc32 = crc.finalize();
        live.state.length += bytes.len() as u64;
        self.end += self.buffer.len() as u64;
        Ok(())
    }
}

impl Active {
    /// `data` are the bytes of the extents that are not merged yet.
    fn write_merged(&mut self, root: &Path, key: Key, data: &[u8]) -> Result<(), LogError> {
        let live = self.live.get_mut(&key).expect("a log that is merged is live");
        self.buffer.clear();
        let offset = live.state.length - data.len() as u64;
        put_record(&mut self.buffer, MERGED, key, offset, data);
        let written = self.file.write_all_at(&self.buffer, self.end);
        written.map_err(|source| LogError::Io { path: segment_path(root, self.number), source })?;
        let position = self.end + HEADER_BYTES as u64;
        live.state.extents.0.truncate(live.merged);
        live.state.extents.push(self.number, position, data.len() as u32);
        live.merged = live.state.extents.0.len();
        self.end += self.buffer.len() as u64;
        Ok(())
    }
}

fn segment_path(root: &Path, number: u32) -> PathBuf {
    root.join(format!("{number:08}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Key = (JobId(1), AttemptNumber(1));
    const B: Key = (JobId(2), AttemptNumber(1));

    fn read(logs: &Logs, key: Key) -> Vec<u8> {
        let state = logs.state(key.0, key.1).unwrap_or_default();
        logs.read_extents(&state.extents, 0, usize::MAX).unwrap()
    }

    #[test]
    fn offsets_make_appends_repeatable() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path()).unwrap();
        let append = |offset, bytes: &[u8]| logs.append(A.0, A.1, offset, bytes);
        assert!(matches!(append(0, b"x"), Err(AppendError::Closed)));
        logs.begin(A.0, A.1);
        assert_eq!(append(0, b"hello ").unwrap().received, 6);
        assert_eq!(append(0, b"hello ").unwrap().received, 6);
        assert_eq!(append(3, b"lo world").unwrap().received, 11);
        assert!(matches!(append(12, b"x"), Err(AppendError::Gap { expected: 11 })));
        assert!(matches!(append(0, b"jello"), Err(AppendError::Conflict { expected: 11 })));
        assert_eq!(read(&logs, A), b"hello world");
        assert_eq!(logs.summary(A.0, A.1).1, crc32fast::hash(b"hello world"));
        assert_eq!(append(11, b"").unwrap().durable, 0);
        logs.sync().unwrap();
        assert_eq!(append(11, b"").unwrap().durable, 11);
        logs.close(A.0, A.1);
        assert!(matches!(append(11, b"late"), Err(AppendError::Closed)));
        assert_eq!(logs.state(A.0, A.1), None);
    }

    #[test]
    fn many_short_chunks_become_few_extents() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open_with(folder.path(), 300_000).unwrap();
        logs.begin(A.0, A.1);
        logs.begin(B.0, B.1);
        let mut wanted = Vec::new();
        for i in 0..3 * MERGE_EXTENTS as u32 + 10 {
            let bytes = i.to_be_bytes();
            logs.append(A.0, A.1, wanted.len() as u64, &bytes).unwrap();
            logs.append(B.0, B.1, wanted.len() as u64, &bytes).unwrap();
            wanted.extend(bytes);
        }
        assert_eq!(logs.state(A.0, A.1).unwrap().extents.0.len(), 3 + 10);
        assert_eq!(read(&logs, A), wanted);
        let before = logs.state(A.0, A.1);
        drop(logs);
        let logs = Logs::open_with(folder.path(), 300_000).unwrap();
        assert_eq!(logs.state(A.0, A.1), before);
        assert_eq!(read(&logs, B), wanted);
        assert_eq!(logs.summary(A.0, A.1).1, crc32fast::hash(&wanted));
    }

    #[test]
    fn a_log_is_written_once_however_often_it_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path()).unwrap();
        logs.begin(A.0, A.1);
        let chunk = vec![b'x'; 64 << 10];
        let chunks = 512;
        for number in 0..chunks {
            let offset = number * chunk.len() as u64;
            for _ in 0..2 {
                logs.append(A.0, A.1, offset, &chunk).unwrap();
            }
        }
        logs.sync().unwrap();
        let size = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().metadata().unwrap().len();
        let written: u64 = fs::read_dir(folder.path()).unwrap().map(size).sum();
        let length = chunks * chunk.len() as u64;
        assert!(written * 10 <= length * 11, "{written} bytes for a log of {length}");
    }

    #[test]
    fn a_segment_that_was_not_begun_whole_hides_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::open(folder.path()).unwrap();
        logs.begin(A.0, A.1);
        logs.append(A.0, A.1, 0, b"hello").unwrap();
        logs.sync().unwrap();
        drop(logs);
        fs::write(folder.path().join("00000002.new"), b"").unwrap();
        let logs = Logs::open(folder.path()).unwrap();
        assert_eq!(read(&logs, A), b"hello");
        assert!(!folder.path().join("00000002.new").exists());
    }

    #[test]
    fn a_start_reads_back_what_was_received_and_cuts_a_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        for segment_bytes in [SEGMENT_BYTES, 100] {
            let root = folder.path().join(segment_bytes.to_string());
            let logs = Logs::open_with(&root, segment_bytes).unwrap();
            logs.begin(A.0, A.1);
            logs.begin(B.0, B.1);
            let mut wanted = Vec::new();
            for i in 0..50u8 {
                let chunk = vec![i; 10];
                logs.append(A.0, A.1, wanted.len() as u64, &chunk).unwrap();
                logs.append(B.0, B.1, wanted.len() as u64, &chunk).unwrap();
                wanted.extend(chunk);
            }
            logs.close(B.0, B.1);
            drop(logs);
            let last = fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()).max().unwrap();
            let mut file = File::options().append(true).open(last).unwrap();
            io::Write::write_all(&mut file, &[CHUNK, 0, 0, 7]).unwrap();
            let logs = Logs::open_with(&root, segment_bytes).unwrap();
            logs.restore(&BTreeSet::from([A]));
            assert_eq!(read(&logs, A), wanted);
            assert_eq!(logs.summary(A.0, A.1), (500, crc32fast::hash(&wanted)));
            logs.append(A.0, A.1, 500, b"more").unwrap();
            assert_eq!(read(&logs, A).len(), 504);
        }
    }

    #[test]
    fn extents_round_trip() {
        let extents = Extents(vec![(1, 33, 10), (70_000, u64::MAX >> 1, u32::MAX)]);
        assert_eq!(Extents::decode(&extents.encode()), Some(extents));
        assert_eq!(Extents::decode(&[0x80]), None);
    }
}
