//! The conclusion of all counts, in one sentence.

use engine::SliceExplanation;

use crate::proto::own::{BotTally, ConstraintReason, SliceReason};
use crate::proto::swarming::TaskState;

/// What to say first to somebody whose task waits.
pub(super) fn conclusion(
    state: TaskState,
    waits: Option<&SliceExplanation>,
    left_ms: Option<u64>,
    slices: &[SliceReason],
) -> String {
    let Some(waits) = waits else {
        return match state {
            TaskState::Running => "The task is running.".to_owned(),
            TaskState::NoResource => {
                "No bot could run it when it was asked for, and it was not to wait for one."
                    .to_owned()
            }
            TaskState::Expired => "It expired: no bot took it in time.".to_owned(),
            _ => "The task is over; it does not wait.".to_owned(),
        };
    };
    let Some(slice) = slices.get(waits.slice as usize) else { return String::new() };
    let (why, ahead) = why(slice, waits);
    let end = left_ms.map(|left| end(waits, left)).unwrap_or_default();
    format!("{why}{ahead}{end}.")
}

/// What keeps the bots, and who goes first.
fn why(slice: &SliceReason, waits: &SliceExplanation) -> (String, String) {
    let tally = slice.matching.unwrap_or_default();
    let ahead = match waits.ahead {
        0 => String::new(),
        1 => "; 1 task is ahead".to_owned(),
        many => format!("; {many} tasks are ahead"),
    };
    if tally.live == 0 {
        // What is kept are bots, dead ones too.
        let others = waits.matching - waits.kept;
        if others > 0 {
            let busy = match others {
                _ if waits.busy - waits.kept_busy < others => "",
                1 => " and is busy",
                _ => ", all busy",
            };
            let runners =
                counted(others, "runner that is no bot matches", "runners that are no bots match");
            return (format!("{runners}{busy}"), ahead);
        }
        return (nobody(slice, tally), String::new());
    }
    let matches = counted(tally.live as usize, "bot matches", "bots match");
    if tally.free > 0 {
        // Whoever asks for work and matches is given it at once: so nobody does.
        let free = match (tally.free, tally.live) {
            (1, 1) => "and it is free, but asks for no work at this moment".to_owned(),
            (1, _) => "1 of them free, but asking for no work at this moment".to_owned(),
            (free, live) if free == live => {
                "all free, but none asks for work at this moment".to_owned()
            }
            (free, _) => format!("{free} of them free, but none asks for work at this moment"),
        };
        return (format!("{matches}, {free}"), ahead);
    }
    (format!("{matches}, {}", doing(&tally)), ahead)
}

/// What those that live do instead.
fn doing(tally: &BotTally) -> String {
    let parts = [
        (tally.busy, "busy"),
        (tally.draining, "draining"),
        (tally.maintenance, "in maintenance"),
        (tally.quarantined, "quarantined"),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(count, _)| *count > 0).collect();
    match parts[..] {
        [(1, word)] => format!("and it is {word}"),
        [(_, word)] => format!("all {word}"),
        _ => parts
            .iter()
            .map(|(count, word)| format!("{count} {word}"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn said(constraint: &ConstraintReason) -> String {
    let values: Vec<&str> = constraint.values.iter().map(|value| value.value.as_str()).collect();
    format!("{}:{}", constraint.key, values.join("|"))
}

fn nobody(slice: &SliceReason, tally: BotTally) -> String {
    let dead = match tally.dead {
        0 => String::new(),
        1 => "; 1 bot that matches is dead".to_owned(),
        many => format!("; {many} bots that match are dead"),
    };
    let unmet: Vec<String> = slice
        .constraints
        .iter()
        .filter(|constraint| constraint.bots.unwrap_or_default().live == 0)
        .map(said)
        .collect();
    if !unmet.is_empty() {
        return format!("No living bot has {}{dead}", unmet.join(", nor one "));
    }
    let all: Vec<String> = slice.constraints.iter().map(said).collect();
    let nearest = slice.constraints.iter().max_by_key(|constraint| constraint.without);
    let without = match nearest {
        Some(constraint) if constraint.without > 0 => {
            let bots = counted(constraint.without as usize, "bot would match", "bots would match");
            format!("; without {}, {bots}", said(constraint))
        }
        _ => String::new(),
    };
    format!("No living bot has all of {} together{without}{dead}", all.join(", "))
}

/// What happens when nothing changes.
fn end(waits: &SliceExplanation, left_ms: u64) -> String {
    let time = span(left_ms / 1000);
    if waits.slice + 1 < waits.slices {
        format!("; the next slice begins in {time}")
    } else {
        format!("; the task expires in {time}")
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_that_are_no_bots_are_told_of() {
        for ((matching, busy), (kept, kept_busy), said) in [
            ((1, 0), (0, 0), "1 runner that is no bot matches"),
            ((1, 1), (0, 0), "1 runner that is no bot matches and is busy"),
            ((2, 1), (0, 0), "2 runners that are no bots match"),
            ((2, 2), (0, 0), "2 runners that are no bots match, all busy"),
            // A dead bot does not count, and neither does the task that it still holds.
            ((3, 2), (1, 0), "2 runners that are no bots match, all busy"),
            ((3, 2), (1, 1), "2 runners that are no bots match"),
        ] {
            let waits = SliceExplanation {
                queue: String::new(),
                requirements: String::new(),
                slice: 0,
                slices: 1,
                runners: matching,
                serving_queue: matching,
                unmet: Vec::new(),
                matching,
                kept,
                busy,
                kept_busy,
                draining: 0,
                ahead: 0,
                lost: 0,
            };
            let slices = [SliceReason::default()];
            let whole = conclusion(TaskState::Pending, Some(&waits), Some(5000), &slices);
            assert_eq!(whole, format!("{said}; the task expires in 5 s."));
        }
    }
}
