//! The words of Phalanx: ids, states, dimensions, limits.
//!
//! No I/O, no serde, no clock. Every other crate speaks these words; a door converts its wire's words into them in its
//! own `convert.rs`.

mod digest;
mod dimensions;
mod ids;
mod job;
pub mod limit;
mod runner;
mod time;

pub use digest::{Digest, ParseDigestError};
pub use dimensions::{Dimensions, DimensionsError, Requirements};
pub use ids::{
    AccessTokenId, ActionId, AttemptNumber, BulkOperationId, CampaignId, ChangesetId, CodeHostId,
    GroupId, JobId, LeaseToken, ParseTokenError, PatchId, PatchSetId, SavedSearchId,
};
pub use job::{
    AttemptRecord, Cancel, Evidence, GroupState, JobState, NewGroup, NewJob, Order, Outcome,
    Output, Priority, Reuse, ReuseKey, Slice, Terms, TimeoutKind,
};
pub use runner::{RunnerName, Session};
pub use time::{Now, WallMs};
