//! What the dispatcher needs of a store. Implemented in the crate `store`, and nowhere else.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use engine::{Change, Snapshot};
use model::{
    AttemptNumber, AttemptRecord, GroupId, GroupState, JobId, JobState, NewGroup, NewJob, ReuseKey,
    RunnerName, WallMs,
};

/// The store failed. There is no retry: the process ends and the next start looks at what is on the disk.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct StoreError {
    pub doing: String,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// `doing` fits after "failed to".
    pub fn new(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { doing: doing.into(), source: source.into() }
    }
}

/// The writing half: one owner, one thread.
pub trait Store: Send {
    /// Everything that is live.
    fn load(&mut self) -> Result<Snapshot, StoreError>;

    /// Applies the changes in order, all or none, and returns when they are durable.
    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}

/// The reading half: many at once, only what is committed.
pub trait Reader: Send + Sync {
    fn job(&self, id: JobId) -> Result<Option<JobView>, StoreError>;

    /// Jobs by id from `after`, at most `limit`.
    fn jobs(&self, filter: JobFilter) -> Result<Vec<JobView>, StoreError>;

    /// How many jobs a filter finds in all, whatever `after` and `limit` say.
    fn count_jobs(&self, filter: JobFilter) -> Result<u64, StoreError>;

    /// How many jobs of each of these groups stand where, in their order.
    fn group_counts(&self, groups: &[GroupId]) -> Result<Vec<GroupCounts>, StoreError>;

    /// The last attempt that is over of each of these jobs.
    fn last_attempts(&self, jobs: &[JobId]) -> Result<Vec<AttemptView>, StoreError>;

    fn groups_by_id(&self, ids: &[GroupId]) -> Result<Vec<GroupView>, StoreError>;

    fn attempts(&self, job: JobId) -> Result<Vec<AttemptView>, StoreError>;

    fn attempt(&self, job: JobId, number: AttemptNumber)
    -> Result<Option<AttemptView>, StoreError>;

    /// The payload of a job: what a grant sends when memory does not have it.
    fn payload(&self, job: JobId) -> Result<Option<Arc<[u8]>>, StoreError>;

    fn group(&self, id: GroupId) -> Result<Option<GroupView>, StoreError>;

    /// The jobs with these wire ids, in any order; those that are not there are left out.
    fn jobs_by_wire_id(&self, ids: &[u64]) -> Result<Vec<JobView>, StoreError>;

    /// The latest job with this request key.
    fn job_by_request_key(&self, key: [u8; 16]) -> Result<Option<JobView>, StoreError>;

    /// The highest wire id that was ever given.
    fn last_wire_id(&self) -> Result<Option<u64>, StoreError>;

    /// The wire ids of what a search finds, newest first.
    fn search_jobs(&self, search: &JobSearch, limit: usize) -> Result<Vec<u64>, StoreError>;

    /// How many jobs a search finds.
    fn count_found(&self, search: &JobSearch) -> Result<u64, StoreError>;

    /// The latest job whose result may be reused by this key, and when it ended.
    fn reusable(&self, key: ReuseKey) -> Result<Option<(JobId, WallMs)>, StoreError>;

    /// Newest first, below `before` when given.
    fn groups(&self, before: Option<GroupId>, limit: usize) -> Result<Vec<GroupView>, StoreError>;
}

/// What is done beside the work, so that the store stays in order. Safe to call from many threads.
pub trait House: Send + Sync {
    /// What is to be told by now, oldest first.
    fn due_notices(&self, now: WallMs, limit: usize) -> Result<Vec<Notice>, StoreError>;

    /// They were told, or nobody can be.
    fn drop_notices(&self, ids: &[u64]) -> Result<(), StoreError>;

    /// They could not be told now; not before these times again.
    fn put_off_notices(&self, ids: &[(u64, WallMs)]) -> Result<(), StoreError>;

    /// Deletes up to `limit` jobs that were over by then and have a wire id below this one, with all that is known of them, the
    /// oldest first. One whose result is another's stays as long as that one. Gives back how many.
    fn delete_jobs(
        &self,
        below: u64,
        ended_before: WallMs,
        limit: usize,
    ) -> Result<usize, StoreError>;

    /// Clears up to so many labels after deleted jobs, and says how many: the searches' part of them, and a name that no job has
    /// any more. Some wait until jobs that ended with these are deleted too.
    fn delete_labels(&self, limit: usize) -> Result<usize, StoreError>;

    /// Shows where the log of each attempt that is over lies: [`Extents`](blobs::Extents), encoded.
    fn each_log(&self, see: &mut dyn FnMut(&[u8])) -> Result<(), StoreError>;

    /// Remembers how things stood: JSON.
    fn put_sample(&self, at: WallMs, record: &str) -> Result<(), StoreError>;

    /// How things stood, oldest first, at most `limit`, evenly spread over the time.
    fn samples(&self, at: Range<WallMs>, limit: usize)
    -> Result<Vec<(WallMs, String)>, StoreError>;

