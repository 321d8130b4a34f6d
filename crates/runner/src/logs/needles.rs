//! The shapes in which a secret may appear in output: as it is, and as common tools encode it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// SECURITY: a shorter value would mask half of the log and so tell what it is. It is not masked at all.
pub const SHORTEST: usize = 6;

/// So many characters of base64 are masked wherever they stand alone.
const WINDOW: usize = 20;
/// Of longer secrets no pieces are looked for: they would be too many.
const WRAPPED_BYTES: usize = 8 * 1024;

/// Everything to look for, sorted, without doubles.
pub fn needles<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Vec<Vec<u8>> {
    let mut found = BTreeSet::new();
    for secret in secrets {
        let trimmed = secret.trim_end_matches(['\r', '\n']);
        encode(trimmed, &mut found);
        if trimmed.contains('\n') {
            encode(&trimmed.replace('\n', "\r\n"), &mut found);
            // Tools print keys line by line, with prefixes or indented.
            for line in trimmed.lines().map(str::trim).filter(|line| line.len() >= SHORTEST) {
                encode(line, &mut found);
            }
        }
    }
    found.into_iter().collect()
}

fn encode(secret: &str, found: &mut BTreeSet<Vec<u8>>) {
    let bytes = secret.as_bytes();
    if bytes.len() < SHORTEST {
        return;
    }
    found.insert(bytes.to_vec());
    for upper in [true, false] {
        found.insert(percent(bytes, upper, false));
        found.insert(percent(bytes, upper, true));
    }
    let json = serde_json::to_string(secret).expect("a text is JSON");
    let json = json[1..json.len() - 1].to_owned();
    found.insert(json.replace('/', "\\/").into_bytes());
    found.insert(ascii_json(&json).into_bytes());
    found.insert(json.into_bytes());
    found.insert(secret.replace('\'', "'\\''").into_bytes());
    found.insert(secret.replace('\'', "'\"'\"'").into_bytes());
    found.insert(
        backslashed(secret, |c| !c.is_ascii_alphanumeric() && !"-_./,:@%+=".contains(c))
            .into_bytes(),
    );
    found.insert(backslashed(secret, |c| "\"$`\\".contains(c)).into_bytes());
    found.insert(hex::encode(bytes).into_bytes());
    found.insert(hex::encode_upper(bytes).into_bytes());
    for offset in 0..3 {
        let mut padded = vec![0; offset];
        padded.extend_from_slice(bytes);
        // Only characters all of whose bits come from the secret.
        let (from, to) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
        let encoded = STANDARD_NO_PAD.encode(&padded);
        let text = &encoded.as_bytes()[from..to];
        found.insert(text.to_vec());
        // Tools break lines at 64 or 76 characters, wherever the secret stands in them.
        if text.len() > WINDOW && bytes.len() <= WRAPPED_BYTES {
            found.extend(text.windows(WINDOW).map(<[u8]>::to_vec));
        }
        found.insert(URL_SAFE_NO_PAD.encode(&padded).as_bytes()[from..to].to_vec());
    }
}

fn percent(bytes: &[u8], upper: bool, plus: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 3);
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else if plus && byte == b' ' {
            out.push(b'+');
        } else if upper {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.extend_from_slice(format!("%{byte:02x}").as_bytes());
        }
    }
    out
}

fn ascii_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn backslashed(secret: &str, special: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(secret.len() * 2);
    for c in secret.chars() {
        if special(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shapes_are_there() {
        let secret = "p@ss/w'rd\"x y+é";
        let all = needles([secret]);
        let has = |text: &str| assert!(all.iter().any(|n| n == text.as_bytes()), "{text}");
        has(secret);
        has("p%40ss%2Fw%27rd%22x%20y%2B%C3%A9");
        has("p%40ss%2fw%27rd%22x+y%2b%c3%a9");
        has(r#"p@ss/w'rd\"x y+é"#);
        has(r#"p@ss/w'rd\"x y+\u00e9"#);
        has(r#"p@ss/w'\''rd"x y+é"#);
        has(&hex::encode(secret));
        assert!(needles(["short"]).is_empty());
        assert!(needles(["secret\n"]).contains(&b"secret".to_vec()));
        assert!(needles(["abc\"\""]).is_empty());
        assert!(needles(["abcdef\""]).contains(&b"abcdef\\\"".to_vec()));
    }

    #[test]
    fn base64_is_found_where_lines_are_broken() {
        let secret: Vec<u8> = (0..240u16).map(|at| b'!' + (at * 7 % 90) as u8).collect();
        let all = needles([std::str::from_utf8(&secret).unwrap()]);
        for (before, width) in [(0, 76), (1, 76), (7, 76), (20, 64), (45, 64)] {
            let text = [&[b'.'; 50][..before], &secret].concat();
            let text = STANDARD_NO_PAD.encode(text);
            for line in text.as_bytes().chunks(width).filter(|line| line.len() == width).skip(1) {
                let mut masked = vec![false; line.len()];
                for needle in &all {
                    for at in 0..line.len().saturating_sub(needle.len() - 1) {
                        if line[at..].starts_with(needle) {
                            masked[at..at + needle.len()].fill(true);
                        }
                    }
                }
                assert!(masked.iter().all(|one| *one), "{before} {width}");
            }
        }
    }

    #[test]
    fn base64_is_found_at_every_alignment() {
        let secret = b"hunter2-hunter2";
        let all = needles([std::str::from_utf8(secret).unwrap()]);
        for before in 0..9 {
            for after in 0..4 {
                let text = [&b"abcdefghi"[..before], secret, &b"wxyz"[..after]].concat();
                let text = STANDARD_NO_PAD.encode(text);
                let found = all
                    .iter()
                    .any(|needle| text.as_bytes().windows(needle.len()).any(|w| w == needle));
                assert!(found, "{before} {after}");
            }
        }
    }
}
