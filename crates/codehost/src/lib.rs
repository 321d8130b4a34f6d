//! Where repositories come from and pull requests go to: plain git, and each code host in a folder with the shape of its siblings.

mod connect;
pub mod git;
mod gitea;
mod github;
mod gitlab;
mod host;
mod http;
pub mod limit;
mod limiter;
mod place;
mod state;
mod webhook;

pub use connect::{ConnectError, Options, connect};
pub use host::*;
