//! One container: what it may do, its birth and its end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, Mount, MountType};
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions, TopOptions};
use futures::StreamExt;

use super::{engine, leftovers, message, status};
use crate::job::Network;
use crate::runtime::{ImageRef, RuntimeError, SandboxOptions};

pub const HOME: &str = "/home/phalanx";
/// Where the files of the step at hand lie, read-only.
pub const FILES: &str = "/phalanx";
/// The keeper is the first process, not a child of Docker's init: so neither a step's nor our `kill -1` can reach it, and a
/// step that ends by killing all it sees does not take the job's container with it. Waiting, a shell also reaps the orphans.
/// Without `sleep` in the image it ends instead of spinning.
const KEEPER: &str = "while :; do sleep 3600 & wait $!; case $? in 126|127) exit 1;; esac; done";
/// The keeper and its `sleep`.
const QUIET: usize = 2;
const PIDS: i64 = 4096;
/// What package managers and builds need as root inside; nothing that reaches out of a container.
const CAPABILITIES: [&str; 7] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"];
/// How long one small command of ours may take in a container.
const HOUSEKEEPING: Duration = Duration::from_secs(10);

/// A running container. Dropping it removes it in the background.
pub struct Container {
    docker: Docker,
    pub id: String,
    gone: bool,
}

impl Container {
    pub async fn start(
        docker: &Docker,
        options: &SandboxOptions,
        image: &ImageRef,
        work_tree_seen: &Path,
        files: &Path,
    ) -> Result<Self, RuntimeError> {
        let body = body(options, image, work_tree_seen, files);
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = CreateContainerOptions {
            name: Some(format!("phalanx-{}-{}", plain(&options.label), &unique[..8])),
            ..CreateContainerOptions::default()
        };
        let (docker, image) = (docker.clone(), image.name.clone());
        // In a task of its own: whoever gives up waiting must not leave a container that nobody knows.
        let made = tokio::spawn(async move {
            let made = docker.create_container(Some(name), body).await;
            let made = made.map_err(|error| refused("made", &image, error))?;
            let container = Self { docker: docker.clone(), id: made.id, gone: false };
            let started = docker.start_container(&container.id, None).await;
            started.map_err(|error| refused("started", &image, error))?;
            Ok(container)
        });
        made.await.map_err(|error| RuntimeError::Failed {
            what: "the container's start was interrupted".to_owned(),
            source: Some(Box::new(error)),
        })?
    }

    /// Runs a line of shell as root, without an audience. Returns its exit code.
    pub async fn housekeeping(&self, script: &str) -> Result<i64, RuntimeError> {
        housekeeping(&self.docker, &self.id, script).await
    }

    /// Asks everything in the container to end, in the background.
    pub fn terminate(&self) {
        let (docker, id) = (self.docker.clone(), self.id.clone());
        tokio::spawn(async move { housekeeping(&docker, &id, "kill -TERM -1").await });
    }

    /// Kills what a step left running. False: something is still there, and this container must not be used again.
    pub async fn sweep(&self) -> bool {
        if self.is_quiet().await == Some(true) {
            return true;
        }
        for attempt in 0..20 {
            // Looking is the engine's `ps`; where it has none, the command itself must do.
            if attempt % 10 == 0 && self.housekeeping("kill -KILL -1; :").await.is_err() {
                return false;
            }
            if self.is_quiet().await.unwrap_or(true) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        false
    }

    async fn is_quiet(&self) -> Option<bool> {
        let options = TopOptions { ps_args: "-eo pid,comm".to_owned() };
        let top = self.docker.top_processes(&self.id, Some(options)).await.ok()?;
        Some(top.processes?.len() <= QUIET)
    }

    /// Kills all in it, and waits until it is gone.
    pub async fn remove(mut self) {
        force_remove(&self.docker, &self.id).await;
        self.gone = true;
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        let (docker, id) = (self.docker.clone(), std::mem::take(&mut self.id));
        // Without a runtime this process is about to end, and the next runner finds the container by its label.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { force_remove(&docker, &id).await });
        }
    }
}

