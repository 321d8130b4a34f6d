//! Upstream's three files, in protobuf's text format.

use std::collections::BTreeMap;

use miette::Diagnostic as _;
use prost::{Message, Name};
use prost_reflect::DynamicMessage;

use super::{Config, ConfigError, Origin, Origins, Parts};
use crate::proto::DESCRIPTORS;

/// The texts of the files; an empty one says nothing.
#[derive(Clone, Debug, Default)]
pub struct Files<'a> {
    pub settings: &'a str,
    pub bots: &'a str,
    pub pools: &'a str,
    /// `scripts/<name>.py`, by `<name>.py`.
    pub scripts: BTreeMap<String, String>,
}

/// Reads the files. Mistakes name their file, and their line or field.
pub fn read(files: &Files<'_>) -> Result<Config, ConfigError> {
    let mut mistakes = Vec::new();
    let parts = Parts {
        settings: parse("settings.cfg", files.settings, &mut mistakes),
        bots: parse("bots.cfg", files.bots, &mut mistakes),
        pools: parse("pools.cfg", files.pools, &mut mistakes),
    };
    if !mistakes.is_empty() {
        return Err(ConfigError(mistakes));
    }
    let origins = Origins {
        settings: Origin { prefix: "settings.cfg: ", strict: true },
        bots: Origin { prefix: "bots.cfg: ", strict: true },
        pools: Origin { prefix: "pools.cfg: ", strict: true },
    };
    super::resolve(&parts, &origins, &files.scripts)
}

fn parse<T: Message + Name + Default>(file: &str, text: &str, mistakes: &mut Vec<String>) -> T {
    let descriptor = DESCRIPTORS
        .get_message_by_name(&T::full_name())
        .expect("every message of ours is described");
    let read = DynamicMessage::parse_text_format(descriptor, text);
    match read.map(|message| message.transcode_to()) {
        Ok(Ok(message)) => message,
        Ok(Err(error)) => {
            mistakes.push(format!("{file}: {error}"));
            T::default()
        }
        Err(error) => {
            let offset =
                error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
            // What has no place is missing at the end.
            let before = offset.and_then(|offset| text.as_bytes().get(..offset));
            let before = before.unwrap_or(text.as_bytes());
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            mistakes.push(format!("{file}:{line}: {error}"));
            T::default()
        }
    }
}
