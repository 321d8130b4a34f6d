//! `phalanx exec`: patches, failures, retries, the cache, bad input.

use crate::support::{Place, TEMPLATE, eventually, report, run, text};

fn spec(steps: &str) -> String {
    format!("name: test\nsteps:\n{steps}{TEMPLATE}")
}

#[test]
fn good_results_are_kept_and_retry_runs_only_the_failed() {
    let place = Place::new();
    for number in 0..6 {
        place.repository(
            &format!("all/r{number}"),
            &[("README.md", "hello\n"), ("n", &number.to_string())],
        );
    }
    place.write("spec.yaml", &spec(
        "  - run: echo one >> README.md\n  - run: \"test $(cat n) != 3 || date +%s.%N && test $(cat n) != 3 || test -e /tmp/../work/never || exit 7\"\n  - run: echo three > new\n",
    ));
    let output = run(place.phalanx().args([
        "exec",
        "-f",
        "spec.yaml",
        "--repos-in",
        "all",
        "-o",
        "out",
        "-j",
        "3",
    ]));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let out = place.path("out");
    let first = report(&out);
    assert_eq!(first["state"], "failed");
    let jobs = first["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 6);
    for job in jobs {
        let name = job["repository"].as_str().unwrap();
        let patch = out.join(format!("{name}.patch"));
        if name == "r3" {
            assert_eq!(
                (job["state"].as_str(), job["exitCode"].as_i64()),
                (Some("failed"), Some(7)),
                "{job}"
            );
            assert!(job["error"].as_str().unwrap().contains("step 2"), "{job}");
            assert!(!patch.exists());
            continue;
        }
        assert_eq!(job["state"], "succeeded", "{job}");
        assert_eq!(job["diffStat"]["added"], 2, "{job}");
        place.git(&format!("all/{name}"), &["apply", patch.to_str().unwrap()]);
        assert_eq!(
            std::fs::read_to_string(place.path(&format!("all/{name}/new"))).unwrap(),
            "three\n"
        );
    }
    let id = first["execution"].to_string();
    let failed = jobs.iter().find(|job| job["repository"] == "r3").unwrap()["job"].to_string();
    let log = |attempt: &str| {
        let log = run(place.phalanx().args(["job", "logs", &failed, "--attempt", attempt]));
        assert!(log.status.success() && !log.stdout.is_empty(), "{}", text(&log.stderr));
        text(&log.stdout)
    };
    let before = log("1");
    let again = run(place.phalanx().args(["execution", "retry", &id, "-o", "out2"]));
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stderr));
    let second = report(&place.path("out2"));
    for job in second["jobs"].as_array().unwrap() {
        let attempts = if job["repository"] == "r3" { 2 } else { 1 };
        assert_eq!(job["attempts"], attempts, "{job}");
    }
    let detail = place.json(&["job", "show", &failed]);
    assert_eq!(detail["history"].as_array().unwrap().len(), 2, "history is kept: {detail}");
    assert_eq!(log("1"), before, "the first attempt's log is what it was");
    assert_ne!(log("2"), before);
}

#[test]
fn a_second_run_is_cached_and_no_cache_runs_again() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    place.write("spec.yaml", &spec("  - run: date +%N >> f\n  - run: 'true'\n"));
    let patch = |arguments: &[&str]| {
        let output =
            run(place.phalanx().args(["exec", "-f", "spec.yaml", "--repo", "r"]).args(arguments));
        assert!(output.status.success(), "{}", text(&output.stderr));
        (output.stdout, text(&output.stderr))
    };
    let (first, _) = patch(&[]);
    let (second, said) = patch(&[]);
    assert_eq!(first, second);
    assert!(said.contains("1 cached"), "{said}");
    let (third, said) = patch(&["--no-cache"]);
    assert_ne!(first, third);
    assert!(!said.contains("cached"), "{said}");
}