pub async fn force_remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
    // 409: it is being removed already.
    if let Err(error) = docker.remove_container(id, Some(options)).await
        && !matches!(status(&error), Some(404 | 409))
    {
        tracing::warn!("container {id} could not be removed: {}", message(&error));
    }
}

async fn housekeeping(docker: &Docker, id: &str, script: &str) -> Result<i64, RuntimeError> {
    let command = CreateExecOptions {
        cmd: Some(vec!["/bin/sh", "-c", script]),
        user: Some("0"),
        working_dir: Some("/"),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let all = async {
        let exec = docker.create_exec(id, command).await?.id;
        let mut last = None;
        if let StartExecResults::Attached { mut output, .. } =
            docker.start_exec(&exec, None).await?
        {
            while let Some(Ok(frame)) = output.next().await {
                last = Some(frame);
            }
        }
        let code = docker.inspect_exec(&exec).await?.exit_code.unwrap_or(0);
        if let Some(LogOutput::StdErr { message }) = last.filter(|_| code != 0) {
            tracing::debug!("in container {id}: {}", String::from_utf8_lossy(&message));
        }
        Ok::<i64, Error>(code)
    };
    match tokio::time::timeout(HOUSEKEEPING, all).await {
        Ok(result) => result.map_err(|error| engine("run a command in the container", error)),
        Err(_) => Err(RuntimeError::Failed {
            what: "the Docker engine did not run a command in the container in time".to_owned(),
            source: None,
        }),
    }
}

/// SECURITY: all that a container may do is decided here.
fn body(
    options: &SandboxOptions,
    image: &ImageRef,
    work_tree_seen: &Path,
    files: &Path,
) -> ContainerCreateBody {
    let mut mounts = vec![
        bind(&options.work_tree, work_tree_seen, false),
        bind(&options.scratch.join("home"), Path::new(HOME), false),
        bind(&options.scratch.join("tmp"), Path::new("/tmp"), false),
        bind(files, Path::new(FILES), true),
    ];
    let mut readable: Vec<&PathBuf> =
        options.readable.iter().filter(|path| path.exists()).collect();
    readable.sort();
    // The same path twice would be refused.
    readable.dedup();
    mounts.extend(readable.into_iter().map(|path| bind(path, path, true)));
    let limits = &options.limits;
    let memory = limits.memory_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let host = HostConfig {
        mounts: Some(mounts),
        network_mode: (options.network == Network::None).then(|| "none".to_owned()),
        nano_cpus: limits.cpus.map(|cpus| (cpus * 1e9).round() as i64),
        memory,
        // The sum of both: so no swap on top.
        memory_swap: memory,
        pids_limit: Some(limits.pids.map_or(PIDS, |pids| i64::try_from(pids).unwrap_or(PIDS))),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        init: Some(false),
        auto_remove: Some(false),
        ..HostConfig::default()
    };
    let labels = HashMap::from([
        (leftovers::MARK.to_owned(), "1".to_owned()),
        (leftovers::RUNNER.to_owned(), leftovers::this_process()),
        ("phalanx.label".to_owned(), options.label.clone()),
    ]);
    ContainerCreateBody {
        image: Some(image.digest.clone()),
        hostname: Some("phalanx".to_owned()),
        entrypoint: Some(["/bin/sh", "-c", KEEPER].map(str::to_owned).to_vec()),
        cmd: Some(Vec::new()),
        working_dir: Some("/".to_owned()),
        // The image's own would run beside the steps.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        labels: Some(labels),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

fn bind(source: &Path, target: &Path, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_string_lossy().into_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// What an engine takes as a part of a name.
fn plain(label: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    label.chars().map(|c| if good(c) { c } else { '-' }).take(100).collect()
}

/// A 400 is about what was asked for, and asking again does not help; so is an image without a shell.
fn refused(what: &str, image: &str, error: Error) -> RuntimeError {
    let text = message(&error);
    let no_shell = text.contains("/bin/sh");
    let shell = if no_shell { "; an image for steps needs `/bin/sh`" } else { "" };
    let said = format!("a container of `{image}` could not be {what}{shell}: {text}");
    if no_shell || status(&error) == Some(400) {
        RuntimeError::Unavailable { message: said }
    } else {
        RuntimeError::Failed { what: said, source: Some(Box::new(error)) }
    }
}
