//! What a job can see and do of the host.

use model::Outcome;
use runner::job::*;
use runner::runtime::process::Without;

use crate::world::*;

#[tokio::test]
async fn the_probe_says_what_it_got() {
    let world = World::new();
    let got = world.process.probe().await.unwrap();
    println!("{got}");
    assert!(got.to_string().starts_with("process sandbox: "));
    assert!(got.no_new_privileges);
}

/// Whether this host gives all that the test needs; prints why not.
async fn full_sandbox(world: &World) -> bool {
    let got = world.process.probe().await.unwrap();
    let full = got.pid_namespace && got.private_root && got.landlock.is_some();
    if !full {
        eprintln!("skipped: this host does not give the whole sandbox: {got}");
    }
    full
}

#[tokio::test]
async fn a_job_sees_only_its_own() {
    let world = World::new();
    if !full_sandbox(&world).await {
        return;
    }
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "host-secret").unwrap();
    let repository = Repository::new(&[("a", "x")]);
    let text = format!(
        "cat {0} && echo READ
        ls {1}/work/mirrors && echo READ
        find {1} -name base.git | grep . && echo READ
        ls /root/.ssh /root/.config /root/.gitconfig && echo READ
        cat /etc/shadow | grep : && echo READ
        ls /run/docker.sock /var/run/docker.sock && echo READ
        cat /proc/1/environ | tr '\\0' '\\n' | grep = && echo READ
        ls /proc/1/root/ && echo READ
        head -c1 /dev/vda && echo READ
        mount -t tmpfs x /tmp && echo DID
        unshare -m true && echo DID
        mknod /tmp/n b 254 0 && echo DID
        echo x > /etc/x && echo DID
        echo x > /usr/x && echo DID
        echo x > /x && echo DID
        echo 1 > /proc/sys/kernel/panic && echo DID
        echo b > /proc/sysrq-trigger && echo DID
        hostname other && echo DID
        touch /sys/x && echo DID
        true",
        secret.path().display(),
        world.folder.path().display()
    );
    let ended = world.succeed(&order(&repository, vec![sh(&text)])).await;
    assert!(!ended.out().contains("READ") && !ended.out().contains("DID"), "{}", ended.log);
    assert!(!ended.log.contains("host-secret"));
}

#[tokio::test]
async fn a_job_has_what_it_needs() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x")]);
    let text = r#"set -e
        echo "$HOME $TMPDIR $USER $LANG $PWD"
        touch ~/h /tmp/t "$TMPDIR/u" /dev/shm/s b
        echo x > /dev/null; head -c 4 /dev/urandom > /dev/null; test -c /dev/tty
        echo to-stderr > /dev/stderr
        mkdir d; mv b d/b; ln d/b d/c; test $(id -u) != 0 || chown 1:1 d/b
        git log -1 --format=%s; git status --short; git rev-parse --abbrev-ref HEAD
        getent hosts localhost > /dev/null || true
        ps ax | wc -l > /dev/null || true
        ls /proc | grep -c '^[0-9]*$' > procs
        test "$(cat procs)" -lt 10
        ulimit -c
        env | cut -d= -f1 | sort | tr '\n' ' '"#;
    let ended = world.succeed(&order(&repository, vec![sh(text)])).await;
    let out = ended.lines("out");
    println!("{}", ended.log);
    assert!(out.contains(&"x") && out.contains(&"?? d/") && out.contains(&"main"), "{}", ended.log);
    assert_eq!(ended.lines("err"), ["to-stderr"]);
    let names = out.last().unwrap();
    for name in names.split_whitespace() {
        let known = ["HOME", "LANG", "PATH", "PWD", "RUSTUP_HOME", "SHLVL", "TMPDIR", "USER", "_"];
        assert!(known.contains(&name), "{name} in {names}");
    }
}

