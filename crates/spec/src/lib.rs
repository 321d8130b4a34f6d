//! What a spec says: the old action definition and the batch spec, their templates, and the cache key of a step.
//!
//! Pure: no I/O, no clock. `campaign` reads specs with it, `runner` renders the templates of each step with it, so that a
//! spec means the same on a laptop and on a server.

mod types;

pub use types::*;
