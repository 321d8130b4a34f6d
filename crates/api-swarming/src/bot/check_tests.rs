//! What bots say of themselves, good and bad.

use super::*;
use serde_json::json;

fn groups(dimensions: &str) -> BotGroups {
    let text = format!(
        "[swarming]\ntrusted_dimensions = ['pool', 'rack']\n\
         [[swarming.bot_group]]\ndimensions = {dimensions}"
    );
    crate::config::toml::read("x.toml", &text, &BTreeMap::new()).unwrap().bots
}

fn good() -> Value {
    json!({
        "dimensions": {"id": ["b"], "os": ["Linux", "Debian"], "pool": ["wish"]},
        "state": {"running_time": 1, "sleep_streak": 0},
        "version": "v",
    })
}

fn check_value(value: Value, call: Call) -> Checked {
    check(serde_json::from_value(value).unwrap(), call, &groups("['pool:real']")).unwrap()
}

/// `good` with one value changed.
fn with(path: &str, value: Value) -> Checked {
    let mut request = good();
    match request.pointer_mut(path) {
        Some(place) => *place = value,
        None => {
            let (parent, key) = path.rsplit_once('/').unwrap();
            request.pointer_mut(parent).unwrap()[key] = value;
        }
    }
    check_value(request, Call::Poll)
}

#[test]
fn the_server_has_the_last_word() {
    let checked = check_value(good(), Call::Poll);
    assert_eq!(checked.bot_id, "b");
    assert_eq!(checked.quarantined, None);
    let dimensions = checked.dimensions.unwrap();
    assert_eq!(dimensions["pool"], BTreeSet::from(["real".to_owned()]));
    assert_eq!(dimensions["os"].len(), 2);

    let mut request = good();
    request["dimensions"]["rack"] = json!(["7"]);
    let request = || serde_json::from_value(request.clone()).unwrap();
    let checked = check(request(), Call::Poll, &groups("['zone:a']")).unwrap();
    let dimensions = checked.dimensions.unwrap();
    assert_eq!(dimensions["pool"], BTreeSet::from(["unassigned".to_owned()]));
    assert!(dimensions.contains_key("zone") && !dimensions.contains_key("rack"));
}

#[test]
fn who_asks() {
    for (dimensions, why) in [
        (json!({}), "no `id` dimension reported"),
        (json!({"id": []}), "no `id` dimension reported"),
        (json!({"id": "b"}), "no `id` dimension reported"),
        (json!({"id": [1]}), "bad bot `id` 1: it is not a string"),
        (json!({"id": [""]}), "bad bot `id` \"\": the value cannot be empty"),
        (json!({"id": ["a:b"]}), r#"bad bot `id` "a:b": bot ID is not allowed to contain ":""#),
    ] {
        let request = serde_json::from_value(json!({"dimensions": dimensions})).unwrap();
        assert_eq!(bot_id(&request).unwrap_err().message, why);
    }
}

#[test]
fn broken_requests_put_into_quarantine() {
    for (path, value, why) in [
        ("/x", json!(1), r#"Unexpected keys superfluous: ["x"]; did you make a typo?"#),
        ("/event", json!("e"), r#"Unexpected keys superfluous: ["event"]; did you make a typo?"#),
        ("/version", Value::Null, r#"Unexpected keys missing: ["version"]; did you make a typo?"#),
        ("/version", json!(""), "no `version` in the request"),
        (
            "/state",
            json!({"running_time": 1}),
            r#"Unexpected state missing: ["sleep_streak"]; did you make a typo?"#,
        ),
        ("/dimensions/9", json!(["v"]), "Invalid dimension key: 9"),
        ("/dimensions/os", json!("x"), "Dimension values must be list. key: os, values: \"x\""),
        ("/dimensions/os", json!([]), "Dimension values should not be empty. key: os"),
        ("/dimensions/os", json!([""]), "Invalid dimension value. key: os, value: "),
        ("/dimensions/os", json!([1]), "Invalid dimension value. key: os, value: 1"),
        (
            "/dimensions/os",
            json!(["x", "x"]),
            "Dimension values include duplication. key: os, values: x",
        ),
        ("/dimensions/id", json!(["b", "c"]), "Dimension id must have only one value"),
    ] {
        let checked = with(path, value);
        assert_eq!(checked.quarantined.as_deref(), Some(why), "{path}");
        assert_eq!(checked.dimensions.is_none(), path.starts_with("/dim"), "{path}");
        assert_eq!(checked.state["quarantined"], why);
    }
    let several = with("/dimensions", json!({"id": ["b"], "a": [], "b": []}));
    assert_eq!(several.quarantined.unwrap().lines().count(), 2);
    let long = with("/dimensions/os", json!(["x".repeat(1 << 20)]));
    assert!(long.quarantined.unwrap().len() < 1000);
}

#[test]
fn keys_of_each_call() {
    let mut event = good();
    event["event"] = json!("bot_log");
    event["message"] = json!("m");
    assert_eq!(check_value(event, Call::Event).quarantined, None);
    let mut new = good();
    new["session_id"] = json!("s");
    assert_eq!(check_value(new, Call::Handshake).quarantined, None);
    let empty = with("/state", json!({}));
    assert_eq!(empty.quarantined, None);
}

#[test]
fn bots_in_quarantine_by_their_own_wish() {
    let generic = Some(SELF_QUARANTINED);
    for (state, why) in [
        (json!(true), generic),
        (json!(false), None),
        (json!(""), None),
        (json!("no disk"), Some("no disk")),
        (json!(0), None),
        (json!(1), generic),
        (json!([]), None),
        (json!({}), generic),
    ] {
        assert_eq!(
            with("/state/quarantined", state.clone()).quarantined.as_deref(),
            why,
            "{state}"
        );
    }
    for (values, why) in
        [(json!(["1"]), generic), (json!(["True"]), generic), (json!(["tired"]), Some("tired"))]
    {
        assert_eq!(with("/dimensions/quarantined", values).quarantined.as_deref(), why);
    }
    let mut both = good();
    both["state"]["quarantined"] = json!("no disk");
    both["dimensions"]["os"] = json!([]);
    let both = check_value(both, Call::Poll);
    assert_eq!(
        both.quarantined.as_deref(),
        Some("no disk\nDimension values should not be empty. key: os")
    );
    assert_eq!(both.state["quarantined"], "no disk");
}

#[test]
fn maintenance_is_a_text() {
    assert_eq!(with("/state/maintenance", json!("m")).maintenance.as_deref(), Some("m"));
    assert_eq!(with("/state/maintenance", json!("")).maintenance, None);
    assert_eq!(with("/state/maintenance", json!(true)).maintenance, None);
}
