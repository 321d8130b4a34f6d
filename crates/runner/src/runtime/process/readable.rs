//! Which folders of the host steps may read next to the system's: the toolchains that are on `PATH`.

use std::path::{Path, PathBuf};

/// What steps need to use the programs on `PATH`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Toolchains {
    pub folders: Vec<PathBuf>,
    pub env: Vec<(String, String)>,
}

/// SECURITY: a home folder is full of credentials (`.cargo/credentials.toml`, `.local/share/keyrings`), so that of a toolchain
/// there only the parts that run are given, and never the home folder or a parent of it.
pub(super) fn toolchains(path: &str, home: Option<&Path>) -> Toolchains {
    let mut found = Toolchains::default();
    let mut add = |folder: PathBuf| {
        let covers_home = home.is_some_and(|home| home.starts_with(&folder));
        let system =
            ["/usr", "/bin", "/sbin", "/opt", "/etc", "/nix"].iter().any(|s| folder.starts_with(s));
        if !covers_home && !system && folder.parent().is_some() && !found.folders.contains(&folder)
        {
            found.folders.push(folder);
        }
    };
    let mut env = Vec::new();
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        let in_home = home.and_then(|home| folder.strip_prefix(home).ok());
        let Some(in_home) = in_home else {
            add(tool_root(&folder));
            continue;
        };
        let home = home.unwrap_or(Path::new("/"));
        let first =
            in_home.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
        match first.as_deref() {
            Some(".cargo") => {
                add(folder);
                add(home.join(".rustup"));
                env.push((
                    "RUSTUP_HOME".to_owned(),
                    home.join(".rustup").to_string_lossy().into_owned(),
                ));
            }
            Some(".pyenv") => add(home.join(".pyenv")),
            Some(".local") => {
                add(folder);
                add(home.join(".local/lib"));
            }
            // `bin` right in the home folder, or a tool's own folder such as `.nvm/versions/node/v22/bin`.
            _ if in_home.components().count() < 2 => add(folder),
            _ => add(tool_root(&folder)),
        }
    }
    env.dedup();
    found.env = env;
    found
}

/// `/usr/local/go/bin` → `/usr/local/go`.
fn tool_root(folder: &Path) -> PathBuf {
    let is_bin =
        folder.file_name().is_some_and(|name| name == "bin" || name == "sbin" || name == "shims");
    match folder.parent() {
        Some(parent) if is_bin && parent != Path::new("/") => parent.to_owned(),
        _ => folder.to_owned(),
    }
}

/// Files in system folders that no step needs and that would help an attacker: as root, steps could read them.
pub(super) fn secrets_of_the_host() -> Vec<PathBuf> {
    let mut hidden: Vec<PathBuf> = [
        "/etc/shadow",
        "/etc/shadow-",
        "/etc/gshadow",
        "/etc/gshadow-",
        "/etc/sudoers",
        "/etc/sudoers.d",
        "/etc/phalanx",
    ]
    .map(PathBuf::from)
    .to_vec();
    hidden.push("/etc/ssl/private".into());
    for entry in std::fs::read_dir("/etc/ssh").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("ssh_host_") && name.ends_with("_key") {
            hidden.push(entry.path());
        }
    }
    hidden.retain(|path| path.exists());
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolchains_are_found_without_the_home_folder() {
        let home = Path::new("/home/a");
        let path = "/usr/bin:/bin:/home/a/.cargo/bin:/home/a/.pyenv/shims:/home/a/bin:/home/a/.local/bin:/srv/go/bin:rel:/home/bin";
        let found = toolchains(path, Some(home));
        let folders: Vec<&str> = found.folders.iter().map(|f| f.to_str().unwrap()).collect();
        assert_eq!(
            folders,
            [
                "/home/a/.cargo/bin",
                "/home/a/.rustup",
                "/home/a/.pyenv",
                "/home/a/bin",
                "/home/a/.local/bin",
                "/home/a/.local/lib",
                "/srv/go"
            ]
        );
        assert_eq!(found.env, [("RUSTUP_HOME".to_owned(), "/home/a/.rustup".to_owned())]);
    }
}
