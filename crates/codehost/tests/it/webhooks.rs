//! Deliveries: only signed ones are read, and each is about what it says.

use codehost::{HostError, HostEvent};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName};
use testkit::code_host::Dialect;

use super::start;

fn sign(body: &str, secret: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), value.parse().unwrap())
    };
    pairs.iter().map(pair).collect()
}

const PUSH: &str = r#"{"ref": "refs/heads/main", "repository": {"full_name": "o/r"}}"#;
const TAG: &str = r#"{"ref": "refs/tags/v1", "repository": {"full_name": "o/r"}}"#;
const PULL: &str = r#"{"pull_request": {"number": 7}, "repository": {"full_name": "o/r"}}"#;
const STATUS: &str = r#"{"sha": "abc", "repository": {"full_name": "o/r"}}"#;
const CHECK: &str = r#"{"check_run": {"head_sha": "abc"}, "repository": {"full_name": "o/r"}}"#;

fn pushed() -> Option<HostEvent> {
    Some(HostEvent::Pushed { repository: "o/r".into() })
}

fn changed() -> Option<HostEvent> {
    Some(HostEvent::PullRequest { repository: "o/r".into(), external_id: "7".into() })
}

fn checked() -> Option<HostEvent> {
    Some(HostEvent::Checks { repository: "o/r".into(), commit: "abc".into() })
}

#[test]
fn the_documented_example_of_github_is_right() {
    // From GitHub's page on validating deliveries.
    let wanted = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(sign("Hello, World!", "It's a Secret to Everybody"), wanted);
}

#[test]
fn github_and_gitea() {
    let github = ("x-hub-signature-256", "x-github-event", "sha256=");
    let gitea = ("x-gitea-signature", "x-gitea-event", "");
    let forgejo = ("x-forgejo-signature", "x-forgejo-event", "");
    for (dialect, (signature, event, prefix)) in
        [(Dialect::GitHub, github), (Dialect::Gitea, gitea), (Dialect::Gitea, forgejo)]
    {
        let (_forge, host) = start(dialect);
        for (name, body, wanted) in [
            ("push", PUSH, pushed()),
            ("push", TAG, None),
            ("pull_request", PULL, changed()),
            ("pull_request_review", PULL, changed()),
            ("pull_request_approved", PULL, changed()),
            ("status", STATUS, checked()),
            ("check_run", CHECK, checked()),
            ("repository", "{}", Some(HostEvent::Repositories)),
            ("star", "{}", None),
        ] {
            let right = format!("{prefix}{}", sign(body, "secret"));
            let good = headers(&[(signature, &right), (event, name)]);
            let got = host.webhook(&good, body.as_bytes(), "secret").unwrap();
            assert_eq!(got, wanted, "{dialect:?} {name}");
            let changed = format!("{body} ");
            let short = &right[..right.len() - 2];
            for (pairs, body, secret) in [
                (vec![(signature, right.as_str()), (event, name)], body, "other"),
                (vec![(signature, right.as_str()), (event, name)], changed.as_str(), "secret"),
                (vec![(signature, short), (event, name)], body, "secret"),
                (vec![(signature, ""), (event, name)], body, "secret"),
                (vec![(event, name)], body, "secret"),
            ] {
                let error = host.webhook(&headers(&pairs), body.as_bytes(), secret).unwrap_err();
                assert!(matches!(error, HostError::Unauthorized { .. }), "{error:?}");
            }
            // A secret that was never set opens nothing.
            let empty = format!("{prefix}{}", sign(body, ""));
            let empty = headers(&[(signature, &empty), (event, name)]);
            assert!(host.webhook(&empty, body.as_bytes(), "").is_err());
        }
        for body in ["{", r#"{"ref": "refs/heads/main"}"#, r#"{"ref": 1}"#] {
            let right = format!("{prefix}{}", sign(body, "secret"));
            let good = headers(&[(signature, &right), (event, "push")]);
            let error = host.webhook(&good, body.as_bytes(), "secret").unwrap_err();
            assert!(matches!(error, HostError::Refused { .. }), "{error:?}");
        }
    }
}

#[test]
fn gitlab() {
    let (_forge, host) = start(Dialect::GitLab);
    let project = r#""project": {"path_with_namespace": "o/r"}"#;
    let push = format!(r#"{{"ref": "refs/heads/main", {project}}}"#);
    let merge = format!(r#"{{"object_attributes": {{"iid": 7}}, {project}}}"#);
    let pipeline = format!(r#"{{"object_attributes": {{"sha": "abc"}}, {project}}}"#);
    for (event, body, wanted) in [
        ("Push Hook", &push, pushed()),
        ("Merge Request Hook", &merge, changed()),
        ("Pipeline Hook", &pipeline, checked()),
        ("Note Hook", &merge, None),
    ] {
        let pairs = [("x-gitlab-token", "secret"), ("x-gitlab-event", event)];
        let got = host.webhook(&headers(&pairs), body.as_bytes(), "secret").unwrap();
        assert_eq!(got, wanted, "{event}");
        for token in ["secre", "secrett", ""] {
            let pairs = [("x-gitlab-token", token), ("x-gitlab-event", event)];
            let error = host.webhook(&headers(&pairs), body.as_bytes(), "secret").unwrap_err();
            assert!(matches!(error, HostError::Unauthorized { .. }), "{error:?}");
        }
        assert!(host.webhook(&headers(&pairs[1..]), body.as_bytes(), "").is_err());
    }
}
