//! Lines of a hunk in pairs, and which words of a pair differ.

use similar::{Algorithm, ChangeTag, TextDiff};

/// Longest line whose words are compared; a longer one is marked as a whole.
const COMPARED_BYTES: usize = 2000;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Kind {
    Same,
    Removed,
    Added,
}

/// A line with its parts; those marked differ from its counterpart.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub kind: Kind,
    pub old: Option<i64>,
    pub new: Option<i64>,
    pub parts: Vec<(bool, &'a str)>,
}

/// The lines of a hunk's body, numbered, with the words of changed lines compared pair by pair.
pub(crate) fn lines(body: &str, old_start: i64, new_start: i64) -> Vec<Line<'_>> {
    let (mut old, mut new) = (old_start, new_start);
    let mut lines = Vec::new();
    for text in body.split_terminator('\n') {
        let (kind, rest) = match text.as_bytes().first() {
            Some(b'+') => (Kind::Added, &text[1..]),
            Some(b'-') => (Kind::Removed, &text[1..]),
            Some(b' ') => (Kind::Same, &text[1..]),
            // `\ No newline at end of file` is said by the hunk's own field.
            Some(b'\\') => continue,
            _ => (Kind::Same, text),
        };
        let line = Line {
            kind,
            old: (kind != Kind::Added).then_some(old),
            new: (kind != Kind::Removed).then_some(new),
            parts: vec![(false, rest)],
        };
        old += i64::from(kind != Kind::Added);
        new += i64::from(kind != Kind::Removed);
        lines.push(line);
    }
    compare(&mut lines);
    lines
}

/// A run of removed lines followed by as many added ones is taken as pairs.
fn compare(lines: &mut [Line<'_>]) {
    let mut at = 0;
    while at < lines.len() {
        let removed = lines[at..].iter().take_while(|line| line.kind == Kind::Removed).count();
        let added =
            lines[at + removed..].iter().take_while(|line| line.kind == Kind::Added).count();
        if removed > 0 && removed == added {
            for pair in 0..removed {
                let (left, right) = lines.split_at_mut(at + removed + pair);
                words(&mut left[at + pair], &mut right[0]);
            }
        }
        at += (removed + added).max(1);
    }
}

fn words<'a>(old: &mut Line<'a>, new: &mut Line<'a>) {
    let (before, after) = (old.parts[0].1, new.parts[0].1);
    if before.len().max(after.len()) > COMPARED_BYTES {
        return;
    }
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).diff_unicode_words(before, after);
    // Two lines that share little are two lines, not one that was edited.
    if diff.ratio() < 0.4 {
        return;
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for change in diff.iter_all_changes() {
        let text = change.value();
        match change.tag() {
            ChangeTag::Equal => {
                push(&mut left, before, false, text);
                push(&mut right, after, false, text);
            }
            ChangeTag::Delete => push(&mut left, before, true, text),
            ChangeTag::Insert => push(&mut right, after, true, text),
        }
    }
    old.parts = left;
    new.parts = right;
}

/// Parts follow each other in `whole`, so a part of the same mark is a longer slice of it.
fn push<'a>(parts: &mut Vec<(bool, &'a str)>, whole: &'a str, marked: bool, text: &str) {
    let end: usize = parts.iter().map(|(_, part)| part.len()).sum::<usize>() + text.len();
    match parts.last_mut() {
        Some((same, part)) if *same == marked => *part = &whole[end - text.len() - part.len()..end],
        _ => parts.push((marked, &whole[end - text.len()..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, lines};

    #[test]
    fn words_of_a_pair() {
        let found = lines(" a\n-let x = 1;\n+let x = 22;\n", 10, 20);
        assert_eq!(found[1].parts.iter().map(|part| part.1).collect::<String>(), "let x = 1;");
        assert_eq!(found[1].parts.iter().find(|part| part.0).unwrap().1, "1");
        assert_eq!(found[2].parts.iter().find(|part| part.0).unwrap().1, "22");
        assert_eq!((found[2].old, found[2].new), (None, Some(21)));
    }

    #[test]
    fn other_lines_are_not_compared() {
        let found = lines("-one\n+entirely different words\n\\ No newline at end of file\n", 1, 1);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|line| line.kind != Kind::Same && !line.parts[0].0));
    }
}
