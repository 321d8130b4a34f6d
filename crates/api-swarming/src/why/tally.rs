//! Counts bots against the constraints of slices, all in one pass.

use std::collections::HashSet;

use fleet::{Record, Seen};

use crate::proto::own::{BotTally, ConstraintReason, SliceReason, ValueReason};
use crate::validate::Filter;

/// Most bots that are named.
const SAMPLES: usize = 10;

/// What a bot does, and the first reason why it gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    Free,
    Busy,
    Draining,
    Maintenance,
    Quarantined,
    Dead,
}

impl Standing {
    pub fn of(record: &Record, drained: bool) -> Self {
        match record {
            _ if record.dead => Self::Dead,
            _ if record.quarantined.is_some() => Self::Quarantined,
            _ if record.maintenance.is_some() => Self::Maintenance,
            _ if drained => Self::Draining,
            _ if record.idle_since.is_none() => Self::Busy,
            _ => Self::Free,
        }
    }

    /// As our calls say it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
            Self::Quarantined => "quarantined",
            Self::Dead => "dead",
        }
    }
}

impl BotTally {
    fn add(&mut self, standing: Standing) {
        let of = match standing {
            Standing::Free => &mut self.free,
            Standing::Busy => &mut self.busy,
            Standing::Draining => &mut self.draining,
            Standing::Maintenance => &mut self.maintenance,
            Standing::Quarantined => &mut self.quarantined,
            Standing::Dead => &mut self.dead,
        };
        *of += 1;
        self.live += i32::from(standing != Standing::Dead);
    }
}

fn empty(filter: &Filter) -> SliceReason {
    let constraints = filter.constraints().iter().map(|constraint| ConstraintReason {
        key: constraint.key.clone(),
        values: constraint
            .values
            .iter()
            .map(|value| ValueReason { value: value.clone(), bots: 0 })
            .collect(),
        bots: Some(BotTally::default()),
        ..ConstraintReason::default()
    });
    SliceReason {
        constraints: constraints.collect(),
        matching: Some(BotTally::default()),
        ..SliceReason::default()
    }
}

/// What each filter leaves of the fleet, and why.
pub(crate) fn tally(
    bots: &[Seen],
    drained: &HashSet<String>,
    filters: &[Filter],
) -> Vec<SliceReason> {
    let mut slices: Vec<SliceReason> = filters.iter().map(empty).collect();
    // Those that can work at once are named before the others.
    let mut unfree: Vec<Vec<String>> = vec![Vec::new(); filters.len()];
    for seen in bots {
        let record = &seen.record;
        let standing = Standing::of(record, drained.contains(record.name.as_str()));
        for ((slice, filter), unfree) in slices.iter_mut().zip(filters).zip(&mut unfree) {
            let samples = (&mut slice.sample_bots, unfree);
            let (matching, constraints) = (&mut slice.matching, &mut slice.constraints);
            let missed = compare(record, standing, filter, constraints);
            match missed {
                Missed::None => {
                    matching.get_or_insert_default().add(standing);
                    let list = if standing == Standing::Free { samples.0 } else { samples.1 };
                    if standing != Standing::Dead && list.len() < SAMPLES {
                        list.push(record.name.to_string());
                    }
                }
                Missed::One(at) if standing != Standing::Dead => {
                    let reason = &mut constraints[at];
                    reason.without += 1;
                    if reason.sample_without.len() < SAMPLES {
                        reason.sample_without.push(record.name.to_string());
                    }
                }
                Missed::One(_) | Missed::More => {}
            }
        }
    }
    for (slice, unfree) in slices.iter_mut().zip(unfree) {
        slice.sample_bots.extend(unfree);
        slice.sample_bots.truncate(SAMPLES);
    }
    slices
}

/// Which constraints a bot does not meet.
enum Missed {
    None,
    One(usize),
    More,
}

fn compare(
    record: &Record,
    standing: Standing,
    filter: &Filter,
    reasons: &mut [ConstraintReason],
) -> Missed {
    let mut missed = Missed::None;
    for (at, (constraint, reason)) in filter.constraints().iter().zip(reasons).enumerate() {
        let mut met = false;
        for (value, counted) in constraint.values.iter().zip(&mut reason.values) {
            if record.dimensions.offers(&constraint.key, value) {
                met = true;
                counted.bots += i32::from(standing != Standing::Dead);
            }
        }
        if met {
            reason.bots.get_or_insert_default().add(standing);
        } else {
            missed = match missed {
                Missed::None => Missed::One(at),
                Missed::One(_) | Missed::More => Missed::More,
            };
        }
    }
    missed
}
