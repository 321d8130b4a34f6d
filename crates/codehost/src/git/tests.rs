//! Repositories as people have them.

use std::fs;
use std::path::Path;

use super::command::output;
use super::*;

async fn sample(directory: &Path) {
    let script = "git init -q -b main . && mkdir -p a/b c && touch a/b/go.mod c/go.mod x \
        && git add -A && git -c user.name=t -c user.email=t@t commit -qm one && git branch other";
    let done = tokio::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(directory)
        .status()
        .await;
    assert!(done.unwrap().success());
}

#[tokio::test]
async fn a_path_a_url_and_a_bundle_resolve_alike() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("origin");
    fs::create_dir(&origin).unwrap();
    sample(&origin).await;
    let all = Repositories::open(&folder.path().join("all")).unwrap();
    all.add("in/place", Source::Path(origin.clone())).await.unwrap();
    let url = format!("file://{}", origin.display());
    all.add("by-url", Source::Url(url)).await.unwrap();
    all.refresh("by-url", None).await.unwrap();
    all.add("h:80/sent", Source::Uploaded).await.unwrap();
    let bundle = folder.path().join("b.bundle");
    output(&origin, &["bundle", "create", "-q", bundle.to_str().unwrap(), "HEAD", "--branches"])
        .await
        .unwrap();
    all.unbundle("h:80/sent", &bundle).await.unwrap();
    let names: Vec<_> = all.list().iter().map(|it| it.name.clone()).collect();
    assert_eq!(names, ["by-url", "h:80/sent", "in/place"]);
    let wanted = all.resolve("in/place", None).await.unwrap();
    assert_eq!(wanted.branch, "main");
    for name in ["in/place", "by-url", "h:80/sent"] {
        assert_eq!(all.resolve(name, None).await.unwrap().commit, wanted.commit, "{name}");
        let other = all.resolve(name, Some("refs/heads/other")).await.unwrap();
        assert_eq!((other.branch.as_str(), &other.commit), ("other", &wanted.commit), "{name}");
        let folders = all.folders_with(name, &wanted.commit, "go.mod").await.unwrap();
        assert_eq!(folders, ["a/b", "c"], "{name}");
        let error = all.resolve(name, Some("gone")).await.unwrap_err().to_string();
        assert!(error.contains("`gone`"), "{error}");
    }
    // Of a detached head there is a commit, and no branch.
    output(&origin, &["update-ref", "--no-deref", "HEAD", &wanted.commit]).await.unwrap();
    let detached = all.resolve("in/place", None).await.unwrap();
    assert_eq!((detached.branch.as_str(), &detached.commit), ("HEAD", &wanted.commit));
}

#[tokio::test]
async fn a_hostile_repository_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("origin");
    fs::create_dir(&origin).unwrap();
    sample(&origin).await;
    // Its objects are said to be elsewhere, to be had by a program of its choice.
    let mark = folder.path().join("ran");
    let script = format!(
        "git config core.repositoryFormatVersion 1; git config extensions.partialClone origin; \
         git config remote.origin.promisor true; git config remote.origin.url {0}; \
         git config remote.origin.uploadpack 'touch {1}; false #'; \
         echo 0123456789012345678901234567890123456789 > .git/refs/heads/main",
        origin.display(),
        mark.display()
    );
    let mut change = tokio::process::Command::new("sh");
    assert!(change.args(["-c", &script]).current_dir(&origin).status().await.unwrap().success());
    let all = Repositories::open(&folder.path().join("all")).unwrap();
    all.add("r", Source::Path(origin)).await.unwrap();
    // Its head may say what it likes; whoever looks for the commit finds nothing.
    all.resolve("r", None).await.unwrap();
    all.resolve("r", Some("main")).await.unwrap_err();
    let missing = "0123456789012345678901234567890123456789";
    all.folders_with("r", missing, "x").await.unwrap_err();
    all.tree("r", missing).unwrap_err();
    assert!(!mark.exists());
}

#[tokio::test]
async fn credentials_may_change_and_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let all = Repositories::open(folder.path()).unwrap();
    let add = async |url: &str| all.add("r", Source::Url(url.to_owned())).await;
    add("https://bot:old@example.com/r").await.unwrap();
    add("https://bot:new@example.com/r").await.unwrap();
    assert_eq!(all.source("r"), Some(Source::Url("https://bot:new@example.com/r".into())));
    let error = add("https://example.com/other").await.unwrap_err().to_string();
    assert!(error.contains("example.com/r") && !error.contains("new"), "{error}");
}

