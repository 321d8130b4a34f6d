//! Whole jobs: results, failures, cache, outputs, mounts, workspaces.

use std::collections::BTreeMap;

use model::{Outcome, TimeoutKind};
use runner::job::*;
use spec::{Condition, EnvVar, Mount, OutputRule, Run};

use crate::world::*;

#[tokio::test]
async fn a_job_leaves_a_patch() {
    let world = World::new();
    let repository =
        Repository::new(&[("a.txt", "one\ntwo\n"), ("gone", "x\n"), ("old", "same\nsame\nsame\n")]);
    let steps = vec![
        sh("echo three >> a.txt; rm gone; mv old new; mkdir d; echo n > d/n; echo done"),
        argv(&["echo", "$HOME"]),
    ];
    let ended = world.succeed(&order(&repository, steps)).await;
    assert_eq!(ended.result.changed.modified, ["a.txt"]);
    assert_eq!(ended.result.changed.added, ["d/n"]);
    assert_eq!(ended.result.changed.deleted, ["gone"]);
    assert_eq!(ended.result.changed.renamed, ["new"]);
    assert_eq!(ended.result.diff_stat, DiffStat { files: 4, added: 2, deleted: 1 });
    assert!(ended.patch().contains("+three\n") && ended.patch().contains("rename to new\n"));
    assert_eq!(ended.lines("out"), ["done", "$HOME"]);
    let states: Vec<StepState> = ended.result.steps.iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Succeeded, StepState::Succeeded]);
}

#[tokio::test]
async fn nothing_changed_is_an_empty_patch_and_no_repository_is_none() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x")]);
    let ended = world.succeed(&order(&repository, vec![sh("true")])).await;
    assert_eq!(ended.result.patch.as_deref(), Some(&b""[..]));
    let without = JobOrder {
        checkout: None,
        ..order(&repository, vec![sh("ls -A; echo x > f"), sh("cat f")])
    };
    let ended = world.succeed(&without).await;
    assert_eq!(ended.result.patch, None);
    assert_eq!(ended.lines("out"), ["x"]);
}

#[tokio::test]
async fn a_failing_step_ends_the_job_and_says_where() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x")]);
    let ended = world
        .run(&order(&repository, vec![sh("echo 1 > a"), sh("\n  exit 3\n"), sh("echo never")]))
        .await;
    assert_eq!(ended.result.outcome, Outcome::Failed { exit: 3 });
    assert_eq!(ended.result.message.as_deref(), Some("step 2 failed with exit code 3: exit 3"));
    assert_eq!(ended.result.patch, None);
    let states: Vec<StepState> = ended.result.steps.iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Succeeded, StepState::Failed, StepState::NotRun]);
    // The step before it is kept all the same.
    let again = world.run(&order(&repository, vec![sh("echo 1 > a"), sh("cat a")])).await;
    assert_eq!(again.result.steps[0].state, StepState::Cached);
    assert_eq!(again.lines("out"), ["1"]);
    let ended = world.run(&order(&repository, vec![sh("kill -9 $$")])).await;
    assert_eq!(ended.result.outcome, Outcome::Failed { exit: 137 });
    let ended = world.run(&order(&repository, vec![argv(&["no-such-program"])])).await;
    assert_eq!(ended.result.outcome, Outcome::Failed { exit: 127 });
    assert!(ended.lines("err")[0].contains("no-such-program"), "{}", ended.log);
}

