//! `cargo run --release -p testkit -- [SEEDS] [FIRST]`: the large run, with its figures. Also `replay SEED`, and
//! `bugs [SEEDS]`: what finds each planted bug.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use testkit::sim::{self, Planted, Seen};

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().unwrap_or_else(|| "20000".to_owned());
    if first == "replay" {
        let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(0);
        println!("{:#?}", sim::run(seed, None));
        return;
    }
    if first == "bugs" {
        let most = arguments.next().and_then(|most| most.parse().ok()).unwrap_or(FOUND_IN);
        for bug in Planted::all() {
            let found =
                (0..most).find_map(|seed| Some((seed, sim::run(seed, Some(bug)).violation?)));
            println!("{bug:?}: {found:?}");
        }
        return;
    }
    let seeds: u64 = first.parse().expect("the number of seeds");
    let start: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut good = clean_seeds(start, seeds);
    good &= planted_bugs(FOUND_IN);
    if !good {
        std::process::exit(1);
    }
}

/// In so many seeds every planted bug must be found.
const FOUND_IN: u64 = 400;
/// With so many seeds every rule must have been at work.
const ENOUGH: u64 = 1000;

/// Every seed twice: no violation, and the same trace.
fn clean_seeds(start: u64, seeds: u64) -> bool {
    let next = AtomicU64::new(start);
    let totals = Mutex::new([0u64; 5]);
    let seen = Mutex::new(Seen::default());
    let failures = Mutex::new(Vec::new());
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= start + seeds {
                        return;
                    }
                    let outcome = sim::run(seed, None);
                    let again = sim::run(seed, None);
                    let mut totals = totals.lock().expect("no thread panics");
                    let of_seed = [
                        outcome.events,
                        outcome.faults,
                        outcome.crashes,
                        outcome.jobs,
                        outcome.simulated_ms,
                    ];
                    totals.iter_mut().zip(of_seed).for_each(|(total, value)| *total += value);
                    seen.lock().expect("no thread panics").add(&outcome.seen);
                    let mut failures = failures.lock().expect("no thread panics");
                    if let Some(violation) = &outcome.violation {
                        failures.push(format!("seed {seed}: {violation}"));
                    } else if outcome != again {
                        failures.push(format!("seed {seed}: two runs differ"));
                    }
                }
            });
        }
    });
    let [events, faults, crashes, jobs, simulated] = *totals.lock().expect("no thread panics");
    let mut failures = failures.into_inner().expect("no thread panics");
    println!(
        "simulator: {seeds} seeds, each run twice · {events} events · {faults} faults · {crashes} crashes · {jobs} jobs · \
         {:.0} simulated hours · {} violations · {:.0} s",
        simulated as f64 / 3_600_000.0,
        failures.len(),
        began.elapsed().as_secs_f64()
    );
    let seen = seen.into_inner().expect("no thread panics").each();
    let words: Vec<String> = seen.iter().map(|(what, count)| format!("{count} {what}")).collect();
    println!("rules at work: {}", words.join(" · "));
    // A rule that was never at work was not checked.
    let never = seen.iter().filter(|(_, count)| *count == 0 && seeds >= ENOUGH);
    failures.extend(never.map(|(what, _)| format!("no seed saw any: {what}")));
    for failure in failures.iter().take(10) {
        println!("  {failure}");
    }
    failures.is_empty()
}

/// Each planted bug must be found, and in how many seeds it first is.
fn planted_bugs(most: u64) -> bool {
    let all = Planted::all();
    let mut needed = Vec::new();
    let mut missed = Vec::new();
    for bug in &all {
        match (0..most).find(|seed| sim::run(*seed, Some(*bug)).violation.is_some()) {
            Some(seed) => needed.push(seed + 1),
            None => missed.push(*bug),
        }
    }
    needed.sort_unstable();
    let median = needed.get(needed.len() / 2).copied().unwrap_or(0);
    println!(
        "planted bugs: {} of {} found · median seeds to find {median} · most {:?}",
        needed.len(),
        all.len(),
        needed.last()
    );
    for bug in &missed {
        println!("  not found in {most} seeds: {bug:?}");
    }
    missed.is_empty()
}
