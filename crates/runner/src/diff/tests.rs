//! The diff: its parts, and round trips over random trees of hostile files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::job::{Checkout, RepositorySource};
use crate::workspace::Directories;

#[test]
fn records_and_patch_are_told_apart() {
    let zero = "0".repeat(40);
    let text = format!(
        ":000000 100644 {zero} {zero} A\0a b\0:100644 100644 {zero} {zero} R100\0old\0new\0:100644 000000 {zero} {zero} D\0d\0\0\
         @@ -1 +1,2 @@\n x\n+y\n"
    );
    let (diff, exact) = parse(text.into_bytes()).unwrap();
    assert!(exact);
    assert_eq!(diff.changed.added, ["a b"]);
    assert_eq!(diff.changed.renamed, ["new"]);
    assert_eq!(diff.changed.deleted, ["d"]);
    assert_eq!(diff.stat, DiffStat { files: 3, added: 1, deleted: 0 });
    assert_eq!(diff.patch, b"@@ -1 +1,2 @@\n x\n+y\n");
    assert_eq!(parse(Vec::new()).unwrap().0.stat.files, 0);
}

#[test]
fn lines_are_counted_in_hunks_only() {
    let patch = b"--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@ fn\n a\n+++b\n--c\n+d\n\\ No newline at end of file\n--- a/y\n+++ b/y\n@@ -0,0 +1 @@\n+z\n";
    assert_eq!(count_lines(patch), (3, 1));
    assert_eq!(count_lines(b"GIT binary patch\nliteral 3\n+xx\n"), (0, 0));
}

#[test]
fn a_nested_repository_is_named() {
    let error = explain(GitError::Failed {
        subcommand: "add",
        message: "error: 'sub/' does not have a commit checked out; fatal: adding files failed"
            .into(),
    });
    assert!(error.to_string().contains("`sub`"), "{error}");
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "-c",
            "core.attributesFile=/dev/null",
            "-c",
            "core.fsync=none",
        ])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Everything below `root` but `.git` at the top: path, type or mode, bytes.
