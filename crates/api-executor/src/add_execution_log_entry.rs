//! `addExecutionLogEntry` and `updateExecutionLogEntry`: the original sends a step's whole output again each second; only
//! what is new goes into our log.

use std::collections::HashMap;
use std::fmt::Write;

use executor_protocol::LogEntry;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use model::{JobId, LeaseToken, RunnerName, limit};
use parking_lot::Mutex;

use crate::status::{self, Answer, Refusal};
use crate::{Door, auth, body, full, log};

/// The log entries of running jobs. Memory only: after a restart an executor's next update is written whole, with a notice.
#[derive(Default)]
pub(crate) struct Entries {
    jobs: Mutex<HashMap<JobId, OfJob>>,
}

#[derive(Default)]
struct OfJob {
    token: Option<LeaseToken>,
    /// How many bytes of each entry's output are in the log.
    written: HashMap<u64, usize>,
    next: u64,
    last_failure: Option<i32>,
}

const JOBS: usize = 100_000;

impl Entries {
    pub(crate) fn last_failure(&self, job: JobId) -> Option<i32> {
        self.jobs.lock().get(&job).and_then(|of_job| of_job.last_failure)
    }

    pub(crate) fn forget(&self, job: JobId) {
        self.jobs.lock().remove(&job);
    }
}

pub(crate) async fn handle(door: &Door, request: Request<Incoming>, update: bool) -> Answer {
    let caller = auth::job(door, request.headers())?;
    let max = limit::LOG_BYTES as usize * 2;
    let entry: LogEntry = body::read_json(request.into_body(), max).await?;
    let job = JobId(entry.job_id);
    let unknown = || Refusal::error(StatusCode::INTERNAL_SERVER_ERROR, "unknown job");
    let runner = RunnerName::new(&entry.executor_name);
    let token = caller.token_for(door, job, &runner).map_err(|_| unknown())?;
    let (id, text) = {
        let mut jobs = door.entries.jobs.lock();
        if jobs.len() >= JOBS {
            jobs.clear();
        }
        let of_job = jobs.entry(job).or_default();
        if of_job.token != Some(token) {
            *of_job = OfJob { token: Some(token), ..OfJob::default() };
        }
        of_job.take(&entry, update)
    };
    // Appends of one job come one after the other, so the end of the log is where this one goes.
    let mut offset = door.dispatcher.logs().summary(job, token.attempt()).0;
    for chunk in text.as_bytes().chunks(limit::LOG_CHUNK_BYTES) {
        match log::append(door, job, token, offset, chunk).await.map_err(|_| unknown())? {
            (StatusCode::OK, reply) => offset = reply.received,
            // Too long: the rest is dropped, as the job goes on.
            _ => break,
        }
    }
    if update {
        return status::no_content();
    }
    Ok(Response::new(full(id.to_string())))
}

impl OfJob {
    /// The entry's id, and what of it is new, in the lines of our log.
    fn take(&mut self, entry: &LogEntry, update: bool) -> (u64, String) {
        let mut text = String::new();
        let id = match entry.entry_id {
            Some(id) if update => id,
            _ => {
                self.next += 1;
                self.next
            }
        };
        self.next = self.next.max(id);
        let known = self.written.contains_key(&id);
        if !known {
            let again = if update { " (sent again after a restart of the server)" } else { "" };
            let _ = writeln!(text, "0.000 --- {}: {}{again}", entry.key, entry.command.join(" "));
        }
        let written = self.written.entry(id).or_insert(0);
        // Half a line waits for its end, unless the entry is over.
        let end = match entry.exit_code {
            Some(_) => entry.out.len(),
            None => entry.out.rfind('\n').map_or(0, |at| at + 1),
        };
        let new = entry.out.get(*written..end).unwrap_or_default();
        *written = end.max(*written);
        let millis = entry.duration_ms.unwrap_or(0);
        for line in new.lines() {
            let (stream, line) = match line.split_once(": ") {
                Some(("stdout", line)) => ("out", line),
                Some(("stderr", line)) => ("err", line),
                _ => ("out", line),
            };
            let _ = writeln!(text, "{}.{:03} {stream} {line}", millis / 1000, millis % 1000);
        }
        if let Some(code) = entry.exit_code.filter(|code| *code != 0) {
            self.last_failure = Some(code);
        }
        (id, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_taken() {
        let mut job = OfJob::default();
        let mut entry = LogEntry { key: "step.docker.0".into(), ..LogEntry::default() };
        entry.out = "stdout: a\nstde".into();
        let (id, text) = job.take(&entry, false);
        assert_eq!((id, text.as_str()), (1, "0.000 --- step.docker.0: \n0.000 out a\n"));
        entry.entry_id = Some(1);
        entry.out = "stdout: a\nstderr: b\n".into();
        assert_eq!(job.take(&entry, true), (1, "0.000 err b\n".to_owned()));
        assert_eq!(job.take(&entry, true), (1, String::new()));
        entry.exit_code = Some(3);
        entry.out += "stdout: no newline";
        assert_eq!(job.take(&entry, true).1, "0.000 out no newline\n");
        assert_eq!(job.last_failure, Some(3));
    }
}
