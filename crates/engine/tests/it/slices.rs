//! Where a job may run and until when, and who counts as somebody that could take it.

use std::sync::Arc;

use engine::ops::{DeregisterOp, DrainOp, RegisterOp, RunnerSpec};
use engine::{Config, Engine, Explanation, LiveJob, Place, Snapshot};
use model::{Dimensions, NewJob, Outcome, Requirements, RunnerName, Session, Slice, Terms};

use crate::ground::{Ground, job};

#[test]
fn a_kept_runner_is_capacity_though_it_is_silent() {
    let mut ground = Ground::new();
    ground.register("kept", true);
    ground.register("other", false);
    ground.pass(10 * 24 * 60 * 60 * 1000);
    let names = ground.engine.runners().into_iter().map(|runner| runner.name).collect::<Vec<_>>();
    assert_eq!(names, [RunnerName::new("kept")]);
    let impatient = |os| {
        let slice = Slice::waiting(Requirements::of(&[("os", os)]));
        let slice = Slice { wait_for_capacity: false, expires_after_ms: Some(30_000), ..slice };
        NewJob { slices: [slice].into(), ..job(1, Terms::default()) }
    };
    let waits = ground.submit(impatient("Linux"));
    let hopeless = ground.submit(impatient("Windows"));
    assert_eq!(ground.ends(), [(hopeless, Outcome::NoResource)]);
    ground.pass(30_000);
    assert_eq!(ground.ends(), [(waits, Outcome::Expired)]);
}

#[test]
fn the_time_of_a_slice_that_is_passed_over_is_not_lost() {
    let mut ground = Ground::new();
    ground.register("r", true);
    let slice = |os, seconds: u64| Slice {
        wait_for_capacity: false,
        expires_after_ms: Some(seconds * 1000),
        ..Slice::waiting(Requirements::of(&[("os", os)]))
    };
    let slices = [slice("Windows", 10), slice("Linux", 20), slice("Linux", 5)];
    let id = ground.submit(NewJob { slices: slices.into(), ..job(1, Terms::default()) });
    ground.pass(30_000);
    ground.pass(4_999);
    assert_eq!(ground.ends(), []);
    ground.pass(1);
    assert_eq!(ground.ends(), [(id, Outcome::Expired)]);
}

#[test]
fn whoever_asks_why_is_told_of_the_busy_and_the_kept() {
    let mut ground = Ground::new();
    for (name, keep) in [("kept", true), ("kept and idle", true), ("other", false)] {
        ground.register(name, keep);
    }
    let ids = [(); 3].map(|()| ground.submit(job(1, Terms::default())));
    for name in ["kept", "other"] {
        ground.poll(name, 1, true).pop().unwrap();
    }
    let Explanation::Waiting(waits) = ground.engine.explain(ids[2]) else { panic!() };
    let of_kept = (waits.kept, waits.kept_busy);
    assert_eq!(((waits.matching, waits.busy), of_kept), ((3, 2), (2, 1)));
}

/// A job that does not wait for a runner, and may start again once.
fn impatient(os: &[(&str, u64)]) -> NewJob {
    let slices = os.iter().map(|(os, seconds)| Slice {
        wait_for_capacity: false,
        expires_after_ms: Some(seconds * 1000),
        ..Slice::waiting(Requirements::of(&[("os", os)]))
    });
    NewJob { slices: slices.collect(), lost_runner_retries: 1, ..job(1, Terms::default()) }
}

#[test]
fn a_runner_that_leaves_is_no_capacity_for_what_it_leaves_behind() {
    let mut ground = Ground::new();
    ground.register("r", true);
    let id = ground.submit(impatient(&[("Linux", 600)]));
    assert_eq!(ground.poll("r", 1, true).pop().unwrap().job, id);
    let now = ground.now();
    ground.engine.deregister(DeregisterOp { runner: RunnerName::new("r") }, now);
    assert_eq!(ground.ends(), [(id, Outcome::NoResource)]);
}

#[test]
fn a_drained_runner_is_expected_back_when_it_is_kept() {
    for (keep, ends) in [(true, false), (false, true)] {
        let mut ground = Ground::new();
        ground.register("r", keep);
        let now = ground.now();
        ground.engine.drain_runner(DrainOp { runner: RunnerName::new("r"), drain: true }, now);
        let id = ground.submit(impatient(&[("Linux", 600)]));
        let expected: &[_] = if ends { &[(id, Outcome::NoResource)] } else { &[] };
        assert_eq!(ground.ends(), expected, "keep: {keep}");
    }
}

#[test]
fn what_an_older_process_offered_is_no_capacity() {
    let mut ground = Ground::new();
    ground.register("r", true);
    let id = ground.submit(impatient(&[("Linux", 600)]));
    assert_eq!(ground.poll("r", 1, true).pop().unwrap().job, id);
    let spec = ground.engine.runner(&RunnerName::new("r")).unwrap().spec();
    let dimensions = Dimensions::of(&[("os", "Mac")]);
    let runner = RunnerSpec { session: Session(2), dimensions, ..spec };
    let now = ground.now();
    ground.engine.register(RegisterOp { runner }, now);
    assert_eq!(ground.ends(), [(id, Outcome::NoResource)]);
    ground.engine.check();
}

#[test]
fn a_restart_takes_no_time_from_a_slice() {
    let mut ground = Ground::new();
    ground.register("r", true);
    // Nobody has Windows: its ten seconds go to Linux, which so has thirty.
    let job = impatient(&[("Windows", 10), ("Linux", 20)]);
    let id = ground.submit(job.clone());
    let created = ground.now().wall;
    ground.pass(4000);
    let live = LiveJob {
        id,
        group: None,
        job: Arc::new(job),
        attempts: 0,
        lost: 0,
        created,
        place: Place::Queued { slice: 1 },
    };
    let spec = ground.engine.runner(&RunnerName::new("r")).unwrap().spec();
    let snapshot = Snapshot {
        next_job: 2,
        jobs: vec![live],
        runners: vec![(spec, false)],
        ..Snapshot::default()
    };
    let restart = |ground: &mut Ground| {
        let now = ground.now();
        ground.engine = Engine::restore(Config::new([0; 32]), snapshot.clone(), now);
    };
    restart(&mut ground);
    ground.pass(25_999);
    assert_eq!(ground.ends(), []);
    ground.pass(1);
    assert_eq!(ground.ends(), [(id, Outcome::Expired)]);
    // Later it has its whole term again, as every slice has.
    restart(&mut ground);
    ground.pass(19_999);
    assert_eq!(ground.ends(), []);
    ground.pass(1);
    assert_eq!(ground.ends(), [(id, Outcome::Expired)]);
}
