//! What is found while a configuration is read: mistakes, and settings without effect.

/// Everything that is wrong, one sentence a line, each with its file and its line or field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// Collects, so that an operator sees all mistakes at once.
#[derive(Default)]
pub struct Report {
    mistakes: Vec<String>,
    ignored: Vec<String>,
}

impl Report {
    pub(super) fn mistake(&mut self, place: &str, why: impl std::fmt::Display) {
        self.mistakes.push(format!("{place}: {why}"));
    }

    pub(super) fn check(&mut self, place: &str, result: Result<(), String>) {
        if let Err(why) = result {
            self.mistake(place, why);
        }
    }

    /// Notes a setting without effect when `is_set`.
    pub(super) fn ignore(&mut self, place: &str, is_set: bool, why: &str) {
        if is_set {
            self.ignored.push(format!("{place} has no effect here: {why}"));
        }
    }

    /// A duration in seconds: not negative.
    pub(super) fn seconds(&mut self, place: &str, seconds: i32) -> u32 {
        u32::try_from(seconds).unwrap_or_else(|_| {
            self.mistake(place, format_args!("must be non-negative, got {seconds}"));
            0
        })
    }

    /// What had no effect, when nothing was wrong.
    pub(super) fn finish(self) -> Result<Vec<String>, ConfigError> {
        if self.mistakes.is_empty() { Ok(self.ignored) } else { Err(ConfigError(self.mistakes)) }
    }
}
