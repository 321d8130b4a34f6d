//! Code hosts that lose answers, tire and break: nothing is made twice, nothing is lost.

use campaign::changeset::Phase;
use model::CampaignId;
use testkit::code_host::{Dialect, Fault, Forge, PullState};

use crate::ground::*;

/// A published campaign on `org/r` of which nothing was done yet.
async fn waiting(dialect: Dialect) -> (Ground, Forge, CampaignId) {
    let ground = Ground::new().await;
    let (forge, _) = ground.forge(dialect, &["org/r"]).await;
    let name = format!("{}/org/r", forge.host());
    let set = ground.patch_set(&[(&name, "main", &adds("new", "x"))]).await;
    let campaign = ground.campaign("change", Some(&set), false).await.id;
    (ground, forge, campaign)
}

/// Works until nothing is due, letting pauses go by.
async fn through(ground: &Ground) {
    for _ in 0..5 {
        ground.settle().await;
        ground.clock.forward(20 * MINUTE);
    }
}

fn is_whole(forge: &Forge, dialect: Dialect) {
    let [pull] = &forge.pulls("org/r")[..] else {
        panic!("{dialect:?}: {:?}", forge.ledger().created)
    };
    assert_eq!((pull.state, pull.head.as_str()), (PullState::Open, "change"), "{dialect:?}");
    assert_eq!(shell(&forge.git_dir("org/r"), "git show change:new"), "x");
    assert_eq!(shell(&forge.git_dir("org/r"), "git rev-list --count main..change"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_nothing_twice() {
    for dialect in DIALECTS {
        let create = if dialect == Dialect::GitLab { "merge_requests" } else { "/pulls" };
        for (method, path) in [("POST", "git-receive-pack"), ("POST", create)] {
            for fault in [Fault::DoneThenDrop, Fault::DoneBut { status: 502 }, Fault::Drop] {
                let (ground, forge, campaign) = waiting(dialect).await;
                forge.fail_matching(1, method, path, fault.clone());
                ground.settle().await;
                let changeset = ground.one(campaign).await;
                // Git itself sends a push again whose answer was lost, and that may do.
                if path == create {
                    assert_eq!(changeset.phase, Phase::Waiting, "{dialect:?} {fault:?}");
                    assert_eq!(changeset.work.attempts, 1);
                }
                through(&ground).await;
                let changeset = ground.one(campaign).await;
                assert_eq!(
                    changeset.phase,
                    Phase::Open,
                    "{dialect:?} {path} {fault:?}: {changeset:?}"
                );
                is_whole(&forge, dialect);
                assert_eq!((changeset.phase, changeset.work.attempts), (Phase::Open, 0));
                assert!(changeset.work.error.is_none() && changeset.actual.found.is_none());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_without_its_pull_request_is_repaired() {
    for dialect in DIALECTS {
        let (ground, forge, campaign) = waiting(dialect).await;
        let create = if dialect == Dialect::GitLab { "merge_requests" } else { "/pulls" };
        forge.fail_matching(3, "POST", create, Fault::status(500));
        ground.settle().await;
        assert!(forge.branch("org/r", "change").is_some() && forge.pulls("org/r").is_empty());
        through(&ground).await;
        is_whole(&forge, dialect);
        assert_eq!(ground.phases(campaign).await, [Phase::Open]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_update_is_no_divergence() {
    for dialect in DIALECTS {
        let (ground, forge, campaign) = waiting(dialect).await;
        ground.settle().await;
        let name = format!("{}/org/r", forge.host());
        let set = ground.patch_set(&[(&name, "main", &adds("new", "y"))]).await;
        forge.fail_matching(1, "POST", "git-receive-pack", Fault::DoneBut { status: 502 });
        ground.apply(campaign, &set).await;
        // Somebody looks before it is tried again: the commit is ours.
        ground.look(campaign).await;
        assert_eq!(ground.phases(campaign).await, [Phase::Waiting], "{dialect:?}");
        through(&ground).await;
        assert_eq!(ground.phases(campaign).await, [Phase::Open], "{dialect:?}");
        assert_eq!(shell(&forge.git_dir("org/r"), "git show change:new"), "y");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_to_wait_waits_and_counts_no_try() {
    for dialect in DIALECTS {
        let (ground, forge, campaign) = waiting(dialect).await;
        let headers = vec![("retry-after", "60".to_owned())];
        let tired = Fault::Answer { status: 429, headers, body: String::new() };
        forge.fail_next(1, tired);
        ground.settle().await;
        let now = ground.service.now().0;
        let changeset = ground.one(campaign).await;
        assert_eq!((changeset.phase, changeset.work.attempts), (Phase::Waiting, 0), "{dialect:?}");
        let due = changeset.work.due.unwrap().0;
        assert!((now + 50_000..=now + 60_000).contains(&due), "{dialect:?}: {due} at {now}");
        let waits = ground.service.host_waits(model::CodeHostId(1)).unwrap();
        assert!(waits.as_secs() > 50);
        assert!(!changeset.work.error_is_final && changeset.work.waiting);
        // An operation over many waits too, and does not spin meanwhile.
        let choice = campaign::service::Choice { all: true, ..Default::default() };
        let kind = campaign::changeset::BulkKind::Publish;
        ground.service.bulk(&user(), campaign, kind, choice, "").await.unwrap();
        ground.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_waits_for_a_tired_host_without_spinning() {
    let (ground, forge, campaign) = waiting(Dialect::GitHub).await;
    ground.settle().await;
    let headers = vec![("retry-after", "60".to_owned())];
    forge.fail_next(1, Fault::Answer { status: 429, headers, body: String::new() });
    let choice = campaign::service::Choice { all: true, ..Default::default() };
    let kind = campaign::changeset::BulkKind::Merge;
    let begun = ground.service.bulk(&user(), campaign, kind, choice, "").await.unwrap();
    assert_eq!(ground.service.work_once().await.unwrap(), 0);
    let known = ground.service.store.bulk(begun.id).unwrap().unwrap();
    assert_eq!((known.done, known.finished), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_host_is_tried_ten_times_and_then_waits_for_people() {
    for dialect in DIALECTS {
        let (ground, forge, campaign) = waiting(dialect).await;
        let create = if dialect == Dialect::GitLab { "merge_requests" } else { "/pulls" };
        forge.fail_matching(10, "POST", create, Fault::status(500));
        for attempt in 1..10 {
            ground.settle().await;
            let changeset = ground.one(campaign).await;
            assert_eq!((changeset.phase, changeset.work.attempts), (Phase::Waiting, attempt));
            let (due, now) = (changeset.work.due.unwrap().0, ground.service.now().0);
            // Doubled each time, up to about eight minutes.
            let pause = 1000 << attempt.min(9);
            assert!(due + 2000 > now + pause && due <= now + pause * 5 / 4 + 1, "{attempt}");
            ground.clock.set(due);
        }
        ground.settle().await;
        let failed = ground.one(campaign).await;
        assert!(failed.phase == Phase::Failed && failed.work.due.is_none(), "{dialect:?}");
        ground.clock.forward(60 * MINUTE);
        ground.settle().await;
        assert!(forge.pulls("org/r").is_empty());
        ground.service.retry_campaign(&user(), campaign).await.unwrap();
        ground.settle().await;
        is_whole(&forge, dialect);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_is_no_and_is_not_asked_again() {
    for dialect in DIALECTS {
        let (ground, forge, campaign) = waiting(dialect).await;
        forge.set_archived("org/r", true);
        ground.settle().await;
        let failed = ground.one(campaign).await;
        assert_eq!(failed.phase, Phase::Failed, "{dialect:?}: {failed:?}");
        let error = failed.work.error.unwrap();
        assert!(error.contains("archived"), "{dialect:?}: {error}");
        let before = forge.requests();
        ground.clock.forward(MINUTE);
        ground.settle().await;
        assert_eq!(forge.requests(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_made_without_an_answer_is_closed_with_its_campaign() {
    for dialect in DIALECTS {
        let (ground, forge, campaign) = waiting(dialect).await;
        let create = if dialect == Dialect::GitLab { "merge_requests" } else { "/pulls" };
        forge.fail_matching(1, "POST", create, Fault::DoneThenDrop);
        ground.settle().await;
        assert_eq!(forge.pulls("org/r").len(), 1);
        ground.service.close_campaign(&user(), campaign, true).await.unwrap();
        through(&ground).await;
        assert_eq!(forge.pull("org/r", 1).state, PullState::Closed, "{dialect:?}");
        assert_eq!(ground.phases(campaign).await, [Phase::Closed]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_fails_keeps_what_was_known() {
    let (ground, forge, campaign) = waiting(Dialect::Gitea).await;
    ground.settle().await;
    forge.fail_matching(50, "GET", "/pulls/1", Fault::status(503));
    ground.look(campaign).await;
    let changeset = ground.one(campaign).await;
    assert_eq!(changeset.phase, Phase::Open);
    assert!(changeset.work.error.is_some() && changeset.work.next_sync.is_some());
    while forge.ledger().requests.last().unwrap().status == 503 {
        ground.clock.forward(10 * MINUTE);
        ground.settle().await;
    }
    assert_eq!(ground.one(campaign).await.work.error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_at_once_do_it_once() {
    for dialect in DIALECTS {
        let ground = Ground::new().await;
        let names: Vec<String> = (0..6).map(|n| format!("org/r{n}")).collect();
        let texts: Vec<&str> = names.iter().map(String::as_str).collect();
        let (forge, _) = ground.forge(dialect, &texts).await;
        let full: Vec<String> = names.iter().map(|n| format!("{}/{n}", forge.host())).collect();
        let diff = adds("new", "x");
        let patches: Vec<_> = full.iter().map(|n| (n.as_str(), "main", diff.as_str())).collect();
        let set = ground.patch_set(&patches).await;
        let campaign = ground.campaign("change", Some(&set), false).await.id;
        let workers = (0..6).map(|_| ground.service.work_once());
        for worked in futures::future::join_all(workers).await {
            worked.unwrap();
        }
        ground.settle().await;
        assert_eq!(ground.phases(campaign).await, [Phase::Open; 6], "{dialect:?}");
        assert_eq!(forge.ledger().created.len(), 6);
        let events = ground.service.store.events(campaign).unwrap();
        assert_eq!(events.len(), 6, "{dialect:?}: {events:?}");
    }
}
