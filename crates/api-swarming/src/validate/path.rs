//! Paths inside of a task's directory, and which of them may not lie inside of each other.
//!
//! Facts: luci-go `swarming/server/validate/validate.go`, `swarming/server/directoryocclusion`.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{clean, length, quote};

/// A relative path in its shortest form, of at most `max` bytes.
pub fn check(path: &str, max: usize, backslashes: bool) -> Result<(), String> {
    if path.is_empty() {
        return Err("cannot be empty".to_owned());
    }
    length(path, max)?;
    if !backslashes && path.contains('\\') {
        return Err(r#"cannot contain "\\". On Windows forward-slashes will be replaced with back-slashes."#
            .to_owned());
    }
    if path.starts_with('/') {
        return Err(r#"cannot start with "/""#.to_owned());
    }
    let normal = clean(path);
    if normal != path {
        return Err(format!("{} is not normalized. Normalized is {}", quote(path), quote(&normal)));
    }
    Ok(())
}

/// Directories and who wants them. A directory, and all below it, can have one owner only.
#[derive(Default)]
pub struct Directories {
    root: Directory,
}

#[derive(Default)]
struct Directory {
    /// Owner → why it wants this directory.
    owners: BTreeMap<String, BTreeSet<String>>,
    below: BTreeMap<String, Directory>,
}

/// A directory that has one owner.
struct Owned<'a> {
    path: &'a str,
    owner: &'a str,
    description: String,
}

impl Directories {
    /// The path's length must have a limit: one level of the stack is used for every `/`.
    pub fn add(&mut self, path: &str, owner: String, note: String) {
        let mut directory = &mut self.root;
        for name in path.split('/') {
            directory = directory.below.entry(name.to_owned()).or_default();
        }
        directory.owners.entry(owner).or_default().insert(note);
    }

    /// What contradicts what, by path. Below a contradiction nothing more is looked for.
    pub fn conflicts(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.root.conflicts(None, None, &mut found);
        found
    }
}

impl Directory {
    fn conflicts(&self, inside: Option<&str>, above: Option<&Owned<'_>>, found: &mut Vec<String>) {
        let path = inside.unwrap_or_default();
        if self.owners.len() > 1 {
            let owners = self.descriptions().join(" and ");
            found.push(format!("{}: directory has conflicting owners: {owners}", quote(path)));
            return;
        }
        let mut own = None;
        if let Some(owner) = self.owners.keys().next() {
            let description = self.descriptions().concat();
            match above {
                Some(above) if above.owner != owner => {
                    found.push(format!(
                        "{description} uses {}, which conflicts with {} using {}",
                        quote(path),
                        above.description,
                        quote(above.path),
                    ));
                    return;
                }
                Some(_) => {}
                None => own = Some(Owned { path, owner, description }),
            }
        }
        for (name, directory) in &self.below {
            let path = inside.map_or_else(|| name.clone(), |path| format!("{path}/{name}"));
            directory.conflicts(Some(&path), own.as_ref().or(above), found);
        }
    }

    fn descriptions(&self) -> Vec<String> {
        let describe = |(owner, notes): (&String, &BTreeSet<String>)| {
            let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
            format!("{owner}[{}]", notes.join(", "))
        };
        self.owners.iter().map(describe).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, backslashes, expected) in [
            ("a/b c", false, ""),
            (".", false, ""),
            ("..", false, ""),
            ("a\\b", true, ""),
            ("", true, "cannot be empty"),
            ("a\\b", false, r#"cannot contain "\\". On Windows"#),
            ("/a", false, r#"cannot start with "/""#),
            ("a/../b", false, r#""a/../b" is not normalized. Normalized is "b""#),
            ("a/", false, r#""a/" is not normalized. Normalized is "a""#),
            ("123456789", false, r#"too long "123456789": 9 > 8"#),
        ] {
            match check(path, 8, backslashes) {
                Ok(()) => assert_eq!(expected, "", "{path}"),
                Err(why) => {
                    assert!(!expected.is_empty() && why.contains(expected), "{path}: {why}")
                }
            }
        }
    }

    #[test]
    fn directories_have_one_owner() {
        let conflicts = |of: &[(&str, &str, &str)]| {
            let mut directories = Directories::default();
            for (path, owner, note) in of {
                directories.add(path, (*owner).to_owned(), (*note).to_owned());
            }
            directories.conflicts()
        };
        assert!(conflicts(&[("a", "x", ""), ("b", "y", ""), ("c/d", "x", "1")]).is_empty());
        assert!(conflicts(&[("a", "x", "1"), ("a/b/c", "x", "2"), ("a", "x", "3")]).is_empty());
        assert_eq!(
            conflicts(&[("a/b", "n2", ""), ("a/b", "n1", "")]),
            [r#""a/b": directory has conflicting owners: n1[] and n2[]"#]
        );
        assert_eq!(
            conflicts(&[("a", "x", "p"), ("a", "x", "q"), ("a/b", "y", ""), ("a/b/c", "z", "")]),
            [r#"y[] uses "a/b", which conflicts with x[p, q] using "a""#]
        );
    }
}
