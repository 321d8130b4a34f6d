//! Code hosts: listed, mirrored, renamed, and what they tell us.

use std::time::Duration;

use campaign::changeset::Phase;
use campaign::service::{CampaignChange, CodeHostChange, Refusal};
use codehost::{Credential, Kind, Settings};
use http::HeaderMap;
use testkit::code_host::{Dialect, Fault, Forge, Options};
use tokio_util::sync::CancellationToken;

use crate::ground::*;

/// Names without the host.
fn names(ground: &Ground, forge: &Forge) -> Vec<String> {
    let all = ground.service.searcher.repositories().list();
    let prefix = format!("{}/", forge.host());
    all.iter().map(|it| it.name.strip_prefix(&prefix).unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_brings_renames_and_takes_repositories() {
    for dialect in DIALECTS {
        let ground = Ground::new().await;
        let (forge, host) = ground.forge(dialect, &["org/a", "org/b"]).await;
        assert_eq!((host.who.as_deref(), host.sync_error.as_deref()), (Some("forge-user"), None));
        assert_eq!(names(&ground, &forge), ["org/a", "org/b"]);
        forge.add_repository("org/c", &[("x", "1")]);
        forge.rename_repository("org/a", "org/z");
        ground.sync(&host).await;
        assert_eq!(names(&ground, &forge), ["org/b", "org/c", "org/z"], "{dialect:?}");
        forge.remove_repository("org/b");
        // Another takes the name that is free now.
        forge.rename_repository("org/c", "org/b");
        let host = ground.sync(&host).await;
        assert_eq!(host.sync_error, None, "{dialect:?}");
        assert_eq!(names(&ground, &forge), ["org/b", "org/z"], "{dialect:?}");
        let b = format!("{}/org/b", forge.host());
        let head = ground.service.searcher.repositories().resolve(&b, None).await.unwrap();
        assert_eq!(Some(head.commit), forge.branch("org/b", "main"));
        ground.service.delete_code_host(&admin(), host.id).await.unwrap();
        assert_eq!(names(&ground, &forge), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_follows_its_repository_to_another_name() {
    for dialect in DIALECTS {
        let ground = Ground::new().await;
        let (forge, host) = ground.forge(dialect, &["org/a"]).await;
        let before = format!("{}/org/a", forge.host());
        let set = ground.patch_set(&[(&before, "main", &adds("new", "x"))]).await;
        let campaign = ground.campaign("change", Some(&set), false).await.id;
        ground.settle().await;
        forge.rename_repository("org/a", "org/z");
        ground.sync(&host).await;
        let after = format!("{}/org/z", forge.host());
        let changeset = ground.one(campaign).await;
        assert_eq!(changeset.repository, after, "{dialect:?}");
        // The same patch set again changes nothing.
        let change =
            CampaignChange { description: Some("More".to_owned()), ..CampaignChange::default() };
        ground.change_campaign(campaign, change).await;
        assert_eq!(ground.phases(campaign).await, [Phase::Open], "{dialect:?}");
        assert_eq!(forge.pull("org/z", 1).body, "More");
        assert_eq!(forge.ledger().created.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_empty_all_at_once_takes_nothing() {
    let ground = Ground::new().await;
    let (forge, host) = ground.forge(Dialect::GitHub, &["org/a", "org/b"]).await;
    let headers = vec![("content-type", "application/json".to_owned())];
    let body = "[]".to_owned();
    forge.fail_matching(1, "GET", "/user/repos", Fault::Answer { status: 200, headers, body });
    let host = ground.service.sync_code_host(&user(), host.id).await.unwrap();
    assert!(host.sync_error.unwrap().contains("the 2 that are known are kept"));
    assert_eq!(names(&ground, &forge).len(), 2);
    let host = ground.service.sync_code_host(&user(), host.id).await.unwrap();
    assert_eq!((host.sync_error, ground.service.is_syncing(host.id)), (None, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_says_of_a_repository_filters_searches() {
    let ground = Ground::new().await;
    let (forge, host) = ground.forge(Dialect::GitHub, &["org/a", "org/f", "org/old"]).await;
    forge.set_fork("org/f", true);
    forge.set_archived("org/old", true);
    ground.sync(&host).await;
    let found = async |query: &str| {
        let plan = ground.service.preview_scope("act", &spec(query, "")).await.unwrap();
        let names = plan
            .workspaces
            .iter()
            .map(|it| it.job.repository.rsplit('/').next().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(found("repo:org").await, ["a"]);
    assert_eq!(found("repo:org fork:yes").await, ["a", "f"]);
    assert_eq!(found("repo:org fork:only").await, ["f"]);
    assert_eq!(found("repo:org archived:yes").await, ["a", "old"]);
    assert_eq!(found("repo:has.topic(forge)").await, ["a"]);
    assert!(ground.service.preview_scope("act", &spec("repo:has.topic(none)", "")).await.is_err());
    assert_eq!(found("visibility:private").await, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_have_the_room_that_they_are_given() {
    let ground = Ground::with_room(1).await;
    let (forge, _) = ground.forge(Dialect::Gitea, &["org/a", "org/b"]).await;
    let all = ground.service.searcher.repositories().list();
    let errors: Vec<_> = all.iter().filter_map(|it| it.sync.error.clone()).collect();
    // The first was fetched while nothing was there.
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("more than the 0 MiB allowed"));
    let fetched = all.iter().find(|it| it.sync.error.is_none()).unwrap();
    assert!(fetched.sync.bytes > 0 && fetched.name.starts_with(forge.host()));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_repositories_are_fetched_by_a_few() {
    let ground = Ground::new().await;
    let forge = Forge::start(Dialect::GitHub, Options::default());
    for number in 0..30 {
        forge.add_repository(&format!("org/r{number}"), &[("README.md", "hello\n")]);
    }
    forge.set_latency(Duration::from_millis(20));
    let stop = CancellationToken::new();
    ground.service.start(&stop);
    let settings = Settings {
        kind: Kind::GitHub,
        url: forge.url().to_owned(),
        include: Vec::new(),
        exclude: Vec::new(),
    };
    let credential = Some(Credential::Token { token: forge.token().to_owned() });
    let change = CodeHostChange { name: "forge".to_owned(), settings, credential };
    ground.service.add_code_host(&admin(), change).await.unwrap();
    let fetched = async || loop {
        let all = ground.service.searcher.repositories().list();
        if all.iter().filter(|it| it.sync.fetched_ms.is_some()).count() == 30 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    tokio::time::timeout(Duration::from_secs(60), fetched()).await.expect("all are fetched");
    stop.cancel();
    let at_once = forge.ledger().git_at_once;
    assert!((2..=4).contains(&at_once), "{at_once} at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_looked_after_soon() {
    let ground = Ground::new().await;
    let (forge, host) = ground.forge(Dialect::GitLab, &["org/a"]).await;
    let name = format!("{}/org/a", forge.host());
    let set = ground.patch_set(&[(&name, "main", &adds("new", "x"))]).await;
    let campaign = ground.campaign("change", Some(&set), false).await.id;
    ground.settle().await;
    forge.merge("org/a", 1);
    ground.settle().await;
    assert_eq!(ground.phases(campaign).await, [Phase::Open], "nobody said it yet");
    let body = serde_json::json!({
        "object_kind": "merge_request",
        "project": {"path_with_namespace": "org/a"},
        "object_attributes": {"iid": 1, "action": "merge"},
    });
    let body = body.to_string();
    let mut headers = HeaderMap::new();
    headers.insert("x-gitlab-event", "Merge Request Hook".parse().unwrap());
    headers.insert("x-gitlab-token", "wrong".parse().unwrap());
    let wrong = ground.service.webhook(host.id, &headers, body.as_bytes()).await;
    assert!(matches!(wrong, Err(Refusal::Invalid { .. })), "{wrong:?}");
    ground.settle().await;
    assert_eq!(ground.phases(campaign).await, [Phase::Open]);
    headers.insert("x-gitlab-token", host.webhook_secret.parse().unwrap());
    ground.service.webhook(host.id, &headers, body.as_bytes()).await.unwrap();
    ground.settle().await;
    assert_eq!(ground.phases(campaign).await, [Phase::Merged]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_sealed_and_bound_to_their_place() {
    let ground = Ground::new().await;
    let (forge, host) = ground.forge(Dialect::Gitea, &["org/a"]).await;
    ground.service.set_secret(&admin(), "NPM_TOKEN", "hunter2-hunter2").await.unwrap();
    let token =
        ground.service.create_token(&admin(), "t", campaign::site::Role::Admin).await.unwrap();
    let bytes = ground.database();
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    // What is looked for would be seen.
    assert!(holds("NPM_TOKEN") && holds(forge.url()));
    for secret in [forge.token(), "hunter2-hunter2", &token.token] {
        assert!(!holds(secret), "{secret}");
    }
    for text in [format!("{host:?}"), format!("{:?}", ground.service.store.code_hosts().unwrap())] {
        assert!(!text.contains(forge.token()));
    }
    // Another name and the same credential: it still opens.
    let change = CodeHostChange {
        name: "renamed".to_owned(),
        settings: host.settings.clone(),
        credential: None,
    };
    let changed = ground.service.update_code_host(&admin(), host.id, change).await.unwrap();
    assert_eq!(changed.webhook_secret, host.webhook_secret);
    assert_eq!(ground.sync(&changed).await.sync_error, None);
    for bad in ["npm", "1A", "A-B", ""] {
        let kept = ground.service.set_secret(&admin(), bad, "x").await;
        assert!(matches!(kept, Err(Refusal::Invalid { .. })), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_be_is_refused_or_shows_why() {
    let ground = Ground::new().await;
    let (forge, _) = ground.forge(Dialect::GitHub, &["org/a"]).await;
    let new = |name: &str, url: &str, token: &str| CodeHostChange {
        name: name.to_owned(),
        settings: Settings {
            kind: Kind::GitHub,
            url: url.to_owned(),
            include: Vec::new(),
            exclude: Vec::new(),
        },
        credential: Some(Credential::Token { token: token.to_owned() }),
    };
    let add = async |change| ground.service.add_code_host(&admin(), change).await;
    assert!(matches!(add(new("x", "nonsense", "t")).await, Err(Refusal::Invalid { .. })));
    assert!(matches!(add(new("forge", forge.url(), "t")).await, Err(Refusal::NameTaken { .. })));
    let wrong = add(new("wrong", forge.url(), "not-it")).await.unwrap();
    let wrong = ground.service.sync_code_host(&user(), wrong.id).await.unwrap();
    let error = wrong.sync_error.unwrap();
    assert!(error.contains("credential") && !error.contains("not-it"), "{error}");
    // The same repositories through another host are not taken from the first.
    let twice = add(new("twice", forge.url(), forge.token())).await.unwrap();
    let twice = ground.service.sync_code_host(&user(), twice.id).await.unwrap();
    assert!(twice.sync_error.unwrap().contains("another one already"));
    ground.service.delete_code_host(&admin(), twice.id).await.unwrap();
    assert_eq!(names(&ground, &forge), ["org/a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_repositories_is_a_host_too() {
    let ground = Ground::new().await;
    let folder = ground.folder.path().join("origin");
    for name in ["a", "b"] {
        let path = folder.join(name);
        std::fs::create_dir_all(&path).unwrap();
        shell(&path, "git init -q -b main .");
        change(&path, &[("f", "1\n")]);
    }
    let settings = Settings {
        kind: Kind::Git,
        url: String::new(),
        include: vec![folder.display().to_string()],
        exclude: vec!["b".to_owned()],
    };
    let change = CodeHostChange { name: "local".to_owned(), settings, credential: None };
    let host = ground.service.add_code_host(&admin(), change).await.unwrap();
    ground.sync(&host).await;
    let set = ground.patch_set(&[("a", "main", &adds("new", "x"))]).await;
    let campaign = ground.campaign("change", Some(&set), false).await.id;
    ground.settle().await;
    assert_eq!(ground.phases(campaign).await, [Phase::Pushed]);
    assert_eq!(shell(&folder.join("a"), "git show change:new"), "x");
    assert_eq!(ground.service.searcher.repositories().list().len(), 1);
}
