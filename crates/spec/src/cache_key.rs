//! Names the result of a step: equal keys promise equal results, so that a step that already ran somewhere is not run again.
//!
//! Everything that may change the result is in the key: what is checked out, what is run in which image on which runtime, what
//! is mounted, and the key of the step before, which makes it cumulative. `changesetTemplate` is not, so that a new title re-uses
//! everything; `timeout` is not either, because only results of steps that ended by themselves are kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{ChangedFiles, OutputFormat, OutputRule, RenderedStep, Run, TemplateContext};

/// Changes whenever the meaning of a key or of a [`CachedStep`] does; old entries are then never found.
const VERSION: &str = "phalanx-step-1";

/// Everything that may change the result of a step.
#[derive(Clone, Copy, Debug)]
pub struct StepKeyInput<'a> {
    pub repository: &'a str,
    /// The commit.
    pub revision: &'a str,
    /// The workspace inside the repository, `""` for all of it.
    pub path: &'a str,
    pub only_fetch_workspace: bool,
    pub step: &'a RenderedStep,
    /// Output rules of the step.
    pub outputs: &'a BTreeMap<String, OutputRule>,
    /// What the output rules may read. Looked at only when there are any; results of earlier steps in it are not, because
    /// `previous_key` stands for them.
    pub context: &'a TemplateContext,
    /// The digest of the image, not its tag: a tag may move.
    pub image_digest: Option<&'a str>,
    /// Mount point and digest of the content.
    pub mounts: &'a [(String, String)],
    /// The key of the last step that ran before this one in the same workspace.
    pub previous_key: Option<&'a str>,
    /// The kind of runtime, for example `process` or `docker`.
    pub runtime: &'a str,
}

/// What is kept of a step under its key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedStep {
    /// The digest of the cumulative patch after this step, in hexadecimal; `None` when nothing has changed so far.
    pub diff: Option<String>,
    /// Cumulative, as the patch is.
    #[serde(default)]
    pub files: ChangedFiles,
    #[serde(default)]
    pub stdout: String,
    #[serde(default)]
    pub stderr: String,
    /// All outputs so far, not only those of this step.
    #[serde(default)]
    pub outputs: BTreeMap<String, serde_json::Value>,
    /// Its `if` was not true.
    #[serde(default)]
    pub skipped: bool,
}

/// The key: 64 hexadecimal digits.
pub fn step_key(input: &StepKeyInput<'_>) -> String {
    // A pattern without `..`, so that a new field cannot be forgotten.
    let StepKeyInput {
        repository,
        revision,
        path,
        only_fetch_workspace,
        step,
        outputs,
        context,
        image_digest,
        mounts,
        previous_key,
        runtime,
    } = input;
    let RenderedStep { run, container, env, files, timeout_ms: _ } = step;
    let mut key = Key::new();
    key.text(repository);
    key.text(revision);
    key.text(path);
    key.count(usize::from(*only_fetch_workspace));
    match run {
        Run::Shell(text) => {
            key.text("shell");
            key.text(text);
        }
        Run::Argv(arguments) => {
            key.text("argv");
            key.count(arguments.len());
            arguments.iter().for_each(|argument| key.text(argument));
        }
    }
    key.option(container.as_deref());
    // Order matters: the last of two values for one name wins.
    key.pairs(env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    key.pairs(files.iter().map(|(path, content)| (path.as_str(), content.as_str())));
    key.count(outputs.len());
    for (name, OutputRule { value, format }) in outputs.iter() {
        key.text(name);
        key.text(value);
        key.text(match format {
            OutputFormat::Text => "text",
            OutputFormat::Json => "json",
            OutputFormat::Yaml => "yaml",
        });
    }
    if !outputs.is_empty() {
        key.text(&context.repository.name);
        key.text(&context.repository.branch);
        key.texts(&context.repository.search_result_paths);
        key.text(&context.batch_change.name);
        key.text(&context.batch_change.description);
        key.text(&context.steps_path);
    }
    key.option(*image_digest);
    let mut mounts: Vec<_> = mounts.iter().map(|(at, digest)| (&**at, &**digest)).collect();
    mounts.sort_unstable();
    key.pairs(mounts.into_iter());
    key.option(*previous_key);
    key.text(runtime);
    key.finish()
}

/// Hashes fields with their lengths in front, so that `("ab", "c")` and `("a", "bc")` differ.
struct Key(Sha256);

impl Key {
    fn new() -> Self {
        let mut key = Self(Sha256::new());
        key.text(VERSION);
        key
    }

    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text.as_bytes());
    }

    fn texts(&mut self, texts: &[String]) {
        self.count(texts.len());
        texts.iter().for_each(|text| self.text(text));
    }

    fn option(&mut self, text: Option<&str>) {
        self.count(usize::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn pairs<'a>(&mut self, pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)>) {
        self.count(pairs.len());
        for (name, value) in pairs {
            self.text(name);
            self.text(value);
        }
    }

    fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

#[cfg(test)]
mod tests;
