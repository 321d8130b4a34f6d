//! Guesses what was meant by a name that does not exist.

/// The candidate that is nearest to the name, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A long name is not a typing mistake, and would take long to compare.
    if name.len() > 64 {
        return None;
    }
    let plain = |text: &str| -> Vec<char> {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let wanted = plain(name);
    let far = candidates.into_iter().map(|candidate| {
        let known = plain(candidate);
        let is_part =
            wanted.len() >= 3 && (known.starts_with(&wanted) || wanted.starts_with(&known));
        (if is_part { 1 } else { distance(&wanted, &known) }, candidate)
    });
    let most = 1 + wanted.len() / 4;
    far.filter(|(distance, _)| *distance <= most.min(3)).min().map(|(_, candidate)| candidate)
}

/// How many letters have to be added, removed, replaced or swapped.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(a != b);
            let mut best = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let known = ["changesetTemplate", "steps", "workspaces", "on", "name", "description"];
        let table = [
            ("changeset_template", Some("changesetTemplate")),
            ("step", Some("steps")),
            ("setps", Some("steps")),
            ("workspace", Some("workspaces")),
            ("desc", Some("description")),
            ("unrelated", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
