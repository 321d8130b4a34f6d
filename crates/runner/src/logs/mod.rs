//! From a command's output to the log that is stored.
//!
//! A stored log is lines: `SECONDS.MILLIS STREAM BYTES\n`, for example `12.345 out hello`. The time counts from the attempt's
//! start. The stream is one of
//!
//! - `out`, `err`: a line of the command's standard output or standard error; BYTES are raw, without the line break;
//! - `out+`, `err+`: the same, but after BYTES there was no line break (yet): a prompt that stood for a second, a piece of a
//!   line longer than 64 KiB, the end of the output;
//! - `---`: the runner itself, for people: which step begins, what the sandbox is, what came from the cache.
//!
//! Or it is plain: the command's output on both streams as it comes, and nothing else. For jobs whose log a program reads.
//!
//! SECURITY: secrets are masked before anything is kept, on each stream by itself.

mod needles;
mod redact;
mod spool;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use needles::needles;
pub use redact::{Needles, Redactor};
pub use spool::Spool;

use crate::runtime::{OutputSink, Stream};

/// Longest piece of a line.
const PIECE_BYTES: usize = 64 * 1024;
/// How long the beginning of a line waits for its end.
const PARTIAL: Duration = Duration::from_secs(1);
/// How much of a step's output is kept for templates, per stream: the beginning.
const CAPTURE_BYTES: usize = 1024 * 1024;

/// Takes a job's output, masks it, and appends it to a spool.
pub struct Recorder {
    spool: Arc<Spool>,
    started: Instant,
    needles: Arc<Needles>,
    /// Stores what comes without time and stream, and no word of its own.
    plain: bool,
    state: Mutex<State>,
}

struct State {
    out: Channel,
    err: Channel,
}

struct Channel {
    name: &'static str,
    redactor: Redactor,
    line: Vec<u8>,
    /// Since when the line has been incomplete.
    since: Instant,
    captured: Vec<u8>,
    /// More was written than is kept for templates.
    cut: bool,
}

impl Recorder {
    /// Made when the attempt starts. `secrets` are names and the values to mask.
    pub fn new(spool: Arc<Spool>, secrets: &[(String, String)], plain: bool) -> Self {
        let started = Instant::now();
        let needles =
            Arc::new(Needles::new(needles(secrets.iter().map(|(_, value)| value.as_str()))));
        let channel = |name| Channel {
            name,
            redactor: Redactor::new(needles.clone()),
            line: Vec::new(),
            since: started,
            captured: Vec::new(),
            cut: false,
        };
        let state = Mutex::new(State { out: channel("out"), err: channel("err") });
        Self { spool, started, needles, plain, state }
    }

    pub fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// Gives out beginnings of lines that have waited long enough. Called a few times a second while a command runs.
    pub fn flush_partial(&self) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let State { out, err } = &mut *state;
        for channel in [out, err] {
            if !channel.line.is_empty() && now.duration_since(channel.since) >= PARTIAL {
                let line = std::mem::take(&mut channel.line);
                self.store(channel.name, true, &line);
            }
        }
    }

    /// A step is over: nothing is held back any longer. Returns what it wrote on both streams, masked, as far as it is kept.
    pub fn end_step(&self) -> (Vec<u8>, Vec<u8>) {
        let mut state = self.state.lock();
        let State { out, err } = &mut *state;
        for channel in [&mut *out, &mut *err] {
            let mut bytes = Vec::new();
            channel.redactor.finish(&mut bytes);
            self.take(channel, &bytes);
            if !channel.line.is_empty() {
                let line = std::mem::take(&mut channel.line);
                self.store(channel.name, true, &line);
            }
        }
        let cut = [&mut *out, &mut *err].map(|channel| std::mem::take(&mut channel.cut));
        let captured = (std::mem::take(&mut out.captured), std::mem::take(&mut err.captured));
        drop(state);
        for (name, _) in ["stdout", "stderr"].iter().zip(cut).filter(|(_, cut)| *cut) {
            let most = CAPTURE_BYTES >> 20;
            self.notice(&format!("templates see the first {most} MiB of this step's {name} only"));
        }
        captured
    }

    /// Masks secrets in a text for people that does not go through the log: an error message.
    pub fn redact(&self, text: &str) -> String {
        let mut redactor = Redactor::new(self.needles.clone());
        let mut bytes = Vec::new();
        redactor.write(text.as_bytes(), &mut bytes);
        redactor.finish(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The log is complete.
    pub fn finish(&self) {
        self.end_step();
        self.spool.close_with(|omitted| {
            self.line(
                "---",
                false,
                format!("{omitted} bytes of the log are left out here").as_bytes(),
            )
        });
    }

    fn take(&self, channel: &mut Channel, bytes: &[u8]) {
        let room = CAPTURE_BYTES - channel.captured.len();
        channel.cut |= bytes.len() > room;
        channel.captured.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = PIECE_BYTES - channel.line.len();
            let end = rest.iter().take(room).position(|&b| b == b'\n');
            if channel.line.is_empty() {
                channel.since = Instant::now();
            }
            match end {
                Some(end) if channel.line.is_empty() => {
                    self.store(channel.name, false, &rest[..end])
                }
                Some(end) => {
                    channel.line.extend_from_slice(&rest[..end]);
                    self.store(channel.name, false, &channel.line);
                    channel.line.clear();
                }
                None => {
                    let piece = rest.len().min(room);
                    channel.line.extend_from_slice(&rest[..piece]);
                    if channel.line.len() == PIECE_BYTES {
                        self.store(channel.name, true, &channel.line);
                        channel.line.clear();
                    }
                    rest = &rest[piece..];
                    continue;
                }
            }
            rest = &rest[end.unwrap_or(0) + 1..];
        }
    }

    fn store(&self, stream: &str, open: bool, bytes: &[u8]) {
        self.spool.append(&self.line(stream, open, bytes));
    }

    fn line(&self, stream: &str, open: bool, bytes: &[u8]) -> Vec<u8> {
        if self.plain {
            let end: &[u8] = if open { b"" } else { b"\n" };
            return [bytes, end].concat();
        }
        let time = self.started.elapsed();
        let mut line = Vec::with_capacity(bytes.len() + 24);
        let plus = if open { "+" } else { "" };
        let _ = write!(line, "{}.{:03} {stream}{plus} ", time.as_secs(), time.subsec_millis());
        line.extend_from_slice(bytes);
        line.push(b'\n');
        line
    }
}

impl OutputSink for Recorder {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut state = self.state.lock();
        let channel = match stream {
            Stream::Stdout => &mut state.out,
            Stream::Stderr => &mut state.err,
        };
        let mut certain = Vec::with_capacity(bytes.len());
        channel.redactor.write(bytes, &mut certain);
        self.take(channel, &certain);
    }

    fn notice(&self, text: &str) {
        let mut text = self.redact(text);
        text.retain(|c| c != '\n' && c != '\r');
        if self.plain {
            return;
        }
        // Between steps nothing is held back, and in the middle of one the notice must not wait for a line's end.
        let _in_order = self.state.lock();
        self.store("---", false, text.as_bytes());
    }
}

#[cfg(test)]
mod tests;
