//! Steps in containers, with a real Docker engine. Without one, or without busybox to make an image of, each test says so and
//! passes.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::errors::Error::DockerResponseServerError;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptions, ListContainersOptions, RemoveContainerOptions,
    TagImageOptions,
};
use futures::StreamExt;
use parking_lot::Mutex;
use runner::job::{Limits, Network};
use runner::runtime::docker::DockerRuntime;
use runner::runtime::*;
use tokio_util::sync::CancellationToken;

const IMAGE: &str = "phalanx-busybox:test";
const APPLETS: &str = "sh sleep cat kill ps id touch ls echo env pwd mkdir rm chown chmod stat true false head seq printf";

#[derive(Default)]
struct Output(Mutex<(String, String)>);

impl OutputSink for Output {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        match stream {
            Stream::Stdout => self.0.lock().0.push_str(&text),
            Stream::Stderr => self.0.lock().1.push_str(&text),
        }
    }
}

/// An engine, its image, and the folders of one job.
struct Ground {
    docker: Docker,
    factory: Arc<dyn RuntimeFactory>,
    image: ImageRef,
    folder: tempfile::TempDir,
    label: String,
    cancel: CancellationToken,
    output: Output,
}

impl Ground {
    async fn new(label: &str) -> Option<Self> {
        let Some(factory) = DockerRuntime::detect().await else {
            eprintln!("skipped: {}", DockerRuntime::version().await.unwrap_err());
            return None;
        };
        let docker = Docker::connect_with_unix_defaults().unwrap();
        let docker = docker.negotiate_version().await.unwrap();
        if !import(&docker, IMAGE, &[]).await {
            return None;
        }
        let image = factory.resolve(IMAGE).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        for part in ["tree/sub", "scratch/home", "scratch/tmp"] {
            std::fs::create_dir_all(folder.path().join(part)).unwrap();
        }
        let label = format!("{label}-{}", std::process::id());
        let (cancel, output) = Default::default();
        Some(Self { docker, factory, image, folder, label, cancel, output })
    }

    fn options(&self) -> SandboxOptions {
        SandboxOptions {
            work_tree: self.folder.path().join("tree"),
            scratch: self.folder.path().join("scratch"),
            readable: Vec::new(),
            network: Network::Host,
            limits: Limits::default(),
            label: self.label.clone(),
            cancel: self.cancel.clone(),
            kill_grace_ms: 1000,
        }
    }

    async fn open(&self) -> Box<dyn Sandbox> {
        self.open_with(self.options()).await
    }

    async fn open_with(&self, options: SandboxOptions) -> Box<dyn Sandbox> {
        self.factory.open(options, Some(&self.image)).await.unwrap()
    }

    /// Runs `text` by the shell; what it wrote replaces what was there.
    async fn sh(&self, sandbox: &mut Box<dyn Sandbox>, text: &str) -> Exit {
        self.run(sandbox, &sh(text)).await
    }

    async fn run(&self, sandbox: &mut Box<dyn Sandbox>, command: &Command) -> Exit {
        *self.output.0.lock() = Default::default();
        sandbox.run(command, &self.output).await.unwrap()
    }

    fn out(&self) -> String {
        self.output.0.lock().0.clone()
    }

    fn err(&self) -> String {
        self.output.0.lock().1.clone()
    }

    async fn containers(&self) -> Vec<ContainerInspectResponse> {
        let filter = format!("phalanx.label={}", self.label);
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![filter])])),
            ..Default::default()
        };
        let mut all = Vec::new();
        for found in self.docker.list_containers(Some(options)).await.unwrap() {
            match self.docker.inspect_container(&found.id.unwrap(), None).await {
                // It was removed just now.
                Err(DockerResponseServerError { status_code: 404, .. }) => {}
                found => all.push(found.unwrap()),
            }
        }
        all
    }
}

fn sh(text: &str) -> Command {
    Command {
        argv: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
        env: Vec::new(),
        directory: String::new(),
        mounts: BTreeMap::new(),
        timeout_ms: Some(60_000),
    }
}

