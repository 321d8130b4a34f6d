//! An execution: one spec over many workspaces. A workspace is (repository, revision, path), so monorepos are no special
//! case; each is one job of the execution's group.

mod document;
mod plan;
mod report;
mod submit;

pub use document::{Document, Mount, Network, Options, Runtime, WorkspaceJob, job_order};
pub use plan::{Plan, PlanError, PlannedWorkspace, RepositoryInput, Skipped, plan};
pub use report::{
    Changeset, DiffStat, JobDetail, JobReport, Report, ReportError, Result_ as JobResultDocument,
    changesets_of, job_detail, report, result_of,
};
pub use submit::{QUEUE, Submitted, submit};
