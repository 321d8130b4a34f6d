//! The runner's hands, end to end: real git, real processes, a server in memory.

mod cost;
mod docker;
mod git_config;
mod http;
mod jobs;
mod kill;
mod sandbox;
mod world;
