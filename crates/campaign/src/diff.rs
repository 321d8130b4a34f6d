//! Reading unified diffs as git writes them: which files, what became of them, and where each lies in the text.
//!
//! A diff is bytes: contents and names need not be UTF-8.

use std::ops::Range;

use crate::execution::DiffStat;

/// One file of a diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileDiff {
    /// `None` for a new file.
    pub old_path: Option<Vec<u8>>,
    /// `None` for a deleted one.
    pub new_path: Option<Vec<u8>>,
    pub old_mode: Option<String>,
    pub new_mode: Option<String>,
    pub rename: bool,
    pub binary: bool,
    pub hunks: Vec<Hunk>,
    /// Where it lies in the diff.
    pub range: Range<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hunk {
    pub old_start: u64,
    pub old_lines: u64,
    pub new_start: u64,
    pub new_lines: u64,
    /// What stands behind the second `@@`.
    pub section: Vec<u8>,
    /// The lines with their first character, as they lie in the diff.
    pub body: Range<usize>,
    pub added: u64,
    pub deleted: u64,
    /// The old file's last line has no end.
    pub old_no_newline: bool,
}

/// Why a text is not a diff, and in which line that shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the diff: {message}")]
pub struct DiffError {
    pub line: usize,
    pub message: &'static str,
}

impl FileDiff {
    /// The name that it has now, or had when it is gone.
    pub fn path(&self) -> &[u8] {
        self.new_path.as_deref().or(self.old_path.as_deref()).unwrap_or_default()
    }

    pub fn added(&self) -> u64 {
        self.hunks.iter().map(|hunk| hunk.added).sum()
    }

    pub fn deleted(&self) -> u64 {
        self.hunks.iter().map(|hunk| hunk.deleted).sum()
    }
}

/// Reads a whole diff.
pub fn parse(diff: &[u8]) -> Result<Vec<FileDiff>, DiffError> {
    Parser { diff, at: 0, line: 0 }.files()
}

pub fn stat(files: &[FileDiff]) -> DiffStat {
    DiffStat {
        files: files.len() as u64,
        added: files.iter().map(FileDiff::added).sum(),
        deleted: files.iter().map(FileDiff::deleted).sum(),
    }
}

/// The part of a diff that is about these files.
pub fn only(diff: &[u8], wanted: &[String]) -> Result<Vec<u8>, DiffError> {
    let mut part = Vec::new();
    for file in parse(diff)? {
        if wanted.iter().any(|path| path.as_bytes() == file.path()) {
            part.extend_from_slice(&diff[file.range]);
        }
    }
    Ok(part)
}

/// How many leading folders of its names are not part of them: 1 when they begin with `a/` and `b/`.
pub fn strip(diff: &[u8]) -> u8 {
    let mut headers = diff.split(|b| *b == b'\n').filter_map(|l| l.strip_prefix(b"diff --git "));
    let Some(first) = headers.next() else {
        let named = |prefix: &[u8]| {
            diff.split(|b| *b == b'\n')
                .find_map(|line| line.strip_prefix(prefix).filter(|rest| *rest != b"/dev/null"))
        };
        let old = named(b"--- ").is_none_or(|path| path.starts_with(b"a/"));
        let new = named(b"+++ ").is_none_or(|path| path.starts_with(b"b/"));
        return u8::from(old && new);
    };
    let prefixed = |header: &[u8]| header.starts_with(b"a/") || header.starts_with(b"\"a/");
    u8::from(prefixed(first) && headers.all(prefixed))
}

