//! A log on its way to the server: bytes that are appended, read from any offset that is not durable yet, and forgotten when
//! the server has them.
//!
//! Invariant: a byte that was readable once never changes, and the whole never exceeds `limit::LOG_BYTES`. The first half is
//! kept as it comes, then the last lines that fit, with a notice between that says how much is left out.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use model::limit;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Room for the notice between head and tail.
const NOTICE_BYTES: u64 = 256;

/// Pieces in which the tail is kept, about: so much of it goes at once when there is no more room.
const PIECES: u64 = 256;

/// See the module.
#[derive(Debug)]
pub struct Spool {
    state: Mutex<State>,
    changed: Notify,
    head_bytes: u64,
    tail_bytes: u64,
}

#[derive(Debug)]
struct State {
    /// The bytes from `released` on.
    bytes: BytesMut,
    released: u64,
    crc: crc32fast::Hasher,
    /// The last lines, once the head is full; short ones together, or what each costs would be many times what it says.
    tail: VecDeque<Vec<u8>>,
    tail_bytes: u64,
    omitted: u64,
    head_full: bool,
    closed: bool,
}

impl Default for Spool {
    fn default() -> Self {
        Self::with_limit(limit::LOG_BYTES)
    }
}

impl Spool {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_limit(most: u64) -> Self {
        let state = State {
            bytes: BytesMut::new(),
            released: 0,
            crc: crc32fast::Hasher::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            omitted: 0,
            head_full: false,
            closed: false,
        };
        let head_bytes = most / 2;
        let tail_bytes = (most - head_bytes).saturating_sub(NOTICE_BYTES);
        Self { state: Mutex::new(state), changed: Notify::new(), head_bytes, tail_bytes }
    }

    /// Appends one stored line, with its line break. Nothing more is taken after `close`.
    pub fn append(&self, line: &[u8]) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        state.head_full |= state.length() + line.len() as u64 > self.head_bytes;
        if !state.head_full {
            state.push(line);
            drop(state);
            self.changed.notify_one();
            return;
        }
        let together = self.tail_bytes / PIECES;
        match state.tail.back_mut() {
            Some(piece) if (piece.len() + line.len()) as u64 <= together => {
                piece.extend_from_slice(line);
            }
            _ => state.tail.push_back(line.to_vec()),
        }
        state.tail_bytes += line.len() as u64;
        while state.tail_bytes > self.tail_bytes {
            let Some(oldest) = state.tail.pop_front() else { break };
            state.tail_bytes -= oldest.len() as u64;
            state.omitted += oldest.len() as u64;
        }
    }

    /// No more will come. A recorder has closed it already, in its own words.
    pub fn close(&self) {
        self.close_with(|omitted| {
            format!("0.000 --- {omitted} bytes of the log are left out here\n").into_bytes()
        });
    }

    /// Appends what was kept of the end; `notice` turns the number of bytes left out into a stored line.
    pub(super) fn close_with(&self, notice: impl FnOnce(u64) -> Vec<u8>) {
        let mut state = self.state.lock();
        if !state.closed {
            if state.omitted > 0 {
                let line = notice(state.omitted);
                debug_assert!(line.len() as u64 <= NOTICE_BYTES);
                state.push(&line);
            }
            while let Some(line) = state.tail.pop_front() {
                state.push(&line);
            }
            state.tail_bytes = 0;
            state.closed = true;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// In how many pieces the tail is.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.state.lock().tail.len()
    }

    /// Up to `most` bytes from `offset`; empty when there are none yet, or when they are released already.
    pub fn read_from(&self, offset: u64, most: usize) -> Bytes {
        let state = self.state.lock();
        let Some(from) = offset.checked_sub(state.released) else { return Bytes::new() };
        let from = from.min(state.bytes.len() as u64) as usize;
        let to = from.saturating_add(most).min(state.bytes.len());
        Bytes::copy_from_slice(&state.bytes[from..to])
    }

    /// The server has everything before `durable`: its memory is given back.
    pub fn release(&self, durable: u64) {
        let mut state = self.state.lock();
        let count = durable.saturating_sub(state.released).min(state.bytes.len() as u64) as usize;
        let _ = state.bytes.split_to(count);
        state.released += count as u64;
        if state.bytes.is_empty() {
            state.bytes = BytesMut::new();
        }
    }

    /// How many bytes can be, or could have been, read. Final once the spool is closed.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.state.lock().length()
    }

    /// Bytes before this offset are gone.
    pub fn released(&self) -> u64 {
        self.state.lock().released
    }

    /// The CRC-32 of all of them.
    pub fn crc32(&self) -> u32 {
        self.state.lock().crc.clone().finalize()
    }

    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Waits for the next change. There is one reader: a change that it has not waited for yet ends the wait at once.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl State {
    fn length(&self) -> u64 {
        self.released + self.bytes.len() as u64
    }

    fn push(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.bytes.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(count: u64) -> Vec<u8> {
        format!("--- {count} left out\n").into_bytes()
    }

    #[test]
    fn reads_releases_and_counts() {
        let spool = Spool::default();
        spool.append(b"one\n");
        spool.append(b"two\n");
        assert_eq!(spool.read_from(2, 3), "e\nt");
        spool.release(4);
        assert_eq!(spool.read_from(3, 1), "");
        assert_eq!(spool.read_from(4, 100), "two\n");
        assert_eq!(spool.read_from(8, 100), "");
        spool.close_with(notice);
        spool.append(b"late\n");
        assert_eq!(spool.len(), 8);
        assert_eq!(spool.crc32(), crc32fast::hash(b"one\ntwo\n"));
    }

    #[test]
    fn a_long_log_keeps_its_head_and_its_tail() {
        let spool = Spool::with_limit(2000);
        for n in 0..1000 {
            spool.append(format!("line {n}\n").as_bytes());
        }
        assert!(spool.len() <= 1000);
        spool.close_with(notice);
        assert!(spool.len() <= 2000, "{}", spool.len());
        let all = String::from_utf8(spool.read_from(0, usize::MAX).to_vec()).unwrap();
        assert!(all.starts_with("line 0\nline 1\n"));
        assert!(all.ends_with("line 998\nline 999\n"));
        let whole: usize = (0..1000).map(|n| format!("line {n}\n").len()).sum();
        let note = all.lines().find(|line| line.starts_with("---")).unwrap();
        let omitted: usize = note.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(all.len() - note.len() - 1 + omitted, whole);
    }

    #[tokio::test]
    async fn waiting_ends_with_new_bytes_and_with_the_close() {
        let spool = std::sync::Arc::new(Spool::default());
        let other = spool.clone();
        let task = tokio::spawn(async move {
            let mut offset = 0;
            while !other.is_closed() || offset < other.len() {
                other.changed().await;
                offset += other.read_from(offset, 10).len() as u64;
            }
        });
        spool.append(b"x\n");
        tokio::task::yield_now().await;
        spool.close_with(notice);
        tokio::time::timeout(std::time::Duration::from_secs(5), task).await.unwrap().unwrap();
    }
}