#[tokio::test]
async fn without_a_mount_namespace_landlock_still_guards() {
    let mut world = World::new();
    world.process.without = Without { mount_namespace: true, ..Default::default() };
    if world.process.probe().await.unwrap().landlock.is_none() {
        eprintln!("skipped: no Landlock in this kernel");
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "host-secret").unwrap();
    let repository = Repository::new(&[("a", "x")]);
    let text = format!(
        "cat {0}/secret; echo x > {0}/new && echo DID; ls {1}/base.git && echo DID; echo y > a; touch ~/h $TMPDIR/t; git status --short",
        outside.path().display(),
        world.folder.path().join("work/jobs/job-1-attempt-1").display(),
    );
    let ended = world.succeed(&order(&repository, vec![sh(&text)])).await;
    assert!(!ended.log.contains("host-secret") && !ended.out().contains("DID"), "{}", ended.log);
    assert_eq!(ended.result.changed.modified, ["a"]);
    assert!(ended.lines("---").iter().any(|line| line.contains("not available: private root")));
    let mut step = sh("true");
    step.files = [("/tmp/file".to_owned(), "x".to_owned())].into();
    let ended = world.run(&order(&repository, vec![step])).await;
    assert!(matches!(ended.result.outcome, Outcome::Rejected { .. }), "{}", ended.log);
}

#[tokio::test]
async fn no_network_is_no_network() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let repository = Repository::new(&[("a", "x")]);
    let text = format!(
        "cat < /dev/null > /dev/tcp/127.0.0.1/{port} && echo CONNECTED; tail -n +3 /proc/net/dev | cut -d: -f1"
    );
    let with = world.run(&order(&repository, vec![sh(&text)])).await;
    assert!(with.out().contains("CONNECTED"), "{}", with.log);
    let without = JobOrder {
        network: Network::None,
        use_cache: false,
        plain_log: false,
        ..order(&repository, vec![sh(&text)])
    };
    let without = world.run(&without).await;
    if matches!(without.result.outcome, Outcome::Rejected { .. }) {
        eprintln!("skipped: no network namespaces here: {:?}", without.result.message);
        return;
    }
    assert_eq!(
        without.lines("out").iter().map(|line| line.trim()).collect::<Vec<_>>(),
        ["lo"],
        "{}",
        without.log
    );
}

#[tokio::test]
async fn limits_hold_where_the_host_has_cgroups() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x")]);
    let limits = Limits { cpus: None, memory_bytes: Some(64 << 20), pids: Some(30) };
    let text = "for i in $(seq 60); do sleep 5 & done; echo unlimited";
    let ended = world.run(&JobOrder { limits, ..order(&repository, vec![sh(text)]) }).await;
    let sandbox = ended
        .lines("---")
        .into_iter()
        .find(|line| line.contains("process sandbox"))
        .unwrap()
        .to_owned();
    if !sandbox.contains("pids") || sandbox.contains("pids limit by cgroup") {
        eprintln!("skipped: {sandbox}");
        return;
    }
    assert!(ended.log.contains("fork"), "{}", ended.log);
    let text = "perl -e '$x = \"x\" x (256 << 20); print length $x'";
    let ended = world.run(&JobOrder { limits, ..order(&repository, vec![sh(text)]) }).await;
    assert!(matches!(ended.result.outcome, Outcome::Failed { .. }), "{}", ended.log);
}

#[tokio::test]
async fn output_arrives_whole_and_in_order() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x")]);
    let text = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; printf 'no end'; head -c 300000 /dev/zero | tr '\\0' z >&2";
    let ended = world.succeed(&order(&repository, vec![sh(text)])).await;
    let out = ended.lines("out");
    assert_eq!(out.len(), 3001);
    assert!((0..3000).all(|n| out[n] == format!("line {n}")));
    assert_eq!(out[3000], "no end");
    assert_eq!(ended.lines("err").iter().map(|piece| piece.len()).sum::<usize>(), 300_000);
}
