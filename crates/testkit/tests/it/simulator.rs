//! A small run of the simulator; CI runs a large one.

use testkit::sim::{self, Planted, Seen};

#[test]
fn seeds_break_nothing_and_run_the_same_twice() {
    let (mut events, mut crashes) = (0, 0);
    let mut seen = Seen::default();
    for seed in 0..150 {
        let outcome = sim::run(seed, None);
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert_eq!(outcome, sim::run(seed, None), "seed {seed} is not deterministic");
        events += outcome.events;
        crashes += outcome.crashes;
        seen.add(&outcome.seen);
    }
    // A simulator in which nothing happens finds nothing.
    assert!(events > 100_000 && crashes > 100, "{events} events, {crashes} crashes");
    assert!(seen.each().iter().all(|(_, count)| *count > 20), "{seen:?}");
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Planted::all() {
        let found = (0..400).any(|seed| sim::run(seed, Some(bug)).violation.is_some());
        assert!(found, "{bug:?} is not found in 400 seeds");
    }
}