struct Parser<'a> {
    diff: &'a [u8],
    at: usize,
    line: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a [u8]> {
        let rest = self.diff.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        Some(&rest[..end])
    }

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.peek()?;
        self.at = (self.at + line.len() + 1).min(self.diff.len());
        self.line += 1;
        Some(line)
    }

    fn error(&self, message: &'static str) -> DiffError {
        DiffError { line: self.line.max(1), message }
    }

    fn files(mut self) -> Result<Vec<FileDiff>, DiffError> {
        let strip = usize::from(strip(self.diff));
        let mut files: Vec<FileDiff> = Vec::new();
        while let Some(line) = self.peek() {
            let start = self.at;
            let mut file = if let Some(names) = line.strip_prefix(b"diff --git ") {
                self.next();
                let both = same_name(names, strip);
                FileDiff { old_path: both.clone(), new_path: both, ..FileDiff::default() }
            } else if line.starts_with(b"--- ") {
                FileDiff::default()
            } else if files.is_empty() && line.trim_ascii().is_empty() {
                self.next();
                continue;
            } else {
                self.next();
                return Err(self.error("here should begin a file, with `diff --git` or `---`"));
            };
            self.header(&mut file, strip)?;
            while self.peek().is_some_and(|line| line.starts_with(b"@@ ")) {
                let hunk = self.hunk()?;
                file.hunks.push(hunk);
            }
            if file.old_path.is_none() && file.new_path.is_none() {
                return Err(self.error("a file without a name"));
            }
            file.range = start..self.at;
            files.push(file);
        }
        if files.is_empty() && !self.diff.trim_ascii().is_empty() {
            return Err(self.error("there is no file in it"));
        }
        Ok(files)
    }

    fn header(&mut self, file: &mut FileDiff, strip: usize) -> Result<(), DiffError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        while let Some(line) = self.peek() {
            if line.starts_with(b"@@ ") || line.starts_with(b"diff --git ") {
                break;
            }
            self.next();
            if let Some(mode) = line.strip_prefix(b"old mode ") {
                file.old_mode = Some(text(mode));
            } else if let Some(mode) = line.strip_prefix(b"new mode ") {
                file.new_mode = Some(text(mode));
            } else if let Some(mode) = line.strip_prefix(b"new file mode ") {
                file.new_mode = Some(text(mode));
                file.old_path = None;
            } else if let Some(mode) = line.strip_prefix(b"deleted file mode ") {
                file.old_mode = Some(text(mode));
                file.new_path = None;
            } else if let Some(path) =
                line.strip_prefix(b"rename from ").or_else(|| line.strip_prefix(b"copy from "))
            {
                file.old_path = Some(unquoted(path));
                file.rename = true;
            } else if let Some(path) =
                line.strip_prefix(b"rename to ").or_else(|| line.strip_prefix(b"copy to "))
            {
                file.new_path = Some(unquoted(path));
            } else if let Some(path) = line.strip_prefix(b"--- ") {
                file.old_path = named(path, strip);
                let Some(path) = self.peek().and_then(|line| line.strip_prefix(b"+++ ")) else {
                    return Err(self.error("`---` without a `+++` after it"));
                };
                self.next();
                file.new_path = named(path, strip);
                break;
            } else if line == b"GIT binary patch" {
                file.binary = true;
                self.binary();
                break;
            } else if line.starts_with(b"Binary files ") {
                file.binary = true;
                break;
            }
        }
        Ok(())
    }

    /// Two blocks of lines, each ended by an empty one.
    fn binary(&mut self) {
        while let Some(line) = self.peek() {
            if line.starts_with(b"diff --git ") {
                return;
            }
            self.next();
        }
    }

    fn hunk(&mut self) -> Result<Hunk, DiffError> {
        let line = self.next().unwrap_or_default();
        let bad = "a hunk should begin as `@@ -1,2 +1,3 @@`";
        let rest = line.strip_prefix(b"@@ -").ok_or_else(|| self.error(bad))?;
        let end = rest.windows(3).position(|w| w == b" @@").ok_or_else(|| self.error(bad))?;
        let (ranges, section) = (&rest[..end], &rest[end + 3..]);
        let ranges = std::str::from_utf8(ranges).map_err(|_| self.error(bad))?;
        let (old, new) = ranges.split_once(" +").ok_or_else(|| self.error(bad))?;
        let (old_start, old_lines) = range(old).ok_or_else(|| self.error(bad))?;
        let (new_start, new_lines) = range(new).ok_or_else(|| self.error(bad))?;
        let section = section.strip_prefix(b" ").unwrap_or(section).to_vec();
        let mut hunk =
            Hunk { old_start, old_lines, new_start, new_lines, section, ..Hunk::default() };
        let start = self.at;
        let (mut old, mut new) = (0, 0);
        // Counted, so that a line of a file can never be taken for one of the diff.
        while old < old_lines || new < new_lines {
            let Some(line) = self.next() else {
                return Err(self.error("the hunk has fewer lines than it says"));
            };
            match line.first() {
                Some(b'+') => (new, hunk.added) = (new + 1, hunk.added + 1),
                Some(b'-') => (old, hunk.deleted) = (old + 1, hunk.deleted + 1),
                // Some tools cut the space of an empty line off.
                Some(b' ') | None => (old, new) = (old + 1, new + 1),
                Some(b'\\') => hunk.old_no_newline |= new < new_lines,
                _ => return Err(self.error("a line of a hunk begins with ` `, `+`, `-` or `\\`")),
            }
        }
        if old > old_lines || new > new_lines {
            return Err(self.error("the hunk has more lines than it says"));
        }
        if self.peek().is_some_and(|line| line.starts_with(b"\\")) {
            hunk.old_no_newline |= hunk.added == 0;
            self.next();
        }
        hunk.body = start..self.at;
        Ok(hunk)
    }
}

