//! The files of one commit, laid out to be searched: a list of paths, and all texts in one file that is mapped into memory.
//!
//! git keeps texts compressed and as differences; to search a thousand repositories that way takes a process for each and most
//! of the time goes to unpacking. A tree is made once for a commit and costs as much disk as a checkout.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::command::{GitError, git};
use super::repositories::Repositories;
use crate::limit;

const MAGIC: &[u8; 8] = b"PHXTREE1";

/// Trees of a repository that are kept: the newest, and those that are searched beside it.
const KEPT: usize = 4;

/// An open tree.
#[derive(Debug)]
pub struct Tree {
    map: Mmap,
    files: Vec<TreeFile>,
    texts_at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// From the root, without a leading slash.
    pub path: String,
    pub kind: FileKind,
    at: u64,
    size: u64,
}

/// What there is to search in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Text,
    /// Bytes without a meaning as text.
    Binary,
    /// Larger than [`limit::SEARCHED_FILE_BYTES`].
    TooLarge,
}

impl Tree {
    /// In order of path.
    pub fn files(&self) -> &[TreeFile] {
        &self.files
    }

    pub fn find(&self, path: &str) -> Option<&TreeFile> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        Some(&self.files[at])
    }

    /// The text of a file; nothing of one that is not text.
    pub fn text(&self, file: &TreeFile) -> Option<&[u8]> {
        if file.kind != FileKind::Text {
            return None;
        }
        let start = self.texts_at + file.at as usize;
        self.map.get(start..start + file.size as usize)
    }

    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the file is ours, was renamed into place when it was whole, and is never written again. It may be removed,
        // which leaves the mapping as it is.
        #[expect(unsafe_code, reason = "a mapping reads only the pages that a query touches")]
        let map = unsafe { Mmap::map(&file)? };
        let torn = || io::Error::new(io::ErrorKind::InvalidData, "not a tree");
        let rest = map.strip_prefix(MAGIC.as_slice()).ok_or_else(torn)?;
        let mut reader = Reader(rest);
        let count = reader.number().ok_or_else(torn)?;
        let mut files = Vec::new();
        for _ in 0..count {
            files.push(reader.file().ok_or_else(torn)?);
        }
        let texts_at = map.len() - reader.0.len();
        let end = files.iter().map(|file| file.at + file.size).max().unwrap_or(0);
        if (map.len() - texts_at) as u64 != end {
            return Err(torn());
        }
        Ok(Self { map, files, texts_at })
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, bytes: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn file(&mut self) -> Option<TreeFile> {
        let length = self.number()?;
        let path = String::from_utf8(self.take(length as usize)?.to_vec()).ok()?;
        let kind = match self.take(1)? {
            [0] => FileKind::Text,
            [1] => FileKind::Binary,
            _ => FileKind::TooLarge,
        };
        Some(TreeFile { path, kind, at: self.number()?, size: self.number()? })
    }
}

impl Repositories {
    /// The tree of a commit. Blocks, the first time for as long as git takes to print it.
    pub fn tree(&self, name: &str, commit: &str) -> Result<Tree, GitError> {
        let unknown = || GitError::Refused(format!("there is no repository `{name}`"));
        let directory = self.git_dir(name).ok_or_else(unknown)?;
        let is_id =
            matches!(commit.len(), 40 | 64) && commit.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_id {
            return Err(GitError::Refused(format!("`{commit}` is not a commit")));
        }
        let folder = self.folder(name).join("trees");
        let path = folder.join(commit);
        if let Ok(tree) = Tree::open(&path) {
            return Ok(tree);
        }
        let io =
            |error: io::Error| GitError::Refused(format!("keep the tree of `{name}`: {error}"));
        fs::create_dir_all(&folder).map_err(io)?;
        write(&directory, commit, &path)?;
        forget_old(&folder, &path);
        Tree::open(&path).map_err(io)
    }
}

/// A blob that is to be in the tree.
struct Entry {
    path: String,
    object: String,
    size: u64,
}

fn list(directory: &Path, commit: &str) -> Result<Vec<Entry>, GitError> {
    let arguments = ["ls-tree", "-r", "-l", "-z", "--full-tree", commit];
    let said = git(directory, &arguments).into_std().output().map_err(GitError::Start)?;
    if !said.status.success() {
        let message = super::command::last_words(&said.stderr);
        return Err(GitError::Failed { subcommand: "ls-tree".to_owned(), message });
    }
    let mut entries = Vec::new();
    for line in said.stdout.split(|byte| *byte == 0) {
        // A path that is not UTF-8 cannot be named by a query.
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let Some((facts, path)) = line.split_once('\t') else { continue };
        let mut facts = facts.split_ascii_whitespace();
        let (mode, _, object) = (facts.next(), facts.next(), facts.next().unwrap_or_default());
        // Neither submodules nor links have a text.
        if !matches!(mode, Some("100644" | "100755" | "100664")) {
            continue;
        }
        let size = facts.next().and_then(|size| size.parse().ok()).unwrap_or(u64::MAX);
        entries.push(Entry { path: path.to_owned(), object: object.to_owned(), size });
    }
    entries.sort_unstable_by(|one, two| one.path.cmp(&two.path));
    Ok(entries)
}

