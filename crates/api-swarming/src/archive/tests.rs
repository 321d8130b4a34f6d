//! What goes into an archive, and what it is then.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::*;

const MAIN: &str = r#"
import hashlib, sys, zipfile
h = hashlib.sha256()
with zipfile.ZipFile(sys.path[0]) as z:
    for name in sorted(z.namelist()):
        data = z.read(name)
        h.update((str(len(name)) + name + str(len(data))).encode() + data)
print(h.hexdigest())
"#;

const IDENTITY: Identity<'_> =
    Identity { server: "http://localhost:9/", server_version: "v", bot_config: None };

fn files(of: &[(&str, &str)]) -> Files {
    of.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn bot() -> Files {
    files(&[
        ("__main__.py", MAIN),
        ("bot_code/task_runner.py", "x = data['bot_dimensions']"),
        ("config/bot_config.py", "y = 1"),
        ("config/config.json", "{}"),
    ])
}

/// Tests with Python say that they did nothing where there is none.
fn python() -> Option<Command> {
    let found = Command::new("python3").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: there is no python3");
    }
    found.then(|| Command::new("python3"))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn an_archive_is_the_servers_own() {
    let archive = build(bot(), IDENTITY).unwrap();
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&archive.zip)).unwrap();
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(
        names,
        ["__main__.py", "bot_code/task_runner.py", "config/bot_config.py", "config/config.json"]
    );
    let mut json = String::new();
    let mut entry = zip.by_name("config/config.json").unwrap();
    entry.read_to_string(&mut json).unwrap();
    assert_eq!(entry.unix_mode(), Some(0o600));
    assert_eq!(entry.last_modified(), Some(DateTime::default()));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["server"], "http://localhost:9");
    assert_eq!(json["enable_ts_monitoring"], false);
    assert_eq!(archive.shape, Shape::WithBotDimensions);
    assert_eq!(archive.version.len(), 64);

    let again = build(bot(), IDENTITY).unwrap();
    assert_eq!((&again.zip, &again.version), (&archive.zip, &archive.version));
    let hooks = Identity { bot_config: Some("z = 2"), ..IDENTITY };
    let other = build(bot(), hooks).unwrap();
    assert_ne!(other.version, archive.version);
    assert_ne!(other.bot_config_rev, archive.bot_config_rev);
}

#[test]
fn an_old_bot_is_recognised() {
    let mut old = bot();
    old.insert("bot_code/task_runner.py".into(), b"x = 1".to_vec());
    assert_eq!(build(old, IDENTITY).unwrap().shape, Shape::WithoutBotDimensions);
    for missing in ["__main__.py", "bot_code/task_runner.py"] {
        let mut files = bot();
        files.remove(missing);
        let error = build(files, IDENTITY).unwrap_err().to_string();
        assert_eq!(error, format!("use `{missing}`: it is missing, so this is no bot"));
    }
}

#[test]
fn the_version_is_the_one_that_the_bot_computes() {
    assert_eq!(
        version(&files(&[("a", "xy"), ("b/c", "")])),
        hex::encode(Sha256::digest("1a2xy3b/c0"))
    );
    let Some(mut python) = python() else { return };
    let archive = build(bot(), IDENTITY).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("swarming_bot.zip");
    std::fs::write(&path, &archive.zip).unwrap();
    assert_eq!(run(python.arg(&path)), archive.version);
}

#[test]
fn a_directory_or_a_zip_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = directory.path().join("bot").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for (path, content) in bot() {
        write(&path, std::str::from_utf8(&content).unwrap());
    }
    write("__pycache__/x.pyc", "");
    write(".git/config", "");
    assert_eq!(load(&directory.path().join("bot")).unwrap(), bot());

    let archive = build(bot(), IDENTITY).unwrap();
    let path = directory.path().join("bot.zip");
    std::fs::write(&path, &archive.zip).unwrap();
    let read = load(&path).unwrap();
    assert_eq!(build(read, IDENTITY).unwrap().zip, archive.zip);

    #[cfg(unix)]
    {
        let inside = directory.path().join("bot");
        std::os::unix::fs::symlink("nowhere", inside.join("adb")).unwrap();
        assert_eq!(load(&inside).unwrap(), bot());
        std::os::unix::fs::symlink(&inside, inside.join("loop")).unwrap();
        let error = load(&inside).unwrap_err().to_string();
        assert!(error.contains("more than 32 directories deep"), "{error}");
    }
    let error = load(&directory.path().join("none")).unwrap_err().to_string();
    assert!(error.starts_with("read `") && error.ends_with("none`"), "{error}");
    std::fs::write(&path, "no zip").unwrap();
    assert!(load(&path).unwrap_err().to_string().ends_with("as a zip file"));
}

