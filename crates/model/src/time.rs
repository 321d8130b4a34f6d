//! Time as an argument. Nothing below a door reads a clock.

/// Milliseconds since the Unix epoch, for people. Never compared to decide anything: wall clocks jump (invariant I31).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallMs(pub u64);

/// What every engine input carries: the server's monotonic clock, on which all deadlines are decided (I11), and the wall
/// clock, which is only written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since this process started.
    pub mono_ms: u64,
    pub wall: WallMs,
}
