//! Hosts that are slow, broken, tired or hostile.

use std::time::Duration;

use codehost::{CodeHost, Credential, HostError};
use testkit::code_host::{Dialect, Fault, Forge};

use super::{DIALECTS, host, new_pull, settings, start};

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Fault {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Fault::Answer { status, headers, body: body.to_owned() }
}

async fn error_of(host: &dyn CodeHost) -> HostError {
    host.pull_request("org/r", "1").await.unwrap_err()
}

/// A forge with one pull request.
async fn with_one(dialect: Dialect) -> (Forge, Box<dyn CodeHost>) {
    let (forge, host) = start(dialect);
    host.create("org/r", &new_pull("T")).await.unwrap();
    (forge, host)
}

#[tokio::test]
async fn a_wrong_credential_is_told_and_not_shown() {
    for dialect in DIALECTS {
        let (forge, _) = start(dialect);
        for credential in [Credential::None, Credential::Token { token: "hunter2".into() }] {
            let shown = format!("{credential:?}");
            let host = host(&settings(dialect, &forge, &["org"], &[]), credential);
            for error in [host.who().await.unwrap_err(), host.list().await.unwrap_err()] {
                assert!(matches!(error, HostError::Unauthorized { .. }), "{dialect:?}: {error:?}");
                assert!(
                    error.is_final() && !format!("{error} {error:?} {shown}").contains("hunter2")
                );
            }
        }
    }
}

#[tokio::test]
async fn one_host_that_is_tired_holds_up_no_other() {
    for dialect in DIALECTS {
        let (tired, host) = with_one(dialect).await;
        let (_fresh, other) = with_one(dialect).await;
        tired.fail_next(1, answer(429, &[("retry-after", "60")], ""));
        host.comment("org/r", "1", "x").await.unwrap_err();
        assert!(host.waiting().is_some(), "{dialect:?}");
        other.comment("org/r", "1", "x").await.unwrap();
        assert_eq!(other.waiting(), None, "{dialect:?}");
    }
}

#[tokio::test]
async fn a_limit_is_kept_without_asking_again() {
    for dialect in DIALECTS {
        let (forge, host) = with_one(dialect).await;
        forge.fail_next(1, answer(429, &[("retry-after", "60")], ""));
        let before = forge.requests();
        // A write: it was not done.
        let error = host.comment("org/r", "1", "x").await.unwrap_err();
        let HostError::RateLimited { retry_after, .. } = &error else { panic!("{error:?}") };
        assert_eq!(retry_after.as_secs(), 60, "{dialect:?}");
        assert!(!error.is_final());
        for error in [error_of(&*host).await, host.list().await.unwrap_err()] {
            let HostError::RateLimited { retry_after, .. } = error else { panic!("{error:?}") };
            assert!((55..=60).contains(&retry_after.as_secs()), "{retry_after:?}");
        }
        assert_eq!(forge.requests() - before, 1, "{dialect:?}: nobody asked again");
        assert!(host.waiting().unwrap() > Duration::from_secs(50));
        assert_eq!(forge.pull("org/r", 1).comments, [""; 0]);
    }
}

