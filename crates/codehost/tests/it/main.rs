//! Every kind of host against the forge of testkit, and against real ones where they can be had.

mod conformance;
mod faults;
mod github_app;
mod openapi;
mod plain_git;
mod real_gitea;
mod webhooks;

use std::sync::Once;
use std::time::Duration;

use codehost::{CodeHost, Credential, Kind, NewPullRequest, Options, Settings, connect};
use testkit::code_host::{Dialect, Forge};

const DIALECTS: [Dialect; 3] = [Dialect::GitHub, Dialect::GitLab, Dialect::Gitea];

fn kind(dialect: Dialect) -> Kind {
    match dialect {
        Dialect::GitHub => Kind::GitHub,
        Dialect::GitLab => Kind::GitLab,
        Dialect::Gitea => Kind::Gitea,
    }
}

fn options() -> Options {
    Options { write_distance: Some(Duration::ZERO), retry_pause: Duration::from_millis(1) }
}

/// What `main` does.
fn install_tls() {
    static TLS: Once = Once::new();
    TLS.call_once(|| {
        rustls::crypto::aws_lc_rs::default_provider().install_default().expect("only once");
    });
}

fn host(settings: &Settings, credential: Credential) -> Box<dyn CodeHost> {
    install_tls();
    connect(settings, credential, &options()).expect("the settings are good")
}

fn settings(dialect: Dialect, forge: &Forge, include: &[&str], exclude: &[&str]) -> Settings {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let (include, exclude) = (texts(include), texts(exclude));
    Settings { kind: kind(dialect), url: forge.url().to_owned(), include, exclude }
}

fn token(forge: &Forge) -> Credential {
    Credential::Token { token: forge.token().to_owned() }
}

/// A forge with the repository `org/r` that has the branch `change`, and a host that speaks with it.
fn start(dialect: Dialect) -> (Forge, Box<dyn CodeHost>) {
    let forge = Forge::start(dialect, testkit::code_host::Options::default());
    forge.add_repository("org/r", &[("a", "1\n")]);
    forge.commit("org/r", "change", "b", "2\n");
    let host = host(&settings(dialect, &forge, &[], &[]), token(&forge));
    (forge, host)
}

fn new_pull(title: &str) -> NewPullRequest {
    NewPullRequest {
        head: "change".to_owned(),
        base: "main".to_owned(),
        title: title.to_owned(),
        body: "Why\nand how".to_owned(),
        ..NewPullRequest::default()
    }
}