    /// Keeps of the samples before `thin` only one in ten minutes, and of those before `end` none.
    fn prune_samples(&self, end: WallMs, thin: WallMs) -> Result<(), StoreError>;
}

/// Something happened to a job of which somebody wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    pub id: u64,
    pub job: JobId,
    pub at: WallMs,
    /// How often it was tried in vain to tell.
    pub tries: u32,
}

/// Where the jobs of a group stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    pub queued: u64,
    pub running: u64,
    /// By the name of the outcome.
    pub finished: BTreeMap<String, u64>,
    /// Jobs whose last attempt has an output of this name: `patch`.
    pub with_patch: u64,
}

/// Where a job stands, as filters name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStanding {
    Queued,
    Running,
    /// Over, with an outcome of these names.
    Finished(&'static [&'static str]),
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub group: Option<GroupId>,
    /// One of these; anywhere when there is none.
    pub standings: Vec<JobStanding>,
    /// A part of the repository's name or of the path in it.
    pub workspace: String,
    /// Ids above this one.
    pub after: Option<JobId>,
    /// Newest first instead.
    pub newest_first: bool,
    pub limit: usize,
}

/// Which jobs of the doors that name them to find. Only jobs with a wire id are found.
#[derive(Clone, Debug)]
pub struct JobSearch {
    pub wire_ids: Range<u64>,
    /// Of each set at least one.
    pub labels: Vec<Vec<Arc<str>>>,
    /// One of these; anywhere when there is none.
    pub standings: Vec<JobStanding>,
    /// Whether its result is another job's.
    pub reused: Option<bool>,
    /// It ran there; it is over.
    pub runner: Option<RunnerName>,
}

impl Default for JobSearch {
    fn default() -> Self {
        Self {
            // SQLite's integers end there.
            wire_ids: 0..i64::MAX as u64,
            labels: Vec::new(),
            standings: Vec::new(),
            reused: None,
            runner: None,
        }
    }
}

/// A job as stored.
#[derive(Clone, Debug)]
pub struct JobView {
    pub id: JobId,
    pub group: Option<GroupId>,
    pub job: Arc<NewJob>,
    pub created: WallMs,
    pub state: JobState,
    /// Attempts so far, a live one included.
    pub attempts: u32,
}

/// An attempt that is over, as stored.
#[derive(Clone, Debug)]
pub struct AttemptView {
    pub job: JobId,
    pub record: AttemptRecord,
}

/// A group as stored.
#[derive(Clone, Debug)]
pub struct GroupView {
    pub id: GroupId,
    pub group: NewGroup,
    pub first_job: JobId,
    pub jobs: u64,
    pub created: WallMs,
    pub state: GroupState,
}

/// Keeps nothing. For the benchmark that measures what durability costs.
#[derive(Debug, Default)]
pub struct NullStore;

impl Store for NullStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }

    fn commit(&mut self, _: &[Change]) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Reader for NullStore {
    fn job(&self, _: JobId) -> Result<Option<JobView>, StoreError> {
        Ok(None)
    }

    fn jobs(&self, _: JobFilter) -> Result<Vec<JobView>, StoreError> {
        Ok(Vec::new())
    }

    fn count_jobs(&self, _: JobFilter) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn group_counts(&self, groups: &[GroupId]) -> Result<Vec<GroupCounts>, StoreError> {
        Ok(vec![GroupCounts::default(); groups.len()])
    }

    fn last_attempts(&self, _: &[JobId]) -> Result<Vec<AttemptView>, StoreError> {
        Ok(Vec::new())
    }

    fn groups_by_id(&self, _: &[GroupId]) -> Result<Vec<GroupView>, StoreError> {
        Ok(Vec::new())
    }

    fn attempts(&self, _: JobId) -> Result<Vec<AttemptView>, StoreError> {
        Ok(Vec::new())
    }

    fn attempt(&self, _: JobId, _: AttemptNumber) -> Result<Option<AttemptView>, StoreError> {
        Ok(None)
    }

    fn payload(&self, _: JobId) -> Result<Option<Arc<[u8]>>, StoreError> {
        Ok(None)
    }

    fn group(&self, _: GroupId) -> Result<Option<GroupView>, StoreError> {
        Ok(None)
    }

    fn jobs_by_wire_id(&self, _: &[u64]) -> Result<Vec<JobView>, StoreError> {
        Ok(Vec::new())
    }

    fn job_by_request_key(&self, _: [u8; 16]) -> Result<Option<JobView>, StoreError> {
        Ok(None)
    }

    fn last_wire_id(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    fn search_jobs(&self, _: &JobSearch, _: usize) -> Result<Vec<u64>, StoreError> {
        Ok(Vec::new())
    }

    fn count_found(&self, _: &JobSearch) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn reusable(&self, _: ReuseKey) -> Result<Option<(JobId, WallMs)>, StoreError> {
        Ok(None)
    }

    fn groups(&self, _: Option<GroupId>, _: usize) -> Result<Vec<GroupView>, StoreError> {
        Ok(Vec::new())
    }
}