#[test]
fn a_mounted_file_is_known_by_its_content() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    let step =
        "  - run: sh /tmp/tool.sh\n    mount: [{path: ./tool.sh, mountpoint: /tmp/tool.sh}]\n";
    place.write("spec.yaml", &spec(step));
    let exec = || {
        let output = run(place.phalanx().args(["exec", "-f", "spec.yaml", "--repo", "r"]));
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let tool = place.write("tool.sh", "echo one >> f\n");
    let before = std::fs::metadata(&tool).unwrap().modified().unwrap();
    assert!(exec().contains("+one"));
    // As long as before, and as old.
    place.write("tool.sh", "echo two >> f\n");
    std::fs::File::options().write(true).open(&tool).unwrap().set_modified(before).unwrap();
    assert!(exec().contains("+two"));
}

#[test]
fn the_exit_code_says_what_went_wrong() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    place.write("good.yaml", &spec("  - run: echo y >> f\n"));
    place.write("bad.yaml", &spec("  - run: exit 9\n"));
    place.write("slow.yaml", &spec("  - run: sleep 30\n"));
    place.write("wrong.yaml", &spec("  - runn: x\n"));
    let (_server, url) = place.server(&[]);
    let _runner = place.runner(&url, "one", 1);
    let gone = "http://127.0.0.1:1";
    for (code, arguments) in [
        (0, &["-f", "good.yaml"][..]),
        (1, &["-f", "bad.yaml"]),
        (1, &["-f", "slow.yaml", "--timeout", "1s"]),
        (2, &["-f", "wrong.yaml"]),
        (2, &["-f", "none.yaml"]),
        (3, &["-f", "good.yaml", "--server", gone, "--token", "x"]),
        (3, &["-f", "good.yaml", "--server", &url, "--token", "phx_wrong"]),
    ] {
        let output = run(place.phalanx().args(["exec", "--repo", "r"]).args(arguments));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn workspaces_outputs_conditions_and_binary_files() {
    let place = Place::new();
    place.repository("mono", &[("a/b/go.mod", "b\n"), ("a/bc/go.mod", "bc\n"), ("other/x", "")]);
    place.write("spec.yaml", &format!(
        "name: test\nworkspaces:\n  - rootAtLocationOf: go.mod\nsteps:\n  - run: cat go.mod; printf '\\377\\000x' > bin\n    outputs:\n      module:\n        value: ${{{{ step.stdout }}}}\n  - run: echo \"${{{{ outputs.module }}}}${{{{ steps.path }}}}\" > seen\n    if: ${{{{ eq previous_step.stdout \"bc\\n\" }}}}\n{TEMPLATE}",
    ));
    let output =
        run(place.phalanx().args(["exec", "-f", "spec.yaml", "--repo", "mono", "-o", "out"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let all = report(&place.path("out"));
    let paths: Vec<&str> =
        all["jobs"].as_array().unwrap().iter().map(|job| job["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["a/b", "a/bc"]);
    for patch in ["mono--a-b.patch", "mono--a-bc.patch"] {
        place.git("mono", &["apply", place.path("out").join(patch).to_str().unwrap()]);
    }
    assert_eq!(std::fs::read(place.path("mono/a/b/bin")).unwrap(), b"\xff\0x");
    assert!(!place.path("mono/a/b/seen").exists());
    assert_eq!(std::fs::read_to_string(place.path("mono/a/bc/seen")).unwrap(), "bc\na/bc\n");
}

#[test]
fn bad_input_is_said_at_once_with_its_place_and_runs_nothing() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    for (name, content, arguments, wanted) in [
        (
            "keys.yaml",
            "name: x\nstepz: []\nsteps:\n  - runn: y\n".to_owned(),
            &["--repo", "r"][..],
            &["keys.yaml:2", "stepz", "keys.yaml:4", "runn"][..],
        ),
        ("branch.yaml", spec("  - run: 'true'\n"), &["--repo", "r", "--branch", "gone"], &["gone"]),
        (
            "missing.yaml",
            format!("name: x\non:\n  - repository: nowhere\nsteps:\n  - run: a\n{TEMPLATE}"),
            &[],
            &["missing.yaml:3", "nowhere"],
        ),
        (
            "template.yaml",
            spec("  - run: echo ${{ repository.nam }}\n"),
            &["--repo", "r"],
            &["template.yaml", "nam"],
        ),
        ("folder.yaml", spec("  - run: 'true'\n"), &["--repo", "/nonexistent"], &["/nonexistent"]),
        ("none.yaml", spec("  - run: 'true'\n"), &[], &["--repo"]),
        (
            "bomb.yaml",
            format!(
                "name: x\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n{}",
                spec("  - run: a\n")
            ),
            &["--repo", "r"],
            &["bomb.yaml"],
        ),
        (
            "huge.yaml",
            format!("name: x\n#{}\n", "x".repeat(5 * 1024 * 1024)),
            &["--repo", "r"],
            &["huge.yaml", "bytes"],
        ),
    ] {
        place.write(name, &content);
        let output = run(place.phalanx().args(["exec", "-f", name]).args(arguments));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        for wanted in wanted {
            assert!(said.contains(wanted), "{name}: no `{wanted}` in: {said}");
        }
    }
    let all = place.json(&["execution", "list"]);
    assert_eq!(all, serde_json::json!([]), "nothing was submitted");
}

#[test]
fn a_container_without_docker_says_what_to_do() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    place.write("spec.yaml", &spec("  - run: echo hi >> f\n    container: alpine:3\n"));
    let mut command = place.phalanx();
    // No engine is there, wherever this runs.
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let output = run(command.args(["exec", "-f", "spec.yaml", "--repo", "r"]));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Docker") && said.contains("--runtime process"), "{said}");
    let output = run(place.phalanx().args([
        "exec",
        "-f",
        "spec.yaml",
        "--repo",
        "r",
        "--runtime",
        "process",
    ]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("+hi"));
}

#[test]
fn changesets_are_split_and_what_cannot_be_rendered_is_said() {
    let place = Place::new();
    place.repository("r", &[("a/f", "x\n"), ("b/f", "x\n")]);
    let steps = "steps:\n  - run: echo y >> a/f; echo y >> b/f\n";
    place.write(
        "split.yaml",
        &format!(
            "name: split\n{steps}transformChanges:\n  group:\n    - directory: a\n      branch: only-a\n{TEMPLATE}"
        ),
    );
    let output =
        run(place.phalanx().args(["exec", "-f", "split.yaml", "--repo", "r", "-o", "out"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let all = report(&place.path("out"));
    let changesets = all["jobs"][0]["changesets"].as_array().unwrap().clone();
    let files: Vec<_> = changesets.iter().map(|one| one["files"].clone()).collect();
    assert_eq!(changesets.len(), 2, "{all}");
    assert!(files.contains(&serde_json::json!(["a/f"])), "{all}");
    assert!(files.contains(&serde_json::json!(["b/f"])), "{all}");

    place.write(
        "bad.yaml",
        &format!(
            "name: bad\n{steps}{}",
            TEMPLATE.replacen("title: ", "title: ${{ outputs.none }} ", 1)
        ),
    );
    let output = run(place.phalanx().args(["exec", "-f", "bad.yaml", "--repo", "r", "-o", "out"]));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("changesetTemplate.title"), "{said}");
    assert!(place.path("out/r.patch").is_file());
}

#[test]
fn what_a_killed_command_left_is_run_by_retry() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    place.write("spec.yaml", &spec("  - run: sleep 2; echo y >> f\n"));
    let mut exec =
        place.spawn(place.phalanx().args(["exec", "-f", "spec.yaml", "--repo", "r", "-o", "out"]));
    place.until_a_job_runs();
    exec.child.kill().unwrap();
    exec.child.wait().unwrap();
    let began = std::time::Instant::now();
    let output = run(place.phalanx().args(["execution", "retry", "1", "-o", "out"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    // Not after the whole lease of a runner that is known to be gone.
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(place.path("out/r.patch").is_file());
}

#[test]
fn a_runner_that_cannot_start_ends_the_command() {
    use std::os::unix::fs::OpenOptionsExt;
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    place.write("spec.yaml", &spec("  - run: echo y >> f\n"));
    std::fs::create_dir_all(place.path("data/work")).unwrap();
    let lock = place.path("data/work/lock");
    let lock =
        std::fs::File::options().create_new(true).write(true).mode(0o600).open(lock).unwrap();
    lock.lock().unwrap();
    let output = run(place.phalanx().args(["exec", "-f", "spec.yaml", "--repo", "r"]));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("in use by another runner"), "{said}");
}

#[test]
fn a_command_outlives_the_one_whose_server_it_used() {
    let place = Place::new();
    place.repository("r", &[("f", "x\n")]);
    for (name, wait) in [("short", "1"), ("long", "3")] {
        place.write(
            &format!("{name}.yaml"),
            &spec(&format!("  - run: sleep {wait}; echo {name} >> f\n")),
        );
    }
    let start = |name: &str| {
        let file = format!("{name}.yaml");
        place.spawn(
            place.phalanx().args(["exec", "-f", &file, "--repo", "r", "-o", name, "-j", "2"]),
        )
    };
    let mut short = start("short");
    eventually("the first serves", || place.path("data/server.json").exists().then_some(()));
    let mut long = start("long");
    assert!(short.child.wait().unwrap().success());
    assert!(long.child.wait().unwrap().success());
    for name in ["short", "long"] {
        let patch = std::fs::read_to_string(place.path(name).join("r.patch")).unwrap();
        assert!(patch.contains(&format!("+{name}")), "{patch}");
    }
}

#[test]
fn nothing_is_lost_without_a_word() {
    let place = Place::new();
    for name in ["all/a", "all/b"] {
        place.repository(name, &[("f", "x\n")]);
    }
    std::fs::create_dir(place.path("all/empty")).unwrap();
    place.git("all/empty", &["init", "-q"]);
    place.write("spec.yaml", &spec("  - run: echo y >> f\n"));
    // An empty repository among many is left out, and named.
    let run_all = |arguments: &[&str]| {
        run(place.phalanx().args(["exec", "-f", "spec.yaml", "--repos-in", "all"]).args(arguments))
    };
    let output = run_all(&["-o", "out"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("`empty`"), "{said}");
    // Patches that cannot be printed are an error; which is whose can be seen.
    let output = run_all(&[]);
    assert_eq!(text(&output.stdout).matches("# a@").count(), 1, "{}", text(&output.stdout));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = place.phalanx();
    let status =
        command.args(["exec", "-f", "spec.yaml", "--repos-in", "all"]).stdout(full).status();
    assert_eq!(status.unwrap().code(), Some(3));
    // Nobody reads what it says: the work is done all the same.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = place.phalanx();
    let arguments = ["exec", "-f", "spec.yaml", "--repos-in", "all", "-o", "quiet"];
    assert!(command.args(arguments).stderr(full).status().unwrap().success());
    assert!(place.path("quiet/b.patch").is_file());
    // Another spec's patches are not taken for this one's.
    let output =
        run(place.phalanx().args(["exec", "-f", "spec.yaml", "--repo", "all/b", "-o", "quiet"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!place.path("quiet/a.patch").exists() && place.path("quiet/b.patch").exists());
    // A folder that cannot be written is said before the work.
    let output = run_all(&["-o", "/proc/x"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn whoever_ends_the_command_cancels_its_jobs() {
    use nix::sys::signal::{Signal, kill};
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let place = Place::new();
        place.repository("r", &[("f", "x\n")]);
        place.write("spec.yaml", &spec("  - run: sleep 300\n"));
        let mut exec = place.spawn(place.phalanx().args([
            "exec",
            "-f",
            "spec.yaml",
            "--repo",
            "r",
            "-o",
            "out",
        ]));
        eventually("the first serves", || place.path("data/server.json").exists().then_some(()));
        place.until_a_job_runs();
        kill(nix::unistd::Pid::from_raw(exec.child.id() as i32), signal).unwrap();
        assert_eq!(exec.child.wait().unwrap().code(), Some(130), "{signal}");
        assert_eq!(report(&place.path("out"))["jobs"][0]["state"], "killed", "{signal}");
    }
}
