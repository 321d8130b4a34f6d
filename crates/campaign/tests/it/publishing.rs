//! Changesets on their way to a code host, and what people do to them there.

use campaign::changeset::{BulkKind, EventKind, Phase};
use campaign::service::{CampaignChange, Choice, NewPatch, burndown};
use codehost::{CheckState, PullRequestState, ReviewState};
use model::WallMs;
use testkit::code_host::{Checks, Dialect, Forge, PullState, Review};

use crate::ground::*;

/// A forge with `org/r`, and its name here.
async fn one_repository(dialect: Dialect) -> (Ground, Forge, String) {
    let ground = Ground::new().await;
    let (forge, _) = ground.forge(dialect, &["org/r"]).await;
    let name = format!("{}/org/r", forge.host());
    (ground, forge, name)
}

fn log(forge: &Forge, format: &str) -> String {
    shell(&forge.git_dir("org/r"), &format!("git log -1 --format='{format}' change"))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_changesets_are_published_with_what_the_spec_says() {
    for dialect in DIALECTS {
        let ground = Ground::new().await;
        let (forge, _) = ground.forge(dialect, &["org/a", "org/b", "org/c"]).await;
        let template = format!("{TEMPLATE}  labels: [bug]\n  reviewers: [bob]\n");
        let action = ground.action("act", &spec("repo:/org/", &template)).await;
        let set = ground.execute(&action, |_| patch("new.txt", "text")).await;
        assert_eq!(set.patches, 3, "{dialect:?}");
        let campaign = ground.campaign("c", Some(&set), true).await;
        ground.settle().await;
        assert_eq!(ground.phases(campaign.id).await, [Phase::Unpublished; 3]);
        assert_eq!(forge.branch("org/a", "change"), None);
        ground.service.publish_campaign(&user(), campaign.id).await.unwrap();
        ground.settle().await;
        assert_eq!(ground.phases(campaign.id).await, [Phase::Open; 3], "{dialect:?}");
        for name in ["org/a", "org/b", "org/c"] {
            let [pull] = &forge.pulls(name)[..] else { panic!("{dialect:?}: one each") };
            assert_eq!((pull.head.as_str(), pull.base.as_str()), ("change", "main"));
            assert_eq!((pull.title.as_str(), pull.body.as_str()), ("A title", "Why"));
            assert_eq!(
                (pull.labels.join(","), pull.reviewers.join(",")),
                ("bug".into(), "bob".into())
            );
            assert!(!pull.draft);
        }
        let commit = shell(
            &forge.git_dir("org/a"),
            "git log -1 --format='%s|%an|%ae|%cn|%at' change && git show change:new.txt",
        );
        let date = set.created.0 / 1000;
        assert_eq!(commit, format!("Because|Ann|ann@example.com|Ann|{date}\ntext"));
        // All is as wanted: nobody is asked again.
        let before = forge.requests();
        ground.settle().await;
        assert_eq!(forge.requests(), before, "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_spec_keeps_back_is_published_by_name_only() {
    use Phase::{Open, Unpublished};
    let ground = Ground::new().await;
    let (_forge, _) = ground.forge(Dialect::GitHub, &["org/a", "org/b"]).await;
    let template = format!("{TEMPLATE}  published:\n    - '*/org/b': false\n");
    let action = ground.action("act", &spec("repo:/org/", &template)).await;
    let set = ground.execute(&action, |_| patch("new.txt", "text")).await;
    let campaign = ground.campaign("c", Some(&set), true).await.id;
    ground.settle().await;
    let kept_back = || ground.service.store.counts(campaign).unwrap().kept_back;
    assert_eq!(kept_back(), 1);
    ground.service.publish_campaign(&user(), campaign).await.unwrap();
    ground.settle().await;
    assert_eq!((ground.phases(campaign).await, kept_back()), (vec![Open, Unpublished], 1));
    let named = Choice { glob: Some("*/org/b"), ..Choice::default() };
    ground.service.bulk(&user(), campaign, BulkKind::Publish, named, "").await.unwrap();
    ground.settle().await;
    assert_eq!((ground.phases(campaign).await, kept_back()), (vec![Open, Open], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_patch_or_some_by_name_are_published() {
    let ground = Ground::new().await;
    let names = ["org/a", "org/b", "org/c", "team/d"];
    let (forge, _) = ground.forge(Dialect::GitHub, &names).await;
    let full: Vec<String> = names.iter().map(|name| format!("{}/{name}", forge.host())).collect();
    let diff = adds("new", "x");
    let patches: Vec<_> = full.iter().map(|name| (name.as_str(), "main", diff.as_str())).collect();
    let set = ground.patch_set(&patches).await;
    let campaign = ground.campaign("c", Some(&set), true).await;
    let patch = ground.changesets(campaign.id).await[1].patch.unwrap();
    ground.service.publish_patch(&user(), patch).await.unwrap();
    ground.settle().await;
    use Phase::{Open, Unpublished};
    let phases = ground.phases(campaign.id).await;
    assert_eq!(phases, [Unpublished, Open, Unpublished, Unpublished]);
    let glob = format!("{}/team/*", forge.host());
    let choice = Choice { glob: Some(&glob), ..Choice::default() };
    ground.service.bulk(&user(), campaign.id, BulkKind::Publish, choice, "").await.unwrap();
    ground.settle().await;
    assert_eq!(ground.phases(campaign.id).await, [Unpublished, Open, Unpublished, Open]);
    let choice = Choice { glob: Some("*/org/c@c"), ..Choice::default() };
    ground.service.bulk(&user(), campaign.id, BulkKind::PublishDraft, choice, "").await.unwrap();
    ground.settle().await;
    assert_eq!(ground.phases(campaign.id).await[2], Phase::Draft);
    assert!(forge.pull("org/c", 1).draft);
    // Without words of its own a patch has those of its campaign.
    let pull = forge.pull("org/b", 1);
    assert_eq!(
        (pull.head.as_str(), pull.title.as_str(), pull.body.as_str()),
        ("c", "c", "About c")
    );
    let choice = Choice { glob: Some("nothing"), ..Choice::default() };
    let none = ground.service.bulk(&user(), campaign.id, BulkKind::Publish, choice, "").await;
    assert!(none.unwrap_err().to_string().contains("no changeset"));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_branch_to_draft_to_ready() {
    for dialect in DIALECTS {
        let (ground, forge, name) = one_repository(dialect).await;
        let set = ground.patch_set(&[(&name, "main", &adds("new", "x"))]).await;
        let campaign = ground.campaign("change", Some(&set), true).await.id;
        ground.bulk(campaign, BulkKind::PushOnly, "").await;
        assert_eq!(ground.phases(campaign).await, [Phase::Pushed], "{dialect:?}");
        assert!(forge.branch("org/r", "change").is_some() && forge.pulls("org/r").is_empty());
        ground.bulk(campaign, BulkKind::PublishDraft, "").await;
        assert_eq!(ground.phases(campaign).await, [Phase::Draft], "{dialect:?}");
        assert!(forge.pull("org/r", 1).draft);
        ground.bulk(campaign, BulkKind::Publish, "").await;
        assert_eq!(ground.phases(campaign).await, [Phase::Open], "{dialect:?}");
        assert!(!forge.pull("org/r", 1).draft);
        assert_eq!(forge.ledger().created.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_may_be_written_in_every_way() {
    for dialect in DIALECTS {
        let (ground, forge, name) = one_repository(dialect).await;
        let git_dir = forge.git_dir("org/r");
        forge.commit("org/r", "release", "r", "1");
        shell(&git_dir, "git tag v1 main");
        let commit = shell(&git_dir, "git rev-parse main");
        ground.service.sync_repository(&user(), &name).await.unwrap();
        let bases = [
            ("main", "main"),
            ("refs/heads/main", "main"),
            ("release", "release"),
            ("refs/heads/release", "release"),
            ("v1", "main"),
            ("refs/tags/v1", "main"),
            (commit.as_str(), "main"),
            ("HEAD", "main"),
        ];
        for (index, (given, wanted)) in bases.into_iter().enumerate() {
            let set = ground.patch_set(&[(&name, given, &adds("new", "x"))]).await;
            let campaign = ground.campaign(&format!("c{index}"), Some(&set), false).await;
            ground.settle().await;
            let changeset = ground.one(campaign.id).await;
            assert_eq!(changeset.phase, Phase::Open, "{given}: {changeset:?}");
            assert_eq!(forge.pulls("org/r")[index].base, wanted, "{dialect:?}: {given}");
        }
    }
}

/// Gives a campaign another patch for its repository.
async fn update(ground: &Ground, campaign: model::CampaignId, name: &str, diff: &str) {
    let set = ground.patch_set(&[(name, "main", diff)]).await;
    ground.apply(campaign, &set).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_that_became_empty_closes_its_pull_request() {
    for dialect in DIALECTS {
        let (ground, forge, _) = one_repository(dialect).await;
        let action = ground.action("act", &spec("repo:/org/", TEMPLATE)).await;
        let set = ground.execute(&action, |_| patch("n", "x")).await;
        let campaign = ground.campaign("c", Some(&set), false).await.id;
        ground.settle().await;
        for (end, wanted, phase) in [
            (End::Nothing, PullState::Closed, Phase::Closed),
            (patch("n", "x"), PullState::Open, Phase::Open),
        ] {
            let set = ground.execute(&action, |_| end.clone()).await;
            ground.apply(campaign, &set).await;
            assert_eq!(forge.pull("org/r", 1).state, wanted, "{dialect:?}");
            assert_eq!(ground.phases(campaign).await, [phase], "{dialect:?}");
        }
        assert_eq!(forge.pulls("org/r").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_patch_goes_to_the_same_pull_request() {
    for dialect in DIALECTS {
        let (ground, forge, name) = one_repository(dialect).await;
        let set = ground.patch_set(&[(&name, "main", &adds("new", "x"))]).await;
        let campaign = ground.campaign("change", Some(&set), false).await.id;
        ground.settle().await;
        let first = forge.branch("org/r", "change");
        update(&ground, campaign, &name, &adds("other", "y")).await;
        assert_ne!(forge.branch("org/r", "change"), first);
        assert_eq!(log(&forge, "%s"), "change");
        assert_eq!(
            (forge.ledger().created.len(), ground.phases(campaign).await),
            (1, vec![Phase::Open])
        );
        // What people write on it stays, as long as nothing else is wanted.
        let words = CampaignChange {
            description: Some("Other words".to_owned()),
            ..CampaignChange::default()
        };
        ground.change_campaign(campaign, words).await;
        assert_eq!(forge.pull("org/r", 1).body, "Other words", "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_push_is_never_overwritten_unasked() {
    for dialect in DIALECTS {
        let (ground, forge, name) = one_repository(dialect).await;
        let set = ground.patch_set(&[(&name, "main", &adds("new", "x"))]).await;
        let campaign = ground.campaign("change", Some(&set), false).await.id;
        ground.settle().await;
        let theirs = forge.commit("org/r", "change", "fix", "by hand");
        update(&ground, campaign, &name, &adds("other", "y")).await;
        assert_eq!(ground.phases(campaign).await, [Phase::Diverged], "{dialect:?}");
        assert_eq!(forge.branch("org/r", "change").as_ref(), Some(&theirs));
        let seen = ground.one(campaign).await;
        assert_eq!(seen.actual.found.as_ref(), Some(&theirs));
        assert!(seen.work.error.unwrap().contains("somebody else"));
        // Another commit after the one that was seen is not what was accepted.
        let later = forge.commit("org/r", "change", "fix2", "by hand");
        assert_eq!(ground.bulk(campaign, BulkKind::Overwrite, "").await, [None]);
        assert_eq!(forge.branch("org/r", "change").as_ref(), Some(&later), "{dialect:?}");
        assert_eq!(ground.phases(campaign).await, [Phase::Diverged]);
        ground.bulk(campaign, BulkKind::Overwrite, "").await;
        assert_eq!(ground.phases(campaign).await, [Phase::Open], "{dialect:?}");
        assert_eq!(shell(&forge.git_dir("org/r"), "git show change:other"), "y");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diverged_branch_is_seen_and_taken_back_without_a_new_patch() {
    for dialect in DIALECTS {
        let (ground, forge, name) = one_repository(dialect).await;
        let set = ground.patch_set(&[(&name, "main", &adds("new", "x"))]).await;
        let campaign = ground.campaign("change", Some(&set), false).await.id;
        ground.settle().await;
        let ours = forge.branch("org/r", "change");
        forge.commit("org/r", "change", "fix", "by hand");
        ground.look(campaign).await;
        assert_eq!(ground.phases(campaign).await, [Phase::Diverged], "{dialect:?}");
        assert_eq!(ground.bulk(campaign, BulkKind::Overwrite, "").await, [None]);
        assert_eq!(forge.branch("org/r", "change"), ours, "{dialect:?}");
        assert_eq!(ground.phases(campaign).await, [Phase::Open], "{dialect:?}");
        let errors = ground.bulk(campaign, BulkKind::Overwrite, "").await;
        assert!(errors[0].as_ref().unwrap().contains("nobody else"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_decide_on_the_host_is_seen() {
    for dialect in DIALECTS {
        let ground = Ground::new().await;
        let (forge, _) = ground.forge(dialect, &["org/a", "org/b"]).await;
        let names = [format!("{}/org/a", forge.host()), format!("{}/org/b", forge.host())];
        let diff = adds("new", "x");
        let set = ground.patch_set(&[(&names[0], "main", &diff), (&names[1], "main", &diff)]).await;
        let campaign = ground.campaign("change", Some(&set), false).await.id;
        ground.settle().await;
        forge.set_review("org/a", 1, "bob", Review::Approved);
        forge.set_checks("org/a", 1, Checks::Passed);
        forge.set_review("org/b", 1, "bob", Review::ChangesRequested);
        forge.set_checks("org/b", 1, Checks::Failed);
        ground.look(campaign).await;
        let all = ground.changesets(campaign).await;
        let pulls: Vec<_> = all.iter().map(|it| it.actual.pull_request.as_ref().unwrap()).collect();
        assert_eq!((pulls[0].review, pulls[0].checks), (ReviewState::Approved, CheckState::Passed));
        let second = (pulls[1].review, pulls[1].checks);
        assert_eq!(second, (ReviewState::ChangesRequested, CheckState::Failed), "{dialect:?}");
        forge.merge("org/a", 1);
        forge.close("org/b", 1);
        ground.look(campaign).await;
        assert_eq!(ground.phases(campaign).await, [Phase::Merged, Phase::Closed], "{dialect:?}");
        // What somebody closed stays closed, also with a new patch for it.
        let set = ground.patch_set(&[(&names[1], "main", &adds("new", "z"))]).await;
        ground.apply(campaign, &set).await;
        assert_eq!(forge.pull("org/b", 1).state, PullState::Closed, "{dialect:?}");
        assert_eq!(ground.phases(campaign).await[1], Phase::Closed);
        let mine = ground.changesets(campaign).await[0].id;
        let events = ground.service.store.events_of(mine).unwrap();
        let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
        use EventKind::{Approved, ChecksPassed, Merged, Opened};
        for kind in [Opened, Approved, ChecksPassed, Merged] {
            assert_eq!(kinds.iter().filter(|it| **it == kind).count(), 1, "{dialect:?}: {kinds:?}");
        }
        let events = ground.service.store.events(campaign).unwrap();
        let now = WallMs(ground.service.now().0 + 60_000);
        let last = burndown(&events, WallMs(now.0 - 120_000), now).pop().unwrap();
        assert_eq!((last.total, last.merged, last.closed, last.pending), (2, 1, 1, 0));
        // Somebody asks for it: it is opened again, with the new patch.
        let choice = Choice { changesets: &[all[1].id], ..Choice::default() };
        ground.service.bulk(&user(), campaign, BulkKind::Reopen, choice, "").await.unwrap();
        ground.settle().await;
        assert_eq!(forge.pull("org/b", 1).state, PullState::Open, "{dialect:?}");
        assert_eq!(shell(&forge.git_dir("org/b"), "git show change:new"), "z", "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_merged_unseen_does_not_swallow_the_next_patch() {
    for dialect in DIALECTS {
        let (ground, forge, name) = one_repository(dialect).await;
        let set = ground.patch_set(&[(&name, "main", &adds("new", "x"))]).await;
        let campaign = ground.campaign("change", Some(&set), false).await.id;
        ground.settle().await;
        forge.merge("org/r", 1);
        ground.service.sync_repository(&user(), &name).await.unwrap();
        // Nobody looked: we think that it is open.
        update(&ground, campaign, &name, &adds("more", "y")).await;
        let pulls = forge.pulls("org/r");
        let states: Vec<_> = pulls.iter().map(|pull| pull.state).collect();
        assert_eq!(states, [PullState::Merged, PullState::Open], "{dialect:?}");
        assert_eq!(ground.one(campaign).await.phase, Phase::Open);
        assert_eq!(shell(&forge.git_dir("org/r"), "git show change:more"), "y");
        let shown = ground.changesets(campaign).await;
        assert_eq!(shown.len(), 2);
        let merged = shown[0].actual.pull_request.as_ref().unwrap();
        assert!(shown[0].detached && merged.state == PullRequestState::Merged);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_and_more_to_change_is_another_pull_request() {
    for dialect in DIALECTS {
        let (ground, forge, name) = one_repository(dialect).await;
        let set = ground.patch_set(&[(&name, "main", &adds("new", "x"))]).await;
        let campaign = ground.campaign("change", Some(&set), false).await.id;
        ground.settle().await;
        forge.merge("org/r", 1);
        ground.look(campaign).await;
        ground.service.sync_repository(&user(), &name).await.unwrap();
        update(&ground, campaign, &name, &adds("more", "y")).await;
        assert_eq!(ground.one(campaign).await.phase, Phase::Open, "{dialect:?}");
        assert_eq!(forge.pulls("org/r").len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_requests_of_others_are_followed_and_left_alone() {
    for dialect in DIALECTS {
        let (ground, forge, name) = one_repository(dialect).await;
        let set = ground.patch_set(&[(&name, "main", &adds("new", "x"))]).await;
        let theirs = ground.campaign("change", Some(&set), false).await.id;
        ground.settle().await;
        let wanted = [(name.clone(), "1".to_owned())];
        let imported = ground.service.import_changesets(&user(), &wanted).await.unwrap();
        let again = ground.service.import_changesets(&user(), &wanted).await.unwrap();
        assert_eq!(imported[0].id, again[0].id);
        let campaign = ground.campaign("follow", None, true).await.id;
        let ids = vec![imported[0].id];
        ground.service.add_changesets(&user(), campaign, ids.clone()).await.unwrap();
        ground.service.add_changesets(&user(), campaign, ids).await.unwrap();
        assert_eq!(ground.phases(campaign).await, [Phase::Open]);
        let events = ground.service.store.events(campaign).unwrap();
        assert_eq!(events.iter().map(|it| it.kind).collect::<Vec<_>>(), [EventKind::Opened]);
        let errors = ground.bulk(campaign, BulkKind::Publish, "").await;
        assert!(errors[0].as_ref().unwrap().contains("imported"));
        let errors = ground.bulk(campaign, BulkKind::Close, "").await;
        assert!(errors[0].as_ref().unwrap().contains("imported"), "{errors:?}");
        assert_eq!(ground.bulk(campaign, BulkKind::Comment, "Hello").await, [None]);
        assert_eq!(forge.pull("org/r", 1).comments, ["Hello"]);
        ground.service.close_campaign(&user(), campaign, true).await.unwrap();
        ground.settle().await;
        assert_eq!(forge.pull("org/r", 1).state, PullState::Open, "{dialect:?}");
        assert_eq!(ground.bulk(theirs, BulkKind::Merge, "").await, [None]);
        assert_eq!(forge.pull("org/r", 1).state, PullState::Merged);
        let missing = [(name.clone(), "7".to_owned())];
        assert!(ground.service.import_changesets(&user(), &missing).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_and_deleting_take_what_they_are_told() {
    for dialect in DIALECTS {
        let ground = Ground::new().await;
        let (forge, _) = ground.forge(dialect, &["org/a", "org/b", "org/c"]).await;
        let diff = adds("new", "x");
        let campaign = async |name: &str, of: &str| {
            let name_here = format!("{}/{of}", forge.host());
            let set = ground.patch_set(&[(&name_here, "main", &diff)]).await;
            ground.campaign(name, Some(&set), false).await.id
        };
        let (kept, closed) = (campaign("kept", "org/a").await, campaign("closed", "org/b").await);
        ground.settle().await;
        ground.service.close_campaign(&user(), kept, false).await.unwrap();
        ground.service.close_campaign(&user(), closed, true).await.unwrap();
        ground.settle().await;
        assert_eq!(forge.pull("org/a", 1).state, PullState::Open, "{dialect:?}");
        assert_eq!(forge.pull("org/b", 1).state, PullState::Closed, "{dialect:?}");
        let again = ground.service.close_campaign(&user(), closed, true).await.unwrap_err();
        assert!(again.to_string().contains("is closed"));
        ground.service.delete_campaign(&user(), closed, false).await.unwrap();
        assert!(ground.service.campaign(closed).await.is_err());
        // Deleting closes first, when that is asked for.
        let gone = campaign("gone", "org/c").await;
        ground.settle().await;
        let early = ground.service.delete_campaign(&user(), gone, true).await.unwrap_err();
        assert!(early.to_string().contains("being closed"), "{early}");
        ground.settle().await;
        ground.service.delete_campaign(&user(), gone, true).await.unwrap();
        assert_eq!(forge.pull("org/c", 1).state, PullState::Closed, "{dialect:?}");
        // One that was never published never will be.
        let name = format!("{}/org/a", forge.host());
        let set = ground.patch_set(&[(&name, "main", &adds("late", "x"))]).await;
        let draft = ground.campaign("draft", Some(&set), true).await.id;
        ground.service.close_campaign(&user(), draft, false).await.unwrap();
        let choice = Choice { all: true, ..Choice::default() };
        let refused = ground.service.bulk(&user(), draft, BulkKind::Publish, choice, "").await;
        assert!(refused.unwrap_err().to_string().contains("is closed"));
        ground.settle().await;
        assert_eq!(ground.phases(draft).await, [Phase::Closed]);
        assert_eq!(forge.branch("org/a", "draft"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_campaign_does_nothing_any_more() {
    let (ground, forge, name) = one_repository(Dialect::GitHub).await;
    let set = ground.patch_set(&[(&name, "main", &adds("new", "x"))]).await;
    let campaign = ground.campaign("change", Some(&set), true).await.id;
    ground.bulk(campaign, BulkKind::PushOnly, "").await;
    // Wanted, and not done when it is closed.
    ground.service.publish_campaign(&user(), campaign).await.unwrap();
    ground.service.close_campaign(&user(), campaign, false).await.unwrap();
    ground.settle().await;
    assert!(forge.pulls("org/r").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_say_what_they_touched() {
    let ground = Ground::new().await;
    let (forge, _) = ground.forge(Dialect::GitHub, &["org/a", "org/b"]).await;
    let names = [format!("{}/org/a", forge.host()), format!("{}/org/b", forge.host())];
    let diff = adds("new", "x");
    let set = ground.patch_set(&[(&names[0], "main", &diff), (&names[1], "main", &diff)]).await;
    let campaign = ground.campaign("change", Some(&set), true).await.id;
    ground.bulk(campaign, BulkKind::Publish, "").await;
    forge.close("org/b", 1);
    let errors = ground.bulk(campaign, BulkKind::Merge, "").await;
    assert!(errors[0].is_none() && errors[1].is_some(), "{errors:?}");
    assert_eq!(forge.pull("org/a", 1).state, PullState::Merged);
    let [merge, publish] = &ground.service.store.bulks(campaign, 10).unwrap()[..] else {
        panic!("two operations")
    };
    assert_eq!((merge.kind, merge.total, merge.done, merge.failed), (BulkKind::Merge, 2, 2, 1));
    assert_eq!((publish.by.as_str(), publish.failed), ("ann", 0));
    assert!(merge.finished.is_some() && publish.finished.is_some());
    let choice = Choice { all: true, ..Choice::default() };
    let refused = ground.service.bulk(&user(), campaign, BulkKind::Comment, choice, " ").await;
    assert!(refused.unwrap_err().to_string().contains("text"));
    // Detached: not the campaign's any more, and left as it is on the host.
    ground.bulk(campaign, BulkKind::Detach, "").await;
    assert_eq!(ground.phases(campaign).await, [Phase::Detached; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_git_has_branches_only() {
    let ground = Ground::new().await;
    let path = ground.repository("r", &[("a", "1\n")]).await;
    let set = ground.patch_set(&[("r", "main", &adds("new", "x"))]).await;
    let campaign = ground.campaign("change", Some(&set), false).await.id;
    ground.settle().await;
    assert_eq!(ground.phases(campaign).await, [Phase::Pushed]);
    assert_eq!(shell(&path, "git show change:new && git status --porcelain"), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_that_does_not_apply_is_said_once() {
    let (ground, forge, name) = one_repository(Dialect::GitHub).await;
    let diff = "diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-other\n+x\n";
    let patches = vec![NewPatch {
        repository: name,
        base_revision: forge.branch("org/r", "main").unwrap(),
        base_ref: "main".to_owned(),
        diff: diff.to_owned(),
    }];
    let set = ground.service.create_patch_set(&user(), patches).await.unwrap();
    let campaign = ground.campaign("change", Some(&set), false).await.id;
    ground.settle().await;
    let failed = ground.one(campaign).await;
    assert!(failed.phase == Phase::Failed && failed.work.error_is_final);
    assert!(failed.work.error.unwrap().contains("does not apply"));
    let counts = ground.service.store.counts(campaign).unwrap();
    assert_eq!((counts.errors.len(), counts.by_phase[&Phase::Failed]), (1, 1));
}
