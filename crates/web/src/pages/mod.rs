//! One file per page. A page asks its query, shapes the answer, and renders it.

pub(crate) mod action_edit;
pub(crate) mod action_settings;
pub(crate) mod action_versions;
pub(crate) mod actions;
pub(crate) mod campaign;
pub(crate) mod campaign_edit;
pub(crate) mod campaign_new;
pub(crate) mod campaign_preview;
pub(crate) mod campaign_track;
pub(crate) mod campaigns;
pub(crate) mod changeset;
pub(crate) mod code_hosts;
pub(crate) mod execution;
pub(crate) mod executions;
pub(crate) mod failure;
pub(crate) mod home;
pub(crate) mod job;
pub(crate) mod jobs;
pub(crate) mod operations;
pub(crate) mod patch_set;
pub(crate) mod repositories;
pub(crate) mod runners;
pub(crate) mod saved_searches;
pub(crate) mod search;
pub(crate) mod settings;
pub(crate) mod swarming;
