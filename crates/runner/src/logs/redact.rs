//! Masks secrets in a stream of bytes before anything stores them, wherever the stream is cut into writes.
//!
//! Every byte that belongs to an occurrence of a needle is masked; overlapping occurrences become one `***`. The end of what
//! was written is held back as long as it may be the beginning of a needle.
//!
//! Invariant: what comes out does not depend on where the writes were cut.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};

const MASK: &[u8] = b"***";

/// The needles of a job, shared by its streams.
#[derive(Debug)]
pub struct Needles {
    searcher: Option<AhoCorasick>,
    /// Sorted.
    all: Vec<Vec<u8>>,
    longest: usize,
    first_bytes: [bool; 256],
}

impl Needles {
    pub fn new(mut all: Vec<Vec<u8>>) -> Self {
        all.retain(|needle| !needle.is_empty());
        all.sort();
        all.dedup();
        let mut first_bytes = [false; 256];
        for needle in &all {
            first_bytes[usize::from(needle[0])] = true;
        }
        let longest = all.iter().map(Vec::len).max().unwrap_or(0);
        let searcher = (!all.is_empty()).then(|| {
            let builder = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&all);
            builder.expect("needles are far below the automaton's limits")
        });
        Self { searcher, all, longest, first_bytes }
    }

    /// Where the longest suffix of `bytes` begins that is the beginning, but not all, of a needle.
    fn open_suffix(&self, bytes: &[u8]) -> usize {
        let from = (bytes.len() + 1).saturating_sub(self.longest);
        let open = |&start: &usize| {
            let suffix = &bytes[start..];
            if !self.first_bytes[usize::from(suffix[0])] {
                return false;
            }
            // Needles that begin with the suffix stand together, right where it would stand itself.
            let at = self.all.partition_point(|needle| needle.as_slice() <= suffix);
            self.all.get(at).is_some_and(|needle| needle.starts_with(suffix))
        };
        (from..bytes.len()).find(open).unwrap_or(bytes.len())
    }
}

/// One stream.
#[derive(Debug)]
pub struct Redactor {
    needles: Arc<Needles>,
    held: Vec<u8>,
    /// So many of the held bytes belong to an occurrence whose mask was given out already.
    masked: usize,
}

impl Redactor {
    pub fn new(needles: Arc<Needles>) -> Self {
        Self { needles, held: Vec::new(), masked: 0 }
    }

    /// Takes bytes, and gives out what is certain.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.needles.searcher.is_none() {
            out.extend_from_slice(bytes);
            return;
        }
        self.held.extend_from_slice(bytes);
        let certain = self.needles.open_suffix(&self.held);
        self.give(certain, out);
    }

    /// The stream, or the step, is over: what was held back is no secret.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.give(self.held.len(), out);
        self.masked = 0;
    }

    /// Gives out the first `certain` bytes of what is held.
    fn give(&mut self, certain: usize, out: &mut Vec<u8>) {
        let Some(searcher) = &self.needles.searcher else { return };
        let mut spans: Vec<(usize, usize)> = searcher
            .find_overlapping_iter(&self.held)
            .map(|found| (found.start(), found.end()))
            .collect();
        spans.sort_unstable();
        let mut at = 0;
        // The occurrence that is being masked: up to where it goes so far.
        let mut end = self.masked;
        for (start, stop) in spans {
            if start >= end {
                // A new occurrence, with something or nothing between.
                if start >= certain {
                    break;
                }
                out.extend_from_slice(&self.held[at.max(end)..start]);
                out.extend_from_slice(MASK);
                at = start;
            }
            end = end.max(stop);
        }
        if end < certain {
            out.extend_from_slice(&self.held[at.max(end)..certain]);
        }
        self.held.drain(..certain);
        self.masked = end.saturating_sub(certain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn needles(all: &[&str]) -> Arc<Needles> {
        Arc::new(Needles::new(all.iter().map(|n| n.as_bytes().to_vec()).collect()))
    }

    fn cut(needles: &Arc<Needles>, pieces: &[&[u8]]) -> Vec<u8> {
        let mut redactor = Redactor::new(needles.clone());
        let mut out = Vec::new();
        for piece in pieces {
            redactor.write(piece, &mut out);
        }
        redactor.finish(&mut out);
        out
    }

    /// Says the rule again, without a stream: mark every byte of every occurrence.
    fn plain(needles: &Needles, text: &[u8]) -> Vec<u8> {
        let mut joins = vec![false; text.len() + 1];
        let mut covered = vec![false; text.len()];
        for needle in &needles.all {
            for start in 0..text.len() {
                if text[start..].starts_with(needle) {
                    covered[start..start + needle.len()].fill(true);
                    joins[start + 1..start + needle.len()].fill(true);
                }
            }
        }
        let mut out = Vec::new();
        for (at, &byte) in text.iter().enumerate() {
            match covered[at] {
                false => out.push(byte),
                true if at == 0 || !covered[at - 1] || !joins[at] => out.extend_from_slice(MASK),
                true => {}
            }
        }
        out
    }

    #[test]
    fn a_secret_is_masked_wherever_it_is_cut() {
        let needles = needles(&["secret-value"]);
        let text = b"before secret-value after secret-valu";
        for at in 0..=text.len() {
            let out = cut(&needles, &[&text[..at], &text[at..]]);
            assert_eq!(out, b"before *** after secret-valu", "{at}");
        }
        let single: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(cut(&needles, &single), b"before *** after secret-valu");
    }

    #[test]
    fn what_cannot_become_a_secret_is_not_held_back() {
        let needles = needles(&["secret-value"]);
        let mut redactor = Redactor::new(needles);
        let mut out = Vec::new();
        redactor.write(b"progress 10% s", &mut out);
        assert_eq!(out, b"progress 10% ");
        redactor.write(b"o", &mut out);
        assert_eq!(out, b"progress 10% so");
    }

    #[test]
    fn an_endless_repetition_is_not_held_in_memory() {
        let needles = needles(&["aaaaaaaa"]);
        let mut redactor = Redactor::new(needles);
        let mut out = Vec::new();
        for _ in 0..10_000 {
            redactor.write(b"aaaa", &mut out);
            assert!(redactor.held.len() < 16);
        }
        redactor.finish(&mut out);
        assert_eq!(out, MASK);
    }

    #[test]
    fn random_needles_texts_and_cuts() {
        let mut random = StdRng::seed_from_u64(7);
        for round in 0..12_000 {
            let letters: &[u8] = if round % 2 == 0 { b"ab" } else { b"abcdefgh" };
            let word = |random: &mut StdRng, least: usize, most: usize| -> Vec<u8> {
                let length = random.random_range(least..=most);
                (0..length).map(|_| letters[random.random_range(0..letters.len())]).collect()
            };
            let count = random.random_range(1..5);
            let list: Vec<Vec<u8>> = (0..count).map(|_| word(&mut random, 1, 9)).collect();
            let needles = Arc::new(Needles::new(list.clone()));
            let mut text = word(&mut random, 0, 30);
            for _ in 0..random.random_range(0..4) {
                text.extend_from_slice(&list[random.random_range(0..list.len())]);
                text.extend(word(&mut random, 0, 5));
            }
            let mut pieces = Vec::new();
            let mut rest = text.as_slice();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(random.random_range(1..=rest.len().min(7)));
                pieces.push(piece);
                rest = after;
            }
            let wanted = plain(&needles, &text);
            let show =
                || (String::from_utf8_lossy(&text).into_owned(), list.clone(), pieces.clone());
            assert_eq!(cut(&needles, &pieces), wanted, "{:?}", show());
        }
    }
}
