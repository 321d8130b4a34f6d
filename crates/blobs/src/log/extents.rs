//! Where the bytes of a log lie, in memory and as the store keeps it.

/// Where a log's bytes lie: (segment, position, length), in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extents(pub Vec<(u32, u64, u32)>);

impl Extents {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() * 8);
        for (segment, position, length) in &self.0 {
            for value in [u64::from(*segment), *position, u64::from(*length)] {
                put_varint(&mut out, value);
            }
        }
        out
    }

    /// `None` when the bytes are not an encoding.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let segment = take_varint(&mut bytes)?.try_into().ok()?;
            let position = take_varint(&mut bytes)?;
            let length = take_varint(&mut bytes)?.try_into().ok()?;
            all.push((segment, position, length));
        }
        Some(Self(all))
    }

    pub(super) fn push(&mut self, segment: u32, position: u64, length: u32) {
        self.0.push((segment, position, length));
    }

    /// Removes what lies from this offset on. False when no extent begins there.
    pub(super) fn cut_at(&mut self, offset: u64) -> bool {
        let mut start = 0;
        let first = self.0.iter().position(|(_, _, length)| {
            let here = start;
            start += u64::from(*length);
            here == offset
        });
        if let Some(first) = first {
            self.0.truncate(first);
        }
        first.is_some()
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
