//! What changed in a work tree: a patch that `git apply` turns back into exactly the same tree, the names, and the counts.
//!
//! Two git processes per diff (three in a rare case), both on the runner's own index and objects. Names are looked for in the tree, never in the job's
//! `.git`.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::time::SystemTime;

use model::limit;
use spec::ChangedFiles;

use crate::job::DiffStat;
use crate::workspace::Tree;
use crate::workspace::git::GitError;
use crate::workspace::index::Index;

/// Everything that changed since the checkout.
#[derive(Clone, Debug, Default)]
pub struct Diff {
    /// Empty when nothing changed.
    pub patch: Vec<u8>,
    pub changed: ChangedFiles,
    pub stat: DiffStat,
}

#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The steps left something that no patch can say.
    #[error("{0}")]
    Refused(String),
    #[error("compare the work tree with its commit")]
    Git(#[from] GitError),
    #[error("compare the work tree with its commit")]
    Io(#[from] io::Error),
}

impl Tree {
    /// Compares the tree with its commit. `quiet_until` is when the last step began; nothing may be running in the tree.
    pub async fn diff(&self, quiet_until: SystemTime) -> Result<Diff, DiffError> {
        let file = self.git_dir.join("index");
        let index = Index::read(&file, self.commit.len() / 2)?;
        self.check_submodules(&index)?;
        index.write_hinted(&file, &self.work_tree, quiet_until)?;
        self.git("add").run(["--all", "--", "."]).await.map_err(explain)?;
        let (mut diff, exact) = parse(self.print(true).await?)?;
        if !exact {
            (diff, _) = parse(self.print(false).await?)?;
        }
        if diff.patch.len() as u64 > limit::BLOB_BYTES {
            let most = limit::BLOB_BYTES >> 20;
            return Err(DiffError::Refused(format!(
                "the changes are larger than {most} MiB as a patch"
            )));
        }
        Ok(diff)
    }

    async fn print(&self, renames: bool) -> Result<Vec<u8>, GitError> {
        let arguments = [
            "--cached",
            "-z",
            "--raw",
            "--patch",
            "--binary",
            "--full-index",
            "--abbrev=64",
            if renames { "--find-renames" } else { "--no-renames" },
            "-l1000",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--diff-algorithm=histogram",
            "--src-prefix=a/",
            "--dst-prefix=b/",
            "--end-of-options",
            &self.commit,
        ];
        self.git("diff-index").run(arguments).await
    }

    /// Makes the changes of a patch that `diff` made, in a fresh checkout of the same commit.
    pub async fn apply(&self, patch: &[u8]) -> Result<(), DiffError> {
        if patch.is_empty() {
            return Ok(());
        }
        let command = self.git("apply").input(patch.to_owned());
        command.run(["--index", "--whitespace=nowarn", "-"]).await?;
        Ok(())
    }

    /// SECURITY: where a job puts a repository into the place of a submodule, `git add` would start `git status` in there,
    /// obeying a configuration (filters, monitors) that the job wrote, outside of every sandbox. Nothing of the job runs any
    /// more, so what is seen here is what git sees.
    fn check_submodules(&self, index: &Index) -> Result<(), DiffError> {
        for path in index.gitlinks() {
            let folder = self.work_tree.join(std::ffi::OsStr::from_bytes(&path));
            if std::fs::symlink_metadata(folder.join(".git")).is_ok() {
                return Err(nested(&String::from_utf8_lossy(&path)));
            }
            if std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
                return Err(DiffError::Refused(format!(
                    "the steps wrote into the submodule `{}`, which a patch of this repository cannot hold: run them over \
                     the submodule's own repository",
                    String::from_utf8_lossy(&path).escape_debug()
                )));
            }
        }
        Ok(())
    }
}

fn nested(folder: &str) -> DiffError {
    DiffError::Refused(format!(
        "the steps left a git repository in the folder `{}`, and a patch cannot hold one: remove its `.git`, or clone to \
         $TMPDIR instead",
        folder.trim_end_matches('/').escape_debug()
    ))
}

/// Turns what `git add` says of a tree that it cannot take into a sentence about the tree.
fn explain(error: GitError) -> DiffError {
    let GitError::Failed { message, .. } = &error else { return DiffError::Git(error) };
    if let Some((before, _)) = message.split_once("' does not have a commit checked out") {
        return nested(before.rsplit_once('\'').map_or(before, |(_, folder)| folder));
    }
    let about_a_file =
        ["invalid path", "unsupported file type", "Permission denied", "File name too long"];
    if about_a_file.iter().any(|words| message.contains(words)) {
        return DiffError::Refused(format!(
            "the steps left something that git cannot hold: {message}"
        ));
    }
    DiffError::Git(error)
}

