//! Servers and runners that are killed, stopped and revived.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::{Place, Running, TEMPLATE, eventually, report, request, run, text};

fn signal(running: &Running, signal: Signal) {
    kill(Pid::from_raw(running.child.id() as i32), signal).unwrap();
}

fn patches(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "patch"))
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect()
}

#[test]
fn killed_servers_lose_nothing() {
    let place = Place::new();
    for number in 0..8 {
        place.repository(&format!("all/r{number}"), &[("f", &number.to_string())]);
    }
    // Each step tells that it began, and waits until it may go on.
    place.write(
        "spec.yaml",
        &format!("name: test\nsteps:\n  - run: sleep 0.7; echo done >> f\n{TEMPLATE}"),
    );
    let undisturbed = run(place
        .phalanx()
        .env("PHALANX_DATA_DIRECTORY", place.path("other"))
        .args(["exec", "-f", "spec.yaml", "--repos-in", "all", "-o", "calm", "-j", "8"]));
    assert!(undisturbed.status.success(), "{}", text(&undisturbed.stderr));

    let (server, url) = place.server(&["--lease-ms", "6000"]);
    let listen = url.trim_start_matches("http://").to_owned();
    let _runners = [place.runner(&url, "one", 1), place.runner(&url, "two", 1)];
    let mut exec = place.spawn(place.phalanx().args([
        "exec",
        "--server",
        &url,
        "-f",
        "spec.yaml",
        "--repos-in",
        "all",
        "-o",
        "out",
        "--no-cache",
    ]));
    place.until_a_job_runs();
    signal(&server, Signal::SIGKILL);
    drop(server);
    // Again while it starts.
    let again =
        place.spawn(place.phalanx().args(["server", "--listen", &listen, "--lease-ms", "6000"]));
    signal(&again, Signal::SIGKILL);
    drop(again);
    let _server = place.server(&["--listen", &listen, "--lease-ms", "6000"]);
    let status = exec.child.wait().unwrap();
    let all = report(&place.path("out"));
    assert_eq!(status.code(), Some(0), "{all}");
    assert_eq!(patches(&place.path("out")), patches(&place.path("calm")));
    assert_eq!(patches(&place.path("out")).len(), 8);
    for job in all["jobs"].as_array().unwrap() {
        let detail = place.json(&["job", "show", &job["job"].to_string()]);
        let history = detail["history"].as_array().unwrap();
        let accepted = history.iter().filter(|attempt| attempt["state"] == "succeeded").count();
        assert_eq!(accepted, 1, "accepted once: {detail}");
    }
}

