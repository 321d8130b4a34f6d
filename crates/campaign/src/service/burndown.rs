//! How many changesets were open, closed and merged on each day, told from what happened.

use std::collections::BTreeMap;

use model::{ChangesetId, WallMs};

use crate::changeset::{ChangesetEvent, EventKind};

/// The state of a campaign's changesets at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burndown {
    pub at: WallMs,
    pub total: u64,
    pub merged: u64,
    pub closed: u64,
    pub approved: u64,
    pub changes_requested: u64,
    /// Open, and nobody decided.
    pub pending: u64,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A longer time is told in wider steps.
const POINTS_MAX: u64 = 400;

#[derive(Clone, Copy, PartialEq)]
enum Stand {
    Open,
    Closed,
    Merged,
}

/// One point for each day from `from` to `to`, both included. `events` are in order of time.
pub fn burndown(events: &[ChangesetEvent], from: WallMs, to: WallMs) -> Vec<Burndown> {
    let to = WallMs(to.0.max(from.0));
    let step = DAY_MS * ((to.0 - from.0) / DAY_MS / POINTS_MAX + 1);
    let mut times: Vec<u64> = (from.0..to.0).step_by(step as usize).collect();
    times.push(to.0);
    let mut events = events.iter().peekable();
    let mut known: BTreeMap<ChangesetId, (Stand, EventKind)> = BTreeMap::new();
    let mut points = Vec::with_capacity(times.len());
    for at in times {
        while let Some(event) = events.next_if(|event| event.at.0 <= at) {
            let (stand, review) =
                known.entry(event.changeset).or_insert((Stand::Open, EventKind::ReviewPending));
            match event.kind {
                EventKind::Opened | EventKind::Reopened => *stand = Stand::Open,
                EventKind::Closed => *stand = Stand::Closed,
                EventKind::Merged => *stand = Stand::Merged,
                kind @ (EventKind::Approved
                | EventKind::ChangesRequested
                | EventKind::ReviewPending
                | EventKind::Dismissed) => *review = kind,
                EventKind::Commented
                | EventKind::ChecksPending
                | EventKind::ChecksPassed
                | EventKind::ChecksFailed => {}
            }
        }
        let mut point = Burndown {
            at: WallMs(at),
            total: known.len() as u64,
            merged: 0,
            closed: 0,
            approved: 0,
            changes_requested: 0,
            pending: 0,
        };
        for (stand, review) in known.values() {
            let count = match (stand, review) {
                (Stand::Merged, _) => &mut point.merged,
                (Stand::Closed, _) => &mut point.closed,
                (Stand::Open, EventKind::Approved) => &mut point.approved,
                (Stand::Open, EventKind::ChangesRequested) => &mut point.changes_requested,
                (Stand::Open, _) => &mut point.pending,
            };
            *count += 1;
        }
        points.push(point);
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_told_from_events() {
        let event = |changeset, kind, day: u64| ChangesetEvent {
            id: 0,
            changeset: ChangesetId(changeset),
            kind,
            at: WallMs(day * DAY_MS + 5),
        };
        let events = [
            event(1, EventKind::Opened, 0),
            event(2, EventKind::Opened, 1),
            event(1, EventKind::Approved, 1),
            event(1, EventKind::Merged, 2),
            event(2, EventKind::ChangesRequested, 2),
            event(2, EventKind::Closed, 3),
        ];
        let points = burndown(&events, WallMs(DAY_MS), WallMs(4 * DAY_MS));
        let told: Vec<_> = points
            .iter()
            .map(|p| [p.total, p.merged, p.closed, p.approved, p.changes_requested, p.pending])
            .collect();
        assert_eq!(
            told,
            [[1, 0, 0, 0, 0, 1], [2, 0, 0, 1, 0, 1], [2, 1, 0, 0, 1, 0], [2, 1, 1, 0, 0, 0]]
        );
        assert_eq!(burndown(&[], WallMs(0), WallMs(u64::MAX / 4)).len() as u64, POINTS_MAX + 1);
    }
}
