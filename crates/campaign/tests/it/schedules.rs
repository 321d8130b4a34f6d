//! Schedules: each tick once, whatever happens.

use campaign::action::{Action, ExecutionFilter, ExecutionRow, Overlap, Reason};
use campaign::page::Window;
use campaign::service::{NewRun, SettingsChange};
use model::{GroupState, WallMs};

use crate::ground::*;

const HOUR: u64 = 60 * MINUTE;
/// 2026-01-01T00:00:00Z.
const NEW_YEAR: u64 = 1_767_225_600_000;

async fn hourly(overlap: Overlap) -> (Ground, Action) {
    let ground = Ground::new().await;
    ground.clock.set(NEW_YEAR + 5 * MINUTE);
    ground.repository("r", &[("a", "1")]).await;
    let action = ground.action("act", &spec("repo:r", TEMPLATE)).await;
    let change = SettingsChange {
        schedule: Some(Some("0 * * * *".to_owned())),
        overlap: Some(overlap),
        ..SettingsChange::default()
    };
    let action = ground.service.change_settings(&user(), action.id, change).await.unwrap();
    assert_eq!(action.next_tick, Some(WallMs(NEW_YEAR + HOUR)));
    (ground, action)
}

async fn fire(ground: &Ground, at: u64) {
    ground.clock.set(at);
    ground.service.fire_schedules(WallMs(at)).await.unwrap();
}

/// Newest first.
fn executions(ground: &Ground, action: &Action) -> Vec<ExecutionRow> {
    let filter = ExecutionFilter { action: Some(action.id), state: None };
    ground.service.store.executions(filter, Window { after: None, first: 100 }).unwrap().items
}

fn is_open(ground: &Ground, row: &ExecutionRow) -> bool {
    let group = ground.dispatcher.reader().group(row.execution).unwrap().unwrap();
    matches!(group.state, GroupState::Open { .. })
}

