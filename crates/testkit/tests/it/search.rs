//! Searches of the store against a list that is filtered by hand.

use std::ops::Range;
use std::sync::Arc;

use dispatcher::{House, JobSearch, JobStanding, Reader, Store};
use engine::Change;
use engine::ops::RunnerSpec;
use model::{
    AttemptNumber, AttemptRecord, Dimensions, Evidence, JobId, NewJob, Outcome, Priority,
    Requirements, Reuse, ReuseKey, RunnerName, Session, Slice, Terms, WallMs,
};

struct Known {
    id: JobId,
    wire_id: u64,
    labels: Vec<String>,
    state: &'static str,
    reused: bool,
    runner: Option<String>,
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % below
    }
}

fn insert(dice: &mut Dice, number: u64, changes: &mut Vec<Change>) -> Option<Known> {
    let id = JobId(number);
    let named = dice.below(10) > 0;
    let wire_id = named.then_some(number * 16 + dice.below(16));
    let labels: Vec<String> =
        (0..dice.below(5)).map(|n| format!("k{n}:v{}", dice.below(3))).collect();
    let reused = named && dice.below(8) == 0;
    let at = WallMs(1_000_000 + number);
    let job = Arc::new(NewJob {
        queue: "q".into(),
        owner: "ann".into(),
        priority: Priority(1),
        slices: [Slice::waiting(Requirements::default())].into(),
        timeout_ms: None,
        lost_runner_retries: 0,
        payload: if named { b"not JSON".as_slice() } else { b"{}" }.into(),
        terms: Terms {
            wire_id,
            labels: labels.iter().map(|label| label.as_str().into()).collect(),
            reuses: reused.then_some(Reuse { job: JobId(1), slice: 0 }),
            ..Terms::default()
        },
    });
    changes.push(Change::JobInserted { id, group: None, job, at });
    let runner = RunnerName::new(&format!("r{}", dice.below(3)));
    let (attempt, slice) = (AttemptNumber(1), 0);
    let step = if reused { 9 } else { dice.below(10) };
    let mut ran = None;
    if (1..9).contains(&step) {
        changes.push(Change::JobRunning {
            id,
            attempt,
            runner: runner.clone(),
            session: Session(1),
            poll: 0,
            facts: Some(b"facts".as_slice().into()),
            at,
        });
    }
    let mut state = if step == 0 { "queued" } else { "running" };
    if step > 1 {
        let outcome = match step {
            2..5 => Outcome::Succeeded,
            5 => Outcome::Failed { exit: 1 },
            6 => Outcome::RunnerLost,
            7 | 8 => Outcome::Killed,
            _ if reused => Outcome::Succeeded,
            _ => Outcome::Expired,
        };
        state = outcome.name();
        let attempts = u32::from(step < 9);
        if step < 9 {
            ran = Some(runner.to_string());
            let record = AttemptRecord {
                number: attempt,
                runner,
                slice,
                started: at,
                ended: at,
                cancel_requested: None,
                facts: None,
                outcome: outcome.clone(),
                evidence: Evidence::default(),
            };
            changes.push(Change::AttemptEnded { id, record });
        }
        let reusable = (step == 2).then_some(ReuseKey([(number % 5) as u8; 32]));
        changes.push(Change::JobFinished {
            id,
            group: None,
            outcome,
            slice,
            attempts,
            reusable,
            at,
        });
    }
    wire_id.map(|wire_id| Known { id, wire_id, labels, state, reused, runner: ran })
}

fn insert_all(store: &mut dyn Store, dice: &mut Dice, numbers: Range<u64>) -> Vec<Known> {
    let mut all = Vec::new();
    let mut changes = Vec::new();
    for number in numbers {
        all.extend(insert(dice, number, &mut changes));
        if number % 100 == 0 {
            store.commit(&std::mem::take(&mut changes)).unwrap();
        }
    }
    store.commit(&changes).unwrap();
    all
}

/// A job that ends long after those that were made with it.
fn end(store: &mut dyn Store, known: &mut Known) {
    let at = WallMs(3_000_000);
    let outcome = Outcome::Canceled;
    known.state = outcome.name();
    let finished = Change::JobFinished {
        id: known.id,
        group: None,
        outcome,
        slice: 0,
        attempts: 0,
        reusable: None,
        at,
    };
    store.commit(&[finished]).unwrap();
}