#[test]
fn a_dead_and_a_paused_runner_are_replaced_and_fenced() {
    for how in [Signal::SIGKILL, Signal::SIGSTOP] {
        let place = Place::new();
        place.repository("r", &[("f", "x\n")]);
        place.write(
            "spec.yaml",
            &format!("name: test\nsteps:\n  - run: sleep 3; echo done >> f\n{TEMPLATE}"),
        );
        let (_server, url) = place.server(&["--lease-ms", "2000"]);
        let mut first = place.runner(&url, "first", 1);
        let mut exec = place.exec_on(&url);
        place.until_a_job_runs();
        signal(&first, how);
        let _second = place.runner(&url, "second", 1);
        let status = exec.child.wait().unwrap();
        let all = report(&place.path("out"));
        assert_eq!(status.code(), Some(0), "{how}: {all}");
        let job = &all["jobs"][0];
        assert_eq!(
            (job["attempts"].as_u64(), job["runner"].as_str()),
            (Some(2), Some("second")),
            "{how}: {job}"
        );
        if how == Signal::SIGSTOP {
            // It wakes up, ends its job as it likes, and says what it has to say.
            signal(&first, Signal::SIGCONT);
            signal(&first, Signal::SIGTERM);
            first.child.wait().unwrap();
        }
        // The revived one reports nothing: the history stays as it is.
        let detail = place.json(&["job", "show", &job["job"].to_string()]);
        let states: Vec<&str> = detail["history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a["state"].as_str().unwrap())
            .collect();
        assert_eq!(states, ["runner_lost", "succeeded"], "{how}");
        assert_eq!(patches(&place.path("out")).len(), 1);
    }
}

/// By hand, so that nothing of our runner's own care is in between.
#[test]
fn a_stale_token_writes_nothing() {
    let place = Place::new();
    let (_server, url) = place.server(&["--lease-ms", "1000"]);
    place.repository("r", &[("f", "x\n")]);
    place.write("spec.yaml", &format!("name: test\nsteps:\n  - run: echo y\n{TEMPLATE}"));
    let _exec = place.exec_on(&url);
    let token = place.token("runner-token");
    let door = |path: &str, headers: &str, body: &str| {
        let headers = format!(
            "Authorization: token-executor {token}\r\nX-Sourcegraph-Executor-Name: n\r\n{headers}"
        );
        request(&url, "POST", &format!("/.executors/phalanx/{path}"), &headers, body).unwrap()
    };
    let claim = |name: &str| {
        let body = json!({ "executorName": name, "session": 1, "queues": ["batches"], "slots": 1 });
        assert_eq!(door("register", "", &body.to_string()).0, 204);
        let body = json!({ "executorName": name, "session": 1, "jobs": [], "claim": { "poll": 0, "want": 1 } });
        eventually("a job is claimed", || {
            let (status, answer) = door("work", "", &body.to_string());
            assert_eq!(status, 200, "{answer}");
            let answer: Value = serde_json::from_str(&answer).unwrap();
            answer["claimed"].as_array()?.first().cloned()
        })
    };
    let complete = |name: &str, job: &Value| {
        let end = json!({ "outcome": { "state": "failed", "exitCode": 1 }, "logBytes": 0, "logCrc32": 0 });
        let job = json!({ "id": job["id"], "token": job["token"], "complete": end });
        let body = json!({ "executorName": name, "session": 1, "jobs": [job] });
        door("work", "", &body.to_string())
    };
    let history = |job: &Value| {
        let detail = place.json(&["job", "show", &job["id"].to_string()]);
        (detail["state"].clone(), detail["history"].clone())
    };
    let first = claim("first");
    // Its lease ends, and another takes the job.
    let second = claim("second");
    assert_eq!(first["id"], second["id"]);
    assert_ne!(first["token"], second["token"]);
    let before = history(&first);
    assert_eq!(before.1[0]["state"], "runner_lost", "{before:?}");
    let (status, answer) = complete("first", &first);
    assert!(status == 200 && answer.contains("\"fenced\""), "{answer}");
    let late = format!("Authorization: Bearer {}\r\n", first["token"].as_str().unwrap());
    let (status, answer) = door("log?offset=0", &late, "late words");
    assert_ne!(status, 200, "{answer}");
    assert_eq!(history(&first), before, "nothing changed");
    complete("second", &second);
    eventually("the second's word counts", || {
        (history(&second).1[1]["state"] == "failed").then_some(())
    });
}

#[test]
fn cancel_kills_the_whole_tree_and_drain_ends_a_runner() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    let mark = format!("31{:05}", std::process::id());
    place.write("spec.yaml", &format!(
        "name: test\nsteps:\n  - run: (setsid sleep {mark} &) ; trap '' TERM; sleep {mark}; sleep {mark}\n{TEMPLATE}"
    ));
    let (_server, url) = place.server(&[]);
    let mut runner = place.runner(&url, "only", 1);
    let mut exec = place.exec_on(&url);
    let alive = || {
        let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let line = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
            Some(text(&line).starts_with(&format!("sleep\0{mark}")))
        });
        all.filter(|found| *found).count()
    };
    eventually("both sleeps run", || (alive() == 2).then_some(()));
    let canceled = std::time::Instant::now();
    let output = run(place.phalanx().args(["execution", "cancel", "1"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    eventually("nothing is left", || (alive() == 0).then_some(()));
    assert!(canceled.elapsed() < std::time::Duration::from_secs(5), "{:?}", canceled.elapsed());
    assert_eq!(exec.child.wait().unwrap().code(), Some(1));
    assert_eq!(report(&place.path("out"))["jobs"][0]["state"], "killed");
    signal(&runner, Signal::SIGTERM);
    eventually("a drained runner ends", || {
        runner.child.try_wait().unwrap().map(|status| assert!(status.success()))
    });
    let runners = place.json(&["runner", "list"]);
    assert_eq!(runners, serde_json::json!([]), "it said that it was gone");
}

#[test]
fn a_waiting_job_is_explained() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    place.write("spec.yaml", &format!("name: test\nsteps:\n  - run: 'true'\n{TEMPLATE}"));
    let (_server, url) = place.server(&[]);
    let submit = |dimension: &str| {
        let output = run(place.phalanx().args([
            "exec",
            "--server",
            &url,
            "-f",
            "spec.yaml",
            "--repo",
            "r",
            "--detach",
            "--dimension",
            dimension,
        ]));
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    submit("os=Windows");
    let explain =
        |job: &str| place.json(&["job", "explain", job])["text"].as_str().unwrap().to_owned();
    assert!(explain("1").contains("no runner is connected"), "{}", explain("1"));
    let _runner = place.runner(&url, "only", 1);
    eventually("the requirement is named", || {
        explain("1").contains("no runner has os=Windows").then_some(())
    });
}

#[test]
fn a_runner_told_to_stop_finishes_and_told_twice_gives_its_job_back() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    for (name, wait) in [("short", "2"), ("long", "300")] {
        place.write(
            &format!("{name}.yaml"),
            &format!("name: {name}\nsteps:\n  - run: sleep {wait}; echo done >> f\n{TEMPLATE}"),
        );
    }
    let (_server, url) = place.server(&[]);
    let submit = |spec: &str| {
        let arguments = ["exec", "--server", &url, "-f", spec, "--repo", "r", "--detach"];
        assert!(run(place.phalanx().args(arguments)).status.success());
    };
    let state = |job: u64| place.json(&["job", "show", &job.to_string()]);
    let running = |job| eventually("it runs", || (state(job)["state"] == "running").then_some(()));
    let ended = |runner: &mut Running| {
        eventually("the runner ends", || {
            runner.child.try_wait().unwrap().map(|status| assert!(status.success(), "{status}"))
        });
    };

    submit("short.yaml");
    let mut runner = place.runner(&url, "one", 1);
    running(1);
    signal(&runner, Signal::SIGTERM);
    ended(&mut runner);
    let short = state(1);
    assert_eq!((&short["state"], &short["attempts"]), (&"succeeded".into(), &1.into()), "{short}");

    submit("long.yaml");
    let mut runner = place.runner(&url, "two", 2);
    running(2);
    let waits = |expected: bool| {
        eventually("its second slot waits, or not", || {
            (place.json(&["runner", "list"])[0]["waiting"] == expected).then_some(())
        });
    };
    waits(true);
    signal(&runner, Signal::SIGTERM);
    // It is still at work, and takes no more.
    waits(false);
    assert_eq!(state(2)["state"], "running");
    signal(&runner, Signal::SIGTERM);
    ended(&mut runner);
    let long = state(2);
    assert_eq!(long["state"], "queued", "it waits for another runner: {long}");
    assert!(run(place.phalanx().args(["job", "cancel", "2"])).status.success());
}

#[test]
fn a_runner_ends_after_as_many_jobs_as_it_was_told() {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        place.repository(&format!("all/{name}"), &[("f", "x\n")]);
    }
    place.write("spec.yaml", &format!("name: test\nsteps:\n  - run: echo y >> f\n{TEMPLATE}"));
    let (_server, url) = place.server(&[]);
    let arguments = ["exec", "--server", &url, "-f", "spec.yaml", "--repos-in", "all", "--detach"];
    assert!(run(place.phalanx().args(arguments)).status.success());
    let token = place.token("runner-token");
    let runner = |flags: &[&str]| {
        let output = run(place
            .phalanx()
            .env("PHALANX_RUNNER_TOKEN", &token)
            .env("PHALANX_DATA_DIRECTORY", place.path("nowhere"))
            .args(["runner", "--server", &url, "--name", "r", "-j", "1"])
            .args(["--work-directory"])
            .arg(place.path("work"))
            .args(flags));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let jobs = place.json(&["job", "list", "--state", "succeeded"]);
        jobs.as_array().unwrap().len()
    };
    assert_eq!(runner(&["--max-jobs", "2"]), 2);
    assert_eq!(runner(&["--once"]), 3);
    assert_eq!(runner(&["--once"]), 3, "without work it ends at once");
}