#[tokio::test]
async fn the_cache_is_used_as_far_as_it_goes() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x\n")]);
    let first = sh("echo hello; printf 'bytes \\xff\\r\\n' >> a; ln -s a link; chmod +x a");
    let second = sh("test $(echo \"${{ previous_step.stdout }}\") = hello && echo second >> a");
    let steps = vec![first.clone(), second.clone()];
    let cold = world.succeed(&order(&repository, steps.clone())).await;
    // Nothing is checked out for it: the repository may even be gone.
    let mut warm = order(&repository, steps.clone());
    warm.checkout.as_mut().unwrap().source = RepositorySource::Local("/nonexistent".into());
    let warm = world.succeed(&warm).await;
    assert!(warm.result.steps.iter().all(|step| step.state == StepState::Cached));
    assert_eq!(warm.result.patch, cold.result.patch);
    assert_eq!(warm.result.changed, cold.result.changed);
    assert_eq!(warm.result.diff_stat, cold.result.diff_stat);
    assert_eq!(warm.result.outputs, cold.result.outputs);

    // Another second step: the first comes from the cache, and its changes are there.
    let third = sh("cat a | od -c | head -2; test -L link && test -x a && echo third >> a");
    let partial = world.succeed(&order(&repository, vec![first.clone(), third.clone()])).await;
    assert_eq!(partial.result.steps[0].state, StepState::Cached);
    assert_eq!(partial.result.steps[1].state, StepState::Succeeded);
    let mut fresh = order(&repository, vec![first.clone(), third]);
    fresh.use_cache = false;
    let fresh = world.succeed(&fresh).await;
    assert_eq!(fresh.result.steps[0].state, StepState::Succeeded);
    assert_eq!(fresh.result.patch, partial.result.patch);

    // A patch that nobody has any more, or that does not apply, costs a run and not the job.
    let other = sh("cat a > b");
    for damaged in [
        None,
        Some(b"diff --git a/none b/none\n--- a/none\n+++ b/none\n@@ -1 +1 @@\n-x\n+y\n".to_vec()),
    ] {
        match damaged {
            None => world.server.blobs.lock().clear(),
            Some(bytes) => {
                let bytes: Vec<u8> = bytes;
                world.server.blobs.lock().values_mut().for_each(|blob| *blob = bytes.clone());
            }
        }
        world.server.cache.lock().retain(|_, step| !step.files.added.contains(&"b".to_owned()));
        let again = world.succeed(&order(&repository, vec![first.clone(), other.clone()])).await;
        assert!(
            again.result.steps.iter().all(|step| step.state == StepState::Succeeded),
            "{}",
            again.log
        );
        assert_eq!(again.result.changed.added, ["b", "link"]);
    }
}

#[tokio::test]
async fn another_commit_is_another_key() {
    let world = World::new();
    let mut repository = Repository::new(&[("a", "x\n")]);
    world.succeed(&order(&repository, vec![sh("cat a")])).await;
    std::fs::write(repository.path().join("a"), "y\n").unwrap();
    repository.commit();
    let ended = world.succeed(&order(&repository, vec![sh("cat a")])).await;
    assert_eq!(ended.lines("out"), ["y"]);
}

#[tokio::test]
async fn conditions_outputs_environment_and_files() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x\n")]);
    let mut first = sh("echo from-$NAME; cat /tmp/in/file; echo err >&2");
    first.env = vec![EnvVar { name: "NAME".into(), value: Some("${{ repository.name }}".into()) }];
    first.files = BTreeMap::from([("/tmp/in/file".into(), "in ${{ repository.name }}\n".into())]);
    first.outputs = BTreeMap::from([(
        "out".into(),
        OutputRule { value: "${{ step.stdout }}".into(), format: Default::default() },
    )]);
    let mut second = sh("echo never");
    second.r#if = Condition::Template("false".into());
    let third = sh("echo 'again: ${{ outputs.out }}'");
    let ended = world.succeed(&order(&repository, vec![first, second, third])).await;
    assert_eq!(ended.result.steps[1].state, StepState::Skipped);
    assert_eq!(ended.result.outputs["out"], "from-example.com/o/r\nin example.com/o/r\n");
    assert!(ended.out().contains("again: from-example.com/o/r"), "{}", ended.log);
    assert_eq!(ended.lines("err"), ["err"]);
}

#[tokio::test]
async fn mounts_are_read_only_and_where_they_should_be() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x\n")]);
    let put = async |text: &str| world.server.blob_put(text.as_bytes().to_vec()).await.unwrap();
    let mounts = vec![
        MountFile {
            path: "tools/run.sh".into(),
            digest: put("#!/bin/sh\necho ran \"$@\"\n").await,
            executable: true,
        },
        MountFile { path: "tools/lib/data".into(), digest: put("data\n").await, executable: false },
    ];
    let mount = |path: &str, at: &str| Mount {
        path: path.into(),
        mountpoint: at.into(),
        at: Default::default(),
    };
    let mut step =
        sh("/tmp/run.sh 1; cat /scripts/tools/lib/data; echo x >> /tmp/run.sh || echo read-only");
    step.mount = vec![mount("./tools/run.sh", "/tmp/run.sh"), mount("tools/", "/scripts/tools")];
    let ended = world.succeed(&JobOrder { mounts, ..order(&repository, vec![step.clone()]) }).await;
    assert_eq!(ended.lines("out"), ["ran 1", "data", "read-only"]);
    // Not sent: a sentence.
    let ended = world.run(&order(&repository, vec![step])).await;
    assert!(matches!(ended.result.outcome, Outcome::Rejected { .. }));
    assert!(ended.result.message.unwrap().contains("tools/run.sh"));
}