/// Makes an image of busybox if it is not here yet.
async fn import(docker: &Docker, name: &str, changes: &[&str]) -> bool {
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    if docker.inspect_image(name).await.is_ok() {
        return true;
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
    let Some(busybox) = busybox.iter().find(|path| path.exists()) else {
        eprintln!("skipped: there is no busybox to make an image of (package busybox-static)");
        return false;
    };
    let root = tempfile::tempdir().unwrap();
    for part in ["bin", "etc", "tmp", "home"] {
        std::fs::create_dir(root.path().join(part)).unwrap();
    }
    std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::copy(busybox, root.path().join("bin/busybox")).unwrap();
    std::fs::write(root.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
    for applet in APPLETS.split(' ') {
        std::os::unix::fs::symlink("busybox", root.path().join("bin").join(applet)).unwrap();
    }
    let tar =
        std::process::Command::new("tar").arg("-C").arg(root.path()).args(["-c", "."]).output();
    let (repo, tag) = name.split_once(':').unwrap();
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(repo.to_owned()),
        tag: Some(tag.to_owned()),
        changes: changes.iter().map(|&change| change.to_owned()).collect(),
        ..CreateImageOptions::default()
    };
    let body = bollard::body_full(tar.unwrap().stdout.into());
    let mut progress = docker.create_image(Some(options), Some(body), None);
    while let Some(step) = progress.next().await {
        step.unwrap();
    }
    true
}

#[tokio::test]
async fn docker_steps_share_one_container() {
    let Some(ground) = Ground::new("share").await else { return };
    let mut sandbox = ground.open().await;
    assert_eq!(ground.sh(&mut sandbox, "echo one > /kept; echo two > kept").await, Exit::Code(0));
    let started = ground.containers().await;
    assert_eq!(ground.sh(&mut sandbox, "cat /kept kept").await, Exit::Code(0));
    assert_eq!(ground.out(), "one\ntwo\n");
    let after = ground.containers().await;
    assert_eq!((started.len(), after.len()), (1, 1));
    assert_eq!(after[0].id, started[0].id);
    let begun = |found: &ContainerInspectResponse| found.state.clone().unwrap().started_at;
    assert_eq!(begun(&after[0]), begun(&started[0]), "started once");
    let kept = std::fs::read_to_string(ground.folder.path().join("tree/kept")).unwrap();
    assert_eq!(kept, "two\n");
    sandbox.close().await;
    assert!(ground.containers().await.is_empty());
}

#[tokio::test]
async fn docker_streams_output_and_tells_how_it_ended() {
    let Some(ground) = Ground::new("output").await else { return };
    let mut sandbox = ground.open().await;
    assert_eq!(ground.sh(&mut sandbox, "echo out; echo err >&2; exit 7").await, Exit::Code(7));
    assert_eq!((ground.out().as_str(), ground.err().as_str()), ("out\n", "err\n"));
    assert_eq!(ground.sh(&mut sandbox, "kill -9 $$").await, Exit::Code(137));
    assert_eq!(ground.sh(&mut sandbox, "seq 1 200000").await, Exit::Code(0));
    assert_eq!(ground.out().lines().count(), 200_000);
    assert!(ground.out().ends_with("200000\n"));
    // Its end is found although it closed its output long before.
    let quiet = "exec > /dev/null 2>&1; sleep 1; exit 3";
    assert_eq!(ground.sh(&mut sandbox, quiet).await, Exit::Code(3));
    let missing = Command { argv: vec!["/no/such".to_owned()], ..sh("") };
    // Which of the two it is differs between engines.
    let exit = ground.run(&mut sandbox, &missing).await;
    assert!(matches!(exit, Exit::Code(126 | 127)), "{exit:?}");

    // It comes while the step runs.
    let command = sh("echo early; sleep 30");
    *ground.output.0.lock() = Default::default();
    let run = sandbox.run(&command, &ground.output);
    let seen = async {
        while ground.out() != "early\n" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        _ = run => panic!("it ended"),
        seen = tokio::time::timeout(Duration::from_secs(10), seen) => seen.unwrap(),
    }
    sandbox.close().await;
}

#[tokio::test]
async fn docker_steps_get_their_environment() {
    let Some(ground) = Ground::new("env").await else { return };
    let mut sandbox = ground.open().await;
    let script = ground.folder.path().join("script");
    std::fs::write(&script, "echo \"$HOME $TMPDIR $LANG $A $(pwd)\"").unwrap();
    let folder = ground.folder.path().join("mounted");
    std::fs::create_dir_all(folder.join("deep")).unwrap();
    std::fs::write(folder.join("deep/file"), "content").unwrap();
    let long = format!("/etc/{}/x", "long".repeat(40));
    let mut command = Command {
        argv: ["/bin/sh", "/phalanx/step-1.sh"].map(str::to_owned).to_vec(),
        env: vec![("A".into(), "b c".into()), ("LANG".into(), "C".into())],
        directory: "sub".into(),
        mounts: BTreeMap::from([
            (script.clone(), "/phalanx/step-1.sh".to_owned()),
            (folder, "/opt/new/place".to_owned()),
        ]),
        timeout_ms: None,
    };
    assert_eq!(ground.run(&mut sandbox, &command).await, Exit::Code(0), "{}", ground.err());
    assert_eq!(ground.out(), "/home/phalanx /tmp C b c /work/sub\n");

    command.argv = [
        "/bin/sh",
        "-c",
        "cat /opt/new/place/deep/file; ! touch /opt/new/place/x && ! echo x > /phalanx/y",
    ]
    .map(str::to_owned)
    .to_vec();
    assert_eq!(ground.run(&mut sandbox, &command).await, Exit::Code(0));
    assert_eq!(ground.out(), "content");

    command.mounts = BTreeMap::from([(script.clone(), long.clone())]);
    command.argv = ["/bin/sh", "-c", &format!("cat {long}; ls /opt/new/place/deep")]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(ground.run(&mut sandbox, &command).await, Exit::Code(1), "the last step's are gone");
    assert!(ground.out().starts_with("echo"), "{}", ground.err());

    command.mounts = BTreeMap::from([(script, "/work/x".to_owned())]);
    let refused = sandbox.run(&command, &ground.output).await.unwrap_err().to_string();
    assert!(refused.contains("inside the work tree"), "{refused}");
    command.mounts.clear();
    command.directory = "../..".into();
    sandbox.run(&command, &ground.output).await.unwrap_err();

    // The image has no command of its own.
    let nothing = Command { argv: Vec::new(), ..sh("") };
    let refused = sandbox.run(&nothing, &ground.output).await.unwrap_err().to_string();
    assert!(refused.contains("no command"), "{refused}");
    sandbox.close().await;
}

#[tokio::test]
async fn docker_without_network_and_with_limits() {
    let Some(ground) = Ground::new("limits").await else { return };
    let readable = ground.folder.path().join("borrowed");
    std::fs::create_dir(&readable).unwrap();
    std::fs::write(readable.join("object"), "borrowed").unwrap();
    let limits = Limits { cpus: Some(0.5), memory_bytes: Some(64 << 20), pids: Some(50) };
    let readables = vec![readable.clone(), readable.clone()];
    let options =
        SandboxOptions { network: Network::None, limits, readable: readables, ..ground.options() };
    let mut sandbox = ground.open_with(options).await;
    assert_eq!(ground.sh(&mut sandbox, "ls /sys/class/net").await, Exit::Code(0));
    assert_eq!(ground.out(), "lo\n");
    let read = format!("cat {0}/object && ! touch {0}/x", readable.display());
    assert_eq!(ground.sh(&mut sandbox, &read).await, Exit::Code(0));
    assert_eq!(ground.out(), "borrowed");
    let host = ground.containers().await.remove(0).host_config.unwrap();
    assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
    assert_eq!((host.nano_cpus, host.pids_limit), (Some(500_000_000), Some(50)));
    assert_eq!(host.network_mode.as_deref(), Some("none"));
    assert_eq!(host.privileged, Some(false));
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));
    sandbox.close().await;
}

