//! Who runs jobs.

use std::fmt;
use std::sync::Arc;

/// A runner's name. For a Sourcegraph executor it is `<hostname>-<uuid>`, new at each process start; ours keeps its name
/// and tells its processes apart by [`Session`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunnerName(pub Arc<str>);

impl RunnerName {
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One process of a runner. A newer session of the same name fences the older one (I9). Zero where a client has no notion of
/// sessions, as the unmodified executor, whose name is already new for each process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Session(pub u64);
