//! No configuration reaches the runner's git: not the user's, not the repository's, not the job's.

use std::path::Path;

use model::Outcome;

use crate::world::*;

/// A repository whose attributes ask for everything that may change bytes or run programs.
fn hostile() -> Repository {
    let attributes = "*.txt text eol=crlf ident\n*.bin filter=evil diff=evil merge=evil\n*.enc working-tree-encoding=UTF-16\nexp export-subst\n";
    let files = [
        ("lf.txt", "one\ntwo $Id$\n"),
        ("crlf.txt", "one\r\ntwo\r\n"),
        ("x.bin", "binary\n"),
        ("x.enc", "text\n"),
    ];
    let mut repository = Repository::new(&files);
    std::fs::write(repository.path().join(".gitattributes"), attributes).unwrap();
    git(repository.path(), &["add", ".gitattributes"]);
    git(repository.path(), &["commit", "-q", "-m", "attributes"]);
    repository.commit = git(repository.path(), &["rev-parse", "HEAD"]);
    repository
}

const WRITE: &str = "od -c lf.txt | head -1; od -c x.enc | head -1; printf 'three\\r\\n' >> lf.txt; printf 'more\\n' >> x.bin; echo é > x.enc; printf 'n\\r\\n' > new.txt";

fn check(ended: &Ended) {
    assert_eq!(ended.result.changed.modified, ["lf.txt", "x.bin", "x.enc"], "{}", ended.log);
    assert_eq!(ended.result.changed.added, ["new.txt"]);
    let patch = ended.patch();
    assert!(
        patch.contains("+three\r\n") && patch.contains("+more\n") && patch.contains("+é\n"),
        "{patch}"
    );
    assert!(
        patch.contains("+n\r\n") && patch.contains("diff --git a/new.txt b/new.txt\n"),
        "{patch}"
    );
    assert!(!patch.contains("evil") && !patch.contains("Binary files"), "{patch}");
    assert!(ended.out().contains("o   n   e  \\n"), "{}", ended.log);
}

#[tokio::test]
async fn a_repositorys_attributes_change_no_byte() {
    let world = World::new();
    check(&world.succeed(&order(&hostile(), vec![sh(WRITE)])).await);
}