#[tokio::test]
async fn only_the_workspace_is_checked_out_and_the_rest_is_not_deleted() {
    let world = World::new();
    let files = [
        ("top", "x"),
        (".gitignore", "*.log\n"),
        ("p/.gitattributes", "* text\n"),
        ("p/q/code", "code\n"),
        ("p/other/file", "x"),
        ("p/q[1]/x", "x"),
    ];
    let repository = Repository::new(&files);
    let step = sh(
        "pwd | sed s,.*/p/,p/,; cd \"$(git rev-parse --show-toplevel)\"; find . -path ./.git -prune -o -type f -print | sort; echo new > p/q/new; echo l > x.log; git status --short",
    );
    let narrow = JobOrder {
        path: "p/q".into(),
        only_fetch_workspace: true,
        ..order(&repository, vec![step.clone()])
    };
    let ended = world.succeed(&narrow).await;
    let out = ended.lines("out");
    assert_eq!(
        out,
        ["p/q", "./.gitignore", "./p/.gitattributes", "./p/q/code", "?? p/q/new"],
        "{}",
        ended.log
    );
    assert_eq!(ended.result.changed.added, ["p/q/new"]);
    assert_eq!(ended.result.diff_stat.files, 1);
    let wide = JobOrder { path: "p/q".into(), ..order(&repository, vec![step.clone()]) };
    let ended = world.succeed(&wide).await;
    assert!(ended.lines("out").contains(&"./top"));
    let none = JobOrder { path: "p/none".into(), ..order(&repository, vec![step]) };
    let ended = world.run(&none).await;
    assert!(ended.result.message.unwrap().contains("no folder `p/none`"));
}

#[tokio::test]
async fn ignored_but_tracked_files_are_compared_and_new_ignored_ones_are_not() {
    let world = World::new();
    let repository = Repository::new(&[
        (".gitignore", "*.gen\nbuild/\n"),
        ("kept.gen", "1\n"),
        ("build/x", "1\n"),
    ]);
    let ended = world
        .succeed(&order(
            &repository,
            vec![sh("echo 2 > kept.gen; rm build/x; echo 3 > new.gen; echo 4 > build/y")],
        ))
        .await;
    assert_eq!(ended.result.changed.modified, ["kept.gen"]);
    assert_eq!(ended.result.changed.deleted, ["build/x"]);
    assert!(ended.result.changed.added.is_empty());
}

#[tokio::test]
async fn what_cannot_be_run_is_explained() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x")]);
    let why = async |order: JobOrder| match world.run(&order).await.result.outcome {
        Outcome::Rejected { why } => why.to_string(),
        other => panic!("{other:?}"),
    };
    let mut missing = order(&repository, vec![sh("true")]);
    missing.checkout.as_mut().unwrap().commit = "0123456789012345678901234567890123456789".into();
    assert!(why(missing).await.contains("has no commit 0123456789"));
    let mut bad = order(&repository, vec![sh("true")]);
    bad.checkout.as_mut().unwrap().commit = "--upload-pack=x".into();
    assert!(why(bad).await.contains("is not a commit"));
    let mut step = sh("true");
    step.container = Some("alpine:3".into());
    let container = order(&repository, vec![step]);
    assert!(why(container.clone()).await.contains("--runtime process"));
    let ended = world.succeed(&JobOrder { runtime: RuntimeChoice::Process, ..container }).await;
    assert_eq!(ended.lines("---").iter().filter(|line| line.contains("not used")).count(), 1);
    let outside = JobOrder { path: "../..".into(), ..order(&repository, vec![sh("true")]) };
    assert!(why(outside).await.contains("is not a path in a repository"));
    let template = order(&repository, vec![sh("${{ no_such_thing }}")]);
    assert!(why(template).await.contains("step 1"));
}

#[tokio::test]
async fn time_runs_out_for_steps_and_for_jobs() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x")]);
    let mut slow = sh("echo began; sleep 60");
    slow.timeout_ms = Some(300);
    let ended = world.run(&order(&repository, vec![slow.clone()])).await;
    assert_eq!(ended.result.outcome, Outcome::TimedOut { which: TimeoutKind::Step });
    assert_eq!(ended.result.steps[0].state, StepState::TimedOut);
    assert!(ended.out().contains("began"));
    slow.timeout_ms = None;
    let ended =
        world.run(&JobOrder { job_timeout_ms: Some(300), ..order(&repository, vec![slow]) }).await;
    assert_eq!(ended.result.outcome, Outcome::TimedOut { which: TimeoutKind::Job });
}

