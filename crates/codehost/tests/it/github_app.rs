//! A GitHub App: its tokens are asked for with a signed request, kept, renewed, and used for git.

use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use codehost::{CodeHost, Credential, connect};
use testkit::code_host::{Dialect, Forge, Options};

use super::{host, new_pull, settings};

pub fn private_key() -> String {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = key.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|l| str::from_utf8(l).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

pub fn app(private_key: String) -> Credential {
    Credential::App { app: "12".into(), installation: "34".into(), private_key }
}

fn start(installation_token: Duration) -> (Forge, Box<dyn CodeHost>) {
    let forge = Forge::start(Dialect::GitHub, Options { installation_token, ..Options::default() });
    forge.add_repository("org/r", &[("a", "1")]);
    forge.add_repository("other/r", &[("a", "1")]);
    forge.commit("org/r", "change", "b", "2");
    let host = host(&settings(Dialect::GitHub, &forge, &[], &[]), app(private_key()));
    (forge, host)
}

fn tokens_asked_for(forge: &Forge) -> usize {
    forge.ledger().writes().filter(|request| request.path.ends_with("/access_tokens")).count()
}

#[tokio::test]
async fn a_token_is_kept_while_it_is_good() {
    let (forge, host) = start(Duration::from_secs(60 * 60));
    assert_eq!(host.who().await.unwrap(), "forge-app[bot]");
    assert_eq!(host.list().await.unwrap().len(), 2);
    let made = host.create("org/r", &new_pull("T")).await.unwrap();
    assert_eq!(made.external_id, "1");
    let access = host.git_access(&forge.clone_url("org/r")).await.unwrap();
    let wanted = format!("Basic {}", STANDARD.encode("x-access-token:ghs_1"));
    assert_eq!(access.authorization.as_deref(), Some(wanted.as_str()));
    // Many at once ask for one token.
    let (forge, host) = start(Duration::from_secs(60 * 60));
    let all = (0..10).map(|_| host.list());
    futures::future::try_join_all(all).await.unwrap();
    assert_eq!(tokens_asked_for(&forge), 1);
    let only = super::host(&settings(Dialect::GitHub, &forge, &["org"], &[]), app(private_key()));
    assert_eq!(only.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_that_ends_soon_is_renewed() {
    let (forge, host) = start(Duration::from_secs(4 * 60));
    for times in 1..=3 {
        host.list().await.unwrap();
        assert_eq!(tokens_asked_for(&forge), times);
    }
}

#[test]
fn a_bad_key_is_told_without_it() {
    let (forge, _) = start(Duration::ZERO);
    let settings = settings(Dialect::GitHub, &forge, &[], &[]);
    let error = connect(&settings, app("hunter2".into()), &super::options()).err().unwrap();
    assert!(error.to_string().contains("PEM") && !error.to_string().contains("hunter2"));
}