#[tokio::test]
async fn a_short_wait_is_waited_for() {
    let (forge, host) = with_one(Dialect::GitHub).await;
    let words = r#"{"message": "You have exceeded a secondary rate limit."}"#;
    forge.fail_next(1, answer(403, &[("retry-after", "1")], words));
    host.comment("org/r", "1", "x").await.unwrap();
    assert_eq!(forge.pull("org/r", 1).comments, ["x"]);
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_seen_before_it_hurts() {
    let (forge, host) = with_one(Dialect::GitHub).await;
    let reset = (jiff::Timestamp::now().as_second() + 100).to_string();
    let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str())];
    forge.fail_next(1, answer(200, &headers, r#"{"login": "me"}"#));
    assert_eq!(host.who().await.unwrap(), "me");
    let before = forge.requests();
    assert!(matches!(host.who().await, Err(HostError::RateLimited { .. })));
    assert_eq!(forge.requests(), before);
}

#[tokio::test]
async fn reads_are_tried_again_and_writes_are_not() {
    for dialect in DIALECTS {
        let (forge, host) = with_one(dialect).await;
        for fault in [Fault::status(502), Fault::status(503), Fault::Drop, Fault::DoneThenDrop] {
            forge.fail_next(2, fault.clone());
            assert_eq!(host.who().await.unwrap(), "forge-user", "{dialect:?}: {fault:?}");
        }
        forge.fail_next(10, Fault::status(503));
        let before = forge.requests();
        let error = host.who().await.unwrap_err();
        assert!(matches!(error, HostError::Unavailable { .. }) && !error.is_final(), "{error:?}");
        assert_eq!(forge.requests() - before, 4, "{dialect:?}");

        let (forge, host) = start(dialect);
        for fault in [Fault::status(500), Fault::Drop] {
            forge.fail_next(1, fault.clone());
            let before = forge.requests();
            let error = host.create("org/r", &new_pull("T")).await.unwrap_err();
            assert!(matches!(error, HostError::Unavailable { .. }), "{dialect:?}: {error:?}");
            assert_eq!(forge.requests() - before, 1, "{dialect:?}: {fault:?}");
        }
        assert!(forge.ledger().created.is_empty());
    }
}

#[tokio::test]
async fn what_was_done_without_an_answer_is_found() {
    for dialect in DIALECTS {
        for fault in [Fault::DoneThenDrop, Fault::DoneBut { status: 502 }] {
            let (forge, host) = start(dialect);
            forge.fail_matching(1, "POST", "", fault.clone());
            let error = host.create("org/r", &new_pull("T")).await.unwrap_err();
            assert!(!error.is_final(), "{dialect:?}: {error:?}");
            let found = host.find("org/r", "change").await.unwrap();
            assert_eq!(found.len(), 1, "{dialect:?}: {fault:?}");
            let again = host.create("org/r", &new_pull("T")).await.unwrap_err();
            assert!(matches!(again, HostError::Exists { .. }), "{dialect:?}: {again:?}");
            assert_eq!(forge.ledger().created.len(), 1);
        }
    }
}

#[tokio::test]
async fn hostile_answers_become_sentences() {
    for dialect in DIALECTS {
        let (forge, host) = with_one(dialect).await;
        let huge = format!("\"{}\"", "x".repeat(9 * 1024 * 1024));
        let nested = "[".repeat(100_000);
        let wrong = r#"{"number": "\u001b[2J", "login": 1, "username": 1}"#;
        for (body, says) in [
            ("<html>", "not what its API promises"),
            ("", "not what its API promises"),
            (wrong, "not what its API promises"),
            (nested.as_str(), "not what its API promises"),
            (huge.as_str(), "longer than 8 MiB"),
        ] {
            // As often as a read is tried.
            forge.fail_next(4, answer(200, &[], body));
            let error = host.who().await.unwrap_err();
            assert!(matches!(error, HostError::Unavailable { .. }), "{dialect:?}: {error:?}");
            let error = error.to_string();
            assert!(error.contains(says) && error.len() < 600, "{dialect:?}: {error}");
            assert!(!error.contains(char::is_control), "{error:?}");
            while host.who().await.is_err() {}
        }
        let evil = r#"{"message": "no\u001b[2J\nthis \u202efed"}"#;
        forge.fail_next(1, answer(422, &[], evil));
        let error = host.who().await.unwrap_err();
        assert!(matches!(error, HostError::Refused { .. }), "{error:?}");
        assert!(error.to_string().ends_with("refuses: no[2J this fed"), "{error}");
    }
}

#[tokio::test]
async fn no_answer_leads_to_another_host() {
    for dialect in DIALECTS {
        let (forge, host) = start(dialect);
        let (trap, _) = start(dialect);
        let link = format!("<{}/api/v3/user/repos?page=2>; rel=\"next\"", trap.url());
        forge.fail_next(1, answer(200, &[("link", &link)], "[]"));
        let error = host.list().await.unwrap_err();
        assert!(matches!(error, HostError::Refused { .. }), "{dialect:?}: {error:?}");
        assert!(error.to_string().contains(trap.host()), "{error}");
        for status in [301, 302, 307, 308] {
            let to = format!("{}/api/v3/user", trap.url());
            forge.fail_next(1, answer(status, &[("location", &to)], ""));
            let error = host.who().await.unwrap_err();
            assert!(matches!(error, HostError::Refused { .. }), "{dialect:?}: {error:?}");
        }
        assert_eq!(trap.requests(), 0, "{dialect:?}");
        // A renamed repository's new place on the same host is followed, a circle is not.
        let root = forge.url().to_owned();
        let user = match dialect {
            Dialect::GitHub => "/api/v3/user",
            Dialect::GitLab => "/api/v4/user",
            Dialect::Gitea => "/api/v1/user",
        };
        let to = format!("{root}{user}");
        forge.fail_next(1, answer(301, &[("location", &to)], ""));
        assert_eq!(host.who().await.unwrap(), "forge-user", "{dialect:?}");
        forge.fail_next(100, answer(301, &[("location", &to)], ""));
        let before = forge.requests();
        assert!(matches!(host.who().await, Err(HostError::Unavailable { .. })));
        assert!(forge.requests() - before < 30, "{dialect:?}");
    }
}

#[tokio::test]
async fn hostile_names_and_titles_do_no_harm() {
    for dialect in DIALECTS {
        let (forge, host) = start(dialect);
        let title = "x\u{1b}[2J\u{202e}y";
        host.create("org/r", &new_pull(title)).await.unwrap();
        let pull = host.pull_request("org/r", "1").await.unwrap();
        assert_eq!(pull.title, "x[2Jy", "{dialect:?}");
        forge.add_repository("org/\u{1b}[2J", &[("a", "1")]);
        forge.add_repository("org/-rf", &[("a", "1")]);
        let names: Vec<_> = host.list().await.unwrap().into_iter().map(|r| r.name).collect();
        assert_eq!(names, [format!("{}/org/r", forge.host())], "{dialect:?}");
        for id in ["../../user", "1/../..", "1?x", "%2e%2e"] {
            let error = host.pull_request("org/r", id).await.unwrap_err();
            assert!(matches!(error, HostError::NotFound { .. }), "{dialect:?} {id}: {error:?}");
        }
        assert!(host.find("org/r", "a&head=b c#d/../e").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn concurrent_requests_are_all_served() {
    for dialect in DIALECTS {
        let (forge, host) = with_one(dialect).await;
        forge.set_latency(Duration::from_millis(5));
        let all = (0..40).map(|_| host.pull_request("org/r", "1"));
        for pull in futures::future::join_all(all).await {
            assert_eq!(pull.unwrap().external_id, "1", "{dialect:?}");
        }
    }
}