#[tokio::test]
async fn secrets_do_not_reach_the_log_the_outputs_or_the_message() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x")]);
    let mut step = sh("printf \"%s\" \"$TOKEN\" | base64; echo $TOKEN; echo $TOKEN >&2");
    step.env = vec![EnvVar { name: "TOKEN".into(), value: Some("s3cret-value-1".into()) }];
    step.outputs = BTreeMap::from([(
        "o".into(),
        OutputRule { value: "${{ step.stdout }}".into(), format: Default::default() },
    )]);
    let bad = Run::Shell("exit 4 # s3cret-value-1".into());
    let steps = vec![step, spec::Step { run: bad, ..sh("") }];
    let secrets = vec![("TOKEN".to_owned(), "s3cret-value-1".to_owned())];
    let ended = world.run(&JobOrder { secrets, ..order(&repository, steps) }).await;
    assert_eq!(ended.result.outcome, Outcome::Failed { exit: 4 });
    let cached = format!("{:?}", world.server.cache.lock());
    let all = format!("{:?} {} {cached}", ended.result, ended.log);
    assert!(!all.contains("s3cret") && !all.contains("czNjcmV0LXZhbHVl"), "{all}");
    assert!(all.contains("***"));
}

#[tokio::test]
async fn a_crashed_runners_folders_are_removed_and_two_runners_do_not_share() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let first = runner::steps::Directories::open(&work).unwrap();
    let refused = runner::steps::Directories::open(&work).unwrap_err();
    assert!(refused.to_string().contains("another runner"), "{refused}");
    std::fs::create_dir_all(work.join("jobs/job-7-attempt-1/tree/x")).unwrap();
    drop(first);
    runner::steps::Directories::open(&work).unwrap();
    assert!(std::fs::read_dir(work.join("jobs")).unwrap().next().is_none());
}

#[tokio::test]
async fn every_step_sees_the_repositorys_objects() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x\n")]);
    let look = || sh("git log --format=%s");
    let ended = world.succeed(&order(&repository, vec![look(), look()])).await;
    assert_eq!(ended.lines("out"), ["x", "x"]);
}

#[tokio::test]
async fn a_repository_cannot_show_its_jobs_another_folder() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x\n")]);
    let secret = tempfile::tempdir().unwrap();
    std::fs::write(secret.path().join("id_rsa"), "secret").unwrap();
    // A folder of its own name is not enough.
    let objects = secret.path().join("objects");
    std::fs::create_dir(&objects).unwrap();
    std::fs::write(secret.path().join("HEAD"), "").unwrap();
    std::fs::write(objects.join("id_rsa"), "secret").unwrap();
    let alternates = repository.path().join(".git/objects/info/alternates");
    let steal = format!("cat {0}/id_rsa {0}/objects/id_rsa", secret.path().display());
    for folder in [secret.path(), &objects] {
        std::fs::write(&alternates, format!("{}\n", folder.display())).unwrap();
        let ended = world.run(&order(&repository, vec![sh(&steal)])).await;
        assert!(matches!(ended.result.outcome, Outcome::Rejected { .. }), "{:?}", ended.result);
        assert!(ended.result.message.unwrap().contains("not a folder of git objects"));
        assert!(!ended.log.contains("secret\n"), "{}", ended.log);
    }
    // Real ones are shown.
    let other = Repository::new(&[("b", "y\n")]);
    std::fs::write(&alternates, format!("{}\n", other.path().join(".git/objects").display()))
        .unwrap();
    world
        .succeed(&order(&repository, vec![sh(&format!("git cat-file -e {}", other.commit))]))
        .await;
}

#[tokio::test]
async fn a_mounted_files_place_cannot_lead_out_of_the_sandbox() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x\n")]);
    let host = tempfile::tempdir().unwrap();
    let made = host.path().join("made");
    let link = sh(&format!("ln -s /.old{} /tmp/conf", host.path().display()));
    let with_file = |path: String| {
        let mut step = sh("true");
        step.files.insert(path, "x".to_owned());
        step
    };
    let through_a_link = vec![link, with_file("/tmp/conf/made".to_owned())];
    let direct = vec![with_file(format!("/.old{}", made.display()))];
    for steps in [through_a_link, direct] {
        let ended = world.run(&order(&repository, steps)).await;
        if ended.result.outcome == Outcome::Succeeded {
            // A host without mount namespaces has no such place.
            assert!(ended.log.contains("not available: private root"), "{}", ended.log);
        }
        assert!(!made.exists(), "{}", ended.log);
    }
}
