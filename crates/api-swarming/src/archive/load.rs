//! An operator's copy of the bot: a directory, or a zip file, which may come from anywhere.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use zip::ZipArchive;

use super::{ArchiveError, Files, MAX_BYTES, MAX_FILES, PATH_BYTES};
use crate::validate::path;

/// Directories deeper than any bot's; links can make a circle.
const MAX_DEPTH: usize = 32;

/// Reads all files of a bot. Links in a directory are followed, as upstream's sources are full of them.
pub fn load(path: &Path) -> Result<Files, ArchiveError> {
    let mut out =
        Loaded { files: Files::new(), left: MAX_BYTES, shown: path.display().to_string() };
    let metadata = fs::metadata(path).map_err(|source| out.read(path, source))?;
    if metadata.is_dir() {
        out.directory(path, "", 0)?;
    } else {
        out.zip(path)?;
    }
    Ok(out.files)
}

struct Loaded {
    files: Files,
    /// Bytes that still may come.
    left: u64,
    /// What is read.
    shown: String,
}

impl Loaded {
    fn directory(&mut self, at: &Path, inside: &str, depth: usize) -> Result<(), ArchiveError> {
        if depth > MAX_DEPTH {
            return Err(self.unfit(format!("`{inside}` is more than {MAX_DEPTH} directories deep")));
        }
        for entry in fs::read_dir(at).map_err(|source| self.read(at, source))? {
            let entry = entry.map_err(|source| self.read(at, source))?;
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(self.unfit(format!("a name in `{inside}` is not ASCII")));
            };
            let inner =
                if inside.is_empty() { name.to_owned() } else { format!("{inside}/{name}") };
            let metadata = match fs::metadata(&path) {
                // A link to a part of upstream's sources that was not fetched.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                result => result.map_err(|source| self.read(&path, source))?,
            };
            if metadata.is_dir() && !is_junk(name) {
                self.directory(&path, &inner, depth + 1)?;
            } else if metadata.is_file() && !is_junk(name) {
                let file = File::open(&path).map_err(|source| self.read(&path, source))?;
                self.add(inner, file)?;
            }
        }
        Ok(())
    }

    fn zip(&mut self, path: &Path) -> Result<(), ArchiveError> {
        let bad = |source| ArchiveError::Zip { path: path.display().to_string(), source };
        let file = File::open(path).map_err(|source| self.read(path, source))?;
        let mut zip = ZipArchive::new(io::BufReader::new(file)).map_err(bad)?;
        for index in 0..zip.len() {
            let entry = zip.by_index(index).map_err(bad)?;
            let name = entry.name().map_err(bad)?.into_owned();
            // CIPD's own notes are no part of the bot.
            if entry.is_dir() || name.starts_with(".cipdpkg/") {
                continue;
            }
            self.add(name, entry)?;
        }
        Ok(())
    }

    /// SECURITY: sizes that a zip file states are not believed.
    fn add(&mut self, name: String, content: impl Read) -> Result<(), ArchiveError> {
        let climbs = name.split('/').any(|part| part == "..");
        if climbs || !name.is_ascii() || path::check(&name, PATH_BYTES, false).is_err() {
            return Err(self.unfit(format!("the file name {name:?} is not allowed")));
        }
        if self.files.len() == MAX_FILES {
            return Err(self.unfit(format!("it has more than {MAX_FILES} files")));
        }
        let mut bytes = Vec::new();
        content
            .take(self.left + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| self.read(Path::new(&name), source))?;
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(|| {
            self.unfit(format!("its files have more than {} MiB", MAX_BYTES >> 20))
        })?;
        self.files.insert(name, bytes);
        Ok(())
    }

    fn read(&self, path: &Path, source: io::Error) -> ArchiveError {
        let path = path.display();
        let path = match path.to_string() {
            path if path.starts_with(&self.shown) => path,
            path => format!("{}: {path}", self.shown),
        };
        ArchiveError::Read { path, source }
    }

    fn unfit(&self, why: String) -> ArchiveError {
        ArchiveError::Unfit { path: self.shown.clone(), why }
    }
}

/// What a bot leaves behind, and what version control keeps.
fn is_junk(name: &str) -> bool {
    name == "__pycache__"
        || name.ends_with(".pyc")
        || matches!(name, ".git" | ".cipdpkg" | ".vpython")
}
