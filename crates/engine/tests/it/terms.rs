use std::sync::Arc;

use engine::Change;
use engine::ops::{
    AppendLogOp, CancelOp, CancelOutcome, LoseOp, LoseOutcome, SubmitOp, SubmitOutcome,
};
use model::{
    JobId, NewJob, Order, Outcome, Priority, Requirements, Reuse, ReuseKey, RunnerName, Slice,
    Terms,
};

use crate::ground::{Ground, job};

fn ordered(order: Order) -> Terms {
    Terms { order, ..Terms::default() }
}

#[test]
fn age_makes_up_for_priority() {
    let mut ground = Ground::new();
    ground.register("r", true);
    let old = ground.submit(job(101, ordered(Order::Oldest)));
    ground.pass(Priority::AGE_MS - 1);
    let young = ground.submit(job(100, ordered(Order::Oldest)));
    assert_eq!([ground.next(), ground.next()], [Some(young), Some(old)]);
    let old = ground.submit(job(101, ordered(Order::Oldest)));
    ground.pass(Priority::AGE_MS + 1);
    let young = ground.submit(job(100, ordered(Order::Oldest)));
    let last = ground.submit(job(100, ordered(Order::Oldest)));
    assert_eq!([ground.next(), ground.next(), ground.next()], [Some(old), Some(young), Some(last)]);
}

#[test]
fn the_newest_goes_first_where_that_is_the_order() {
    let mut ground = Ground::new();
    ground.register("r", true);
    let mut jobs = Vec::new();
    for priority in [50, 100, 100] {
        jobs.push(ground.submit(job(priority, ordered(Order::Newest))));
        ground.pass(1000);
    }
    let order = [ground.next(), ground.next(), ground.next(), ground.next()];
    assert_eq!(order, [Some(jobs[0]), Some(jobs[2]), Some(jobs[1]), None]);
}

#[test]
fn a_job_has_its_own_patience() {
    let mut ground = Ground::new();
    ground.register("r", true);
    let patient = Terms { lease_ms: Some(1_200_000), ..Terms::default() };
    let id = ground.submit(job(1, patient));
    let lease = ground.poll("r", 1, true).pop().unwrap();
    assert_eq!(lease.lease_ms, 1_200_000);
    let append = AppendLogOp { job: id, token: lease.token };
    for _ in 0..3 {
        ground.pass(1_199_000);
        let now = ground.now();
        ground.engine.append_log(append, now);
    }
    // Told to stop, it has that long again, and each sign of life renews it.
    let now = ground.now();
    let told = ground.engine.cancel(CancelOp::Job { id, kill: true }, now);
    assert_eq!(told, CancelOutcome::Canceled { queued: 0, running: 1, left: 0 });
    let again = ground.engine.cancel(CancelOp::Job { id, kill: true }, now);
    assert_eq!(again, CancelOutcome::Canceled { queued: 0, running: 0, left: 1 });
    ground.pass(1_199_000);
    assert_eq!(ground.ends(), []);
    ground.pass(2000);
    assert_eq!(ground.ends(), [(id, Outcome::Killed)]);
}

#[test]
fn a_running_job_is_left_alone_unless_it_is_to_be_killed() {
    let mut ground = Ground::new();
    ground.register("r", true);
    let id = ground.submit(job(1, Terms::default()));
    let lease = ground.poll("r", 1, true).pop().unwrap();
    let now = ground.now();
    let outcome = ground.engine.cancel(CancelOp::Job { id, kill: false }, now);
    assert_eq!(outcome, CancelOutcome::Canceled { queued: 0, running: 0, left: 1 });
    assert_eq!(ground.complete(&lease, Outcome::Failed { exit: 3 }), Outcome::Failed { exit: 3 });
}