#[tokio::test]
async fn docker_timeout_kills() {
    let Some(ground) = Ground::new("timeout").await else { return };
    let mut sandbox = ground.open().await;
    // Deaf to the polite end, and with a child in a session of its own.
    let deaf =
        "trap '' TERM; (while :; do sleep 1; touch /work/alive; done) & while :; do sleep 1; done";
    let command = Command { timeout_ms: Some(500), ..sh(deaf) };
    let started = Instant::now();
    assert_eq!(ground.run(&mut sandbox, &command).await, Exit::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(ground.containers().await.is_empty());
    let alive = ground.folder.path().join("tree/alive");
    let _ = std::fs::remove_file(&alive);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!alive.exists());
    // Polite ones may clean up, and the next step finds a container.
    let polite = "trap 'echo bye; exit 0' TERM; while :; do sleep 1 & wait $!; done";
    let command = Command { timeout_ms: Some(1000), ..sh(polite) };
    assert_eq!(ground.run(&mut sandbox, &command).await, Exit::TimedOut);
    assert_eq!(ground.out(), "bye\n");
    assert_eq!(ground.sh(&mut sandbox, "echo again").await, Exit::Code(0));
    assert_eq!(ground.containers().await.len(), 1);
    sandbox.close().await;
}

#[tokio::test]
async fn docker_cancel_kills() {
    let Some(ground) = Ground::new("cancel").await else { return };
    let mut sandbox = ground.open().await;
    let cancel = ground.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cancel.cancel();
    });
    let started = Instant::now();
    assert_eq!(ground.sh(&mut sandbox, "sleep 60").await, Exit::Killed);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(ground.containers().await.is_empty());
    assert_eq!(ground.sh(&mut sandbox, "echo no").await, Exit::Killed);
    sandbox.close().await;
}

