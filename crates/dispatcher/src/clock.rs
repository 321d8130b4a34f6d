//! The only place that reads clocks for the engine.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use model::{Now, WallMs};

/// Where `now` comes from. Tests bring their own.
pub trait Clock: Send + Sync {
    fn now(&self) -> Now;
}

/// The machine's clocks. The monotonic one starts at the process's start.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now {
            mono_ms: self.start.elapsed().as_millis() as u64,
            wall: WallMs(wall.as_millis() as u64),
        }
    }
}
