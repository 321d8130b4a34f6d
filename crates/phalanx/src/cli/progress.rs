//! How an execution is doing: a bar on a terminal, lines in a pipe.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use api_rest::types::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::say;
use super::output::{duration, plain};

/// What a person sees while jobs run. On standard error, so that patches and JSON stay clean.
pub struct Display {
    bar: Option<ProgressBar>,
    since: BTreeMap<u64, Instant>,
    last_line: Option<(u64, Instant)>,
    quiet: bool,
}

/// So that a pipe is not flooded.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Jobs are named when they have run for so long.
const SLOW: Duration = Duration::from_secs(1);

impl Display {
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && !quiet;
        let bar = terminal.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} {wide_msg}");
            bar.set_style(style.expect("the template is constant").progress_chars("=> "));
            bar
        });
        Self { bar, since: BTreeMap::new(), last_line: None, quiet }
    }

    pub fn show(&mut self, progress: &Progress) {
        let now = Instant::now();
        self.since.retain(|job, _| progress.running.iter().any(|running| running.job == *job));
        for running in &progress.running {
            self.since.entry(running.job).or_insert(now);
        }
        let done = progress.succeeded + progress.failed;
        let mut text = String::new();
        if progress.failed > 0 {
            text += &format!("{} failed ", progress.failed);
        }
        text += &format!("{} running {} waiting", progress.running.len(), progress.queued);
        if let Some(waiting) = &progress.waiting {
            text += &format!(": {}", plain(waiting));
        }
        let mut slowest: Vec<_> = progress.running.iter().collect();
        slowest.sort_by_key(|running| self.since[&running.job]);
        let slow: Vec<String> = slowest
            .iter()
            .map(|running| (running, self.since[&running.job].elapsed()))
            .filter(|(_, took)| *took >= SLOW)
            .take(3)
            .map(|(running, took)| {
                format!("{} {}", plain(&running.label), duration(took.as_millis() as u64))
            })
            .collect();
        if !slow.is_empty() {
            text += &format!(" · {}", slow.join(", "));
        }
        if let Some(bar) = &self.bar {
            bar.set_length(progress.jobs);
            bar.set_position(done);
            bar.set_message(text);
            return;
        }
        let changed = self.last_line.is_none_or(|(seen, at)| {
            (seen != done && at.elapsed() >= LINE_EVERY) || at.elapsed() >= LINE_EVERY * 15
        });
        if changed && !self.quiet {
            say!("{done}/{} done, {text}", progress.jobs);
            self.last_line = Some((done, now));
        }
    }

    pub fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