async fn next(ground: &Ground, action: &Action) -> Option<u64> {
    ground.service.action(action.id).await.unwrap().next_tick.map(|at| at.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_runs_once_and_says_why() {
    let (ground, action) = hourly(Overlap::Skip).await;
    fire(&ground, NEW_YEAR + HOUR - 1).await;
    assert!(executions(&ground, &action).is_empty());
    for _ in 0..3 {
        fire(&ground, NEW_YEAR + HOUR).await;
    }
    let [row] = &executions(&ground, &action)[..] else { panic!("one") };
    assert_eq!((row.reason, row.owner.as_str()), (Reason::Schedule, "ann"));
    assert_eq!(row.detail, "the schedule `0 * * * *` at 2026-01-01 01:00 UTC");
    assert_eq!(next(&ground, &action).await, Some(NEW_YEAR + 2 * HOUR));
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_that_were_missed_are_one() {
    let (ground, action) = hourly(Overlap::Skip).await;
    fire(&ground, NEW_YEAR + 9 * HOUR + 1).await;
    let [row] = &executions(&ground, &action)[..] else { panic!("one") };
    assert!(row.detail.contains("09:00 UTC, and ticks that were missed"), "{}", row.detail);
    assert_eq!(next(&ground, &action).await, Some(NEW_YEAR + 10 * HOUR));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_is_left_out_while_the_one_before_runs() {
    let (ground, action) = hourly(Overlap::Skip).await;
    fire(&ground, NEW_YEAR + HOUR).await;
    fire(&ground, NEW_YEAR + 2 * HOUR).await;
    assert_eq!(executions(&ground, &action).len(), 1);
    let misfires = ground.service.store.misfires(Some(action.id), 10).unwrap();
    assert_eq!(misfires.len(), 1);
    assert!(misfires[0].why.contains("was not over") && misfires[0].detail.contains("02:00"));
    ground.work(|_| End::Nothing).await;
    fire(&ground, NEW_YEAR + 3 * HOUR).await;
    assert_eq!(executions(&ground, &action).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_waits_for_the_end_of_the_one_before() {
    let (ground, action) = hourly(Overlap::Queue).await;
    for hour in 1..5 {
        fire(&ground, NEW_YEAR + hour * HOUR).await;
        assert_eq!(executions(&ground, &action).len(), 1);
    }
    ground.work(|_| End::Nothing).await;
    for _ in 0..2 {
        fire(&ground, NEW_YEAR + 4 * HOUR + MINUTE).await;
        assert_eq!(executions(&ground, &action).len(), 2, "three waiting ticks are one");
    }
    assert!(ground.service.store.misfires(None, 10).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_cancels_the_one_before() {
    let (ground, action) = hourly(Overlap::CancelPrevious).await;
    fire(&ground, NEW_YEAR + HOUR).await;
    fire(&ground, NEW_YEAR + 2 * HOUR).await;
    let rows = executions(&ground, &action);
    let open: Vec<bool> = rows.iter().map(|row| is_open(&ground, row)).collect();
    assert_eq!(open, [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_in_the_middle_of_a_tick_runs_it_once() {
    for overlap in [Overlap::Skip, Overlap::Queue, Overlap::CancelPrevious] {
        let (ground, action) = hourly(overlap).await;
        // It ran, and the tick was not crossed off.
        let due = NEW_YEAR + HOUR;
        ground.clock.set(due);
        let run = NewRun {
            reason: Reason::Schedule,
            detail: "the schedule `0 * * * *` at 2026-01-01 01:00 UTC".to_owned(),
            only: None,
            key: Some(format!("action/{}/tick/{due}", action.id)),
        };
        ground.service.run_action(&user(), action.id, run).await.unwrap();
        fire(&ground, due + MINUTE).await;
        let [row] = &executions(&ground, &action)[..] else { panic!("{overlap:?}: one") };
        assert!(is_open(&ground, row), "{overlap:?}: it is not cancelled by itself");
        assert_eq!(ground.work(|_| End::Nothing).await, 1);
        fire(&ground, due + 2 * MINUTE).await;
        assert_eq!(executions(&ground, &action).len(), 1, "{overlap:?}");
        assert_eq!(next(&ground, &action).await, Some(due + HOUR), "{overlap:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_finds_nothing_to_run_is_written_down() {
    let (ground, action) = hourly(Overlap::Skip).await;
    let text = spec("repo:zzz", TEMPLATE);
    ground.service.update_action(&user(), action.id, &text).await.unwrap();
    fire(&ground, NEW_YEAR + HOUR).await;
    assert!(executions(&ground, &action).is_empty());
    let misfires = ground.service.store.misfires(Some(action.id), 10).unwrap();
    assert!(misfires[0].why.contains("none of the 1 repositories"), "{misfires:?}");
    assert_eq!(next(&ground, &action).await, Some(NEW_YEAR + 2 * HOUR));
    // Only the newest hundred are kept.
    for hour in 2..110 {
        fire(&ground, NEW_YEAR + hour * HOUR).await;
    }
    assert_eq!(ground.service.store.misfires(Some(action.id), 1000).unwrap().len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_in_spring_fires_after_the_gap() {
    let (ground, action) = hourly(Overlap::Skip).await;
    // The evening before the 29th of March 2026, when 02:30 is left out in Berlin.
    let evening = 1_774_728_000_000;
    ground.clock.set(evening);
    let change = SettingsChange {
        schedule: Some(Some("30 2 * * *".to_owned())),
        time_zone: Some("Europe/Berlin".to_owned()),
        ..SettingsChange::default()
    };
    ground.service.change_settings(&user(), action.id, change).await.unwrap();
    let gap = 1_774_746_000_000;
    assert_eq!(next(&ground, &action).await, Some(gap));
    fire(&ground, gap).await;
    assert_eq!(executions(&ground, &action).len(), 1);
    assert_eq!(next(&ground, &action).await, Some(gap + 23 * HOUR + 30 * MINUTE));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reconcilers_do_it_all_by_themselves() {
    let ground = Ground::new().await;
    let path = ground.repository("r", &[("a", "1")]).await;
    let action = ground.action("act", &spec("repo:r", TEMPLATE)).await;
    let campaign = ground.campaign("c", None, false).await.id;
    let change = SettingsChange {
        schedule: Some(Some("* * * * *".to_owned())),
        campaign: Some(Some(campaign)),
        ..SettingsChange::default()
    };
    let action = ground.service.change_settings(&user(), action.id, change).await.unwrap();
    ground.clock.set(action.next_tick.unwrap().0);
    let stop = tokio_util::sync::CancellationToken::new();
    ground.service.start(&stop);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let pushed = async || {
        ground.work(|_| patch("new", "x")).await;
        let all = ground.changesets(campaign).await;
        all.iter().any(|it| it.phase == campaign::changeset::Phase::Pushed)
    };
    while !pushed().await {
        assert!(std::time::Instant::now() < deadline, "a tick leads to a branch");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    stop.cancel();
    assert_eq!(shell(&path, "git show change:new"), "x");
}