fn range(text: &str) -> Option<(u64, u64)> {
    match text.split_once(',') {
        Some((start, lines)) => Some((start.parse().ok()?, lines.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    }
}

/// The name in `--- a/name`; nothing for `/dev/null`.
fn named(path: &[u8], strip: usize) -> Option<Vec<u8>> {
    // A tab stands before what other tools add.
    let path = path.split(|byte| *byte == b'\t').next().unwrap_or_default();
    if path == b"/dev/null" {
        return None;
    }
    Some(stripped(&unquoted(path), strip).to_vec())
}

/// The name that both sides of `diff --git a/name b/name` have; nothing when they differ.
fn same_name(names: &[u8], strip: usize) -> Option<Vec<u8>> {
    if names.starts_with(b"\"") {
        let end = names.windows(3).position(|window| window == b"\" \"")?;
        return Some(stripped(&unquoted(&names[..=end]), strip).to_vec());
    }
    let half = names.len().checked_sub(1)? / 2;
    let (old, new) = (names.get(..half)?, names.get(half + 1..)?);
    let (old, new) = (stripped(old, strip), stripped(new, strip));
    (old == new).then(|| old.to_vec())
}

fn stripped(path: &[u8], strip: usize) -> &[u8] {
    if strip == 0 {
        return path;
    }
    match path.iter().position(|byte| *byte == b'/') {
        Some(slash) => &path[slash + 1..],
        None => path,
    }
}

/// Undoes git's quoting of unusual names.
fn unquoted(path: &[u8]) -> Vec<u8> {
    let Some(inner) = path.strip_prefix(b"\"").and_then(|path| path.strip_suffix(b"\"")) else {
        return path.to_vec();
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(b'a') => out.push(7),
            Some(b'b') => out.push(8),
            Some(b'v') => out.push(11),
            Some(b'f') => out.push(12),
            Some(digit @ b'0'..=b'7') => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    if let Some(digit @ b'0'..=b'7') = bytes.peek().copied() {
                        value = value * 8 + u32::from(digit - b'0');
                        bytes.next();
                    }
                }
                out.push(value as u8);
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "diff --git a/README.md b/README.md\nindex 1..2 100644\n--- a/README.md\n+++ b/README.md\n\
        @@ -1,2 +1,3 @@ fn main\n one\n--- two\n+++ two\n+three\n\
        diff --git a/new b/new\nnew file mode 100755\nindex 0..1\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n\
        diff --git a/old name b/old name\ndeleted file mode 100644\nindex 1..0\n--- a/old name\n+++ /dev/null\n@@ -1 +0,0 @@\n-diff --git a/x b/x\n\
        diff --git a/from b/to\nsimilarity index 100%\nrename from from\nrename to to\n\
        diff --git \"a/\\303\\251\" \"b/\\303\\251\"\nold mode 100644\nnew mode 100755\n\
        diff --git a/p.png b/p.png\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZ\n\nliteral 0\nHcmV\n\n";

    #[test]
    fn files_hunks_and_names_are_read() {
        let files = parse(DIFF.as_bytes()).unwrap();
        let paths = files.iter().map(|f| String::from_utf8_lossy(f.path()).into_owned());
        let paths: Vec<String> = paths.collect();
        assert_eq!(paths, ["README.md", "new", "old name", "to", "é", "p.png"]);
        assert_eq!((files[0].added(), files[0].deleted()), (2, 1));
        assert_eq!(files[0].hunks[0].section, b"fn main");
        assert_eq!(
            &DIFF.as_bytes()[files[0].hunks[0].body.clone()],
            b" one\n--- two\n+++ two\n+three\n"
        );
        assert_eq!((files[1].old_path.as_ref(), files[2].new_path.as_ref()), (None, None));
        assert_eq!(files[1].new_mode.as_deref(), Some("100755"));
        assert!(files[3].rename && files[3].old_path.as_deref() == Some(b"from"));
        assert!(files[5].binary);
        assert_eq!(stat(&files), DiffStat { files: 6, added: 3, deleted: 2 });
        // The files lie one after another, and nothing is between them.
        let whole: Vec<u8> =
            files.iter().flat_map(|file| DIFF.as_bytes()[file.range.clone()].to_vec()).collect();
        assert_eq!(whole, DIFF.as_bytes());
    }

    #[test]
    fn parts_are_whole_diffs() {
        let part = only(DIFF.as_bytes(), &["to".into(), "new".into()]).unwrap();
        let files = parse(&part).unwrap();
        assert_eq!(files.len(), 2);
        assert!(part.starts_with(b"diff --git a/new"));
    }

    #[test]
    fn the_prefix_is_seen() {
        assert_eq!(strip(DIFF.as_bytes()), 1);
        assert_eq!(strip(b"diff --git README.md README.md\n--- README.md\n+++ README.md\n"), 0);
        assert_eq!(strip(b"--- a/x\n+++ b/x\n"), 1);
        assert_eq!(strip(b"--- x\n+++ x\n"), 0);
        let bare =
            b"diff --git README.md README.md\n--- README.md\n+++ README.md\n@@ -1 +1 @@\n-a\n+b\n";
        assert_eq!(parse(bare).unwrap()[0].path(), b"README.md");
    }

    #[test]
    fn what_is_no_diff_is_refused_with_its_line() {
        for (text, line) in [
            ("hello\n", 1),
            ("--- a/x\n@@ -1 +1 @@\n", 1),
            ("--- a/x\n+++ b/x\n@@ nonsense @@\n", 3),
            ("--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-x\n", 4),
            ("--- a/x\n+++ b/x\n@@ -1 +1 @@\nx\n", 4),
            ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\njunk\n", 6),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().line, line, "{text}");
        }
        assert_eq!(parse(b"").unwrap(), []);
    }
}
