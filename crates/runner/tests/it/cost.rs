//! What a trivial job costs, beside the same by hand: `cargo test -p runner --release --test it cost -- --ignored --nocapture`.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use runner::job::JobOrder;
use runner::workspace::git::STARTED;

use crate::world::*;

const TREES: usize = 60;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
#[ignore = "a measurement"]
async fn a_trivial_job_over_500_files() {
    let files: Vec<(String, String)> = (0..510)
        .map(|n| (format!("d{}/f{n}.txt", n % 30), format!("line {n}\n").repeat(12_000 / 8)))
        .collect();
    let files: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repository = Repository::new(&files);
    git(repository.path(), &["gc", "-q"]);
    let world = World::new();
    let order = |n: usize| {
        let mut order = order(&repository, vec![sh("echo changed >> d1/f1.txt")]);
        order.job = n as u64;
        order.use_cache = false;
        order
    };
    world.succeed(&order(0)).await;
    let (mut ours, mut by_hand, mut cached) = (Vec::new(), Vec::new(), Vec::new());
    let scratch = tempfile::tempdir().unwrap();
    let before = STARTED.load(Ordering::Relaxed);
    for n in 0..TREES {
        let started = Instant::now();
        world.succeed(&order(n)).await;
        ours.push(started.elapsed());

        let started = Instant::now();
        let tree = scratch.path().join("tree");
        let tree = tree.to_str().unwrap();
        git(
            scratch.path(),
            &["clone", "-q", "--shared", repository.path().to_str().unwrap(), tree],
        );
        let step = std::process::Command::new("bash")
            .args(["-c", "echo changed >> d1/f1.txt"])
            .current_dir(tree)
            .status();
        assert!(step.unwrap().success());
        assert!(!git(tree.as_ref(), &["diff", "--binary"]).is_empty());
        std::fs::remove_dir_all(tree).unwrap();
        by_hand.push(started.elapsed());
    }
    let processes = (STARTED.load(Ordering::Relaxed) - before) as f64 / TREES as f64;
    for n in 0..TREES {
        let warm = JobOrder { use_cache: true, ..order(n) };
        let started = Instant::now();
        world.succeed(&warm).await;
        cached.push(started.elapsed());
    }
    println!(
        "510 files, {TREES} trees, median: job {:?}, clone + step + diff + rm {:?}, cached job {:?}; git processes per job {processes}",
        median(ours),
        median(by_hand),
        median(cached)
    );
}
