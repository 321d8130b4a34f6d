//! The program as people run it: real processes, real git, real signals.

mod campaigns;
mod exec;
mod faults;
mod queries;
mod security;
mod support;
mod swarming;
