//! Secure from the first minute.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Place, TEMPLATE, request, run, text};

/// The status of a request without a body.
fn status(url: &str, method: &str, path: &str, headers: &str) -> u16 {
    let answer = request(url, method, path, headers, "").expect("the server answers");
    answer.0
}

#[test]
fn every_endpoint_asks_for_its_own_token() {
    let place = Place::new();
    let (_server, url) = place.server(&[]);
    let (user, runner) = (place.token("token"), place.token("runner-token"));
    assert_ne!(user, runner);
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let executor = |token: &str| format!("Authorization: token-executor {token}\r\n");
    for (method, path) in [
        ("GET", "/api/v1/executions"),
        ("POST", "/api/v1/executions"),
        ("GET", "/api/v1/executions/1/report"),
        ("POST", "/api/v1/executions/1/cancel"),
        ("POST", "/api/v1/executions/1/retry"),
        ("GET", "/api/v1/jobs"),
        ("POST", "/api/v1/jobs"),
        ("GET", "/api/v1/jobs/1"),
        ("GET", "/api/v1/jobs/1/log"),
        ("GET", "/api/v1/jobs/1/explain"),
        ("POST", "/api/v1/jobs/1/cancel"),
        ("GET", "/api/v1/runners"),
        ("POST", "/api/v1/runners/x/drain"),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/repositories"),
        ("PUT", "/api/v1/repositories/bundle?name=x"),
        ("GET", &format!("/api/v1/blobs/{}", "a".repeat(64))),
    ] {
        assert_eq!(status(&url, method, path, ""), 401, "{method} {path} without a token");
        assert_eq!(
            status(&url, method, path, &bearer("phx_wrong")),
            401,
            "{method} {path} with a wrong one"
        );
        assert_eq!(
            status(&url, method, path, &bearer(&runner)),
            401,
            "{method} {path} with a runner's"
        );
    }
    for (method, path) in [
        ("POST", "/.executors/queue/dequeue"),
        ("POST", "/.executors/queue/batches/dequeue"),
        ("POST", "/.executors/queue/heartbeat"),
        ("POST", "/.executors/phalanx/work"),
        ("POST", "/.executors/phalanx/register"),
        ("POST", "/.executors/phalanx/release"),
        ("POST", "/.executors/phalanx/log?offset=0"),
        ("GET", &format!("/.executors/phalanx/blobs/{}", "a".repeat(64))),
        ("GET", &format!("/.executors/phalanx/cache/{}", "a".repeat(64))),
        ("GET", "/.executors/test/auth"),
        ("POST", "/.executors/queue/batches/markComplete"),
        ("GET", "/.executors/git/x/info/refs?service=git-upload-pack"),
        ("GET", "/.executors/files/batch-changes/a/b"),
    ] {
        assert_eq!(status(&url, method, path, ""), 401, "{method} {path} without a token");
        let wrong = status(&url, method, path, &executor(&user));
        assert!(wrong == 401 || wrong == 403, "{method} {path} with a person's: {wrong}");
    }
    assert_eq!(status(&url, "GET", "/.executors/test/auth", &executor(&runner)), 200);
    assert_eq!(status(&url, "GET", "/api/v1/status", &bearer(&user)), 200);
    let evil = format!("Host: evil.example\r\n{}", bearer(&user));
    assert_eq!(status(&url, "GET", "/api/v1/status", &evil), 421, "a foreign name");
    for name in ["token", "runner-token", "lease-key"] {
        let mode = std::fs::metadata(place.path("data").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(place.path("data")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_spec_that_asks_for_our_variables_is_refused() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    let (_server, url) = place.server(&[]);
    let token = place.token("token");
    let ask = "name: t\nsteps:\n  - run: echo $PHALANX_TOKEN > f\n    env: [PHALANX_TOKEN]\n";
    place.write("ask.yaml", &format!("{ask}{TEMPLATE}"));
    let exec = ["exec", "--server", &url, "-f", "ask.yaml", "--repo", "r"];
    let output = run(place.phalanx().env("PHALANX_TOKEN", &token).args(exec));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("ask.yaml:4:11") && said.contains("is given to no step"), "{said}");
    assert!(!said.contains(&token) && !text(&output.stdout).contains(&token));
}

#[test]
fn off_loopback_without_tls_is_refused() {
    let place = Place::new();
    let output = run(place.phalanx().args(["server", "--listen", "0.0.0.0:0"]));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--tls-certificate") && said.contains("--behind-proxy"), "{said}");
}

#[test]
fn a_step_sees_no_credential() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    let (_server, url) = place.server(&[]);
    let _runner = place.runner(&url, "far", 1);
    place.write("spec.yaml", &format!(
        "name: test\nsteps:\n  - run: |\n      env > seen\n      cat .git/config >> seen 2>/dev/null || true\n      cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' >> seen || true\n      cat {}/token {}/runner-token >> seen 2>/dev/null || true\n{}",
        place.path("data").display(), place.path("data").display(), crate::support::TEMPLATE,
    ));
    let mut command = place.phalanx();
    command.env("PHALANX_TOKEN", place.token("token"));
    let output = run(command.args(["exec", "--server", &url, "-f", "spec.yaml", "--repo", "r"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let patch = text(&output.stdout);
    assert!(patch.contains("+HOME="), "{patch}");
    for name in ["token", "runner-token"] {
        assert!(!patch.contains(&place.token(name)), "the {name} is visible to a step");
    }
    assert!(!patch.contains("Bearer"), "a job token is visible to a step");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let place = Place::new();
    let (_server, _) = place.server(&[]);
    let output = run(place.phalanx().args(["server", "--listen", "127.0.0.1:0"]));
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("another phalanx server"), "{}", text(&output.stderr));
}
