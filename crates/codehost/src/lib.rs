//! Where repositories come from. Plain git now; each code host becomes a folder with the shape of its siblings.

pub mod git;
mod host;
pub mod limit;

pub use host::*;
