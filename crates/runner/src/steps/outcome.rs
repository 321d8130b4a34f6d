//! Why a job ended before its steps did, and how that is said.

use model::{Outcome, TimeoutKind};

use crate::diff::DiffError;
use crate::runtime::RuntimeError;
use crate::workspace::CheckoutError;

/// The job ends here.
#[derive(Debug)]
pub(super) enum Stop {
    /// A step said no.
    Failed {
        exit: i32,
        message: String,
    },
    TimedOut(TimeoutKind),
    StepTimedOut {
        number: usize,
        after_ms: u64,
    },
    Killed,
    /// The patch of the cached steps is gone, or does not apply. Not the end: the steps run instead.
    CacheUnusable(String),
    /// It cannot be run as asked.
    Rejected(String),
    /// Something that it needs is broken, here or on the way to the server: another try, maybe elsewhere, may help.
    Infrastructure(String),
}

impl Stop {
    pub fn rejected(why: impl Into<String>) -> Self {
        Self::Rejected(why.into())
    }

    pub fn runtime(error: &RuntimeError) -> Self {
        match error {
            RuntimeError::Unavailable { message } => Self::Rejected(message.clone()),
            RuntimeError::Failed { .. } => Self::infrastructure("the sandbox failed", error),
        }
    }

    pub fn checkout(error: &CheckoutError) -> Self {
        if error.is_infrastructure() {
            return Self::infrastructure("the checkout failed", error);
        }
        Self::Rejected(sentence(error))
    }

    pub fn diff(number: usize, error: &DiffError) -> Self {
        match error {
            DiffError::Refused(why) => Self::Rejected(format!("after step {number}: {why}")),
            DiffError::Git(_) | DiffError::Io(_) => {
                Self::infrastructure("the work tree could not be read", error)
            }
        }
    }

    /// Not the order's fault: begins with what failed, so that whoever reads it knows that another try may help.
    pub fn infrastructure(what: &str, error: &dyn std::error::Error) -> Self {
        Self::Infrastructure(format!("{what}: {}", sentence(error)))
    }

    pub fn may_be_tried_again(&self) -> bool {
        matches!(self, Self::Infrastructure(_))
    }

    pub fn outcome(&self, redact: impl Fn(&str) -> String) -> Outcome {
        match self {
            Self::Failed { exit, .. } => Outcome::Failed { exit: *exit },
            Self::TimedOut(which) => Outcome::TimedOut { which: *which },
            Self::StepTimedOut { .. } => Outcome::TimedOut { which: TimeoutKind::Step },
            Self::Killed => Outcome::Killed,
            Self::Rejected(why) | Self::Infrastructure(why) | Self::CacheUnusable(why) => {
                Outcome::Rejected { why: redact(why).into() }
            }
        }
    }

    pub fn message(&self) -> String {
        match self {
            Self::Failed { message, .. }
            | Self::Rejected(message)
            | Self::Infrastructure(message)
            | Self::CacheUnusable(message) => message.clone(),
            Self::TimedOut(TimeoutKind::Job) => "the job took longer than it may".into(),
            Self::TimedOut(TimeoutKind::Step) => "a step took longer than it may".into(),
            Self::StepTimedOut { number, after_ms } => {
                format!(
                    "step {number} took longer than the {} s that it may",
                    *after_ms as f64 / 1000.0
                )
            }
            Self::Killed => "the job was stopped".into(),
        }
    }
}

/// An error with all that caused it, on one line.
pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
