//! A page of bots in any order. `ListBots` goes by id only, and counting each state by itself would look at all bots each time.

use std::cmp::Ordering;
use std::collections::HashSet;

use fleet::Seen;

use crate::proto::own::{BotStates, SearchBotsRequest, SearchBotsResponse};
use crate::prpc::Status;
use crate::rpcs::bots::{info, matches_filter};
use crate::server::{Server, now};
use crate::tasks::view::wall;
use crate::validate::cursor::Cursor;
use crate::validate::{Filter, bot_requests, requests};
use crate::why::{Standing, drained};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Alive,
    Dead,
    Idle,
    Busy,
    Quarantined,
    Maintenance,
    Draining,
}

const STATES: [(&str, State); 7] = [
    ("alive", State::Alive),
    ("dead", State::Dead),
    ("idle", State::Idle),
    ("busy", State::Busy),
    ("quarantined", State::Quarantined),
    ("maintenance", State::Maintenance),
    ("draining", State::Draining),
];

/// A bot, and whether it is drained.
struct Row {
    seen: Seen,
    drained: bool,
}

impl Row {
    fn standing(&self) -> Standing {
        Standing::of(&self.seen.record, self.drained)
    }

    fn is(&self, state: State) -> bool {
        let record = &self.seen.record;
        match state {
            State::Alive => !record.dead,
            State::Dead => record.dead,
            State::Idle => self.standing() == Standing::Free,
            // One that may get nothing is not idle to upstream's calls, and has nothing to do all the same.
            State::Busy => {
                let is_well = record.quarantined.is_none() && record.maintenance.is_none();
                !record.dead && record.idle_since.is_none() && (is_well || record.task.is_some())
            }
            State::Quarantined => record.quarantined.is_some(),
            State::Maintenance => record.maintenance.is_some(),
            State::Draining => self.drained,
        }
    }
}

/// What is searched for.
pub(crate) struct Search {
    pub dimensions: Filter,
    states: Vec<State>,
    /// In small letters.
    text: String,
    sort: String,
    descending: bool,
    limit: usize,
    /// Rows of the pages before.
    skip: usize,
}

impl Search {
    pub fn read(request: &SearchBotsRequest) -> Result<Self, Status> {
        let state = |name: &String| {
            let known = STATES.iter().find(|(known, _)| known == name);
            known.map(|(_, state)| *state).ok_or_else(|| {
                let names: Vec<&str> = STATES.iter().map(|(name, _)| *name).collect();
                Status::invalid(format!("states: {name:?} is none of {}", names.join(", ")))
            })
        };
        let skip = Cursor::number("SearchBots", &request.cursor)?.unwrap_or_default();
        Ok(Self {
            dimensions: bot_requests::bot_dimensions(&request.dimensions)?,
            states: request.states.iter().map(state).collect::<Result<_, _>>()?,
            text: request.text.to_lowercase(),
            sort: request.sort.clone(),
            descending: request.descending,
            limit: requests::limit(request.limit)? as usize,
            skip: usize::try_from(skip).unwrap_or(usize::MAX),
        })
    }

    fn lets(&self, seen: &Seen) -> bool {
        let name = seen.record.name.as_str();
        (self.text.is_empty() || name.to_lowercase().contains(&self.text))
            && matches_filter(&self.dimensions, &seen.record.dimensions)
    }
}

/// Not for an async thread: a large fleet takes some milliseconds.
pub(crate) fn search(server: &Server, search: &Search) -> SearchBotsResponse {
    let drained = drained(server);
    let mut counts = BotStates::default();
    let mut rows = Vec::new();
    for seen in server.fleet.after(None).into_iter().filter(|seen| search.lets(seen)) {
        let row = Row { drained: drained.contains(seen.record.name.as_str()), seen };
        count(&row, &mut counts);
        if search.states.iter().all(|state| row.is(*state)) {
            rows.push(row);
        }
    }
    order(&mut rows, &search.sort, search.descending);
    let next = search.skip.saturating_add(search.limit);
    let shown: Vec<&Row> = rows.iter().skip(search.skip).take(search.limit).collect();
    let names: HashSet<&str> = shown.iter().map(|row| row.seen.record.name.as_str()).collect();
    SearchBotsResponse {
        items: shown.iter().map(|row| info(&row.seen)).collect(),
        standings: shown.iter().map(|row| row.standing().word().to_owned()).collect(),
        cursor: match rows.len() > next {
            true => Cursor::write("SearchBots", &next.to_string()),
            false => String::new(),
        },
        matched: i32::try_from(rows.len()).unwrap_or(i32::MAX),
        counts: Some(counts),
        draining: drained.into_iter().filter(|name| names.contains(name.as_str())).collect(),
        now: Some(wall(now())),
    }
}

