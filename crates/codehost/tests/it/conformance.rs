//! What every host does alike.

use codehost::{
    CheckState, CodeHost, HostError, MergeMethod, PullRequest, PullRequestState, PullRequestUpdate,
    ReviewState,
};
use testkit::code_host::{Checks, Dialect, Forge, Options, PullState, Review};

use super::{DIALECTS, host, new_pull, settings, start, token};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn labels(pull: &PullRequest) -> Vec<&str> {
    pull.labels.iter().map(|label| label.text.as_str()).collect()
}

/// A real Gitea wants time to find out whether it can be merged.
async fn merge(host: &dyn CodeHost, repository: &str, id: &str) -> PullRequest {
    for _ in 0..100 {
        match host.merge(repository, id, MergeMethod::Merge).await {
            Err(HostError::Unavailable { .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            merged => return merged.unwrap(),
        }
    }
    panic!("{repository} {id} cannot be merged");
}

/// From nothing to merged. `commit` puts a commit on a branch and returns it.
pub async fn life(host: &dyn CodeHost, repository: &str, commit: impl Fn(&str, &str) -> String) {
    let kind = host.kind();
    let head_commit = commit("change", "one");
    assert_eq!(host.find(repository, "change").await.unwrap(), [], "{kind:?}");
    let made = host.create(repository, &new_pull("The title: ö <b>")).await.unwrap();
    let id = made.external_id.clone();
    assert_eq!(made.title, "The title: ö <b>");
    assert_eq!(made.body, "Why\nand how");
    assert_eq!((made.head.as_str(), made.base.as_str()), ("change", "main"));
    assert_eq!(made.head_commit, head_commit, "{kind:?}");
    assert_eq!((made.state, made.draft), (PullRequestState::Open, false));
    assert!(made.created_ms > 1_600_000_000_000 && made.merged_ms.is_none(), "{made:?}");
    assert!(!made.author.is_empty() && made.url.contains(&format!("/{id}")), "{made:?}");

    let again = host.create(repository, &new_pull("Again")).await.unwrap_err();
    assert!(matches!(again, HostError::Exists { .. }) && again.is_final(), "{kind:?}: {again}");
    let found = host.find(repository, "change").await.unwrap();
    assert_eq!(found.iter().map(|pull| &pull.external_id).collect::<Vec<_>>(), [&id]);
    assert_eq!(host.find(repository, "chang").await.unwrap(), []);

    // One thing at a time leaves the others as they are.
    let update = PullRequestUpdate { draft: Some(true), ..PullRequestUpdate::default() };
    let pull = host.update(repository, &id, &update).await.unwrap();
    assert_eq!((pull.draft, pull.title.as_str()), (true, "The title: ö <b>"), "{kind:?}");
    let update = PullRequestUpdate { title: Some("Two".into()), ..PullRequestUpdate::default() };
    let pull = host.update(repository, &id, &update).await.unwrap();
    assert_eq!((pull.draft, pull.title.as_str()), (true, "Two"), "{kind:?}");
    let update = PullRequestUpdate { body: Some("B".into()), ..PullRequestUpdate::default() };
    let pull = host.update(repository, &id, &update).await.unwrap();
    assert_eq!((pull.body.as_str(), pull.title.as_str(), pull.draft), ("B", "Two", true));
    let all = PullRequestUpdate {
        title: Some("Three".into()),
        draft: Some(false),
        labels: Some(texts(&["bug", "by machine"])),
        ..PullRequestUpdate::default()
    };
    let pull = host.update(repository, &id, &all).await.unwrap();
    assert_eq!((pull.draft, pull.title.as_str(), pull.body.as_str()), (false, "Three", "B"));
    assert_eq!(labels(&pull), ["bug", "by machine"], "{kind:?}");
    let update = PullRequestUpdate { labels: Some(Vec::new()), ..PullRequestUpdate::default() };
    assert_eq!(labels(&host.update(repository, &id, &update).await.unwrap()), [""; 0]);

    commit("other", "base");
    let update = PullRequestUpdate { base: Some("other".into()), ..PullRequestUpdate::default() };
    assert_eq!(host.update(repository, &id, &update).await.unwrap().base, "other");
    let update = PullRequestUpdate { base: Some("main".into()), ..PullRequestUpdate::default() };
    assert_eq!(host.update(repository, &id, &update).await.unwrap().base, "main");

    host.comment(repository, &id, "Hello").await.unwrap();
    for _ in 0..2 {
        let pull = host.close(repository, &id).await.unwrap();
        assert_eq!(pull.state, PullRequestState::Closed, "{kind:?}");
        assert!(pull.closed_ms.is_some() && pull.merged_ms.is_none(), "{kind:?}");
    }
    let found = host.find(repository, "change").await.unwrap();
    assert_eq!(found[0].state, PullRequestState::Closed, "{kind:?}");
    for _ in 0..2 {
        let pull = host.reopen(repository, &id).await.unwrap();
        assert_eq!(pull.state, PullRequestState::Open, "{kind:?}");
    }
    for _ in 0..2 {
        let pull = merge(host, repository, &id).await;
        assert_eq!(pull.state, PullRequestState::Merged, "{kind:?}");
        assert!(pull.merged_ms.is_some(), "{kind:?}");
    }
    // What is merged stays so.
    assert_eq!(host.close(repository, &id).await.unwrap().state, PullRequestState::Merged);
    let error = host.reopen(repository, &id).await.unwrap_err();
    assert!(error.is_final(), "{kind:?}: {error}");

    commit("change", "two");
    let second = host.create(repository, &new_pull("Second")).await.unwrap();
    let found = host.find(repository, "change").await.unwrap();
    let found: Vec<_> = found.iter().map(|pull| (&pull.external_id, pull.state)).collect();
    let (open, merged) = (PullRequestState::Open, PullRequestState::Merged);
    assert_eq!(found, [(&second.external_id, open), (&id, merged)], "{kind:?}");

    for error in [
        host.pull_request(repository, "4711").await.unwrap_err(),
        host.close(repository, "4711").await.unwrap_err(),
        host.comment("org/nothing", "1", "x").await.unwrap_err(),
        host.find("org/nothing", "x").await.unwrap_err(),
        host.pull_request("../..", "1").await.unwrap_err(),
    ] {
        assert!(matches!(error, HostError::NotFound { .. }), "{kind:?}: {error:?}");
    }
    // Some hosts call a branch that is not there unknown, some wrong.
    let missing = codehost::NewPullRequest { head: "gone".to_owned(), ..new_pull("T") };
    let error = host.create(repository, &missing).await.unwrap_err();
    let is_no = matches!(error, HostError::Refused { .. } | HostError::NotFound { .. });
    assert!(is_no && error.is_final(), "{kind:?}: {error:?}");
}

#[tokio::test]
async fn the_life_of_a_pull_request() {
    for dialect in DIALECTS {
        let (forge, host) = start(dialect);
        let commit = |branch: &str, text: &str| forge.commit("org/r", branch, branch, text);
        life(&*host, "org/r", commit).await;
        let created = forge.ledger().created;
        let titles: Vec<_> = created.iter().map(|made| made.number).collect();
        assert_eq!(titles, [1, 2], "{dialect:?}");
        assert_eq!(forge.pull("org/r", 1).comments, ["Hello"]);
        assert_eq!(forge.pull("org/r", 1).state, PullState::Merged);
    }
}

#[tokio::test]
async fn a_new_one_has_all_that_was_asked_for() {
    for dialect in DIALECTS {
        let (forge, host) = start(dialect);
        let new = codehost::NewPullRequest {
            draft: true,
            labels: texts(&["bug"]),
            reviewers: texts(&["ann"]),
            ..new_pull("T")
        };
        let made = host.create("org/r", &new).await.unwrap();
        assert!(made.draft, "{dialect:?}");
        assert_eq!((made.title.as_str(), labels(&made)), ("T", vec!["bug"]), "{dialect:?}");
        let seen = forge.pull("org/r", 1);
        assert!(seen.draft && seen.title == "T", "{dialect:?}: {seen:?}");
        assert_eq!((seen.labels, seen.reviewers), (texts(&["bug"]), texts(&["ann"])));
        let more =
            PullRequestUpdate { reviewers: Some(texts(&["bob"])), ..PullRequestUpdate::default() };
        host.update("org/r", "1", &more).await.unwrap();
        assert_eq!(forge.pull("org/r", 1).reviewers, ["ann", "bob"], "{dialect:?}");
    }
}

#[tokio::test]
async fn reviews_and_checks_are_followed() {
    for dialect in DIALECTS {
        let (forge, host) = start(dialect);
        host.create("org/r", &new_pull("T")).await.unwrap();
        let states = async || {
            let pull = host.pull_request("org/r", "1").await.unwrap();
            let found = host.find("org/r", "change").await.unwrap();
            assert_eq!(found, std::slice::from_ref(&pull), "{dialect:?}");
            (pull.review, pull.checks)
        };
        assert_eq!(states().await, (ReviewState::Pending, CheckState::Unknown), "{dialect:?}");
        for (who, review, wanted) in [
            ("ann", Review::Commented, ReviewState::Commented),
            ("ann", Review::Approved, ReviewState::Approved),
            ("ann", Review::Commented, ReviewState::Approved),
            ("bob", Review::ChangesRequested, ReviewState::ChangesRequested),
            ("bob", Review::Approved, ReviewState::Approved),
            ("bob", Review::Dismissed, ReviewState::Approved),
            ("ann", Review::Dismissed, ReviewState::Dismissed),
        ] {
            forge.set_review("org/r", 1, who, review);
            assert_eq!(states().await.0, wanted, "{dialect:?}: {who} {review:?}");
        }
        for (checks, wanted) in [
            (Checks::Pending, CheckState::Pending),
            (Checks::Failed, CheckState::Failed),
            (Checks::Passed, CheckState::Passed),
        ] {
            forge.set_checks("org/r", 1, checks);
            assert_eq!(states().await.1, wanted, "{dialect:?}: {checks:?}");
        }
        // A push: other checks.
        let pushed = forge.commit("org/r", "change", "b", "3\n");
        assert_eq!(host.pull_request("org/r", "1").await.unwrap().head_commit, pushed);
        assert_eq!(states().await.1, CheckState::Unknown, "{dialect:?}");
    }
}

#[tokio::test]
async fn lists_follow_pages_and_settings() {
    for dialect in DIALECTS {
        let options = Options { page_size: 2, ..Options::default() };
        let forge = Forge::start(dialect, options);
        let mut wanted = Vec::new();
        for owner in ["org", "user1"] {
            for name in ["a", "b", "c", "d", "e", "old-f"] {
                forge.add_repository(&format!("{owner}/{name}"), &[("x", "1")]);
                wanted.push(format!("{}/{owner}/{name}", forge.host()));
            }
        }
        forge.set_archived("org/a", true);
        let names = async |include: &[&str], exclude: &[&str]| {
            let host = host(&settings(dialect, &forge, include, exclude), token(&forge));
            let list = host.list().await.unwrap();
            list.into_iter().map(|repository| repository.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[], &[]).await, wanted, "{dialect:?}");
        let before = forge.requests();
        assert_eq!(names(&["org"], &[]).await, wanted[..6], "{dialect:?}");
        assert_eq!(forge.requests() - before, 3, "{dialect:?}: three pages");
        assert_eq!(names(&["user1", "org/b", "org/b"], &["*/old-*", "user1/c"]).await, {
            let mut some = wanted[6..11].to_vec();
            some.remove(2);
            some.insert(0, wanted[1].clone());
            some
        });
        let one = host(&settings(dialect, &forge, &["org/a"], &[]), token(&forge));
        let one = one.list().await.unwrap().remove(0);
        assert_eq!(one.clone_url, forge.clone_url("org/a"));
        assert_eq!(one.default_branch.as_deref(), Some("main"));
        assert!(one.archived && one.private && !one.fork, "{one:?}");
        assert_eq!((one.topics, one.description.as_str()), (texts(&["forge"]), "a repository"));
        for include in ["org/none", "nobody"] {
            let host = host(&settings(dialect, &forge, &[include], &[]), token(&forge));
            let error = host.list().await.unwrap_err();
            assert!(matches!(error, HostError::NotFound { .. }), "{dialect:?}: {error}");
        }
    }
}

#[tokio::test]
async fn many_pull_requests_are_found_over_pages() {
    for dialect in DIALECTS {
        let forge = Forge::start(dialect, Options { page_size: 2, ..Options::default() });
        forge.add_repository("org/r", &[("a", "1")]);
        forge.commit("org/r", "change", "b", "2");
        let host = host(&settings(dialect, &forge, &[], &[]), token(&forge));
        for number in 1..=7 {
            host.create("org/r", &new_pull("T")).await.unwrap();
            forge.close("org/r", number);
        }
        let found = host.find("org/r", "change").await.unwrap();
        let ids: Vec<_> = found.iter().map(|pull| pull.external_id.as_str()).collect();
        assert_eq!(ids, ["7", "6", "5", "4", "3", "2", "1"], "{dialect:?}");
        // The last word stands on the third page.
        for review in [Review::Approved, Review::Commented, Review::ChangesRequested] {
            for who in ["ann", "bob"] {
                forge.set_review("org/r", 7, who, review);
            }
        }
        let pull = host.pull_request("org/r", "7").await.unwrap();
        assert_eq!(pull.review, ReviewState::ChangesRequested, "{dialect:?}");
    }
}

#[tokio::test]
async fn git_gets_in_with_what_the_host_gives() {
    for dialect in DIALECTS {
        let (forge, host) = start(dialect);
        assert_eq!(host.who().await.unwrap(), "forge-user");
        let access = host.git_access(&forge.clone_url("org/r")).await.unwrap();
        assert!(!format!("{access:?}{host:?}", host = access.url).contains(forge.token()));
        let folder = tempfile::tempdir().unwrap();
        let git = async |header: Option<&str>, arguments: &[&str]| {
            let mut command = tokio::process::Command::new("git");
            if let Some(header) = header {
                command.env("GIT_CONFIG_COUNT", "1");
                command.env("GIT_CONFIG_KEY_0", "http.extraHeader");
                command.env("GIT_CONFIG_VALUE_0", format!("Authorization: {header}"));
            }
            command.env("GIT_TERMINAL_PROMPT", "0").current_dir(folder.path());
            command.args(arguments).output().await.unwrap().status.success()
        };
        let header = access.authorization.as_deref();
        let clone = ["clone", "-q", "-b", "change", &access.url, "clone"];
        assert!(!git(None, &clone).await, "{dialect:?}: without the credential");
        assert!(git(header, &clone).await, "{dialect:?}");
        let new = ["-C", "clone", "push", "-q", "origin", "change:refs/heads/pushed"];
        assert!(git(header, &new).await, "{dialect:?}");
        assert_eq!(forge.branch("org/r", "pushed"), forge.branch("org/r", "change"));
        assert!(host.git_access("https://evil.example/org/r.git").await.is_err());
    }
}

#[tokio::test]
async fn an_unknown_reviewer_does_not_lose_a_pull_request() {
    let (forge, host) = start(Dialect::GitLab);
    let new = codehost::NewPullRequest { reviewers: texts(&["nobody"]), ..new_pull("T") };
    assert_eq!(host.create("org/r", &new).await.unwrap().external_id, "1");
    assert_eq!(forge.pull("org/r", 1).reviewers, [""; 0]);
    let update =
        PullRequestUpdate { reviewers: Some(texts(&["nobody"])), ..PullRequestUpdate::default() };
    let error = host.update("org/r", "1", &update).await.unwrap_err().to_string();
    assert!(error.contains("`nobody`"), "{error}");
}
