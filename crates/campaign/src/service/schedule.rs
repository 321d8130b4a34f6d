//! Schedules: five fields and a time zone.
//!
//! Where the clock jumps forward, a fixed time that is left out fires at the first moment after the gap; where it falls back,
//! a fixed time fires once and an interval in both hours. The mathematics is croner's; the table below pins it.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use model::WallMs;

/// A schedule that can be asked when it fires.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error(
        "`{text}` is not a schedule: {why}. Use five fields, as `30 4 * * MON-FRI`, or `@daily`"
    )]
    Bad { text: String, why: String },
    #[error("`{0}` is not a time zone: use a name such as `Europe/Berlin` or `UTC`")]
    Zone(String),
}

impl Schedule {
    /// An empty time zone is UTC.
    pub fn new(text: &str, zone: &str) -> Result<Self, ScheduleError> {
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let bad = |why: String| ScheduleError::Bad { text: shown(text), why };
        if text.len() > 200 {
            return Err(bad("it is too long".to_owned()));
        }
        let cron = parser.parse(text).map_err(|error| {
            let why = error.to_string();
            let why = why.strip_prefix("Component error: ").unwrap_or(&why);
            bad(why.trim_end_matches('.').replace("CronPattern", "it"))
        })?;
        let zone = match zone {
            "" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| ScheduleError::Zone(shown(name)))?,
        };
        Ok(Self { cron, zone })
    }

    /// The first time after `now`; nothing when it never fires again.
    pub fn after(&self, now: WallMs) -> Option<WallMs> {
        let now = self.zoned(now)?;
        let next = self.cron.find_next_occurrence(&now, false).ok()?;
        u64::try_from(next.timestamp().as_millisecond()).ok().map(WallMs)
    }

    /// The last time that is not after `now`.
    pub fn last(&self, now: WallMs) -> Option<WallMs> {
        let now = self.zoned(now)?;
        let last = self.cron.find_previous_occurrence(&now, true).ok()?;
        u64::try_from(last.timestamp().as_millisecond()).ok().map(WallMs)
    }

    /// The next times.
    pub fn next(&self, now: WallMs, count: usize) -> Vec<WallMs> {
        std::iter::successors(self.after(now), |last| self.after(*last)).take(count).collect()
    }

    /// In words.
    pub fn describe(&self) -> String {
        self.cron.describe()
    }

    /// A time as people in the schedule's zone write it.
    pub fn show(&self, at: WallMs) -> String {
        self.zoned(at).map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M %Z").to_string())
    }

    fn zoned(&self, at: WallMs) -> Option<Zoned> {
        let at = Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> WallMs {
        let at: Timestamp = text.parse().unwrap();
        WallMs(at.as_millisecond() as u64)
    }

    fn next(schedule: &str, zone: &str, now: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::new(schedule, zone).unwrap();
        let times = schedule.next(at(now), count).into_iter();
        times.map(|at| Timestamp::from_millisecond(at.0 as i64).unwrap().to_string()).collect()
    }

    #[test]
    fn fields_names_and_nicknames() {
        for (schedule, now, wanted) in [
            ("*/15 * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:15:00Z"),
            ("30 4 * * MON-FRI", "2026-01-03T00:00:00Z", "2026-01-05T04:30:00Z"),
            ("@daily", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("@hourly", "2026-01-01T00:59:59Z", "2026-01-01T01:00:00Z"),
            ("0 0 L * *", "2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z"),
            ("0 9 15W * *", "2026-08-01T00:00:00Z", "2026-08-14T09:00:00Z"),
            ("0 9 * * MON#2", "2026-06-01T00:00:00Z", "2026-06-08T09:00:00Z"),
            ("0 0 * * FRI#L", "2026-06-01T00:00:00Z", "2026-06-26T00:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ] {
            assert_eq!(next(schedule, "", now, 1), [wanted], "{schedule}");
        }
    }

    #[test]
    fn a_clock_that_jumps() {
        // Forward at 02:00 on 29 March 2026, back at 03:00 on 25 October.
        let berlin = "Europe/Berlin";
        for (schedule, now, wanted) in [
            // In the gap: the first moment after it.
            (
                "30 2 * * *",
                "2026-03-28T12:00:00Z",
                ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            ),
            (
                "30 * * * *",
                "2026-03-29T00:00:00Z",
                ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"],
            ),
            // Twice on the clock: a fixed time once, an interval each hour.
            (
                "30 2 * * *",
                "2026-10-24T12:00:00Z",
                ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
            ),
            (
                "30 * * * *",
                "2026-10-25T00:00:00Z",
                ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"],
            ),
        ] {
            assert_eq!(next(schedule, berlin, now, 2), wanted, "{schedule} after {now}");
        }
        assert_eq!(
            next("0 9 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", 1),
            ["2026-01-01T03:30:00Z"]
        );
    }

    #[test]
    fn what_is_no_schedule_is_said() {
        for text in ["", "nonsense", "* * * *", "60 * * * *", "0 0 0 0 0", "* * * * * *", "@never"]
        {
            let error = Schedule::new(text, "").unwrap_err().to_string();
            assert!(error.contains("is not a schedule"), "{text}: {error}");
        }
        assert!(
            Schedule::new("* * * * *", "Mars/Olympus").unwrap_err().to_string().contains("Mars")
        );
        // It parses, and there is no such day.
        assert_eq!(Schedule::new("0 0 31 2 *", "").ok().and_then(|it| it.after(WallMs(0))), None);
    }

    #[test]
    fn the_last_time_before_now() {
        let schedule = Schedule::new("0 * * * *", "").unwrap();
        assert_eq!(schedule.last(at("2026-01-01T05:30:00Z")), Some(at("2026-01-01T05:00:00Z")));
        assert_eq!(schedule.last(at("2026-01-01T05:00:00Z")), Some(at("2026-01-01T05:00:00Z")));
    }
}
