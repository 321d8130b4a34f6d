//! Values that live in one column: slices, dimensions, outputs, outcomes.

use std::sync::Arc;

use model::{
    Digest, Dimensions, Order, Outcome, Output, Requirements, ReuseKey, Slice, TimeoutKind,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// A column that does not hold what this program writes.
#[derive(Debug, thiserror::Error)]
#[error("column `{column}` holds something unreadable: {text}")]
pub(crate) struct CodecError {
    column: &'static str,
    text: String,
}

fn bad(column: &'static str, text: &str) -> CodecError {
    CodecError { column, text: text.chars().take(200).collect() }
}

type Pairs = Vec<(String, Vec<String>)>;

pub(crate) fn slices_to_text(slices: &[Slice]) -> String {
    // The common job has one slice that waits for ever for any runner.
    let all = slices.iter().map(|slice| {
        let pairs: Vec<_> = slice.requirements.iter().collect();
        match &slice.reuse_key {
            None => json!([slice.expires_after_ms, slice.wait_for_capacity, pairs]),
            Some(ReuseKey(key)) => {
                let key = Digest(*key).to_string();
                json!([slice.expires_after_ms, slice.wait_for_capacity, pairs, key])
            }
        }
    });
    Value::Array(all.collect()).to_string()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StoredSlice {
    Plain(Option<u64>, bool, Pairs),
    Keyed(Option<u64>, bool, Pairs, String),
}

pub(crate) fn slices_from_text(text: &str) -> Result<Arc<[Slice]>, CodecError> {
    let error = || bad("slices", text);
    let all: Vec<StoredSlice> = serde_json::from_str(text).map_err(|_| error())?;
    let slices = all.into_iter().map(|slice| {
        let (expires_after_ms, wait_for_capacity, pairs, key) = match slice {
            StoredSlice::Plain(expires, wait, pairs) => (expires, wait, pairs, None),
            StoredSlice::Keyed(expires, wait, pairs, key) => (expires, wait, pairs, Some(key)),
        };
        let reuse_key = match key {
            None => None,
            Some(key) => Some(ReuseKey(Digest::parse_hex(&key).map_err(|_| error())?.0)),
        };
        let mut requirements = Requirements::default();
        for (key, values) in &pairs {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            requirements.add(key, &values).map_err(|_| error())?;
        }
        Ok(Slice { requirements, expires_after_ms, wait_for_capacity, reuse_key })
    });
    slices.collect()
}

pub(crate) fn dimensions_to_text(dimensions: &Dimensions) -> String {
    let pairs: Vec<_> = dimensions.iter().collect();
    json!(pairs).to_string()
}

pub(crate) fn dimensions_from_text(text: &str) -> Result<Dimensions, CodecError> {
    let pairs: Pairs = serde_json::from_str(text).map_err(|_| bad("dimensions", text))?;
    let mut dimensions = Dimensions::default();
    for (key, values) in &pairs {
        for value in values {
            dimensions.add(key, value).map_err(|_| bad("dimensions", text))?;
        }
    }
    Ok(dimensions)
}

pub(crate) fn outputs_to_text(outputs: &[Output]) -> String {
    if outputs.is_empty() {
        return "[]".to_owned();
    }
    let all =
        outputs.iter().map(|output| json!([&*output.name, output.digest.to_string(), output.size]));
    Value::Array(all.collect()).to_string()
}

pub(crate) fn outputs_from_text(text: &str) -> Result<Vec<Output>, CodecError> {
    let all: Vec<(String, String, u64)> =
        serde_json::from_str(text).map_err(|_| bad("outputs", text))?;
    let outputs = all.into_iter().map(|(name, digest, size)| {
        let digest = Digest::parse_hex(&digest).map_err(|_| bad("outputs", text))?;
        Ok(Output { name: name.into(), digest, size })
    });
    outputs.collect()
}

pub(crate) fn order_name(order: Order) -> Option<&'static str> {
    match order {
        Order::Fair => None,
        Order::Oldest => Some("oldest"),
        Order::Newest => Some("newest"),
    }
}

pub(crate) fn order_from(name: Option<&str>) -> Result<Order, CodecError> {
    match name {
        None => Ok(Order::Fair),
        Some("oldest") => Ok(Order::Oldest),
        Some("newest") => Ok(Order::Newest),
        Some(other) => Err(bad("job_order", other)),
    }
}

/// NULL for a job without labels.
pub(crate) fn labels_to_text(labels: &[Arc<str>]) -> Option<String> {
    let labels: Vec<&str> = labels.iter().map(|label| &**label).collect();
    (!labels.is_empty()).then(|| json!(labels).to_string())
}

pub(crate) fn labels_from_text(text: Option<&str>) -> Result<Arc<[Arc<str>]>, CodecError> {
    let Some(text) = text else { return Ok([].into()) };
    let labels: Vec<String> = serde_json::from_str(text).map_err(|_| bad("labels", text))?;
    Ok(labels.into_iter().map(Arc::from).collect())
}

/// The detail beside an outcome's name.
pub(crate) fn outcome_detail(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Failed { exit } => Some(exit.to_string()),
        Outcome::TimedOut { which: TimeoutKind::Step } => Some("step".to_owned()),
        Outcome::TimedOut { which: TimeoutKind::Job } => Some("job".to_owned()),
        Outcome::Rejected { why } => Some(why.to_string()),
        Outcome::Succeeded
        | Outcome::Canceled
        | Outcome::Killed
        | Outcome::Expired
        | Outcome::NoResource
        | Outcome::RunnerLost => None,
    }
}