#[tokio::test]
async fn docker_kills_what_a_step_left_running() {
    let Some(ground) = Ground::new("sweep").await else { return };
    let mut sandbox = ground.open().await;
    let started = Instant::now();
    // It holds the output open, and it is deaf.
    let leave = "(trap '' TERM HUP; while :; do touch beat; sleep 0.2; done) & echo left";
    assert_eq!(ground.sh(&mut sandbox, leave).await, Exit::Code(0));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(ground.out(), "left\n");
    let beat = ground.folder.path().join("tree/beat");
    let _ = std::fs::remove_file(&beat);
    assert_eq!(ground.sh(&mut sandbox, "sleep 0.6; ls").await, Exit::Code(0));
    assert_eq!(ground.out(), "sub\n");
    // Nothing that a step kills is the keeper, and no orphan stays as a zombie.
    assert_eq!(ground.sh(&mut sandbox, "kill 1; kill -9 -1; echo on").await, Exit::Code(0));
    let orphans = "for i in 1 2 3 4 5; do (true & sleep 0.1 &) ; done; sleep 0.5; ps -o stat | { while read -r s; do case $s in Z*) echo $s;; esac; done; }";
    assert_eq!(ground.sh(&mut sandbox, orphans).await, Exit::Code(0));
    assert_eq!(ground.out(), "", "zombies");
    assert_eq!(ground.containers().await.len(), 1);
    // A container that somebody else removed is replaced.
    let id = ground.containers().await.remove(0).id.unwrap();
    let force = RemoveContainerOptions { force: true, ..Default::default() };
    ground.docker.remove_container(&id, Some(force)).await.unwrap();
    assert_eq!(ground.sh(&mut sandbox, "echo new").await, Exit::Code(0));
    // Whoever forgets to close it leaves nothing either.
    drop(sandbox);
    let gone = async {
        while !ground.containers().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
}

#[tokio::test]
async fn docker_image_with_a_user_and_a_command() {
    let Some(ground) = Ground::new("user").await else { return };
    let name = "phalanx-busybox:test-user";
    let changes = [
        "USER 1234",
        "CMD [\"sh\", \"-c\", \"id -u; touch made ~/h /tmp/t; cat a\"]",
        "ENV OF_IMAGE=yes",
    ];
    assert!(import(&ground.docker, name, &changes).await);
    std::fs::write(ground.folder.path().join("tree/a"), "readable").unwrap();
    let image = ground.factory.resolve(name).await.unwrap();
    assert!(image.digest.starts_with("sha256:") && image.digest != ground.image.digest);
    let mut sandbox = ground.factory.open(ground.options(), Some(&image)).await.unwrap();
    let own = Command { argv: Vec::new(), ..sh("") };
    assert_eq!(ground.run(&mut sandbox, &own).await, Exit::Code(0), "{}", ground.err());
    assert_eq!(ground.out(), "1234\nreadable");
    let made = std::fs::metadata(ground.folder.path().join("tree/made")).unwrap();
    assert_eq!(made.uid(), 1234);
    let text = "echo x >> a; echo x > sub/b; echo $OF_IMAGE; sleep 100 &";
    assert_eq!(ground.sh(&mut sandbox, text).await, Exit::Code(0), "{}", ground.err());
    assert_eq!((ground.out().as_str(), ground.err().as_str()), ("yes\n", ""));
    sandbox.close().await;
}

/// The keys of the step cache have what a tag stands for, so that a tag that moved is another step.
#[tokio::test]
async fn docker_a_moved_tag_is_another_image() {
    let Some(ground) = Ground::new("moved").await else { return };
    let mut digests = Vec::new();
    for version in ["one", "two", "one"] {
        let image = format!("phalanx-moved:{version}");
        assert!(import(&ground.docker, &image, &[&format!("ENV VERSION={version}")]).await);
        let tag = TagImageOptions {
            repo: Some("phalanx-moved".to_owned()),
            tag: Some("latest".to_owned()),
        };
        ground.docker.tag_image(&image, Some(tag)).await.unwrap();
        // A runtime remembers what a tag stands for, for a minute; this one is new.
        let factory = DockerRuntime::detect().await.unwrap();
        digests.push(factory.resolve("phalanx-moved:latest").await.unwrap().digest);
    }
    assert_ne!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[tokio::test]
async fn docker_missing_image_says_so() {
    let Some(ground) = Ground::new("missing").await else { return };
    let resolve = ground.factory.resolve("127.0.0.1:9/phalanx-no-such-image");
    match resolve.await.unwrap_err() {
        RuntimeError::Unavailable { message } => {
            assert!(message.contains("`127.0.0.1:9/phalanx-no-such-image`"), "{message}");
            println!("{message}");
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn docker_containers_of_dead_runners_are_removed() {
    let Some(ground) = Ground::new("dead").await else { return };
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let namespace = namespace.to_string_lossy().replace(|c: char| !c.is_ascii_digit(), "");
    // No process can have such a number. The other one's runner lives where we cannot see it.
    for (name, runner) in
        [("dead", format!("4194305:1:{namespace}")), ("elsewhere", "4194305:1:7".to_owned())]
    {
        let labels = [
            ("phalanx", "1".to_owned()),
            ("phalanx.runner", runner),
            ("phalanx.label", ground.label.clone()),
        ];
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            cmd: Some(vec!["sleep".to_owned(), "1000".to_owned()]),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value)).into()),
            ..ContainerCreateBody::default()
        };
        let name = Some(format!("phalanx-test-{name}-{}", std::process::id()));
        let options = CreateContainerOptions { name, ..Default::default() };
        let made = ground.docker.create_container(Some(options), body).await.unwrap();
        // Other tests' `detect` may be quicker than this.
        let _ = ground.docker.start_container(&made.id, None).await;
    }
    let mut sandbox = ground.open().await;
    DockerRuntime::detect().await.unwrap();
    let enough = Instant::now() + Duration::from_secs(30);
    loop {
        let left = ground.containers().await.len();
        assert!(left >= 2, "that of the living or that of another host was removed, too");
        if left == 2 {
            break;
        }
        // The `detect` of another test may be removing it still: then the engine answers 409, and ours does not wait for it.
        assert!(Instant::now() < enough, "{left} containers are left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ground.sh(&mut sandbox, "true").await, Exit::Code(0));
    sandbox.close().await;
    let other = ground.containers().await.remove(0).id.unwrap();
    let force = RemoveContainerOptions { force: true, ..Default::default() };
    ground.docker.remove_container(&other, Some(force)).await.unwrap();
}
