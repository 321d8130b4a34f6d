//! What several reviews and checks mean together, and other words that hosts share.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::http::is_hostile;
use crate::{CheckState, ReviewState};

/// From oldest to newest: who said what. A later comment does not undo an approval, a dismissal does.
pub(crate) fn review_of(said: impl IntoIterator<Item = (String, ReviewState)>) -> ReviewState {
    let mut latest = BTreeMap::new();
    for (reviewer, state) in said {
        let state_now = latest.entry(reviewer).or_insert(ReviewState::Pending);
        let only_words = matches!(state, ReviewState::Commented | ReviewState::Pending);
        if !only_words || *state_now == ReviewState::Pending {
            *state_now = state;
        }
    }
    [
        ReviewState::ChangesRequested,
        ReviewState::Approved,
        ReviewState::Dismissed,
        ReviewState::Commented,
    ]
    .into_iter()
    .find(|wanted| latest.values().any(|state| state == wanted))
    .unwrap_or_default()
}

pub(crate) fn checks_of(states: impl IntoIterator<Item = CheckState>) -> CheckState {
    let states: Vec<_> = states.into_iter().collect();
    [CheckState::Pending, CheckState::Failed, CheckState::Passed]
        .into_iter()
        .find(|wanted| states.contains(wanted))
        .unwrap_or_default()
}

/// GitHub's and Gitea's word for a commit's status.
pub(crate) fn commit_status(word: &str) -> CheckState {
    match word {
        "success" | "warning" | "skipped" => CheckState::Passed,
        "failure" | "error" => CheckState::Failed,
        "" => CheckState::Unknown,
        _ => CheckState::Pending,
    }
}

/// A time of a host; 0 when it is none.
pub(crate) fn time_ms(text: &str) -> u64 {
    let time = text.parse::<jiff::Timestamp>().ok();
    time.and_then(|time| u64::try_from(time.as_millisecond()).ok()).unwrap_or(0)
}

pub(crate) fn maybe_ms(text: Option<&String>) -> Option<u64> {
    text.map(|text| time_ms(text)).filter(|ms| *ms > 0)
}

/// A commit's id, or nothing: what is asked of git with it must not be something else.
pub(crate) fn commit(text: &str) -> String {
    let is_id = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id { text.to_owned() } else { String::new() }
}

/// One line from outside that stays as it is, but for what would play tricks on who reads it.
pub(crate) fn line(text: &str) -> String {
    text.chars().filter(|c| !is_hostile(*c)).collect()
}

/// The same of a text with several lines.
pub(crate) fn prose(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\r' | '\t') || !is_hostile(*c)).collect()
}

/// The title without its mark, and whether it is a draft, where a host keeps that in the title. Where the host `said` that it is
/// none, its operator wants other marks and this one belongs to the title.
pub(crate) fn title_and_draft(title: &str, said: Option<bool>, marks: &[&str]) -> (String, bool) {
    let title = line(title);
    let plain = marks.iter().find_map(|mark| {
        let head = title.get(..mark.len())?;
        head.eq_ignore_ascii_case(mark).then(|| title[mark.len()..].trim_start().to_owned())
    });
    let draft = said.unwrap_or(plain.is_some());
    (plain.filter(|_| draft).unwrap_or(title), draft)
}

/// Who is asked to review: people and, written as `org/team` or `team:name`, teams. GitHub's and Gitea's body of the request.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Reviewers {
    reviewers: Vec<String>,
    team_reviewers: Vec<String>,
}

impl Reviewers {
    pub fn new(names: &[String]) -> Self {
        let (mut reviewers, mut team_reviewers) = (Vec::new(), Vec::new());
        for name in names {
            match name.strip_prefix("team:").or(name.split_once('/').map(|(_, team)| team)) {
                Some(team) => team_reviewers.push(team.to_owned()),
                None => reviewers.push(name.clone()),
            }
        }
        Self { reviewers, team_reviewers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reviews_together() {
        use ReviewState::{Approved as A, ChangesRequested as R, Commented as C, Dismissed as D};
        let review = |said: &[(&str, ReviewState)]| {
            review_of(said.iter().map(|(who, state)| ((*who).to_owned(), *state)))
        };
        assert_eq!(review(&[]), ReviewState::Pending);
        assert_eq!(review(&[("a", C)]), C);
        assert_eq!(review(&[("a", A), ("a", C)]), A);
        assert_eq!(review(&[("a", A), ("a", D)]), D);
        assert_eq!(review(&[("a", R), ("a", A)]), A);
        assert_eq!(review(&[("a", R), ("b", A)]), R);
        assert_eq!(review(&[("a", R), ("a", D), ("b", A)]), A);
        assert_eq!(review(&[("a", C), ("b", A)]), A);
    }

    #[test]
    fn checks_together() {
        use CheckState::{Failed, Passed, Pending, Unknown};
        assert_eq!(checks_of([]), Unknown);
        assert_eq!(checks_of([Unknown, Passed]), Passed);
        assert_eq!(checks_of([Passed, Failed]), Failed);
        assert_eq!(checks_of([Failed, Passed, Pending]), Pending);
    }

    #[test]
    fn words_of_hosts() {
        assert_eq!(time_ms("2024-01-01T00:00:00.250+01:00"), 1_704_063_600_250);
        assert_eq!((time_ms("0001-01-01T00:00:00Z"), time_ms("soon")), (0, 0));
        let read = |title: &str, said| title_and_draft(title, said, &["Draft:", "[Draft]"]);
        assert_eq!(read("draft: x", None), ("x".to_owned(), true));
        assert_eq!(read("[Draft] x", Some(true)), ("x".to_owned(), true));
        assert_eq!(read("Draft: x", Some(false)), ("Draft: x".to_owned(), false));
        assert_eq!(read("Drafts: x", None), ("Drafts: x".to_owned(), false));
        assert_eq!(read("x", Some(true)), ("x".to_owned(), true));
        assert_eq!(read("Dräft", None), ("Dräft".to_owned(), false));
        let names = ["ann", "org/core", "team:web"].map(str::to_owned);
        let want = Reviewers {
            reviewers: vec!["ann".into()],
            team_reviewers: vec!["core".into(), "web".into()],
        };
        assert_eq!(Reviewers::new(&names), want);
        assert_eq!(line("a\u{1b}[1mb\nc"), "a[1mbc");
        assert_eq!(prose("a\u{0}\nb"), "a\nb");
    }
}