fn found(known: &Known, search: &JobSearch) -> bool {
    let standing = |standing: &JobStanding| match standing {
        JobStanding::Queued => known.state == "queued",
        JobStanding::Running => known.state == "running",
        JobStanding::Finished(outcomes) => outcomes.contains(&known.state),
    };
    search.wire_ids.contains(&known.wire_id)
        && search.labels.iter().all(|one_of| {
            one_of.iter().any(|label| known.labels.iter().any(|own| **own == **label))
        })
        && (search.standings.is_empty() || search.standings.iter().any(standing))
        && search.reused.is_none_or(|reused| reused == known.reused)
        && search
            .runner
            .as_ref()
            .is_none_or(|runner| known.runner.as_deref() == Some(runner.as_str()))
}

fn known_end(all: &[Known]) -> u64 {
    all.iter().map(|known| known.wire_id).max().unwrap_or_default() + 1
}

/// Where its attempts ran.
fn runner_of(reader: &dyn Reader, id: JobId) -> Option<String> {
    let attempts = reader.last_attempts(&[id]).unwrap();
    attempts.first().map(|attempt| attempt.record.runner.to_string())
}

/// Random searches find what a look at each job finds; how much that was.
fn agree(reader: &dyn Reader, dice: &mut Dice, all: &[Known]) -> usize {
    let standings: [&[JobStanding]; 6] = [
        &[],
        &[JobStanding::Queued],
        &[JobStanding::Queued, JobStanding::Running],
        &[JobStanding::Finished(&["succeeded", "failed"])],
        &[JobStanding::Finished(&["killed"])],
        &[JobStanding::Running, JobStanding::Finished(&["expired", "nothing_ends_so"])],
    ];
    let mut hits = 0;
    for _ in 0..400 {
        let labels = (0..dice.below(3)).map(|_| {
            let key = dice.below(5);
            let alternatives = (0..=dice.below(2)).map(|_| format!("k{key}:v{}", dice.below(3)));
            alternatives.map(Arc::from).collect()
        });
        let labels = labels.collect();
        let from = dice.below(known_end(all));
        let width = [1, 4000, 40_000, 150_000][dice.below(4) as usize];
        let search = JobSearch {
            wire_ids: if dice.below(2) == 0 { 0..i64::MAX as u64 } else { from..from + width },
            labels,
            standings: standings[dice.below(6) as usize].to_vec(),
            reused: [None, None, Some(true), Some(false)][dice.below(4) as usize],
            runner: (dice.below(5) == 0).then(|| RunnerName::new(&format!("r{}", dice.below(4)))),
        };
        let mut wanted: Vec<u64> =
            all.iter().filter(|known| found(known, &search)).map(|known| known.wire_id).collect();
        wanted.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(reader.count_found(&search).unwrap(), wanted.len() as u64, "{search:?}");
        let limit = 1 + dice.below(50) as usize;
        wanted.truncate(limit);
        hits += wanted.len();
        assert_eq!(reader.search_jobs(&search, limit).unwrap(), wanted, "{search:?}");
    }
    hits
}

#[test]
fn a_search_finds_what_a_look_at_each_job_finds() {
    let folder = tempfile::tempdir().unwrap();
    let store::Sqlite { jobs: mut store, reader, .. } = store::open_sqlite(folder.path()).unwrap();
    let mut dice = Dice(7);
    let spec = |name: &str| RunnerSpec {
        name: RunnerName::new(name),
        session: Session(1),
        queues: ["q".into()].into(),
        dimensions: Dimensions::default(),
        slots: 1,
        keep: true,
    };
    let put = |name| Change::RunnerPut { runner: spec(name), draining: false, at: WallMs(0) };
    store.commit(&["r0", "r1", "r2"].map(put)).unwrap();
    // Enough for some blocks, and for jobs that are in none.
    let mut all = insert_all(&mut store, &mut dice, 1..14_000);
    // Some are tried again, and some of those end.
    let over = all.iter_mut().filter(|known| known.state == "killed").step_by(9);
    for (number, known) in over.enumerate() {
        let revived = Change::JobRevived { id: known.id, attempts: 1, at: WallMs(2_000_000) };
        store.commit(&[revived]).unwrap();
        (known.state, known.runner) = ("queued", None);
        if number % 2 == 0 {
            end(&mut store, known);
            known.runner = runner_of(&reader, known.id);
        }
    }
    let waiting = all.iter_mut().filter(|known| known.state == "queued" && known.id.0 < 3000);
    for known in waiting.step_by(2) {
        end(&mut store, known);
        known.runner = runner_of(&reader, known.id);
    }
    let more = insert_all(&mut store, &mut dice, 14_000..20_000);
    all.extend(more);
    let hits = agree(&reader, &mut dice, &all);
    assert!(hits > 1000, "searches that find something: {hits}");
    let last = all.last().unwrap();
    assert_eq!(reader.last_wire_id().unwrap(), Some(last.wire_id));
    let views = reader.jobs_by_wire_id(&[last.wire_id, 3]).unwrap();
    assert_eq!(views.len(), 1);
    assert_eq!(views[0].job.terms.wire_id, Some(last.wire_id));
    // A name filter of people's lists does not stumble over other doors' payloads.
    let filter = dispatcher::JobFilter { workspace: "x".into(), limit: 10, ..Default::default() };
    assert!(reader.jobs(filter).unwrap().is_empty());
}