fn count(row: &Row, counts: &mut BotStates) {
    counts.all += 1;
    for (_, state) in STATES.iter().filter(|(_, state)| row.is(*state)) {
        *match state {
            State::Alive => &mut counts.alive,
            State::Dead => &mut counts.dead,
            State::Idle => &mut counts.idle,
            State::Busy => &mut counts.busy,
            State::Quarantined => &mut counts.quarantined,
            State::Maintenance => &mut counts.maintenance,
            State::Draining => &mut counts.draining,
        } += 1;
    }
}

/// By what a list is ordered.
#[derive(PartialEq, Eq)]
enum Key {
    Number(u64),
    Text(String),
    Nothing,
}

fn key(row: &Row, sort: &str) -> Key {
    let record = &row.seen.record;
    let text = |text: &str| if text.is_empty() { Key::Nothing } else { Key::Text(text.to_owned()) };
    match sort {
        "task" => record.task.as_ref().map_or(Key::Nothing, |(id, _)| Key::Number(*id)),
        "status" => Key::Number(row.standing() as u64),
        "first_seen" => Key::Number(record.first_seen.0),
        "last_seen" => Key::Number(row.seen.last_seen.0),
        "version" => text(&record.version),
        "external_ip" => text(&record.address),
        dimension => {
            let found = record.dimensions.iter().find(|(key, _)| *key == dimension);
            // The longest says most: `Ubuntu-24.04` more than `Linux`.
            let longest = found.and_then(|(_, values)| values.iter().max_by_key(|it| it.len()));
            longest.map_or(Key::Nothing, |value| text(value))
        }
    }
}

/// Those that have nothing to be ordered by come last, either way; equals stay in the order of their ids.
fn order(rows: &mut Vec<Row>, sort: &str, descending: bool) {
    let turned = |order: Ordering| if descending { order.reverse() } else { order };
    if matches!(sort, "" | "id") {
        rows.sort_by(|a, b| {
            turned(natural(a.seen.record.name.as_str(), b.seen.record.name.as_str()))
        });
        return;
    }
    let mut keyed: Vec<(Key, Row)> =
        std::mem::take(rows).into_iter().map(|row| (key(&row, sort), row)).collect();
    keyed.sort_by(|(a, _), (b, _)| match (a, b) {
        (Key::Number(a), Key::Number(b)) => turned(a.cmp(b)),
        (Key::Text(a), Key::Text(b)) => turned(natural(a, b)),
        (a, b) => (*a == Key::Nothing).cmp(&(*b == Key::Nothing)),
    });
    rows.extend(keyed.into_iter().map(|(_, row)| row));
}

/// `bot-9` before `bot-10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    while !rest_a.is_empty() && !rest_b.is_empty() {
        let (part_a, part_b) = (part(&mut rest_a), part(&mut rest_b));
        let both = part_a.as_bytes()[0].is_ascii_digit() && part_b.as_bytes()[0].is_ascii_digit();
        let order = if both {
            let (a, b) = (part_a.trim_start_matches('0'), part_b.trim_start_matches('0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        } else {
            part_a.cmp(part_b)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    rest_a.len().cmp(&rest_b.len()).then_with(|| a.cmp(b))
}

/// The digits at the beginning, or what is before the first.
fn part<'a>(rest: &mut &'a str) -> &'a str {
    let digits = rest.starts_with(|c: char| c.is_ascii_digit());
    let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
    let (part, after) = rest.split_at(end);
    *rest = after;
    part
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn numbers_in_names_are_numbers() {
        let mut names = ["b-10", "b-9", "b", "a-11", "b-009", "b-9-x", "ü-2", "10", "9"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["9", "10", "a-11", "b", "b-009", "b-9", "b-9-x", "b-10", "ü-2"]);
    }
}
