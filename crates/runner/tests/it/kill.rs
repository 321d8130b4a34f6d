//! Nothing of a job outlives it: not after a cancel, not after a normal end, not after the death of the runner.

use std::time::{Duration, Instant};

use model::Outcome;
use runner::runtime::process::Without;
use spec::EnvVar;
use tokio_util::sync::CancellationToken;

use crate::world::*;

const NO_NAMESPACE: Without =
    Without { pid_namespace: true, mount_namespace: false, landlock: false };
const NOTHING: Without = Without { pid_namespace: true, mount_namespace: true, landlock: true };

/// Starts processes that do not want to die: five of them with the mark in their environment.
const STUBBORN: &str = r#"
(setsid bash -c 'trap "" TERM HUP INT; while :; do sleep 1; done' >/dev/null 2>&1 &)
perl -e 'use POSIX; if (fork) { exit } setsid(); if (fork) { exit } $SIG{TERM} = "IGNORE"; sleep 1 while 1' &
bash -c 'trap "" TERM; while :; do sleep 1; done' &
trap '' TERM
echo ready
while :; do sleep 1; done
"#;

fn step(mark: &str, text: &str) -> spec::Step {
    let mut step = sh(text);
    step.env = vec![EnvVar { name: "PHALANX_MARK".into(), value: Some(mark.to_owned()) }];
    step
}

fn mark(name: &str) -> (String, String) {
    let value = format!("{name}-{}", std::process::id());
    (value.clone(), format!("PHALANX_MARK={value}"))
}

async fn a_cancel_kills_all(name: &str, without: Without) {
    let mut world = World::new();
    world.process.without = without;
    let repository = Repository::new(&[("a", "x")]);
    let (value, mark) = mark(name);
    let order = order(&repository, vec![step(&value, STUBBORN)]);
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let killer = async {
        eventually("all have started", Duration::from_secs(20), || marked(&mark).len() >= 4).await;
        stop.cancel();
        Instant::now()
    };
    let (ended, canceled) = tokio::join!(world.run_until(&order, cancel), killer);
    let took = canceled.elapsed();
    assert_eq!(ended.result.outcome, Outcome::Killed);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(marked(&mark), Vec::<i32>::new());
}

#[tokio::test]
async fn a_cancel_kills_the_whole_tree() {
    a_cancel_kills_all("cancel", Without::default()).await;
}

#[tokio::test]
async fn a_cancel_kills_the_whole_tree_without_a_namespace() {
    a_cancel_kills_all("cancel-bare", NO_NAMESPACE).await;
}

async fn leftovers(name: &str, without: Without) {
    let mut world = World::new();
    world.process.without = without;
    let repository = Repository::new(&[("a", "x")]);
    let (value, mark) = mark(name);
    // They hold the output, too.
    let text = "(setsid sleep 1000 &); nohup sleep 1001 & (trap '' TERM; sleep 1002) & echo done";
    let started = Instant::now();
    let ended = world.succeed(&order(&repository, vec![step(&value, text)])).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(ended.lines("out"), ["done"]);
    assert_eq!(marked(&mark), Vec::<i32>::new());
}

#[tokio::test]
async fn what_a_step_leaves_running_is_killed() {
    leftovers("left", Without::default()).await;
}

#[tokio::test]
async fn what_a_step_leaves_running_is_killed_without_any_isolation() {
    leftovers("left-bare", NOTHING).await;
}

#[tokio::test]
async fn a_step_may_end_politely() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x")]);
    let mut step =
        sh("trap 'echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    step.timeout_ms = Some(400);
    let ended = world.run(&order(&repository, vec![step])).await;
    assert_eq!(ended.lines("out"), ["ready", "cleaned up"], "{}", ended.log);
    assert!(matches!(ended.result.outcome, Outcome::TimedOut { .. }));
}

#[tokio::test]
async fn a_job_cannot_kill_its_own_supervision() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x")]);
    let ended = world
        .succeed(&order(&repository, vec![sh("kill -9 1 2>/dev/null; kill -TERM 1; echo alive")]))
        .await;
    assert_eq!(ended.lines("out"), ["alive"]);
}

#[tokio::test]
async fn the_death_of_the_runner_kills_its_jobs() {
    let (value, mark) = mark("death");
    let mut runner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::helper_runs_for_ever", "--ignored", "--nocapture"])
        .env("HELPER_MARK", &value)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("all have started", Duration::from_secs(20), || marked(&mark).len() >= 4).await;
    // SIGKILL: it cannot clean up.
    runner.kill().unwrap();
    runner.wait().unwrap();
    eventually("all are gone", Duration::from_secs(5), || marked(&mark).is_empty()).await;
}

/// Not a test: the runner that the test above kills.
#[tokio::test]
#[ignore = "runs for ever; started by another test"]
async fn helper_runs_for_ever() {
    let Ok(value) = std::env::var("HELPER_MARK") else { return };
    let world = World::new();
    let repository = Repository::new(&[("a", "x")]);
    let mut order = order(&repository, vec![step(&value, STUBBORN)]);
    order.step_timeout_ms = None;
    order.job_timeout_ms = None;
    world.run(&order).await;
}