#[test]
fn children_end_with_their_parent() {
    let mut ground = Ground::new();
    for name in ["r", "s"] {
        ground.register(name, true);
    }
    let parent = ground.submit(job(1, Terms::default()));
    let lease = ground.poll("r", 1, true).pop().unwrap();
    let child = |of| job(1, Terms { parent: Some(of), ..Terms::default() });
    let running = ground.submit(child(parent));
    let of_child = ground.poll("s", 1, true).pop().unwrap();
    assert_eq!(of_child.job, running);
    let queued = ground.submit(child(parent));
    let grandchild = ground.submit(child(queued));
    ground.pass(1);
    assert_eq!(ground.ends(), []);
    ground.complete(&lease, Outcome::Succeeded);
    ground.pass(1);
    ground.pass(1);
    let canceled = |id| (id, Outcome::Canceled);
    let ends = [(parent, Outcome::Succeeded), canceled(queued), canceled(grandchild)];
    assert_eq!(ground.ends(), ends);
    assert_eq!(ground.complete(&of_child, Outcome::Succeeded), Outcome::Killed);
    // A child of what is over already ends too.
    let late = ground.submit(child(parent));
    ground.pass(1);
    assert_eq!(ground.ends(), [(running, Outcome::Killed), canceled(late)]);
}

#[test]
fn a_result_is_reused_and_only_good_ones_are_offered() {
    let mut ground = Ground::new();
    ground.register("r", true);
    let keyed = |terms| {
        let slice = Slice::waiting(Requirements::default());
        let slices = [slice.clone(), Slice { reuse_key: Some(ReuseKey([1; 32])), ..slice }];
        NewJob { slices: slices.into(), ..job(1, terms) }
    };
    let reuse = Reuse { job: JobId(1), slice: 1 };
    let id = ground.submit(keyed(Terms { reuses: Some(reuse), ..Terms::default() }));
    let (mut changes, mut effects) = (Vec::new(), Vec::new());
    ground.engine.drain(&mut changes, &mut effects);
    let Some(Change::JobFinished { outcome, slice, attempts, reusable, .. }) = changes.pop() else {
        panic!("it is over at once")
    };
    assert_eq!((outcome, slice, attempts, reusable), (Outcome::Succeeded, 1, 0, None));
    assert!(!ground.engine.is_live(id));
    for (end, offered) in [(Outcome::Succeeded, true), (Outcome::Failed { exit: 1 }, false)] {
        let slices =
            [Slice { reuse_key: Some(ReuseKey([2; 32])), ..Slice::waiting(Default::default()) }];
        ground.submit(NewJob { slices: slices.into(), ..job(1, Terms::default()) });
        let lease = ground.poll("r", 0, true).pop().unwrap();
        ground.complete(&lease, end);
        ground.engine.drain(&mut changes, &mut effects);
        let Some(Change::JobFinished { reusable, .. }) = changes.pop() else { panic!("over") };
        assert_eq!(reusable.is_some(), offered);
    }
    // One that names a slice which is not there is refused whole.
    let wrong = Reuse { job: JobId(1), slice: 2 };
    let op = SubmitOp {
        key: None,
        group: None,
        jobs: vec![Arc::new(keyed(Terms { reuses: Some(wrong), ..Terms::default() }))],
    };
    let now = ground.now();
    assert!(matches!(ground.engine.submit(op, now), SubmitOutcome::Refused(_)));
}

#[test]
fn an_idle_runner_loses_what_it_forgot() {
    let mut ground = Ground::new();
    ground.register("r", true);
    let first = ground.submit(job(1, Terms::default()));
    let second = ground.submit(job(1, Terms::default()));
    let lease = ground.poll("r", 7, true).pop().unwrap();
    assert_eq!(lease.job, first);
    // The reply was lost: the same poll gets the same.
    assert_eq!(ground.poll("r", 7, true).pop().unwrap().token, lease.token);
    assert_eq!(ground.poll("r", 8, true).pop().unwrap().job, second);
    assert_eq!(ground.ends(), [(first, Outcome::RunnerLost)]);
    let lose = LoseOp { runner: RunnerName::new("r"), why: "it is dead".to_owned() };
    let now = ground.now();
    assert_eq!(ground.engine.lose_runner(lose, now), LoseOutcome::Lost { jobs: 1 });
    let (mut changes, mut effects) = (Vec::new(), Vec::new());
    ground.engine.drain(&mut changes, &mut effects);
    let Change::AttemptEnded { record, .. } = &changes[0] else { panic!("{changes:?}") };
    assert_eq!(record.evidence.message.as_deref(), Some("it is dead"));
    assert_eq!(record.facts.as_deref(), Some(&b"r"[..]));
    assert!(ground.engine.knows_runner(&RunnerName::new("r")));
}
