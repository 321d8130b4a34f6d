//! Whether what clients send is right, and what it is then: everything that needs neither a store nor a clock.
//!
//! Codes, messages and the order in which mistakes are found are those of luci-go's `swarming/server` at 22eba00a8f,
//! because scripts look at them. Everything here is chosen by strangers: no input makes these functions panic.

pub mod cipd;
pub mod cursor;
pub mod dimension;
pub mod fill;
pub mod filter;
pub mod hash;
pub mod name;
pub mod new_task;
pub mod path;
pub mod properties;
pub mod requests;
pub mod task;
pub mod task_id;
pub mod text;

pub use self::filter::{Constraint, Filter};
pub use self::task::{NewTask, Properties, Slice};
pub use self::task_id::TaskId;
