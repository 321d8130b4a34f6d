//! Hash maps with a fixed hash, so that no run differs from another. Never iterated where order could be seen.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use model::JobId;

/// Spreads sequential ids over the table.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

pub(crate) type JobMap<V> = HashMap<JobId, V, BuildHasherDefault<IdHasher>>;