pub(crate) fn outcome_from(name: &str, detail: Option<&str>) -> Result<Outcome, CodecError> {
    let error = || bad("outcome", name);
    Ok(match name {
        "succeeded" => Outcome::Succeeded,
        "failed" => {
            Outcome::Failed { exit: detail.and_then(|d| d.parse().ok()).ok_or_else(error)? }
        }
        "timed_out" => Outcome::TimedOut {
            which: match detail {
                Some("step") => TimeoutKind::Step,
                _ => TimeoutKind::Job,
            },
        },
        "canceled" => Outcome::Canceled,
        "killed" => Outcome::Killed,
        "expired" => Outcome::Expired,
        "no_resource" => Outcome::NoResource,
        "runner_lost" => Outcome::RunnerLost,
        "rejected" => Outcome::Rejected { why: detail.unwrap_or_default().into() },
        _ => return Err(error()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_round_trip() {
        for outcome in [
            Outcome::Succeeded,
            Outcome::Failed { exit: -9 },
            Outcome::TimedOut { which: TimeoutKind::Step },
            Outcome::TimedOut { which: TimeoutKind::Job },
            Outcome::Canceled,
            Outcome::Killed,
            Outcome::Expired,
            Outcome::NoResource,
            Outcome::RunnerLost,
            Outcome::Rejected { why: "no `x`".into() },
        ] {
            let detail = outcome_detail(&outcome);
            let read = outcome_from(outcome.name(), detail.as_deref()).unwrap();
            assert_eq!(read, outcome);
        }
        assert!(outcome_from("failed", None).is_err());
        assert!(outcome_from("fine", None).is_err());
    }

    #[test]
    fn slices_round_trip() {
        let slices = [
            Slice::waiting(Requirements::of(&[
                ("os", "Linux|Mac"),
                ("os", "Debian"),
                ("cpu", "x"),
            ])),
            Slice {
                requirements: Requirements::default(),
                expires_after_ms: Some(5),
                wait_for_capacity: false,
                reuse_key: Some(ReuseKey([7; 32])),
            },
        ];
        assert_eq!(*slices_from_text(&slices_to_text(&slices)).unwrap(), slices);
    }
}
