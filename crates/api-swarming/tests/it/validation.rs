//! What luci-go says to requests, good and bad: `validation.jsonl`, one a line.
//!
//! A line with `base` and no `rpc` is a request that others change. `patch` is a list of [path, value]: a path is keys and
//! indexes with dots between; null takes away. `{"$repeat": [x, n]}` is n times x, in a list or, for a text, in one text;
//! `{"$range": [p, n]}` is a list of p0, p1, …

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::ground::Ground;

fn expand(value: &Value) -> Value {
    let marked = |key: &str| value.as_object().filter(|o| o.len() == 1)?.get(key)?.as_array();
    if let Some(args) = marked("$repeat") {
        let count = args[1].as_u64().unwrap() as usize;
        return match &args[0] {
            Value::String(text) => json!(text.repeat(count)),
            other => Value::Array(vec![expand(other); count]),
        };
    }
    if let Some(args) = marked("$range") {
        let prefix = args[0].as_str().unwrap();
        return (0..args[1].as_u64().unwrap()).map(|n| json!(format!("{prefix}{n}"))).collect();
    }
    match value {
        Value::Array(all) => all.iter().map(expand).collect(),
        Value::Object(all) => {
            Value::Object(all.iter().map(|(key, value)| (key.clone(), expand(value))).collect())
        }
        other => other.clone(),
    }
}

fn patch(request: &mut Value, path: &str, value: Value) {
    let mut keys: Vec<&str> = path.split('.').collect();
    let last = keys.pop().unwrap();
    let mut at = request;
    for key in keys {
        at = match key.parse::<usize>() {
            Ok(index) if at.is_array() => &mut at[index],
            _ => &mut at[key],
        };
    }
    match (at, last.parse::<usize>()) {
        (Value::Array(all), Ok(index)) if value.is_null() => {
            all.remove(index);
        }
        (Value::Array(all), Ok(index)) if index == all.len() => all.push(value),
        (Value::Array(all), Ok(index)) => all[index] = value,
        (Value::Object(all), _) if value.is_null() => {
            all.remove(last);
        }
        (at, _) => at[last] = value,
    }
}

fn code(name: &str) -> i32 {
    match name {
        "OK" => 0,
        "INVALID_ARGUMENT" => 3,
        "NOT_FOUND" => 5,
        "PERMISSION_DENIED" => 7,
        "FAILED_PRECONDITION" => 9,
        other => panic!("no code is called {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_get_the_answers_of_luci_go() {
    let ground = Ground::new().await;
    let mut bases: HashMap<String, Value> = HashMap::new();
    let (mut rows, mut wrong) = (0, Vec::new());
    for line in include_str!("validation.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let base = row["base"].as_str();
        let Some(rpc) = row["rpc"].as_str() else {
            bases.insert(base.unwrap().to_owned(), row["request"].clone());
            continue;
        };
        let mut request = match base {
            Some(base) => bases[base].clone(),
            None => expand(&row["request"]),
        };
        for change in row["patch"].as_array().into_iter().flatten() {
            patch(&mut request, change[0].as_str().unwrap(), expand(&change[1]));
        }
        rows += 1;
        let reply = ground.call(rpc, &request).await;
        let said = reply.text();
        let said = said.strip_suffix('\n').unwrap_or(&said);
        let wanted = row["message"].as_str().unwrap_or_default();
        let text_is_right = match (row["code"].as_str().unwrap(), row["match"].as_str()) {
            ("OK", _) => true,
            (_, Some("contains")) => said.contains(wanted),
            _ => said == wanted,
        };
        if reply.code() != code(row["code"].as_str().unwrap()) || !text_is_right {
            wrong.push(format!(
                "{}: {} {wanted}\n    but was {} {said}",
                row["name"],
                row["code"],
                reply.code()
            ));
        }
    }
    assert!(rows >= 500, "only {rows} rows");
    assert!(wrong.is_empty(), "{} of {rows}:\n{}", wrong.len(), wrong.join("\n"));
}
