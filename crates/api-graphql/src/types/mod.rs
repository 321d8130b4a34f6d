//! The types of the schema, a file for each family.

pub(crate) mod action;
pub(crate) mod agent;
pub(crate) mod campaign;
pub(crate) mod changeset;
pub(crate) mod definition;
pub(crate) mod diff;
pub(crate) mod execution;
pub(crate) mod job;
pub(crate) mod node;
pub(crate) mod patch;
pub(crate) mod repository;
pub(crate) mod search;
pub(crate) mod site;