/// Every write and sync from a certain one on fails, as on a disk that breaks or is full.
#[test]
fn a_failing_disk_ends_the_server_and_loses_nothing() {
    let traced = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    if !traced.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: without strace, or where it may not trace, the disk cannot be made to fail"
        );
        return;
    }
    let mut failed_at_work = 0;
    for (call, error, when) in [
        ("fsync", "EIO", 20),
        ("fsync", "EIO", 35),
        ("pwrite64", "EIO", 40),
        ("pwrite64", "ENOSPC", 60),
        ("pwrite64", "ENOSPC", 90),
    ] {
        let place = Place::new();
        let mut server = Command::new("strace");
        server
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:error={error}:when={when}+")]);
        let phalanx = place.phalanx();
        server.arg(phalanx.get_program()).args(["server", "--listen", "127.0.0.1:0"]);
        server.env_clear().envs(phalanx.get_envs().filter_map(|(k, v)| Some((k, v?))));
        let mut server = place.spawn(&mut server);
        let url = eventually("the server serves or ends", || {
            if server.child.try_wait().unwrap().is_some() {
                return Some(None);
            }
            let file = std::fs::read(place.path("data/server.json")).ok()?;
            let live: serde_json::Value = serde_json::from_slice(&file).ok()?;
            Some(Some(live["url"].as_str()?.to_owned()))
        });
        // A disk that fails at the start is a server that does not start.
        let Some(url) = url else { continue };
        let headers = format!(
            "Authorization: Bearer {}\r\nContent-Type: application/json\r\n",
            place.token("token")
        );
        let mut accepted = Vec::new();
        while server.child.try_wait().unwrap().is_none() {
            assert!(accepted.len() < 500, "{call} does not fail");
            let body = r#"{"queue":"q","count":1}"#;
            let answer = request(&url, "POST", "/api/v1/jobs", &headers, body);
            let created = answer.and_then(|(_, body)| {
                serde_json::from_str::<serde_json::Value>(&body).ok()?["firstJob"].as_u64()
            });
            accepted.extend(created);
        }
        assert_eq!(server.child.wait().unwrap().code(), Some(70), "{call} {error} {when}");
        failed_at_work += 1;
        let (_server, _) = place.server(&[]);
        for job in accepted {
            let detail = place.json(&["job", "show", &job.to_string()]);
            assert_eq!(detail["state"], "queued", "{call} {error} {when}: job {job}");
        }
    }
    assert!(failed_at_work > 0, "no disk failed while the server worked");
}
