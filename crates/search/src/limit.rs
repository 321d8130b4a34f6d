//! The limits of a query. Whoever meets one is told its name and what to do.

/// Longest query, in bytes: room for one expression that lists a thousand repositories.
pub const QUERY_BYTES: usize = 64 * 1024;
/// Most filters and patterns in a query.
pub const TERMS: usize = 512;
/// Deepest nesting of parentheses. The parser recurses once a level.
pub const DEPTH: usize = 64;
/// Most simple queries a query may become when its `or`s are multiplied out.
pub const DISJUNCTS: usize = 256;
/// Memory for all compiled regular expressions of a query, shared out evenly.
pub const REGEXP_TOTAL_BYTES: usize = 64 * 1024 * 1024;
/// Memory for one compiled regular expression, when its share would allow more.
pub const REGEXP_BYTES: usize = 10 * 1024 * 1024;
/// Deepest nesting inside a regular expression.
pub const REGEXP_DEPTH: u32 = 100;
