//! Names of things outside of the task: accounts, realms, topics, requests.

use super::text::{only, quote};

const SERVICE_ACCOUNT_BYTES: usize = 128;
const TOPIC_BYTES: usize = 1024;

/// An account's address. `""`, `none` and `bot` are judged by the caller.
///
/// Facts: luci-go `auth/identity/identity.go`, kind `user`.
pub fn service_account(account: &str) -> Result<(), String> {
    if account.len() > SERVICE_ACCOUNT_BYTES {
        let (shown, long) = (quote(account), account.len());
        return Err(format!("too long {shown}: {long} > {SERVICE_ACCOUNT_BYTES}"));
    }
    if !is_email(account) {
        return Err(format!("invalid {}: must be an email", quote(account)));
    }
    Ok(())
}

/// Whether a user's identity can have this value: `^[0-9a-zA-Z_\-\.\+\%]+@[0-9a-zA-Z_\-\.]+$`.
pub fn is_email(text: &str) -> bool {
    let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let user = |c: char| host(c) || matches!(c, '+' | '%');
    text.split_once('@').is_some_and(|(name, at)| only(name, user) && only(at, host))
}

/// `<project>:<realm>`.
///
/// Facts: luci-go `server/auth/realms/realms.go`.
pub fn realm(text: &str) -> Result<(), String> {
    let bad = |why: &str| format!("bad global realm name {}{why}", quote(text));
    let Some((project, realm)) = text.split_once(':') else {
        return Err(bad(" - should be <project>:<realm>"));
    };
    let in_project = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if project != "@internal" && !(only(project, in_project) && project.len() <= 100) {
        let project = quote(project);
        let why =
            format!(r#": bad project name {project} - should match "^[a-z0-9\\-_]{{1,100}}$""#);
        return Err(bad(&why));
    }
    let in_realm = |c: char| in_project(c) || "./".contains(c);
    let special = matches!(realm, "@root" | "@legacy" | "@project");
    if !(special || (only(realm, in_realm) && realm.len() <= 400)) {
        let realm = quote(realm);
        return Err(format!(
            r#"bad global realm name {realm} - the realm name should match "^[a-z0-9_\\.\\-/]{{1,400}}$" or be "@root", "@legacy" or "@project""#
        ));
    }
    Ok(())
}

/// `projects/<cloud project>/topics/<id>`, or empty.
pub fn pubsub_topic(topic: &str) -> Result<(), String> {
    if topic.is_empty() {
        return Ok(());
    }
    if topic.len() > TOPIC_BYTES {
        return Err(format!("too long {topic}: {} > {TOPIC_BYTES}", topic.len()));
    }
    let parts = topic.strip_prefix("projects/").filter(|_| !topic.contains('\n'));
    let Some((project, id)) = parts.and_then(|rest| rest.rsplit_once("/topics/")) else {
        let topic = quote(topic);
        return Err(format!(r#"topic {topic} does not match "^projects/(.*)/topics/(.*)$""#));
    };
    // Of App Engine's own projects only Google's have a domain.
    if !project.starts_with("google.com:") && !is_cloud_project(project) {
        let project = quote(project);
        return Err(format!(
            r#"cloud project id {project} does not match "^[a-z]([a-z0-9-]){{4,28}}[a-z0-9]$""#
        ));
    }
    let shown = quote(id);
    if id.starts_with("goog") {
        return Err(format!("topic id {shown} shouldn't begin with the string goog"));
    }
    let in_id = |c: char| c.is_ascii_alphanumeric() || "._-~+%".contains(c);
    let first = id.starts_with(|c: char| c.is_ascii_alphabetic());
    if !first || !id.chars().all(in_id) || !(4..=256).contains(&id.len()) {
        return Err(format!(
            r#"topic id {shown} does not match "^[A-Za-z]([0-9A-Za-z\\._\\-~+%]){{3,255}}$""#
        ));
    }
    Ok(())
}

fn is_cloud_project(text: &str) -> bool {
    let end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (6..=30).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.ends_with(end)
        && text.chars().all(|c| end(c) || c == '-')
}

/// A bot's name for one of its requests, or empty: `^[a-zA-Z0-9\-_/]{0,50}$`.
pub fn bot_request_uuid(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    if text.len() > 50 || !text.chars().all(allowed) {
        return Err(r"should match ^[a-zA-Z0-9\-_/]{0,50}$".to_owned());
    }
    Ok(())
}

/// A bot's name for its session: `^[a-z0-9\-_/]{1,50}$`.
pub fn session_id(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_/".contains(c);
    if text.len() > 50 || !only(text, allowed) {
        return Err(r"should match ^[a-z0-9\-_/]{1,50}$".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(check: impl Fn(&str) -> Result<(), String>, rows: &[(&str, &str)]) {
        for (text, why) in rows {
            match (check(text), *why) {
                (Ok(()), "") => {}
                (Err(said), why) if !why.is_empty() => {
                    assert!(said.contains(why), "{text}: {said}")
                }
                (result, why) => panic!("{text}: {result:?}, not {why:?}"),
            }
        }
    }

    #[test]
    fn accounts() {
        let long = format!("{}@x", "a".repeat(127));
        table(
            service_account,
            &[
                ("a.b+c%d-e_f@example.com", ""),
                ("a@b", ""),
                ("a@b@c", "must be an email"),
                ("@b", "must be an email"),
                ("a@", r#"invalid "a@": must be an email"#),
                ("é@b", "must be an email"),
                (&long, "129 > 128"),
            ],
        );
    }

    #[test]
    fn realms() {
        let long = format!("p:{}", "r".repeat(401));
        table(
            realm,
            &[
                ("project:realm/a.b_c-d", ""),
                ("p:@root", ""),
                ("@internal:x", ""),
                ("x", r#"bad global realm name "x" - should be <project>:<realm>"#),
                (
                    "P:x",
                    r#"bad global realm name "P:x": bad project name "P" - should match "^[a-z0-9\\-_]{1,100}$""#,
                ),
                (
                    "p:X",
                    r#"bad global realm name "X" - the realm name should match "^[a-z0-9_\\.\\-/]{1,400}$" or be "@root", "@legacy" or "@project""#,
                ),
                ("p:", "the realm name should match"),
                (":r", "bad project name"),
                (&long, "the realm name should match"),
            ],
        );
    }

    #[test]
    fn topics() {
        let long = format!("projects/project/topics/{}", "t".repeat(1001));
        let id = format!("projects/project/topics/{}", "t".repeat(257));
        table(
            pubsub_topic,
            &[
                ("", ""),
                ("projects/my-proj/topics/topic~1", ""),
                ("projects/google.com:x/topics/topic", ""),
                ("projects/my-proj/topic", r#"does not match "^projects/(.*)/topics/(.*)$""#),
                ("projects/a/topics/topic", r#"cloud project id "a" does not match"#),
                ("projects/my-proj-/topics/topic", "cloud project id"),
                ("projects/my-proj/topics/google", "shouldn't begin with the string goog"),
                (
                    "projects/my-proj/topics/abc",
                    r#"does not match "^[A-Za-z]([0-9A-Za-z\\._\\-~+%]){3,255}$""#,
                ),
                ("projects/my-proj/topics/1abcd", "topic id"),
                ("projects/my-proj/topics/topic\n", "topic \"projects"),
                (&id, "topic id"),
                (&long, "1025 > 1024"),
            ],
        );
    }

    #[test]
    fn requests_and_sessions() {
        let long = "a".repeat(51);
        table(bot_request_uuid, &[("", ""), ("A-b_/9", ""), ("a b", "match"), (&long, "match")]);
        table(session_id, &[("a-9_/", ""), ("", "match"), ("A", "match"), (&long, "match")]);
    }
}