#[tokio::test]
async fn the_users_configuration_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let canary = home.path().join("canary");
    let config = format!(
        "[core]\n autocrlf = true\n quotePath = false\n hooksPath = {0}\n fsmonitor = touch {1}\n attributesFile = {0}/attributes\n excludesFile = {0}/ignore\n\
         [diff]\n external = touch {1}\n noprefix = true\n renames = copies\n[diff \"evil\"]\n textconv = touch {1}\n\
         [filter \"evil\"]\n clean = touch {1}\n smudge = touch {1}\n required = true\n[apply]\n whitespace = fix\n",
        home.path().display(),
        canary.display()
    );
    std::fs::write(home.path().join(".gitconfig"), config).unwrap();
    std::fs::write(home.path().join("attributes"), "* text eol=crlf\n").unwrap();
    std::fs::write(home.path().join("ignore"), "*\n").unwrap();
    for hook in ["post-checkout", "post-index-change", "pre-commit", "reference-transaction"] {
        let path = home.path().join(hook);
        std::fs::write(&path, format!("#!/bin/sh\ntouch {}\n", canary.display())).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "git_config::helper_in_a_hostile_environment",
            "--ignored",
            "--nocapture",
        ])
        .env("HELPER", "1")
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .env("GIT_EXTERNAL_DIFF", format!("touch {}", canary.display()))
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "core.autocrlf")
        .env("GIT_CONFIG_VALUE_0", "true")
        .env("GIT_INDEX_FILE", home.path().join("index"))
        .env("GIT_OBJECT_DIRECTORY", home.path().join("objects"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(!canary.exists());
}

/// Not a test: what the test above runs with another environment.
#[tokio::test]
#[ignore = "started by another test"]
async fn helper_in_a_hostile_environment() {
    if std::env::var_os("HELPER").is_none() {
        return;
    }
    // The repository itself is made by the test's own git, which must not be led astray either.
    let scrub = ["GIT_EXTERNAL_DIFF", "GIT_CONFIG_COUNT", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"];
    let kept: Vec<_> = scrub.iter().map(|name| (*name, std::env::var_os(name).unwrap())).collect();
    // SAFETY: this test has a process of its own with one thread at work.
    scrub.iter().for_each(|name| unsafe { std::env::remove_var(name) });
    let repository = hostile();
    // SAFETY: as above.
    kept.iter().for_each(|(name, value)| unsafe { std::env::set_var(name, value) });
    let world = World::new();
    check(&world.succeed(&order(&repository, vec![sh(WRITE)])).await);
}

#[tokio::test]
async fn a_jobs_own_git_folder_changes_nothing() {
    let world = World::new();
    let canary = world.folder.path().join("canary");
    let evil = format!("touch {}", canary.display());
    let tamper = format!(
        r#"git config filter.evil.clean '{evil}'; git config filter.evil.required true; git config diff.external '{evil}'
        git config core.fsmonitor '{evil}'; git config core.hooksPath .; git config core.worktree /; git config core.autocrlf true
        git config core.excludesFile /dev/null; echo '*' > .git/info/exclude; echo '* text' > .git/info/attributes
        git config user.email a@b; git config user.name a
        git commit -q -am x; git replace -f HEAD~1 HEAD || true; echo garbage > .git/index; rm -rf .git/objects
        {WRITE}"#
    );
    let ended = world
        .run(&order(
            &hostile(),
            vec![sh(&tamper), sh("rm -rf .git; echo gitdir: /nonexistent > .git")],
        ))
        .await;
    assert_eq!(ended.result.outcome, Outcome::Succeeded, "{}", ended.log);
    check(&ended);
    assert!(!canary.exists());
}

#[tokio::test]
async fn a_repository_in_the_tree_is_an_explained_error() {
    let world = World::new();
    let repository = Repository::new(&[("a", "x"), (".gitignore", "target/\n")]);
    for text in [
        "git init -q sub/deep",
        "git init -q sub/deep; cd sub/deep; echo x > f; git add f; git -c user.name=a -c user.email=a@b commit -qm x",
    ] {
        let ended = world.run(&order(&repository, vec![sh(text)])).await;
        assert!(
            matches!(ended.result.outcome, Outcome::Rejected { .. }),
            "{:?}",
            ended.result.outcome
        );
        assert!(
            ended.result.message.as_ref().unwrap().contains("`sub/deep`"),
            "{:?}",
            ended.result.message
        );
    }
    // Where git does not look, it is no trouble.
    world
        .succeed(&order(
            &repository,
            vec![sh("git init -q target/x; git init -q \"$TMPDIR/y\"; mkfifo pipe")],
        ))
        .await;
}

/// The attack: a repository in a submodule's place, whose filters `git add` would run through `git status`.
#[tokio::test]
async fn submodules_stay_empty_and_are_no_way_out() {
    let world = World::new();
    let mut repository = Repository::new(&[
        ("a", "x"),
        (".gitmodules", "[submodule \"s\"]\n path = s\n url = ../s\n"),
    ]);
    let other = Repository::new(&[("f", "x")]);
    git(
        repository.path(),
        &["update-index", "--add", "--cacheinfo", &format!("160000,{},s", other.commit)],
    );
    git(repository.path(), &["commit", "-q", "-m", "submodule"]);
    repository.commit = git(repository.path(), &["rev-parse", "HEAD"]);
    let ended = world.succeed(&order(&repository, vec![sh("ls -A s; echo y > a")])).await;
    assert_eq!(ended.result.diff_stat.files, 1);
    // What a patch cannot hold is not dropped without a word.
    let ended = world.run(&order(&repository, vec![sh("echo y > a; echo z > s/file")])).await;
    assert!(matches!(ended.result.outcome, Outcome::Rejected { .. }), "{}", ended.log);
    assert!(ended.result.message.unwrap().contains("submodule `s`"));
    let canary = world.folder.path().join("canary");
    let attack = format!(
        "cd s; git init -q; git config filter.evil.clean 'touch {0}'; git config core.fsmonitor 'touch {0}'
        echo '* filter=evil' > .gitattributes; echo x > f; git -c core.fsmonitor= -c filter.evil.clean=cat add f
        git -c core.fsmonitor= -c user.name=a -c user.email=a@b commit -qm x; touch f",
        canary.display()
    );
    let ended = world.run(&order(&repository, vec![sh(&attack)])).await;
    assert!(matches!(ended.result.outcome, Outcome::Rejected { .. }), "{}", ended.log);
    assert!(ended.result.message.unwrap().contains("`s`"));
    assert!(!canary.exists());
}

#[tokio::test]
async fn odd_repositories_can_be_checked_out() {
    let world = World::new();
    // SHA-256, a linked work tree, a bare clone that borrows.
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    git(folder.path(), &["init", "-q", "--object-format=sha256", "wide"]);
    std::fs::write(at("wide/a"), "x\n").unwrap();
    git(&at("wide"), &["add", "."]);
    git(&at("wide"), &["commit", "-q", "-m", "x"]);
    let source = Repository::new(&[("a", "x\n")]);
    git(source.path(), &["worktree", "add", "-q", "-b", "w", at("linked").to_str().unwrap()]);
    git(
        folder.path(),
        &["clone", "-q", "--shared", "--bare", source.path().to_str().unwrap(), "bare"],
    );
    let wide = git(&at("wide"), &["rev-parse", "HEAD"]);
    for (path, commit) in
        [(at("wide"), &wide), (at("linked"), &source.commit), (at("bare"), &source.commit)]
    {
        let mut order =
            order(&source, vec![sh("echo y >> a; git log -1 --format=%s; git diff --stat")]);
        order.use_cache = false;
        let checkout = order.checkout.as_mut().unwrap();
        checkout.commit = commit.clone();
        checkout.source = runner::job::RepositorySource::Local(path.clone());
        let ended = world.succeed(&order).await;
        assert_eq!(ended.result.changed.modified, ["a"], "{}", path.display());
        assert!(ended.out().contains("1 file changed"), "{}", ended.log);
    }
    let mut order = order(&source, vec![sh("true")]);
    order.checkout.as_mut().unwrap().source =
        runner::job::RepositorySource::Local(Path::new("/etc").into());
    order.use_cache = false;
    assert!(world.run(&order).await.result.message.unwrap().contains("not a git repository"));
}