#[tokio::test]
async fn bad_names_and_urls_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let all = Repositories::open(folder.path()).unwrap();
    for name in ["", "../x", "a//b", "-x", "a/-b", "x y", "a\0b", "."] {
        assert!(
            matches!(all.add(name, Source::Uploaded).await, Err(AddError::BadName { .. })),
            "{name}"
        );
    }
    for url in ["ext::sh -c x", "--upload-pack=x", "http://a\nb"] {
        assert!(all.add("x", Source::Url(url.into())).await.is_err(), "{url}");
    }
    let missing = all.add("x", Source::Path("/nonexistent".into())).await.unwrap_err();
    assert!(missing.to_string().contains("/nonexistent"), "{missing}");
}

#[tokio::test]
async fn a_tree_has_the_texts_of_its_commit() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("origin");
    fs::create_dir(&origin).unwrap();
    sample(&origin).await;
    let script = "printf 'one\\ntwo\\n' > text && printf 'a\\0b' > picture && ln -s text link && : > empty \
        && head -c 1100000 /dev/zero | tr '\\0' x > large && git add -A \
        && git -c user.name=t -c user.email=t@t commit -qm two";
    let done =
        tokio::process::Command::new("sh").args(["-c", script]).current_dir(&origin).status().await;
    assert!(done.unwrap().success());
    let all = Repositories::open(&folder.path().join("all")).unwrap();
    all.add("r", Source::Path(origin)).await.unwrap();
    let commit = all.resolve("r", None).await.unwrap().commit;
    for _ in ["made", "kept"] {
        let tree = all.tree("r", &commit).unwrap();
        let paths: Vec<_> = tree.files().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a/b/go.mod", "c/go.mod", "empty", "large", "picture", "text", "x"]);
        let text = |path| tree.text(tree.find(path).unwrap());
        assert_eq!(text("text"), Some(b"one\ntwo\n".as_slice()));
        assert_eq!(text("empty"), Some(b"".as_slice()));
        assert_eq!((text("picture"), text("large")), (None, None));
        assert_eq!(tree.find("large").unwrap().kind, FileKind::TooLarge);
        assert!(tree.find("link").is_none());
    }
    let missing = "0123456789012345678901234567890123456789";
    all.tree("r", missing).unwrap_err();
    // A torn file is made anew.
    let path = folder.path().join("all/r/trees").join(&commit);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(all.tree("r", &commit).unwrap().find("text").is_some());
}

fn access(directory: &Path) -> crate::GitAccess {
    crate::GitAccess { url: directory.display().to_string(), authorization: None }
}

const PATCH: &[u8] =
    b"diff --git a/x b/x\nindex e69de29..5626abf 100644\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+one\n";

fn new_commit<'a>(base: &'a str, diff: &'a [u8]) -> NewCommit<'a> {
    NewCommit {
        base,
        diff,
        strip: 1,
        message: "Change x\n\nBecause.",
        author_name: "Ann",
        author_email: "ann@example.com",
        date: 1_700_000_000,
    }
}