#[test]
fn old_jobs_are_deleted_with_all_that_they_are_found_by() {
    let folder = tempfile::tempdir().unwrap();
    let store::Sqlite { jobs: mut store, reader, house, .. } =
        store::open_sqlite(folder.path()).unwrap();
    let mut dice = Dice(11);
    let mut all = insert_all(&mut store, &mut dice, 1..14_000);
    let below = all[all.len() / 2].wire_id;
    let is_old =
        |known: &Known| known.wire_id < below && !["queued", "running"].contains(&known.state);
    let old = all.iter().filter(|known| is_old(known)).count();
    let mut gone = 0;
    loop {
        match house.delete_jobs(below, WallMs(u64::MAX), 331).unwrap() {
            0 => break,
            some => gone += some,
        }
    }
    assert!(gone > 4096, "{gone}");
    assert_eq!(gone, old);
    while house.delete_labels(100).unwrap() > 0 {}
    all.retain(|known| !is_old(known));
    agree(&reader, &mut dice, &all);
    // All but the newest go, and with them every name; later jobs are found by the same names.
    while house.delete_jobs(u64::MAX, WallMs(u64::MAX), 1000).unwrap() > 0 {}
    while house.delete_labels(100).unwrap() > 0 {}
    let newest = all.iter().map(|known| known.id).max();
    all.retain(|known| ["queued", "running"].contains(&known.state) || Some(known.id) == newest);
    all.extend(insert_all(&mut store, &mut dice, 14_000..20_000));
    assert!(agree(&reader, &mut dice, &all) > 300);
    let ids: Vec<u64> = all.iter().map(|known| known.wire_id).collect();
    assert_eq!(reader.jobs_by_wire_id(&ids).unwrap().len(), all.len());
}

#[test]
fn samples_are_thinned_with_age() {
    let folder = tempfile::tempdir().unwrap();
    let house = store::open_sqlite(folder.path()).unwrap().house;
    let minute = |n: u64| WallMs(n * 60_000);
    for n in 0..100 {
        house.put_sample(minute(n), &n.to_string()).unwrap();
    }
    house.prune_samples(minute(20), minute(60)).unwrap();
    let all = house.samples(minute(0)..minute(1000), 1000).unwrap();
    let kept: Vec<u64> = all.iter().map(|(_, record)| record.parse().unwrap()).collect();
    let wanted: Vec<u64> = [29, 39, 49, 59].into_iter().chain(60..100).collect();
    assert_eq!(kept, wanted);
    let few = house.samples(minute(60)..minute(100), 4).unwrap();
    let few: Vec<&str> = few.iter().map(|(_, record)| record.as_str()).collect();
    assert_eq!(few, ["69", "79", "89", "99"]);
}

#[test]
fn the_latest_good_result_is_reused() {
    let folder = tempfile::tempdir().unwrap();
    let store::Sqlite { jobs: mut store, reader, .. } = store::open_sqlite(folder.path()).unwrap();
    let mut dice = Dice(7);
    insert_all(&mut store, &mut dice, 1..200);
    let (job, at) = reader.reusable(ReuseKey([3; 32])).unwrap().unwrap();
    assert_eq!((job.0 % 5, at.0), (3, 1_000_000 + job.0));
    assert!(reader.reusable(ReuseKey([9; 32])).unwrap().is_none());
}