fn zip_of(entries: &[(&str, &[u8])], path: &Path) {
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ZipWriter::new(file);
    for (name, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn a_hostile_zip_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.zip");
    for name in ["../a", "a/../../b", "/etc/passwd", "a\\b", "a//b", "..", "é", "a/./b"] {
        zip_of(&[(name, b"x")], &path);
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("is not allowed"), "{name}: {error}");
    }
    let zeros = vec![0; 1 << 20];
    let names: Vec<String> = (0..65).map(|i| format!("f{i}")).collect();
    let bomb: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &zeros[..])).collect();
    zip_of(&bomb, &path);
    assert!(std::fs::metadata(&path).unwrap().len() < 1 << 20);
    let error = load(&path).unwrap_err().to_string();
    assert!(error.contains("more than 64 MiB"), "{error}");
    let names: Vec<String> = (0..=MAX_FILES).map(|i| format!("f{i}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    zip_of(&many, &path);
    assert!(load(&path).unwrap_err().to_string().contains("more than 5000 files"));
}

#[test]
fn the_hook_turns_cipd_off_unless_a_task_needs_it() {
    let Some(mut python) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let group = "def on_before_task(bot, bot_file, runner_cmd, runner_env):\n    runner_env['GROUP'] = bot_file\n";
    for (name, group) in [("alone.py", None), ("both.py", Some(group))] {
        std::fs::write(directory.path().join(name), hooks_without_cipd(group)).unwrap();
    }
    let driver = r#"
import json, os, runpy, sys
os.environ["PATH"] = ""
class Bot: base_dir = os.getcwd()
def call(name, manifest, **env):
    json.dump(manifest, open("in.json", "w"))
    cmd = ["python", "bot.zip", "task_runner", "--in-file", "in.json", "--", "--x"]
    runpy.run_path(name)["on_before_task"](Bot(), "bot_file", cmd, env)
    return cmd[7:], env
cmd, env = call("alone.py", {"cipd_input": None})
assert cmd == ["--cipd-enabled", "false"], cmd
cas = os.path.join(env.pop("LUCI_GO_CLIENT_DIR"), "cas")
assert os.access(cas, os.X_OK) and not env, env
# Where a bot cleans up after neither a task nor itself.
assert os.path.relpath(cas) == os.path.join("cipd_cache", "no_cas", "cas"), cas
cmd, env = call("both.py", {"cipd_input": {"packages": []}}, LUCI_GO_CLIENT_DIR="/own")
assert cmd and env == {"GROUP": "bot_file", "LUCI_GO_CLIENT_DIR": "/own"}, env
cmd, env = call("both.py", {"cipd_input": {"packages": [{"path": "a"}]}})
assert not cmd and env == {"GROUP": "bot_file"}, (cmd, env)
cmd, env = call("alone.py", [])
assert cmd, cmd
runpy.run_path("alone.py")["on_before_task"](Bot())
print("good")
"#;
    let out = run(python.arg("-c").arg(driver).current_dir(directory.path()));
    assert_eq!(out, "good");
}

#[test]
fn bootstrap_fetches_the_bot_and_becomes_it() {
    let evil = "a\"; import os; os.abort() #\\\n\u{2028}é";
    let script = bootstrap("http://x", evil);
    assert!(!script.contains("\u{2028}") && script.is_ascii(), "{script}");
    assert_eq!(script.lines().nth(3), Some("import os"), "{script}");

    let Some(mut python) = python() else { return };
    let zip = pack(&files(&[("__main__.py", "print('I am the bot')")])).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).unwrap();
        write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", zip.len()).unwrap();
        stream.write_all(&zip).unwrap();
        String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().to_owned()
    });
    let directory = tempfile::tempdir().unwrap();
    let out = run(python
        .arg("-c")
        .arg(bootstrap(&url, evil))
        .env("no_proxy", "*")
        .current_dir(directory.path()));
    assert_eq!(out, "I am the bot");
    assert_eq!(
        server.join().unwrap(),
        "GET /bot_code?tok=a%22%3B+import+os%3B+os.abort%28%29+%23%5C%0A%E2%80%A8%C3%A9 HTTP/1.1"
    );
}
