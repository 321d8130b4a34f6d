//! Ids of tasks: when a task was made, 16 random bits, and a version, in hex, with one more digit behind.
//!
//! Facts: luci-go `swarming/server/model/taskid.go`. The last digit is `0` for the request and its summary, `1` for its
//! run on a bot. Both name the same task, so it is no part of the id here.

use super::text::quote;

/// 2010-01-01T00:00:00Z in milliseconds since 1970.
pub const EPOCH_MS: i64 = 1_262_304_000_000;
/// Of 63 bits 43 are for the time: until the year 2288.
const LAST_MS: i64 = (1 << 43) - 1;
/// The form of the ids: always the last nibble but one.
const VERSION: i64 = 1;

/// A task. The order is that of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(i64);

impl TaskId {
    /// For a task made `created_ms` after 1970. `None` before 2010 and after 2288.
    ///
    /// Two tasks of one millisecond have the same id when their `random` is the same: draw again.
    pub fn new(created_ms: i64, random: u16) -> Option<Self> {
        let since = created_ms.checked_sub(EPOCH_MS)?;
        (0..=LAST_MS)
            .contains(&since)
            .then(|| Self((since << 20) | (i64::from(random) << 4) | VERSION))
    }

    /// Any form of an id, as a client or bot writes it: lower-case hex of two digits or more.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = |why: String| format!("bad task ID: {why}");
        if text.len() < 2 {
            return Err(bad("too small".to_owned()));
        }
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if let Some(wrong) = text.chars().find(|c| !is_hex(*c)) {
            let shown = quote(text);
            return Err(bad(format!("bad lowercase hex string {shown}, wrong char {wrong}")));
        }
        let number = &text[..text.len() - 1];
        i64::from_str_radix(number, 16).map(Self).map_err(|_| {
            let shown = quote(number);
            bad(format!("strconv.ParseInt: parsing {shown}: value out of range"))
        })
    }

    /// As clients write it: ends in `0`.
    pub fn summary(self) -> String {
        format!("{:x}0", self.0)
    }

    /// As bots write it: ends in `1`.
    pub fn run(self) -> String {
        format!("{:x}1", self.0)
    }

    /// Milliseconds since 1970.
    pub fn created_ms(self) -> i64 {
        (self.0 >> 20) + EPOCH_MS
    }

    /// The number without the last digit, for storing.
    pub fn number(self) -> i64 {
        self.0
    }

    /// What [`number`](Self::number) gave. `None` for a negative one, which no task has.
    pub fn of_number(number: i64) -> Option<Self> {
        (number >= 0).then_some(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let id = TaskId::parse("6663cfc78b41fb10").unwrap();
        assert_eq!(TaskId::parse("6663cfc78b41fb1f"), Ok(id));
        assert_eq!(
            (id.summary(), id.run()),
            ("6663cfc78b41fb10".into(), "6663cfc78b41fb11".into())
        );
        assert_eq!(TaskId::new(id.created_ms(), 0x41fb ^ 0x41fb).map(|id| id.0 & 0xf), Some(1));
        assert_eq!(TaskId::of_number(id.number()), Some(id));
        assert_eq!(TaskId::of_number(-1), None);
        assert_eq!(TaskId::parse("00").unwrap().summary(), "00");
    }

    #[test]
    fn the_time_is_inside() {
        let id = TaskId::new(EPOCH_MS + 5, 0xffff).unwrap();
        assert_eq!(id.number(), (5 << 20) | 0xffff1);
        assert_eq!(id.created_ms(), EPOCH_MS + 5);
        assert!(TaskId::new(EPOCH_MS + 6, 0).unwrap() > id);
        for outside in [i64::MIN, 0, EPOCH_MS - 1, EPOCH_MS + LAST_MS + 1, i64::MAX] {
            assert_eq!(TaskId::new(outside, 0), None);
        }
        assert!(TaskId::new(EPOCH_MS + LAST_MS, 0xffff).unwrap().number() > 0);
    }

    #[test]
    fn mistakes() {
        for (text, why) in [
            ("", "bad task ID: too small"),
            ("a", "bad task ID: too small"),
            ("xyz", r#"bad task ID: bad lowercase hex string "xyz", wrong char x"#),
            ("6663CFC78B41FB10", "wrong char C"),
            ("+10", "wrong char +"),
            ("é0", "wrong char é"),
            (
                "80000000000000000",
                r#"bad task ID: strconv.ParseInt: parsing "8000000000000000": value out of range"#,
            ),
        ] {
            assert!(TaskId::parse(text).unwrap_err().contains(why), "{text}");
        }
    }
}
