//! What is bounded.

/// A larger file is not searched; it is code that nobody wrote.
pub const SEARCHED_FILE_BYTES: u64 = 1024 * 1024;
