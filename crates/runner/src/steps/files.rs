//! What a step reads besides its work tree: its script, its `files`, and the mounts from the spec's folder. All of it lies in a
//! folder that the step can see and not write.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use spec::{Run as StepRun, Step};

use super::{Planned, Run, Stop};
use crate::job::{JobOrder, MountFile};

/// The files that `mount` at `path` means, each with its place below the mount point (`""` for a single file).
fn mounted<'a>(order: &'a JobOrder, path: &str) -> Vec<(&'a MountFile, String)> {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    let mut found = Vec::new();
    for file in &order.mounts {
        let below = match path {
            "" | "." => Some(file.path.as_str()),
            _ if file.path == path => Some(""),
            _ => file.path.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')),
        };
        if let Some(below) = below {
            found.push((file, below.to_owned()));
        }
    }
    found
}

/// What the cache key says of a step's mounts: where, and which bytes.
pub(super) fn mount_digests(order: &JobOrder, step: &Step) -> Result<Vec<(String, String)>, Stop> {
    let mut digests = Vec::new();
    for mount in &step.mount {
        let files = mounted(order, &mount.path);
        if files.is_empty() {
            return Err(Stop::rejected(format!(
                "the file `{}` that a step mounts did not come with the job",
                mount.path
            )));
        }
        for (file, below) in files {
            // SECURITY: the path comes with the order and becomes a path on this host.
            let plain =
                Path::new(&below).components().all(|part| matches!(part, Component::Normal(_)));
            if !plain {
                return Err(Stop::rejected(format!(
                    "`{}` is not a path in the spec's folder",
                    file.path
                )));
            }
            let mark = if file.executable { "x" } else { "" };
            digests
                .push((format!("{}/{below}", mount.mountpoint), format!("{}{mark}", file.digest)));
        }
    }
    Ok(digests)
}

impl Run<'_> {
    /// Writes what `planned` reads into `folder`. Returns the argument vector and what is to be visible where.
    pub(super) async fn write_files(
        &self,
        planned: &Planned,
        folder: &Path,
    ) -> Result<(Vec<String>, BTreeMap<PathBuf, String>), Stop> {
        let number = planned.index + 1;
        let broken = |error: io::Error| {
            Stop::infrastructure("the step's files could not be written", &error)
        };
        let mut mounts = BTreeMap::new();
        let argv = match &planned.rendered.run {
            StepRun::Argv(arguments) => arguments.clone(),
            StepRun::Shell(text) => {
                let script = folder.join(format!("step-{number}.sh"));
                write(&script, text.as_bytes(), true).map_err(broken)?;
                let (argv, seen) = shell(&script, number, planned.image.is_some());
                mounts.insert(script, seen);
                argv
            }
        };
        for (count, (path, content)) in planned.rendered.files.iter().enumerate() {
            let file = folder.join(format!("step-{number}-file-{count}"));
            write(&file, content.as_bytes(), false).map_err(broken)?;
            mounts.insert(file, absolute(number, path)?);
        }
        for (count, mount) in self.order.steps[planned.index].mount.iter().enumerate() {
            let target = folder.join(format!("step-{number}-mount-{count}"));
            for (file, below) in mounted(self.order, &mount.path) {
                let fetched = self.until_stopped(self.services.blob_get(file.digest)).await?;
                let bytes = fetched.map_err(|error| {
                    Stop::infrastructure(
                        &format!("the mounted file `{}` could not be fetched", file.path),
                        &error,
                    )
                })?;
                let path = if below.is_empty() { target.clone() } else { target.join(below) };
                write(&path, &bytes, file.executable).map_err(broken)?;
            }
            mounts.insert(target, absolute(number, &mount.mountpoint)?);
        }
        Ok((argv, mounts))
    }
}

/// How shell text is run: as a script, by bash where there is one. The script's place in the step comes second.
fn shell(script: &Path, number: usize, in_container: bool) -> (Vec<String>, String) {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    if in_container {
        let seen = format!("/phalanx/step-{number}.sh");
        // One start instead of one to look for bash and one to use it.
        let choose = r#"if [ -x /bin/bash ]; then exec /bin/bash "$0"; else exec /bin/sh "$0"; fi"#;
        return (owned(&["/bin/sh", "-c", choose, &seen]), seen);
    }
    let program = if Path::new("/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" };
    let seen = script.to_string_lossy().into_owned();
    (owned(&[program, &seen]), seen)
}

fn absolute(number: usize, path: &str) -> Result<String, Stop> {
    let mut parts = Path::new(path).components();
    let good = parts.next() == Some(Component::RootDir)
        && parts.all(|part| matches!(part, Component::Normal(_)));
    if good && path.len() > 1 {
        return Ok(path.trim_end_matches('/').to_owned());
    }
    Err(Stop::rejected(format!(
        "step {number} mounts a file at `{path}`, which is not an absolute path"
    )))
}

fn write(path: &Path, bytes: &[u8], executable: bool) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))
}