/// Reads the raw records and the patch that `diff-index -z` prints one after the other. The second value is false
/// when `git apply` could misunderstand the patch: the rename of a symbolic link does not say that it is one, and so it does
/// not see that the link makes room for a folder of its name.
fn parse(mut output: Vec<u8>) -> Result<(Diff, bool), DiffError> {
    let mut diff = Diff::default();
    let mut exact = true;
    let mut at = 0;
    while output.get(at) == Some(&b':') {
        let head = field(&output, &mut at)?;
        let mut parts = head[1..].split(|&b| b == b' ');
        let (old_mode, new_mode) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let status = parts.nth(2).and_then(|status| status.first()).copied().unwrap_or(b'?');
        let mut name = String::from_utf8_lossy(field(&output, &mut at)?).into_owned();
        if status == b'R' {
            exact &= old_mode != b"120000";
            name = String::from_utf8_lossy(field(&output, &mut at)?).into_owned();
        }
        if new_mode == b"160000" && old_mode != new_mode {
            return Err(nested(&name));
        }
        diff.stat.files += 1;
        match status {
            b'A' => diff.changed.added.push(name),
            b'D' => diff.changed.deleted.push(name),
            b'R' => diff.changed.renamed.push(name),
            _ => diff.changed.modified.push(name),
        }
    }
    if diff.stat.files == 0 {
        return Ok((diff, exact));
    }
    diff.patch = quote_headers(output.split_off((at + 1).min(output.len())));
    // By the patch, not by `--numstat`, which counts a file that becomes a link otherwise.
    (diff.stat.added, diff.stat.deleted) = count_lines(&diff.patch);
    Ok((diff, exact))
}

/// Added and deleted lines of a patch, by its hunks: a line that begins with `+` outside of one counts for nothing.
pub fn count_lines(patch: &[u8]) -> (u64, u64) {
    let (mut added, mut deleted) = (0, 0);
    let (mut old_left, mut new_left) = (0u64, 0u64);
    for line in patch.split(|&b| b == b'\n') {
        if old_left == 0 && new_left == 0 {
            (old_left, new_left) = hunk(line).unwrap_or((0, 0));
            continue;
        }
        match line.first() {
            Some(b'+') => {
                added += 1;
                new_left = new_left.saturating_sub(1);
            }
            Some(b'-') => {
                deleted += 1;
                old_left = old_left.saturating_sub(1);
            }
            // `\ No newline at end of file` is no line.
            Some(b'\\') => {}
            _ => {
                old_left = old_left.saturating_sub(1);
                new_left = new_left.saturating_sub(1);
            }
        }
    }
    (added, deleted)
}

/// How many lines a hunk has on either side: `@@ -1,3 +1,4 @@`; a missing count is 1.
fn hunk(line: &[u8]) -> Option<(u64, u64)> {
    let text =
        std::str::from_utf8(line.strip_prefix(b"@@ -")?.split(|&b| b == b'@').next()?).ok()?;
    let (old, new) = text.trim().split_once(" +")?;
    let count =
        |range: &str| range.split_once(',').map_or(Some(1), |(_, count)| count.parse().ok());
    Some((count(old)?, count(new)?))
}

/// `git apply` cannot read the header `diff --git a/x /y b/x /y`, a folder whose name ends with a space, where the header is
/// all that names the file (an empty file, a change of mode). In quotes it can.
fn quote_headers(patch: Vec<u8>) -> Vec<u8> {
    const START: &[u8] = b"diff --git a/";
    let odd = |line: &[u8]| line.starts_with(START) && line.windows(2).any(|pair| pair == b" /");
    if !patch.split(|&b| b == b'\n').any(odd) {
        return patch;
    }
    let mut quoted = Vec::with_capacity(patch.len() + 64);
    for line in patch.split_inclusive(|&b| b == b'\n') {
        // No line of a hunk begins with a letter, and no line of a binary patch has a space: this is a header.
        let names = line.strip_prefix(START).filter(|_| odd(line)).and_then(|rest| {
            let length = rest.len().checked_sub(b" b/\n".len())? / 2;
            let (name, again) = (rest.get(..length)?, rest.get(length + 3..length * 2 + 3)?);
            (name == again).then_some(name)
        });
        match names {
            None => quoted.extend_from_slice(line),
            Some(name) => {
                for part in [&b"diff --git \"a/"[..], name, b"\" \"b/", name, b"\"\n"] {
                    quoted.extend_from_slice(part);
                }
            }
        }
    }
    quoted
}

fn field<'a>(output: &'a [u8], at: &mut usize) -> Result<&'a [u8], DiffError> {
    let rest = output.get(*at..).unwrap_or_default();
    let end = rest.iter().position(|&b| b == 0);
    let end = end.ok_or_else(|| io::Error::other("git ended in the middle of a record"))?;
    *at += end + 1;
    Ok(&rest[..end])
}

#[cfg(test)]
mod tests;
