//! Python that the server sends: to start a bot, and for a bot to run tasks without CIPD.

/// Facts: luci-py `bot_code/bot_main.py` (the hook's arguments), `client/run_isolated.py` (`--cipd-enabled`).
const WITHOUT_CIPD: &str = include_str!("without_cipd.py");
const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// The hooks of a group, if it has any, so extended that its bots need no CIPD: the `bot_config` of a handshake.
pub fn hooks_without_cipd(group: Option<&str>) -> String {
    match group {
        Some(group) => format!("{group}\n\n{WITHOUT_CIPD}"),
        None => WITHOUT_CIPD.to_owned(),
    }
}

/// What `GET /bootstrap` answers: a Python 3 program that fetches the bot into the current directory and becomes it.
///
/// `host_url` has no slash at its end.
pub fn bootstrap(host_url: &str, token: &str) -> String {
    let (host_url, token) = (literal(host_url), literal(token));
    format!("#!/usr/bin/env python3\nhost_url = {host_url}\nbootstrap_token = {token}\n{BOOTSTRAP}")
}

/// SECURITY: a Python string that holds exactly `text`: a host's name is chosen by whoever asks.
fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}
