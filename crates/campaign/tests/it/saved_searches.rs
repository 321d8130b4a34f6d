//! Saved searches that start actions when what they find changes.

use std::time::Duration;

use campaign::action::{Action, ExecutionFilter, ExecutionRow, Overlap, Reason, Trigger};
use campaign::page::Window;
use campaign::saved_search::SavedSearch;
use campaign::service::{Refusal, SEARCH_TIME, SettingsChange};
use model::GroupState;

use crate::ground::*;

/// `a` has a needle, `b` and `c` have none yet.
async fn ground() -> Ground {
    let ground = Ground::new().await;
    ground.repository("a", &[("f", "needle\n")]).await;
    for name in ["b", "c"] {
        ground.repository(name, &[("f", "hay\n")]).await;
    }
    ground
}

fn put(ground: &Ground, name: &str, text: &str) {
    change(&ground.folder.path().join("origin").join(name), &[("f", text)]);
}

async fn search(ground: &Ground, name: &str) -> SavedSearch {
    ground.service.create_saved_search(&user(), name, "needle", "").await.unwrap()
}

async fn hang(ground: &Ground, name: &str, on: &SavedSearch, change: SettingsChange) -> Action {
    let action = ground.action(name, &spec("file:f", TEMPLATE)).await;
    let change = SettingsChange { saved_search: Some(Some(on.id)), ..change };
    ground.service.change_settings(&user(), action.id, change).await.unwrap()
}

async fn fire(ground: &Ground) {
    ground.service.fire_saved_searches(SEARCH_TIME).await.unwrap();
}

/// Newest first.
fn runs(ground: &Ground, action: &Action) -> Vec<ExecutionRow> {
    let filter = ExecutionFilter { action: Some(action.id), state: None };
    ground.service.store.executions(filter, Window { after: None, first: 100 }).unwrap().items
}