fn write(directory: &Path, commit: &str, path: &Path) -> Result<(), GitError> {
    let io = |error: io::Error| GitError::Refused(format!("keep a tree: {error}"));
    let entries = list(directory, commit)?;
    let folder = path.parent().expect("a tree lies in a folder");
    let mut texts = tempfile::tempfile_in(folder).map_err(io)?;
    let files = copy_texts(directory, entries, &mut BufWriter::new(&mut texts))?;
    let mut whole = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    let mut header = Vec::from(MAGIC.as_slice());
    header.extend((files.len() as u64).to_le_bytes());
    for file in &files {
        header.extend((file.path.len() as u64).to_le_bytes());
        header.extend(file.path.as_bytes());
        header.push(match file.kind {
            FileKind::Text => 0,
            FileKind::Binary => 1,
            FileKind::TooLarge => 2,
        });
        header.extend(file.at.to_le_bytes());
        header.extend(file.size.to_le_bytes());
    }
    let mut finish = |whole: &mut tempfile::NamedTempFile| {
        whole.write_all(&header)?;
        io::Seek::rewind(&mut texts)?;
        io::copy(&mut texts, whole)?;
        // A name must never stand for zeros after a power failure: such a file looks whole.
        whole.as_file().sync_data()
    };
    finish(&mut whole).map_err(io)?;
    whole.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

/// Writes the texts one after another and says where each is.
fn copy_texts(
    directory: &Path,
    entries: Vec<Entry>,
    out: &mut impl Write,
) -> Result<Vec<TreeFile>, GitError> {
    let mut child = git(directory, &["cat-file", "--batch", "--buffer"])
        .into_std()
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(GitError::Start)?;
    let mut stdin = BufWriter::new(child.stdin.take().expect("it is piped"));
    let mut stdout = BufReader::with_capacity(1 << 16, child.stdout.take().expect("it is piped"));
    let fits = |entry: &Entry| entry.size <= limit::SEARCHED_FILE_BYTES;
    let wanted: Vec<String> =
        entries.iter().filter(|entry| fits(entry)).map(|entry| entry.object.clone()).collect();
    // git stops reading when nobody reads what it prints, so one thread asks and one listens.
    let asking = std::thread::spawn(move || -> io::Result<()> {
        for object in wanted {
            writeln!(stdin, "{object}")?;
        }
        stdin.flush()
    });
    let copy = || -> io::Result<Vec<TreeFile>> {
        let (mut files, mut at) = (Vec::with_capacity(entries.len()), 0);
        let mut text = Vec::new();
        for entry in entries {
            let mut file = TreeFile { kind: FileKind::TooLarge, path: entry.path, at, size: 0 };
            if entry.size <= limit::SEARCHED_FILE_BYTES {
                file.kind = if read_object(&mut stdout, &mut text)? {
                    out.write_all(&text)?;
                    file.size = text.len() as u64;
                    at += file.size;
                    FileKind::Text
                } else {
                    FileKind::Binary
                };
            }
            files.push(file);
        }
        out.flush()?;
        Ok(files)
    };
    let copied = copy();
    if copied.is_err() {
        let _ = child.kill();
    }
    let _ = child.wait();
    let asked = asking.join().expect("asking does not panic");
    let failed = |error: io::Error| GitError::Failed {
        subcommand: "cat-file".to_owned(),
        message: error.to_string(),
    };
    let files = copied.map_err(failed)?;
    asked.map_err(failed)?;
    Ok(files)
}

/// Reads one object of `cat-file --batch`. Whether it is text.
fn read_object(from: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<bool> {
    let mut header = String::new();
    from.read_line(&mut header)?;
    let size: Option<u64> = header.trim_end().rsplit(' ').next().and_then(|size| size.parse().ok());
    let missing =
        || io::Error::new(io::ErrorKind::InvalidData, "an object of the commit is missing");
    let size = size.filter(|size| *size <= limit::SEARCHED_FILE_BYTES).ok_or_else(missing)?;
    text.clear();
    from.take(size + 1).read_to_end(text)?;
    text.pop();
    // As git itself tells text from other bytes.
    Ok(!text[..text.len().min(8000)].contains(&0))
}

/// Removes all but the newest trees. A reader that has one open keeps what it sees.
fn forget_old(folder: &Path, new: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut old: Vec<(std::time::SystemTime, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .filter(|(_, path)| path != new)
        .collect();
    old.sort();
    for (_, path) in old.iter().rev().skip(KEPT - 1) {
        let _ = fs::remove_file(path);
    }
}
