//! The recorder: lines, pieces, masks, and what is kept for templates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;

fn recorder(secrets: &[&str]) -> Recorder {
    let secrets: Vec<_> =
        secrets.iter().map(|value| ("NAME".to_owned(), (*value).to_owned())).collect();
    Recorder::new(Arc::new(Spool::new()), &secrets, false)
}

/// The stored lines, without their times.
fn lines(recorder: &Recorder) -> Vec<String> {
    let bytes = recorder.spool().read_from(0, usize::MAX);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

#[test]
fn lines_of_both_streams_are_told_apart() {
    let recorder = recorder(&[]);
    recorder.write(Stream::Stdout, b"one\ntw");
    recorder.write(Stream::Stderr, b"oops\n");
    recorder.write(Stream::Stdout, b"o\n\nno end");
    recorder.notice("step\n1");
    let (out, err) = recorder.end_step();
    assert_eq!(
        lines(&recorder),
        ["out one", "err oops", "out two", "out ", "--- step1", "out+ no end"]
    );
    assert_eq!(out, b"one\ntwo\n\nno end");
    assert_eq!(err, b"oops\n");
}

#[test]
fn a_plain_log_is_what_was_printed() {
    let recorder = Recorder::new(Arc::new(Spool::new()), &[("N".into(), "hushhush".into())], true);
    recorder.notice("step 1");
    recorder.write(Stream::Stdout, b"one\ntw");
    recorder.write(Stream::Stderr, b"oops\n");
    recorder.write(Stream::Stdout, b"o\n\nhushhush, no end");
    recorder.finish();
    let bytes = recorder.spool().read_from(0, usize::MAX);
    assert_eq!(String::from_utf8_lossy(&bytes), "one\noops\ntwo\n\n***, no end");
}

#[test]
fn many_short_lines_are_kept_together() {
    let spool = Spool::with_limit(1 << 20);
    for _ in 0..1 << 21 {
        spool.append(b"\n");
    }
    assert!(spool.pieces() < 600, "{}", spool.pieces());
    spool.close();
    assert!((900 << 10..=1 << 20).contains(&spool.len()), "{}", spool.len());
}

#[test]
fn times_have_three_digits_and_grow() {
    let recorder =
        Recorder { started: Instant::now() - Duration::from_millis(12_034), ..recorder(&[]) };
    recorder.write(Stream::Stdout, b"x\n");
    let bytes = recorder.spool().read_from(0, 7);
    assert!(bytes.starts_with(b"12.03") && bytes[6] == b' ', "{bytes:?}");
}

#[test]
fn a_very_long_line_comes_in_pieces() {
    let recorder = recorder(&[]);
    recorder.write(Stream::Stdout, &vec![b'x'; PIECE_BYTES * 2 + 5]);
    recorder.write(Stream::Stdout, b"\n");
    let found: Vec<(String, usize)> = lines(&recorder)
        .iter()
        .map(|l| l.split_once(' ').unwrap())
        .map(|(s, b)| (s.to_owned(), b.len()))
        .collect();
    assert_eq!(
        found,
        [("out+".to_owned(), PIECE_BYTES), ("out+".to_owned(), PIECE_BYTES), ("out".to_owned(), 5)]
    );
}

#[test]
fn capture_keeps_the_beginning() {
    let recorder = recorder(&[]);
    recorder.write(Stream::Stdout, &vec![b'a'; CAPTURE_BYTES + 10]);
    assert_eq!(recorder.end_step().0.len(), CAPTURE_BYTES);
    assert!(recorder.end_step().0.is_empty());
}

/// What a viewer shows of one stream.
fn shown(recorder: &Recorder, stream: &str) -> Vec<u8> {
    let bytes = recorder.spool().read_from(0, usize::MAX);
    let mut all = Vec::new();
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        let mut parts = line.splitn(3, |&b| b == b' ');
        let (_, name, rest) = (parts.next(), parts.next().unwrap(), parts.next().unwrap());
        match std::str::from_utf8(name).unwrap().strip_prefix(stream) {
            Some("+") => all.extend_from_slice(&rest[..rest.len() - 1]),
            Some("") => all.extend_from_slice(rest),
            _ => {}
        }
    }
    all
}

#[test]
fn secrets_are_masked_however_they_are_cut_and_encoded() {
    let secrets = [
        "hunter2!/&\"' x",
        "-----BEGIN KEY-----\nMIIabc123/+==\n-----END KEY-----",
        "tok_0123456789",
    ];
    let all = needles(secrets);
    let mut random = StdRng::seed_from_u64(3);
    let recorder = recorder(&secrets);
    for round in 0..12_000 {
        let needle = &all[round % all.len()];
        let mut text = b"log: ".to_vec();
        text.extend_from_slice(needle);
        text.extend_from_slice(b" ;end\n");
        let stream = if random.random() { Stream::Stdout } else { Stream::Stderr };
        let first = random.random_range(0..=text.len());
        let second = random.random_range(first..=text.len());
        for piece in [&text[..first], &text[first..second], &text[second..]] {
            recorder.write(stream, piece);
            if random.random_range(0..10) == 0 {
                let other = if stream == Stream::Stdout { Stream::Stderr } else { Stream::Stdout };
                recorder.write(other, b"noise\n");
            }
        }
        recorder.spool().release(recorder.spool().len().saturating_sub(1 << 16));
        if round % 64 == 0 {
            let end = recorder.spool().len();
            let bytes = recorder.spool().read_from(end.saturating_sub(1 << 14), usize::MAX);
            for needle in &all {
                assert!(
                    !bytes.windows(needle.len()).any(|w| w == needle),
                    "{}",
                    String::from_utf8_lossy(needle)
                );
            }
        }
    }
    let recorder = self::recorder(&secrets);
    recorder.write(Stream::Stdout, b"a tok_01234");
    recorder.write(Stream::Stderr, b"56789\n");
    recorder.write(Stream::Stdout, b"56789 b\nbytes \xff\x00 stay\r\n");
    recorder.end_step();
    assert_eq!(shown(&recorder, "out"), b"a *** b\nbytes \xff\x00 stay\r\n");
    assert_eq!(shown(&recorder, "err"), b"56789\n");
    assert_eq!(recorder.redact("x tok_0123456789 y"), "x *** y");
}