fn known(ground: &Ground, search: &SavedSearch) -> SavedSearch {
    ground.service.store.saved_search(search.id).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_run_is_where_it_starts_from() {
    let ground = ground().await;
    let search = search(&ground, "s").await;
    let action = hang(&ground, "act", &search, SettingsChange::default()).await;
    assert_eq!(known(&ground, &search).results, None);
    fire(&ground).await;
    fire(&ground).await;
    assert!(runs(&ground, &action).is_empty());
    assert_eq!(known(&ground, &search).results, Some(1));
    put(&ground, "b", "needle\n");
    fire(&ground).await;
    fire(&ground).await;
    let [run] = &runs(&ground, &action)[..] else { panic!("one") };
    assert_eq!(run.reason, Reason::SavedSearch);
    assert_eq!(run.detail, "the saved search `s` found 1 new: b");
    assert_eq!(known(&ground, &search).results, Some(2));
    assert!(known(&ground, &search).last_change.is_some());
    // The whole scope is run, unless only what is new is wanted.
    assert_eq!(ground.work(|_| End::Nothing).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_trigger_has_its_change() {
    let ground = ground().await;
    let search = search(&ground, "s").await;
    let on = |trigger| SettingsChange { trigger: Some(trigger), ..SettingsChange::default() };
    let added = hang(&ground, "added", &search, on(Trigger::Added)).await;
    let removed = hang(&ground, "removed", &search, on(Trigger::Removed)).await;
    let any = hang(&ground, "any", &search, on(Trigger::Any)).await;
    let counts = async || {
        fire(&ground).await;
        ground.work(|_| End::Nothing).await;
        [&added, &removed, &any].map(|action| runs(&ground, action).len())
    };
    assert_eq!(counts().await, [0, 0, 0]);
    put(&ground, "b", "needle\n");
    assert_eq!(counts().await, [1, 0, 1]);
    put(&ground, "b", "hay\n");
    assert_eq!(counts().await, [1, 1, 2]);
    // Another line of the same repository.
    put(&ground, "a", "\nneedle\n");
    assert_eq!(counts().await, [1, 1, 3]);
    // A change that is no other result.
    put(&ground, "c", "more hay\n");
    assert_eq!(counts().await, [1, 1, 3]);
    // What comes back after it was gone is new again.
    put(&ground, "b", "needle\n");
    assert_eq!(counts().await, [2, 1, 4]);
    put(&ground, "b", "hay\n");
    assert_eq!(counts().await, [2, 2, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_new_is_run() {
    let ground = ground().await;
    let search = search(&ground, "s").await;
    let only = SettingsChange { only_new: Some(true), ..SettingsChange::default() };
    let action = hang(&ground, "act", &search, only).await;
    fire(&ground).await;
    put(&ground, "b", "needle\n");
    fire(&ground).await;
    assert_eq!(runs(&ground, &action).len(), 1);
    let taken = ground.take().await;
    assert_eq!(taken.iter().map(|job| job.order.repository.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_searches_with_one_text_and_new_names_and_texts() {
    let ground = ground().await;
    let (one, two) = (search(&ground, "one").await, search(&ground, "two").await);
    let (first, second) = (
        hang(&ground, "first", &one, SettingsChange::default()).await,
        hang(&ground, "second", &two, SettingsChange::default()).await,
    );
    let same = ground.service.store.saved_searches_with_query("needle").unwrap();
    assert_eq!(same.len(), 2);
    let taken = ground.service.create_saved_search(&user(), "one", "x", "").await;
    assert!(matches!(taken, Err(Refusal::NameTaken { .. })));
    fire(&ground).await;
    // Each runs what hangs on it.
    ground.service.run_actions_of(&user(), one.id).await.unwrap();
    ground.work(|_| End::Nothing).await;
    assert_eq!((runs(&ground, &first).len(), runs(&ground, &second).len()), (1, 0));
    let service = &ground.service;
    service.update_saved_search(&user(), one.id, Some("uno"), None, None).await.unwrap();
    put(&ground, "b", "needle\n");
    fire(&ground).await;
    ground.work(|_| End::Nothing).await;
    assert_eq!((runs(&ground, &first).len(), runs(&ground, &second).len()), (2, 1));
    assert!(runs(&ground, &first)[0].detail.contains("`uno`"));
    // Another text starts anew, and the action still hangs on it.
    service.update_saved_search(&user(), one.id, None, Some("hay"), None).await.unwrap();
    assert_eq!(known(&ground, &one).results, None);
    fire(&ground).await;
    assert_eq!(runs(&ground, &first).len(), 2);
    put(&ground, "a", "needle hay\n");
    fire(&ground).await;
    assert_eq!(runs(&ground, &first).len(), 3);
    let name = service.update_saved_search(&user(), one.id, Some("two"), None, None).await;
    assert!(matches!(name, Err(Refusal::NameTaken { .. })));
    let bad = service.update_saved_search(&user(), one.id, None, Some("repo:("), None).await;
    assert!(matches!(bad, Err(Refusal::Invalid { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_commit_that_is_pushed_late_counts() {
    let ground = ground().await;
    let search = search(&ground, "s").await;
    let action = hang(&ground, "act", &search, SettingsChange::default()).await;
    fire(&ground).await;
    let path = ground.folder.path().join("origin/b");
    shell(
        &path,
        "echo needle > f && GIT_COMMITTER_DATE='2001-01-01T00:00:00Z' GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' \
         git -c user.name=t -c user.email=t@t commit -qam old",
    );
    fire(&ground).await;
    assert_eq!(runs(&ground, &action).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_takes_too_long_is_tried_again_from_where_it_was() {
    let ground = ground().await;
    let search = search(&ground, "s").await;
    let action = hang(&ground, "act", &search, SettingsChange::default()).await;
    fire(&ground).await;
    put(&ground, "b", "needle\n");
    ground.service.fire_saved_searches(Duration::ZERO).await.unwrap();
    let after = known(&ground, &search);
    assert!(after.last_error.unwrap().contains("it took longer than 0 s"));
    assert_eq!((after.results, runs(&ground, &action).len()), (Some(1), 0));
    fire(&ground).await;
    assert_eq!(runs(&ground, &action).len(), 1);
    assert_eq!(known(&ground, &search).last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_did_not_see_all_found_nothing_out() {
    let ground = ground().await;
    let search = search(&ground, "s").await;
    let any = SettingsChange { trigger: Some(Trigger::Any), ..SettingsChange::default() };
    let action = hang(&ground, "act", &search, any).await;
    fire(&ground).await;
    put(&ground, "b", "needle\n");
    put(&ground, "a", "needle needle\n");
    let git = ground.folder.path().join("origin/a/.git");
    std::fs::rename(git.join("objects"), git.join("away")).unwrap();
    fire(&ground).await;
    let after = known(&ground, &search);
    assert!(after.last_error.unwrap().contains("`a` cannot be searched"));
    assert_eq!((after.results, runs(&ground, &action).len()), (Some(1), 0));
    std::fs::rename(git.join("away"), git.join("objects")).unwrap();
    fire(&ground).await;
    assert_eq!(runs(&ground, &action).len(), 1);
    assert_eq!(
        (known(&ground, &search).last_error, known(&ground, &search).results),
        (None, Some(2))
    );
    // An error goes away also when nothing was found anew.
    ground.work(|_| End::Nothing).await;
    put(&ground, "a", "needle, and what does not count\n");
    std::fs::rename(git.join("objects"), git.join("away")).unwrap();
    fire(&ground).await;
    assert!(known(&ground, &search).last_error.is_some());
    std::fs::rename(git.join("away"), git.join("objects")).unwrap();
    fire(&ground).await;
    assert_eq!(known(&ground, &search).last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_while_the_one_before_runs_waits_or_cancels_it() {
    for overlap in [Overlap::Skip, Overlap::Queue, Overlap::CancelPrevious] {
        let ground = ground().await;
        let search = search(&ground, "s").await;
        let only = SettingsChange {
            overlap: Some(overlap),
            only_new: Some(true),
            ..SettingsChange::default()
        };
        let action = hang(&ground, "act", &search, only).await;
        fire(&ground).await;
        put(&ground, "b", "needle\n");
        fire(&ground).await;
        put(&ground, "c", "needle\n");
        fire(&ground).await;
        let rows = runs(&ground, &action);
        let open = |row: &ExecutionRow| {
            let group = ground.dispatcher.reader().group(row.execution).unwrap().unwrap();
            matches!(group.state, GroupState::Open { .. })
        };
        if overlap == Overlap::CancelPrevious {
            assert_eq!(rows.iter().map(open).collect::<Vec<_>>(), [true, false]);
            continue;
        }
        assert_eq!(rows.len(), 1, "{overlap:?}");
        ground.work(|_| End::Nothing).await;
        fire(&ground).await;
        fire(&ground).await;
        // What was found meanwhile is not lost: it would never be new again.
        let taken = ground.take().await;
        let names: Vec<_> = taken.iter().map(|job| job.order.repository.as_str()).collect();
        assert_eq!(names, ["c"], "{overlap:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_be_is_written_down() {
    let ground = ground().await;
    let search = search(&ground, "s").await;
    let action = hang(&ground, "act", &search, SettingsChange::default()).await;
    fire(&ground).await;
    let text = spec("repo:zzz", TEMPLATE);
    ground.service.update_action(&user(), action.id, &text).await.unwrap();
    put(&ground, "b", "needle\n");
    fire(&ground).await;
    let misfires = ground.service.store.misfires(Some(action.id), 10).unwrap();
    assert_eq!((misfires.len(), misfires[0].reason), (1, Reason::SavedSearch));
    assert!(misfires[0].detail.contains("1 new: b"));
    let paused = SettingsChange { paused: Some(true), ..SettingsChange::default() };
    ground.service.change_settings(&user(), action.id, paused).await.unwrap();
    put(&ground, "c", "needle\n");
    fire(&ground).await;
    assert_eq!(ground.service.store.misfires(Some(action.id), 10).unwrap().len(), 1);
    assert!(runs(&ground, &action).is_empty());
}
