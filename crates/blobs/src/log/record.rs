//! Records of a segment: how they are written, and how a start reads them back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use model::{AttemptNumber, JobId, limit};

use super::extents::{Extents, take_varint};
use super::{Key, Live, LogState};

pub(super) const HEADER_BYTES: usize = 33;
pub(super) const CHUNK: u8 = 1;
pub(super) const CARRY: u8 = 2;
/// The bytes from its offset to the log's end, written again as one chunk.
pub(super) const MERGED: u8 = 3;

/// kind 1 · job 8 · attempt 4 · offset 8 · length 4 · crc of header and data 4 (after 4 bytes of zero for the future) · data
pub(super) fn put_record(
    out: &mut Vec<u8>,
    kind: u8,
    (job, attempt): Key,
    offset: u64,
    data: &[u8],
) {
    let start = out.len();
    out.push(kind);
    out.extend(job.0.to_be_bytes());
    out.extend(attempt.0.to_be_bytes());
    out.extend(offset.to_be_bytes());
    out.extend((data.len() as u32).to_be_bytes());
    out.extend([0; 4]);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&out[start..]);
    crc.update(data);
    out.extend(crc.finalize().to_be_bytes());
    debug_assert_eq!(out.len() - start, HEADER_BYTES);
    out.extend(data);
}

/// The live logs of a segment, and where its last whole record ends.
pub(super) fn recover(file: &File, number: u32) -> io::Result<(BTreeMap<Key, Live>, u64)> {
    let length = file.metadata()?.len();
    let mut live: BTreeMap<Key, Live> = BTreeMap::new();
    let mut at = 0u64;
    let mut header = [0u8; HEADER_BYTES];
    let mut data = Vec::new();
    while at + HEADER_BYTES as u64 <= length {
        file.read_exact_at(&mut header, at)?;
        let size = u32::from_be_bytes(header[21..25].try_into().expect("four bytes")) as usize;
        let whole = at + (HEADER_BYTES + size) as u64 <= length;
        if !whole || size > limit::LOG_CHUNK_BYTES * 64 {
            break;
        }
        data.resize(size, 0);
        file.read_exact_at(&mut data, at + HEADER_BYTES as u64)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header[..29]);
        crc.update(&data);
        if crc.finalize().to_be_bytes() != header[29..] {
            break;
        }
        let job = JobId(u64::from_be_bytes(header[1..9].try_into().expect("eight bytes")));
        let attempt = u32::from_be_bytes(header[9..13].try_into().expect("four bytes"));
        let entry = live.entry((job, AttemptNumber(attempt))).or_default();
        match header[0] {
            CARRY => {
                let mut rest = &data[..];
                let (Some(total), Some(crc32)) = (take_varint(&mut rest), take_varint(&mut rest))
                else {
                    break;
                };
                let Some(extents) = Extents::decode(rest) else { break };
                entry.state = LogState { length: total, crc32: crc32 as u32, extents };
            }
            CHUNK => {
                let state = &mut entry.state;
                state.extents.push(number, at + HEADER_BYTES as u64, size as u32);
                let mut crc = crc32fast::Hasher::new_with_initial_len(state.crc32, state.length);
                crc.update(&data);
                state.crc32 = crc.finalize();
                state.length += size as u64;
            }
            MERGED => {
                let offset = u64::from_be_bytes(header[13..21].try_into().expect("eight bytes"));
                let state = &mut entry.state;
                if !state.extents.cut_at(offset) || offset + size as u64 != state.length {
                    break;
                }
                state.extents.push(number, at + HEADER_BYTES as u64, size as u32);
            }
            _ => break,
        }
        at += (HEADER_BYTES + size) as u64;
    }
    for entry in live.values_mut() {
        // The start syncs the segment before it serves.
        entry.durable = entry.state.length;
    }
    Ok((live, at))
}
