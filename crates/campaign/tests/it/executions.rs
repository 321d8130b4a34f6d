//! Ends of executions: exactly one patch set for each.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use campaign::changeset::Phase;
use campaign::page::Window;
use campaign::patch_set::{Patch, PatchSet};
use campaign::service::{NewRun, Refusal, Service, SettingsChange};
use model::{CampaignId, GroupId, JobId, PatchSetId};

use crate::ground::*;

const ALL: fn() -> Window<model::PatchId> = || Window { after: None, first: 10_000 };

fn patches(ground: &Ground, set: PatchSetId) -> Vec<Patch> {
    ground.service.store.patches(set, ALL()).unwrap().items
}

/// Many repositories that are one folder under many names.
async fn many(ground: &Ground, count: usize) {
    let origin = ground.repository("r0000", &[("a", "1\n")]).await;
    let all = ground.service.searcher.repositories();
    for n in 1..count {
        all.add(&format!("r{n:04}"), codehost::git::Source::Path(origin.clone())).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn a_thousand_last_jobs_at_once_make_one_patch_set() {
    let ground = Arc::new(Ground::new().await);
    many(&ground, 1000).await;
    let action = ground.action("act", &spec("repo:.", TEMPLATE)).await;
    let execution = ground.run(&action).await.unwrap();
    let taken = ground.take().await;
    assert_eq!(taken.len(), 1000);
    let over = Arc::new(AtomicBool::new(false));
    // The reconciler runs on many threads all the while.
    let finishers: Vec<_> = (0..8)
        .map(|_| {
            let (service, over) = (ground.service.clone(), over.clone());
            std::thread::spawn(move || {
                let mut built: Vec<PatchSet> = Vec::new();
                loop {
                    let last = over.load(Ordering::SeqCst);
                    built.extend(Service::finish(&service).unwrap());
                    if last {
                        return built;
                    }
                }
            })
        })
        .collect();
    let ending = taken.into_iter().map(|job| {
        let ground = ground.clone();
        tokio::spawn(async move { ground.end(job, patch("new", "x")).await })
    });
    for ended in futures::future::join_all(ending).await {
        ended.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    let built: Vec<PatchSet> =
        finishers.into_iter().flat_map(|finisher| finisher.join().unwrap()).collect();
    let ids: BTreeSet<PatchSetId> = built.iter().map(|set| set.id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(patches(&ground, built[0].id).len(), 1000);
    assert!(ground.service.store.patch_set(PatchSetId(built[0].id.0 + 1)).unwrap().is_none());
    let row = ground.service.store.execution(execution).unwrap().unwrap();
    assert_eq!(row.patch_set, Some(built[0].id));
    assert!(ground.finish().await.is_empty());
}

/// The jobs of an execution, in order of repository.
fn jobs(ground: &Ground, of: GroupId) -> Vec<JobId> {
    let filter = dispatcher::JobFilter { group: Some(of), limit: 100, ..Default::default() };
    ground.dispatcher.reader().jobs(filter).unwrap().iter().map(|job| job.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_job_makes_another_patch_set_at_the_second_end() {
    let ground = Ground::new().await;
    many(&ground, 3).await;
    let action = ground.action("act", &spec("repo:.", TEMPLATE)).await;
    let execution = ground.run(&action).await.unwrap();
    ground.work(|_| patch("new", "first")).await;
    let first = ground.finish().await.remove(0);
    ground.clock.forward(1000);
    ground.dispatcher.retry(jobs(&ground, execution)[1]).await.unwrap();
    assert!(ground.finish().await.is_empty(), "it runs again");
    ground.work(|_| patch("new", "second")).await;
    let second = ground.finish().await.remove(0);
    assert_ne!(first.id, second.id);
    let row = ground.service.store.execution(execution).unwrap().unwrap();
    assert_eq!(row.patch_set, Some(second.id));
    let (before, after) = (patches(&ground, first.id), patches(&ground, second.id));
    let same = before.iter().zip(&after).filter(|(a, b)| a.wanted.diff == b.wanted.diff).count();
    assert_eq!((before.len(), after.len(), same), (3, 3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_execution_waits_for_somebody_to_take_the_good_half() {
    let ground = Ground::new().await;
    many(&ground, 4).await;
    let action = ground.action("act", &spec("repo:.", TEMPLATE)).await;
    let execution = ground.run(&action).await.unwrap();
    let early = ground.service.submit_partial(&user(), execution).await;
    assert!(early.unwrap_err().to_string().contains("still runs"));
    ground.work(|job| if job.repository == "r0002" { End::Fail } else { patch("n", "x") }).await;
    assert!(ground.finish().await.is_empty());
    let set = ground.service.submit_partial(&admin(), execution).await.unwrap();
    assert_eq!((set.patches, set.author.as_str()), (3, "root"));
    assert_eq!(set.coverage.failed, ["r0002"]);
    let row = ground.service.store.execution(execution).unwrap().unwrap();
    let partial = row.partial.unwrap();
    assert_eq!((partial.by.as_str(), partial.failed), ("root", 1));
    assert!(ground.service.now().0 - partial.at.0 < MINUTE);
    // Twice is once.
    let again = ground.service.submit_partial(&user(), execution).await.unwrap();
    assert_eq!(again.id, set.id);
    let unknown = ground.service.submit_partial(&user(), GroupId(99)).await;
    assert!(matches!(unknown, Err(Refusal::NotFound(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_timed_out_or_was_cancelled_is_not_a_success() {
    let ground = Ground::new().await;
    many(&ground, 2).await;
    let action = ground.action("act", &spec("repo:.", TEMPLATE)).await;
    let execution = ground.run(&action).await.unwrap();
    let late = |job: &campaign::execution::WorkspaceJob| job.repository == "r0001";
    ground.work(|job| if late(job) { End::TimeOut } else { patch("n", "x") }).await;
    assert!(ground.finish().await.is_empty(), "it waits for somebody to decide");
    let set = ground.service.submit_partial(&user(), execution).await.unwrap();
    assert_eq!((set.patches, set.coverage.failed.len()), (1, 1));
    let execution = ground.run(&action).await.unwrap();
    ground.service.cancel_execution(&user(), execution).await.unwrap();
    assert_eq!(ground.work(|_| patch("n", "x")).await, 0);
    assert!(ground.finish().await.is_empty());
    let set = ground.service.submit_partial(&user(), execution).await.unwrap();
    assert_eq!((set.patches, set.coverage.failed.len()), (0, 2));
    let again = ground.service.cancel_execution(&user(), execution).await;
    assert!(matches!(again, Err(Refusal::Conflict(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_become_patches_that_apply_by_themselves() {
    let ground = Ground::new().await;
    let path = ground.repository("r", &[("go/a", "1\n"), ("js/b", "1\n"), ("c", "1\n")]).await;
    let groups = "transformChanges:\n  group:\n    - {directory: go, branch: change-go}\n    - {directory: js, branch: change-js}\n";
    let action = ground.action("act", &spec("repo:r", &format!("{TEMPLATE}{groups}"))).await;
    let diff = ["go/x", "js/y", "z"].map(|file| adds(file, "text")).concat();
    let files = ["go/x", "js/y", "z"].map(str::to_owned).to_vec();
    let set = ground.execute(&action, |_| End::Patch(diff.clone(), files.clone())).await;
    let all = patches(&ground, set.id);
    let branches: Vec<_> = all.iter().map(|it| it.wanted.branch.clone().unwrap()).collect();
    assert_eq!(branches.iter().collect::<BTreeSet<_>>().len(), 3, "{branches:?}");
    for patch in &all {
        let digest = model::Digest::parse_hex(&patch.wanted.diff).unwrap();
        let diff = ground.service.cas.get(digest).unwrap();
        assert_eq!((patch.stat.files, patch.stat.added), (1, 1));
        std::fs::write(path.join("../part"), diff).unwrap();
        shell(&path, "git apply --check ../part");
    }
    // Each is a branch of its own in the end.
    let campaign = ground.campaign("c", Some(&set), false).await.id;
    ground.settle().await;
    assert_eq!(ground.phases(campaign).await, [Phase::Pushed; 3]);
    let trees =
        branches.iter().map(|branch| shell(&path, &format!("git diff --name-only main {branch}")));
    assert_eq!(trees.collect::<BTreeSet<_>>(), files.into_iter().collect());
}

async fn attach(ground: &Ground, action: &campaign::action::Action, to: CampaignId) {
    let change = SettingsChange { campaign: Some(Some(to)), ..SettingsChange::default() };
    ground.service.change_settings(&user(), action.id, change).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attached_campaign_takes_the_newest_execution() {
    let ground = Ground::new().await;
    let path = ground.repository("r", &[("a", "1\n")]).await;
    let action = ground.action("act", &spec("repo:r", TEMPLATE)).await;
    let campaign = ground.campaign("c", None, false).await.id;
    attach(&ground, &action, campaign).await;
    let older = ground.run(&action).await.unwrap();
    let of_older = ground.take().await;
    ground.run(&action).await.unwrap();
    ground.work(|_| patch("new", "newer")).await;
    let newer = ground.finish().await.remove(0);
    ground.settle().await;
    assert_eq!(shell(&path, "git show change:new"), "newer");
    // The one that began before ends after.
    for job in of_older {
        ground.end(job, patch("new", "older")).await;
    }
    let built = ground.finish().await;
    assert_eq!(built[0].execution, Some(older));
    ground.settle().await;
    assert_eq!(shell(&path, "git show change:new"), "newer");
    let known = ground.service.campaign(campaign).await.unwrap();
    assert_eq!((known.patch_set, known.applied), (Some(newer.id), Some(newer.id)));
    // An empty diff takes the changeset away.
    let empty = ground.execute(&action, |_| End::Nothing).await;
    ground.settle().await;
    assert_eq!((empty.patches, ground.one(campaign).await.phase), (0, Phase::Closed));
    // It comes back when it is wanted again.
    ground.execute(&action, |_| patch("new", "again")).await;
    ground.settle().await;
    assert_eq!(ground.one(campaign).await.phase, Phase::Pushed);
    assert_eq!(shell(&path, "git show change:new"), "again");
    // Without its wish a campaign stays as it is.
    let change = SettingsChange { autoupdate: Some(false), ..SettingsChange::default() };
    ground.service.change_settings(&user(), action.id, change).await.unwrap();
    ground.execute(&action, |_| patch("new", "unwanted")).await;
    ground.settle().await;
    assert_eq!(shell(&path, "git show change:new"), "again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_some_leaves_the_changesets_of_others() {
    let ground = Ground::new().await;
    for name in ["a", "b"] {
        ground.repository(name, &[("f", "1\n")]).await;
    }
    let action = ground.action("act", &spec("repo:.", TEMPLATE)).await;
    let campaign = ground.campaign("c", None, false).await.id;
    attach(&ground, &action, campaign).await;
    ground.execute(&action, |_| patch("new", "x")).await;
    ground.settle().await;
    let run = NewRun {
        reason: campaign::action::Reason::SavedSearch,
        detail: String::new(),
        only: Some(["b".to_owned()].into()),
        key: None,
    };
    ground.service.run_action(&user(), action.id, run).await.unwrap();
    assert_eq!(ground.work(|_| End::Nothing).await, 1);
    let set = ground.finish().await.remove(0);
    assert!(!set.coverage.whole && set.coverage.ran == ["b"]);
    ground.settle().await;
    assert_eq!(ground.phases(campaign).await, [Phase::Pushed, Phase::Closed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_cannot_be_searched_keeps_its_changeset() {
    let ground = Ground::new().await;
    ground.repository("a", &[("f", "needle\n")]).await;
    let broken = ground.repository("b", &[("f", "needle\n")]).await;
    let action = ground.action("act", &spec("needle", TEMPLATE)).await;
    let campaign = ground.campaign("c", None, false).await.id;
    attach(&ground, &action, campaign).await;
    ground.execute(&action, |_| patch("new", "x")).await;
    ground.settle().await;
    change(&broken, &[("f", "needle 2\n")]);
    std::fs::rename(broken.join(".git/objects"), broken.join(".git/away")).unwrap();
    ground.execute(&action, |_| patch("new", "y")).await;
    std::fs::rename(broken.join(".git/away"), broken.join(".git/objects")).unwrap();
    ground.settle().await;
    assert_eq!(ground.phases(campaign).await, [Phase::Pushed; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_cannot_be_read_does_not_hold_up_others() {
    let ground = Ground::new().await;
    ground.repository("r", &[("go/a", "1\n")]).await;
    let groups = "transformChanges:\n  group:\n    - {directory: go, branch: change-go}\n";
    let action = ground.action("act", &spec("repo:r", &format!("{TEMPLATE}{groups}"))).await;
    ground.run(&action).await.unwrap();
    let junk = End::Patch("junk".to_owned(), vec!["go/x".to_owned(), "y".to_owned()]);
    ground.work(|_| junk.clone()).await;
    let good = ground.run(&action).await.unwrap();
    ground.work(|_| patch("z", "x")).await;
    let built = ground.finish().await;
    assert_eq!(built.iter().map(|set| set.execution).collect::<Vec<_>>(), [Some(good)]);
}
