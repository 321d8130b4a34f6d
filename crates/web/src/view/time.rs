//! Times: how long ago, with the exact time on hover; scripts keep the words fresh.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};
use maud::{Markup, html};

/// `3 min ago`, or `in 2 h`.
pub(crate) fn ago(at: Timestamp) -> Markup {
    let seconds = Timestamp::now().as_second() - at.as_second();
    let words = match seconds {
        0..10 => "just now".to_owned(),
        _ if seconds > 0 => format!("{} ago", span(seconds)),
        _ => format!("in {}", span(-seconds)),
    };
    html! { time datetime=(at) title=(exact(at)) data-ago { (words) } }
}

pub(crate) fn ago_or(at: Option<Timestamp>, otherwise: &str) -> Markup {
    at.map_or_else(|| html! { span.dim { (otherwise) } }, ago)
}

pub(crate) fn exact(at: Timestamp) -> String {
    at.round(Unit::Second).unwrap_or(at).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// As clocks of a time zone show it; of one that is not known, in UTC.
pub(crate) fn in_zone(at: Timestamp, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%a %Y-%m-%d %H:%M %Z").to_string()
}

/// The two largest units, and one from a day on.
pub(crate) fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 if seconds % 3600 >= 60 => {
            format!("{} h {} min", seconds / 3600, seconds % 3600 / 60)
        }
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long something took, or has taken so far.
pub(crate) fn took(start: Option<Timestamp>, end: Option<Timestamp>) -> Markup {
    let Some(start) = start else { return html! { span.dim { "–" } } };
    let until = end.unwrap_or_else(Timestamp::now);
    let seconds = (until.as_second() - start.as_second()).max(0);
    let words = match seconds {
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => span(seconds),
    };
    html! { span.num data-since=[end.is_none().then_some(start)] { (words) } }
}

pub(crate) fn millis(duration: u64) -> String {
    match duration {
        ..1000 => format!("{duration} ms"),
        1000..60_000 => format!("{:.1} s", duration as f64 / 1000.0),
        _ => span((duration / 1000) as i64),
    }
}
