//! The SQLite store gives back what the simulator's rows say, for the commits of whole simulated lives.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatcher::{JobFilter, Reader, Store};
use engine::Snapshot;
use model::{GroupId, GroupState, JobId, JobState, NewJob, Terms};
use testkit::sim;

/// The payload and the labels are not loaded at a start; everything else is.
fn comparable(mut snapshot: Snapshot) -> String {
    for live in &mut snapshot.jobs {
        let terms = Terms { labels: [].into(), ..live.job.terms.clone() };
        live.job = Arc::new(NewJob { payload: [].into(), terms, ..(*live.job).clone() });
    }
    snapshot.keys.sort_by_key(|key| key.key);
    format!("{snapshot:#?}")
}

#[test]
fn sqlite_agrees_with_the_simulator() {
    for seed in 0..25 {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store::open_sqlite(folder.path()).unwrap().jobs;
        let life = sim::record(seed);
        for (number, (changes, after)) in life.iter().enumerate() {
            store
                .commit(changes)
                .unwrap_or_else(|error| panic!("seed {seed}, commit {number}: {error:?}"));
            if number % 40 == 0 || number + 1 == life.len() {
                let loaded = comparable(store.load().unwrap());
                assert_eq!(loaded, comparable(after()), "seed {seed}, after commit {number}");
            }
        }
        drop(store);
        // A new process reads the same.
        let store::Sqlite { jobs: mut store, reader, .. } =
            store::open_sqlite(folder.path()).unwrap();
        let (_, last) = life.last().unwrap();
        assert_eq!(comparable(store.load().unwrap()), comparable(last()), "seed {seed}, reopened");
        check_reader(&reader);
    }
}

/// Every list is consistent with every single look.
fn check_reader(reader: &dyn Reader) {
    let all = reader.jobs(JobFilter { limit: 10_000, ..JobFilter::default() }).unwrap();
    assert!(!all.is_empty());
    let mut open: BTreeMap<GroupId, u64> = BTreeMap::new();
    for view in &all {
        let one = reader.job(view.id).unwrap().unwrap();
        assert_eq!((one.state.clone(), one.attempts), (view.state.clone(), view.attempts));
        assert_eq!(reader.payload(view.id).unwrap().unwrap(), view.job.payload);
        let live = !matches!(view.state, JobState::Finished { .. });
        if let Some(group) = view.group {
            *open.entry(group).or_default() += u64::from(live);
        }
        let history = reader.attempts(view.id).unwrap();
        let running = u32::from(matches!(view.state, JobState::Running { .. }));
        assert_eq!(history.len() as u32 + running, view.attempts, "history of job {}", view.id);
        for attempt in &history {
            let one = reader.attempt(view.id, attempt.record.number).unwrap().unwrap();
            assert_eq!(one.record, attempt.record);
        }
    }
    for group in reader.groups(None, 1000).unwrap() {
        let of_group =
            reader.jobs(JobFilter { group: Some(group.id), limit: 10_000, ..JobFilter::default() });
        assert_eq!(of_group.unwrap().len() as u64, group.jobs);
        match group.state {
            GroupState::Open { jobs } => assert_eq!(jobs, open[&group.id]),
            GroupState::Finished { .. } => assert_eq!(open[&group.id], 0),
        }
    }
    let newest =
        reader.jobs(JobFilter { newest_first: true, limit: 3, ..JobFilter::default() }).unwrap();
    assert!(newest.windows(2).all(|pair| pair[0].id > pair[1].id));
    assert_eq!(reader.job(JobId(u64::from(u32::MAX))).unwrap().map(|view| view.id), None);
}
