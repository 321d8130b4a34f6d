//! Plain git: URLs and folders.

use std::fs;
use std::path::Path;
use std::process::Command;

use codehost::{Credential, HostError, Kind, Settings};

use super::{host, new_pull};

fn git(kind_url: &str, include: &[String], exclude: &[&str]) -> Settings {
    let exclude = exclude.iter().map(|glob| (*glob).to_owned()).collect();
    Settings { kind: Kind::Git, url: kind_url.to_owned(), include: include.to_vec(), exclude }
}

fn init(path: &Path, bare: bool) {
    fs::create_dir_all(path).unwrap();
    let mut command = Command::new("git");
    command.args(["init", "-q", "-b", "trunk"]).args(bare.then_some("--bare")).arg(path);
    assert!(command.status().unwrap().success());
}

#[tokio::test]
async fn folders_are_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    init(&root.join("a"), false);
    init(&root.join("team/bare.git"), true);
    init(&root.join("1/2/3/deep"), false);
    init(&root.join("1/2/3/4/too-deep"), false);
    init(&root.join("a/inner"), false);
    fs::create_dir_all(root.join("plain/folder")).unwrap();
    std::os::unix::fs::symlink(root, root.join("circle")).unwrap();
    let include = [root.display().to_string(), root.join("team/bare.git").display().to_string()];
    let list = host(&git("", &include[..1], &[]), Credential::None).list().await.unwrap();
    let names: Vec<_> = list.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["1/2/3/deep", "a", "team/bare"]);
    assert_eq!(list[2].clone_url, include[1]);
    assert!(list.iter().all(|one| one.default_branch.as_deref() == Some("trunk")), "{list:?}");
    let list = host(&git("", &include, &["a", "1/*"]), Credential::None).list().await.unwrap();
    let names: Vec<_> = list.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["bare", "team/bare"]);
    // With a URL the folder only says what there is.
    for (url, first) in [
        ("https://git.example/team/", "https://git.example/team/1/2/3/deep"),
        ("git@ssh.example:team", "git@ssh.example:team/1/2/3/deep"),
    ] {
        let list = host(&git(url, &include, &[]), Credential::None).list().await.unwrap();
        assert_eq!((list[0].name.as_str(), list[0].clone_url.as_str()), ("1/2/3/deep", first));
        assert!(list[3].clone_url.ends_with("/team/bare.git"), "{list:?}");
        assert_eq!(list[2].name, "bare");
    }
    let missing = host(&git("", &["/nonexistent/x".to_owned()], &[]), Credential::None);
    let error = missing.list().await.unwrap_err().to_string();
    assert!(error.contains("/nonexistent/x"), "{error}");
}

#[tokio::test]
async fn urls_have_names_and_the_credential_stays_at_home() {
    let include = ["team/one.git", "https://other.example/x.git", "git@ssh.example:o/r.git"];
    let settings = git("https://git.example:8443/", &include.map(str::to_owned), &[]);
    let basic = Credential::Basic { user: "me".into(), password: "hunter2".into() };
    let plain = host(&settings, basic);
    assert_eq!(plain.who().await.unwrap(), "me");
    let list = plain.list().await.unwrap();
    let names: Vec<_> = list.iter().map(|r| (r.name.as_str(), r.clone_url.as_str())).collect();
    assert_eq!(
        names,
        [
            ("git.example:8443/team/one", "https://git.example:8443/team/one.git"),
            ("other.example/x", "https://other.example/x.git"),
            ("ssh.example/o/r", "git@ssh.example:o/r.git"),
        ]
    );
    let header = async |url: &str| plain.git_access(url).await.unwrap().authorization;
    let wanted = Some("Basic bWU6aHVudGVyMg==".to_owned());
    assert_eq!(header("https://git.example:8443/team/one.git").await, wanted);
    for url in ["https://git.example/team/one.git", "https://evil.example/x", "git@ssh.example:o/r"]
    {
        assert_eq!(header(url).await, None, "{url}");
    }
    for error in [
        plain.create("x", &new_pull("T")).await.unwrap_err(),
        plain.find("x", "y").await.unwrap_err(),
    ] {
        assert!(matches!(error, HostError::Unsupported { .. }), "{error:?}");
        assert_eq!(error.to_string(), "https://git.example:8443 has no pull requests");
    }
    let secret = git("", &["https://me:hunter2@git.example/x".to_owned()], &[]);
    let error = codehost::connect(&secret, Credential::None, &super::options()).err().unwrap();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    let bad = host(&git("", &["ext::sh -c x".to_owned()], &[]), Credential::None);
    assert!(bad.list().await.unwrap_err().to_string().contains("neither"));
}
