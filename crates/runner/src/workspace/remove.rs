//! Removing a folder that a hostile job filled: folders without permissions, paths longer than the system allows, depths
//! that would exhaust the stack or the open files of a recursive removal. Symbolic links are never followed.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Deeper folders are first moved up, so that neither recursion nor paths grow without a bound.
const DEPTH: usize = 24;
const PATH_BYTES: usize = 3000;

/// Removes `root` and all in it. Nothing may be running in it. Not being there is fine.
pub fn remove_tree(root: &Path) -> io::Result<()> {
    match fs::symlink_metadata(root) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return fs::remove_file(root),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let mut sweep = Sweep { root, moved: Vec::new(), next: 0 };
    sweep.empty(root, 0)?;
    while let Some(folder) = sweep.moved.pop() {
        sweep.empty(&folder, 1)?;
        fs::remove_dir(&folder)?;
    }
    fs::remove_dir(root)
}

struct Sweep<'a> {
    root: &'a Path,
    moved: Vec<PathBuf>,
    next: u64,
}

impl Sweep<'_> {
    fn empty(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
                fs::read_dir(folder)?
            }
            other => other?,
        };
        let mut writable = false;
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let is_folder = entry.file_type()?.is_dir();
            if is_folder && !self.is_too_deep(&path, depth) {
                self.empty(&path, depth + 1)?;
            }
            let mut result = self.take(&path, is_folder, depth);
            if !writable
                && result.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied)
            {
                fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
                writable = true;
                result = self.take(&path, is_folder, depth);
            }
            result?;
        }
        Ok(())
    }

    fn is_too_deep(&self, path: &Path, depth: usize) -> bool {
        depth >= DEPTH || path.as_os_str().as_bytes().len() > PATH_BYTES
    }

    fn take(&mut self, path: &Path, is_folder: bool, depth: usize) -> io::Result<()> {
        if !is_folder {
            return fs::remove_file(path);
        }
        if !self.is_too_deep(path, depth) {
            return fs::remove_dir(path);
        }
        loop {
            let aside = self.root.join(format!(".phalanx-removing-{}", self.next));
            self.next += 1;
            if fs::symlink_metadata(&aside).is_err() {
                // Moving a folder needs permission to write in it, for its `..`.
                let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
                fs::rename(path, &aside)?;
                self.moved.push(aside);
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_very_deep_tree_and_links_out_of_it_are_no_trouble() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "x").unwrap();
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("root");
        fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("link")).unwrap();
        // Built from the inside out, because the whole path is longer than one call may name.
        let mut deep = root.join("n");
        fs::create_dir(&deep).unwrap();
        for _ in 0..400 {
            let outer = root.join("m");
            fs::create_dir(&outer).unwrap();
            fs::rename(&deep, outer.join("a-folder-name-of-thirty-letters")).unwrap();
            fs::rename(&outer, &deep).unwrap();
        }
        deep.push("file");
        fs::write(&deep, "x").unwrap();
        fs::create_dir(root.join("locked")).unwrap();
        fs::write(root.join("locked/in"), "x").unwrap();
        fs::set_permissions(root.join("locked"), fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&root).unwrap();
        assert!(!root.exists());
        assert!(outside.path().join("kept").exists());
        remove_tree(&root).unwrap();
    }
}