#[tokio::test]
async fn commits_are_made_without_a_work_tree_and_pushed_with_a_lease() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("origin");
    fs::create_dir(&origin).unwrap();
    sample(&origin).await;
    let bare = folder.path().join("bare.git");
    let clone = ["clone", "-q", "--bare", origin.to_str().unwrap(), bare.to_str().unwrap()];
    let cloned = tokio::process::Command::new("git").args(clone).status().await.unwrap();
    assert!(cloned.success());
    let all = Repositories::open(&folder.path().join("all")).unwrap();
    all.add("path", Source::Path(origin.clone())).await.unwrap();
    all.add("url", Source::Url(format!("file://{}", bare.display()))).await.unwrap();
    all.refresh("url", None).await.unwrap();
    let base = all.resolve("url", None).await.unwrap().commit;
    let mut commits = Vec::new();
    for name in ["path", "url", "url"] {
        commits.push(all.commit(name, &new_commit(&base, PATCH)).await.unwrap());
    }
    commits.dedup();
    assert_eq!(commits.len(), 1, "the same commit each time and everywhere");
    let commit = &commits[0];
    let to = access(&bare);
    for name in ["path", "url"] {
        let branch = format!("change/{name}");
        assert_eq!(all.remote_head(name, &to, &branch).await.unwrap(), None);
        all.push(name, &to, commit, &branch, None).await.unwrap();
        assert_eq!(all.remote_head(name, &to, &branch).await.unwrap().as_ref(), Some(commit));
        // It is there now, so that a push which expects nothing changes nothing.
        let stale = all.push(name, &to, &base, &branch, None).await;
        assert!(matches!(stale, Err(PushError::Stale)), "{stale:?}");
        all.push(name, &to, commit, &branch, Some(commit)).await.unwrap();
    }
    let shown =
        output(&bare, &["log", "-1", "--format=%an <%ae> %at %B", "change/url"]).await.unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert_eq!(shown.trim(), "Ann <ann@example.com> 1700000000 Change x\n\nBecause.");
    assert!(!origin.join(".git/refs/heads/change").exists());
}

/// The tree of the commit that is made is the tree that the diff was taken from, whatever files are in it.
#[tokio::test]
async fn a_commit_has_every_kind_of_change() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("origin");
    fs::create_dir(&origin).unwrap();
    sample(&origin).await;
    let all = Repositories::open(&folder.path().join("all")).unwrap();
    all.add("path", Source::Path(origin.clone())).await.unwrap();
    let script = r"set -e
        seq 99 > moves; printf 'a\0\377' > binary; printf 'no newline' > end; : > empty; ln -s binary link; printf 'x\r\ny\r\n' > crlf
        git add -A; git -c user.name=t -c user.email=t@t commit -qm two; git branch -f base
        git mv moves moved; echo more >> moved; printf 'b\0\376' > binary; printf 'still none' > end; git rm -q empty; : > empty2
        rm link; ln -s moved link; printf 'x\ry\r\nz' > crlf; chmod +x x; mkdir 'a b'; printf n > 'a b/name with blanks'
        printf n > $(printf 'latin\351'); printf t > $(printf 'tab\there'); rm -r c; echo c > c
        git add -A; git -c user.name=t -c user.email=t@t commit -qm three";
    let done =
        tokio::process::Command::new("sh").args(["-c", script]).current_dir(&origin).status().await;
    assert!(done.unwrap().success());
    let of = async |arguments: &[&str]| output(&origin, arguments).await.unwrap();
    let line = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    let base = line(of(&["rev-parse", "base"]).await);
    let diff = of(&["diff", "--binary", "--full-index", "-M", "base", "main"]).await;
    let made = all.commit("path", &new_commit(&base, &diff)).await.unwrap();
    let bare = folder.path().join("bare.git");
    let clone = ["clone", "-q", "--bare", origin.to_str().unwrap(), bare.to_str().unwrap()];
    assert!(tokio::process::Command::new("git").args(clone).status().await.unwrap().success());
    all.push("path", &access(&bare), &made, "made", None).await.unwrap();
    let tree = line(output(&bare, &["rev-parse", "made^{tree}"]).await.unwrap());
    assert_eq!(tree, line(of(&["rev-parse", "main^{tree}"]).await));
}

#[tokio::test]
async fn a_patch_that_does_not_fit_and_one_that_changes_nothing_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("origin");
    fs::create_dir(&origin).unwrap();
    sample(&origin).await;
    let all = Repositories::open(&folder.path().join("all")).unwrap();
    all.add("r", Source::Path(origin)).await.unwrap();
    let base = all.resolve("r", None).await.unwrap().commit;
    let other = b"diff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n";
    let refused = all.commit("r", &new_commit(&base, other)).await;
    assert!(matches!(refused, Err(CommitError::DoesNotApply { .. })), "{refused:?}");
    let mode = b"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n";
    all.commit("r", &new_commit(&base, mode)).await.unwrap();
    for bad in ["-x", "a..b", "a b", "a/.b", "x.lock", "a//b", "", "a@{b"] {
        let refused = all.push("r", &access(folder.path()), &base, bad, None).await;
        assert!(matches!(refused, Err(PushError::Git(GitError::Refused(_)))), "{bad}");
    }
}
