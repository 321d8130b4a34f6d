//! The files of one step in a container.
//!
//! A container's mounts are fixed when it starts, but each step has files of its own. So one folder of the host is mounted,
//! read-only inside, and filled before each step; what a step wants elsewhere is a symbolic link into it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::container::FILES;

/// Fills `folder` with what the step mounts. Returns the links that are to be made in the container: from, to.
pub fn place(
    folder: &Path,
    mounts: &BTreeMap<PathBuf, String>,
) -> io::Result<Vec<(String, String)>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    let mut links = Vec::new();
    for (count, (source, target)) in mounts.iter().enumerate() {
        match Path::new(target).strip_prefix(FILES) {
            Ok(below) if below.components().count() > 0 => {
                let place = folder.join(below);
                if let Some(parent) = place.parent() {
                    fs::create_dir_all(parent)?;
                }
                copy(source, &place)?;
            }
            _ => {
                let name = format!(".mount-{count}");
                copy(source, &folder.join(&name))?;
                links.push((target.clone(), format!("{FILES}/{name}")));
            }
        }
    }
    Ok(links)
}

fn copy(source: &Path, target: &Path) -> io::Result<()> {
    if !fs::metadata(source)?.is_dir() {
        let executable = fs::metadata(source)?.permissions().mode() & 0o111 != 0;
        fs::copy(source, target)?;
        let mode = if executable { 0o555 } else { 0o444 };
        return fs::set_permissions(target, fs::Permissions::from_mode(mode));
    }
    fs::create_dir_all(target)?;
    fs::set_permissions(target, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        copy(&entry.path(), &target.join(entry.file_name()))?;
    }
    Ok(())
}

/// A tar archive of symbolic links. An engine makes the folders above them, as root's and open to all.
pub fn archive(links: &[(String, String)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (from, to) in links {
        let name = from.trim_start_matches('/').as_bytes();
        if name.len() > 100 {
            // GNU's way to a long name: an entry before the entry, whose content is the name.
            header(&mut tar, b"././@LongLink", b'L', name.len() + 1, b"");
            tar.extend_from_slice(name);
            tar.push(0);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        header(&mut tar, &name[..name.len().min(100)], b'2', 0, to.as_bytes());
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn header(tar: &mut Vec<u8>, name: &[u8], kind: u8, size: usize, link: &[u8]) {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000777\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[148..156].fill(b' ');
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar  \0");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&block);
}

/// Lets every user read and write below `folder`: the image's user is another than ours. Only the job's container sees it, as
/// the folder above is ours alone. Files that are not ours stay as they are.
pub fn share(folder: &Path) {
    let Ok(found) = fs::symlink_metadata(folder) else { return };
    if found.is_symlink() {
        return;
    }
    let mode = found.mode() & 0o7777;
    // A file that its owner may run may be run by all; nothing else gets that right.
    let wanted = mode | if found.is_dir() || mode & 0o100 != 0 { 0o777 } else { 0o666 };
    // Objects of git are read-only on purpose.
    if mode != wanted && (found.is_dir() || mode & 0o200 != 0) {
        let _ = fs::set_permissions(folder, fs::Permissions::from_mode(wanted));
    }
    if found.is_dir() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            share(&entry.path());
        }
    }
}