fn files(root: &Path) -> Vec<(PathBuf, String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut next = vec![root.to_owned()];
    while let Some(folder) = next.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            let kind = fs::symlink_metadata(&path).unwrap();
            if name == Path::new(".git") {
                continue;
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                found.push((name, "link".into(), target.as_os_str().as_bytes().to_vec()));
            } else if kind.is_dir() {
                next.push(path);
            } else {
                let mode =
                    if kind.permissions().mode() & 0o100 != 0 { "executable" } else { "plain" };
                found.push((name, mode.into(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn random_name(random: &mut StdRng) -> PathBuf {
    let parts: [&[u8]; 16] = [
        b"a",
        b"b",
        b"dir",
        b"sp ace",
        b"qu\"ote",
        b"tab\there",
        b"new\nline",
        "\u{fc}n\u{ef}".as_bytes(),
        b"\xff\xfe",
        b"-dash",
        b":colon",
        b"back\\slash",
        b"*",
        b" lead",
        b"trail ",
        b"a.txt",
    ];
    let depth = random.random_range(1..=3);
    let names = (0..depth).map(|_| OsStr::from_bytes(parts[random.random_range(0..parts.len())]));
    names.collect()
}

fn random_bytes(random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..8) {
        0 => Vec::new(),
        1 => b"no end".to_vec(),
        2 => b"one\r\ntwo\r\nthree".to_vec(),
        3 => (0..random.random_range(1..400)).map(|_| random.random::<u8>()).collect(),
        4 => b"\xe4\xf6 latin\n\xff\n".to_vec(),
        5 => b"$Id$\n\t trailing  \n\n\n".to_vec(),
        6 => b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\ndiff --git a/q b/q\n".to_vec(),
        _ => {
            let lines = random.random_range(1..60);
            (0..lines)
                .flat_map(|n| format!("line {} {n}\n", random.random_range(0..4)).into_bytes())
                .collect()
        }
    }
}

/// Puts something at `name`, if nothing is in its way.
fn put(root: &Path, name: &Path, random: &mut StdRng) {
    let path = root.join(name);
    let blocked = path
        .ancestors()
        .skip(1)
        .take_while(|p| *p != root)
        .any(|p| fs::symlink_metadata(p).is_ok_and(|found| !found.is_dir()));
    if blocked || fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&path);
    if random.random_range(0..6) == 0 {
        // Not a link to itself: when one becomes a folder, `git apply` stumbles over the loop.
        let targets: [&[u8]; 4] = [b"else", b"../nowhere", b"\xff", b"/etc/passwd"];
        symlink(OsStr::from_bytes(targets[random.random_range(0..4)]), &path).unwrap();
        return;
    }
    fs::write(&path, random_bytes(random)).unwrap();
    let mode = if random.random_range(0..4) == 0 { 0o755 } else { 0o644 };
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What a job may do to a tree.
fn mutate(root: &Path, random: &mut StdRng) {
    for (name, kind, bytes) in files(root) {
        let path = root.join(&name);
        match random.random_range(0..9) {
            0 => fs::remove_file(&path).unwrap(),
            1 if kind != "link" => {
                let mode = if kind == "plain" { 0o755 } else { 0o644 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            2 => put(root, &name, random),
            3 if kind != "link" => {
                let mut bytes = bytes;
                bytes.extend_from_slice(b"more\n");
                fs::write(&path, bytes).unwrap();
            }
            // In place, with the same size, in the same second: only the clock's finest digits tell.
            4 if kind != "link" && !bytes.is_empty() => {
                let mut bytes = bytes;
                bytes[0] ^= 1;
                fs::write(&path, bytes).unwrap();
            }
            5 => {
                let to = root.join(random_name(random));
                if fs::symlink_metadata(&to).is_err() && to.parent().unwrap().is_dir() {
                    fs::rename(&path, &to).unwrap();
                }
            }
            6 => {
                // A file becomes a folder.
                fs::remove_file(&path).unwrap();
                put(root, &name.join("inner"), random);
            }
            _ => {}
        }
    }
    for _ in 0..random.random_range(0..4) {
        let name = random_name(random);
        put(root, &name, random);
    }
}

#[tokio::test]
async fn what_a_job_left_is_what_the_patch_makes() {
    // In memory where that is possible: thousands of small files, and nothing about a disk is being tested.
    let memory = tempfile::tempdir_in("/dev/shm");
    let home = memory.or_else(|_| tempfile::tempdir()).unwrap();
    let directories = Directories::open(&home.path().join("work")).unwrap();
    let mut random = StdRng::seed_from_u64(11);
    let repository = home.path().join("repository");
    fs::create_dir(&repository).unwrap();
    git(&repository, &["init", "-q"]);
    // The attributes in it are for the runner, not for the git that makes the commits.
    fs::write(
        repository.join(".git/info/attributes"),
        "* -text -filter -ident -working-tree-encoding\n",
    )
    .unwrap();
    let mut commit = String::new();
    let cases: u32 = std::env::var("ROUND_TRIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(240);
    let mut changed = 0;
    for case in 0..cases {
        if case % 4 == 0 {
            if case % 24 == 0 {
                for (name, _, _) in files(&repository) {
                    fs::remove_file(repository.join(name)).unwrap();
                }
            }
            for _ in 0..random.random_range(1..14) {
                let name = random_name(&mut random);
                put(&repository, &name, &mut random);
            }
            let attributes = "* text=auto eol=crlf ident\na filter=lfs diff=lfs\n*.txt working-tree-encoding=UTF-16\nb -diff\n";
            let _ = fs::remove_file(repository.join(".gitattributes"));
            git(&repository, &["-c", "core.safecrlf=false", "add", "--all"]);
            if random.random() {
                fs::write(repository.join(".gitattributes"), attributes).unwrap();
                git(&repository, &["add", ".gitattributes"]);
            }
            git(&repository, &["commit", "-q", "--allow-empty", "-m", "x"]);
            commit = git(&repository, &["rev-parse", "HEAD"]);
        }
        let source = RepositorySource::Local(repository.clone());
        let checkout = Checkout { name: "r".into(), commit: commit.clone(), source };
        let job = directories.job("one").unwrap();
        let tree = Tree::create(&directories, &job, &checkout, "main", "", false).await.unwrap();
        mutate(&tree.work_tree, &mut random);
        let began = SystemTime::now() - std::time::Duration::from_millis(30);
        let diff = tree.diff(began).await.unwrap();
        let wanted = files(&tree.work_tree);

        let other = directories.job("two").unwrap();
        let clean = Tree::create(&directories, &other, &checkout, "main", "", false).await.unwrap();
        if let Err(error) = clean.apply(&diff.patch).await {
            panic!("case {case}: {error:?}\n{}", String::from_utf8_lossy(&diff.patch));
        }
        assert_eq!(files(&clean.work_tree), wanted, "case {case}\n{}", diff.patch.escape_ascii());
        // Seen from there it is the same patch, so that a cached step and a run give the same.
        let again = clean.diff(SystemTime::now()).await.unwrap();
        assert_eq!(again.patch, diff.patch);
        changed += u32::from(!diff.patch.is_empty());

        // And as people apply it.
        let third = directories.job("three").unwrap();
        let plain = Tree::create(&directories, &third, &checkout, "main", "", false).await.unwrap();
        fs::write(home.path().join("patch"), &diff.patch).unwrap();
        if !diff.patch.is_empty() {
            git(&plain.work_tree, &["apply", "--whitespace=nowarn", "../../../../patch"]);
        }
        assert_eq!(files(&plain.work_tree), wanted, "case {case}");
    }
    assert!(changed > cases / 2, "{changed}");
}

/// A file that changes without a change of size, right after the checkout and in the same second.
#[tokio::test]
async fn a_change_in_the_same_second_is_seen() {
    let home = tempfile::tempdir().unwrap();
    let directories = Directories::open(&home.path().join("work")).unwrap();
    let repository = home.path().join("repository");
    fs::create_dir(&repository).unwrap();
    git(&repository, &["init", "-q"]);
    for n in 0..50 {
        fs::write(repository.join(format!("f{n}")), format!("{n:04}")).unwrap();
    }
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "-q", "-m", "x"]);
    let commit = git(&repository, &["rev-parse", "HEAD"]);
    let checkout =
        Checkout { name: "r".into(), commit, source: RepositorySource::Local(repository) };
    for round in 0..20 {
        let job = directories.job("one").unwrap();
        let tree = Tree::create(&directories, &job, &checkout, "main", "", false).await.unwrap();
        let began = SystemTime::now();
        let file = tree.work_tree.join(format!("f{}", 49 - round));
        let before = fs::metadata(&file).unwrap();
        fs::write(&file, "xxxx").unwrap();
        // Even the time of change is put back.
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(before.modified().unwrap())
            .unwrap();
        let diff = tree.diff(began).await.unwrap();
        assert_eq!(diff.changed.modified.len(), 1, "round {round}");
    }
}
