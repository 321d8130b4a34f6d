//! The sandbox of one job: its container, and the steps in it.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::ImageConfig;
use bollard::query_parameters::UploadToContainerOptions;
use futures::{Stream as Frames, StreamExt};
use tokio::time::Instant;

use super::container::{Container, HOME};
use super::{engine, files, message, status};
use crate::job::BoxFuture;
use crate::runtime::{
    Command, Exit, ImageRef, OutputSink, RuntimeError, Sandbox, SandboxOptions, Stream, is_inside,
};

/// How long output may still come after the step's end.
const DRAIN: Duration = Duration::from_secs(2);
/// How often to ask whether a step that says nothing has ended: a process of its own may hold its output open.
const LOOK: Duration = Duration::from_millis(250);

type Output = Pin<Box<dyn Frames<Item = Result<LogOutput, Error>> + Send>>;

pub struct DockerSandbox {
    docker: Docker,
    options: SandboxOptions,
    image: ImageRef,
    config: ImageConfig,
    /// `None` after a kill; the next step makes another.
    container: Option<Container>,
    /// The host's side of `/phalanx`.
    files: PathBuf,
    work_tree_seen: PathBuf,
    introduced: bool,
}

impl DockerSandbox {
    pub async fn open(
        docker: Docker,
        options: SandboxOptions,
        image: ImageRef,
        config: ImageConfig,
    ) -> Result<Self, RuntimeError> {
        let files = options.scratch.join("phalanx");
        for folder in [&files, &options.scratch.join("home"), &options.scratch.join("tmp")] {
            std::fs::create_dir_all(folder)
                .map_err(|error| failed("make the folders of the container", error))?;
        }
        // On a host that itself uses `/work`, the work tree stays where it is: nothing can be mounted inside it.
        let taken = options.readable.iter().any(|path| path.starts_with("/work"));
        let work_tree_seen = if taken { options.work_tree.clone() } else { PathBuf::from("/work") };
        let mut sandbox = Self {
            docker,
            options,
            image,
            config,
            container: None,
            files,
            work_tree_seen,
            introduced: false,
        };
        sandbox.container().await?;
        Ok(sandbox)
    }

    async fn container(&mut self) -> Result<&Container, RuntimeError> {
        if self.container.is_none() {
            let (seen, files) = (&self.work_tree_seen, &self.files);
            let started =
                Container::start(&self.docker, &self.options, &self.image, seen, files).await?;
            self.container = Some(started);
        }
        Ok(self.container.as_ref().expect("it was just started"))
    }

    /// Whether steps run as another user than this process, so that neither may write what the other made.
    fn is_foreign(&self) -> bool {
        self.user_id() != Some(nix::unistd::geteuid().as_raw())
    }

    /// The image's user; `None` for a name other than root's, which only the image could tell.
    fn user_id(&self) -> Option<u32> {
        let user = self.config.user.as_deref().unwrap_or_default();
        match user.split(':').next().unwrap_or_default() {
            "" | "root" => Some(0),
            user => user.parse().ok(),
        }
    }

    fn argv(&self, command: &Command) -> Result<Vec<String>, RuntimeError> {
        if !command.argv.is_empty() {
            return Ok(command.argv.clone());
        }
        let own: Vec<String> = [&self.config.entrypoint, &self.config.cmd]
            .into_iter()
            .flatten()
            .flatten()
            .cloned()
            .collect();
        if own.is_empty() {
            let message = format!("the image `{}` has no command of its own", self.image.name);
            return Err(RuntimeError::Unavailable { message });
        }
        Ok(own)
    }

    fn env(&self, command: &Command) -> Vec<String> {
        let mut env: Vec<(&str, String)> = vec![
            ("HOME", HOME.to_owned()),
            ("TMPDIR", "/tmp".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
        ];
        if self.is_foreign() {
            // Git refuses a repository of another user unless it is told that it may.
            env.push(("GIT_CONFIG_COUNT", "1".to_owned()));
            env.push(("GIT_CONFIG_KEY_0", "safe.directory".to_owned()));
            env.push(("GIT_CONFIG_VALUE_0", self.work_tree_seen.to_string_lossy().into_owned()));
        }
        for (name, value) in &command.env {
            env.retain(|(known, _)| known != name);
            env.push((name, value.clone()));
        }
        env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// Puts the step's files in place, and lets the step's user write where it may.
    async fn prepare(&mut self, command: &Command) -> Result<(), RuntimeError> {
        for target in command.mounts.values() {
            if Path::new(target).starts_with(&self.work_tree_seen) {
                return Err(RuntimeError::Unavailable {
                    message: format!(
                        "a file cannot be mounted at `{target}`: that is inside the work tree, and would be part of the patch"
                    ),
                });
            }
        }
        let (folder, mounts) = (self.files.clone(), command.mounts.clone());
        let shared = self.is_foreign().then(|| {
            let scratch = &self.options.scratch;
            [self.options.work_tree.clone(), scratch.join("home"), scratch.join("tmp")]
        });
        let placed = tokio::task::spawn_blocking(move || {
            shared.iter().flatten().for_each(|folder| files::share(folder));
            files::place(&folder, &mounts)
        });
        let links = placed
            .await
            .map_err(|error| failed("put the step's files in place", error))?
            .map_err(|error| failed("put the step's files in place", error))?;
        if !links.is_empty() {
            let options = UploadToContainerOptions { path: "/".to_owned(), ..Default::default() };
            let tar = bollard::body_full(files::archive(&links).into());
            let docker = self.docker.clone();
            let id = &self.container().await?.id;
            let sent = docker.upload_to_container(id, Some(options), tar).await;
            sent.map_err(|error| engine("put the step's files into the container", error))?;
        }
        Ok(())
    }

    /// Starts the step. A container that died meanwhile is replaced, once.
    async fn start(&mut self, command: &Command) -> Result<(String, Output), RuntimeError> {
        let directory = Path::new(&command.directory);
        if directory.is_absolute() || !is_inside(Path::new(""), directory) {
            let message = format!("`{}` is not a folder in the work tree", command.directory);
            return Err(RuntimeError::Unavailable { message });
        }
        let exec = CreateExecOptions {
            cmd: Some(self.argv(command)?),
            env: Some(self.env(command)),
            working_dir: Some(self.work_tree_seen.join(directory).to_string_lossy().into_owned()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let docker = self.docker.clone();
        let mut replaced = false;
        let id = loop {
            self.prepare(command).await?;
            match docker.create_exec(&self.container().await?.id, exec.clone()).await {
                Ok(made) => break made.id,
                // It is gone, or does not run.
                Err(error) if matches!(status(&error), Some(404 | 409)) && !replaced => {
                    replaced = true;
                    self.discard().await;
                }
                Err(error) => return Err(engine("prepare the step", error)),
            }
        };
        match docker.start_exec(&id, None).await {
            Ok(StartExecResults::Attached { output, .. }) => Ok((id, output)),
            Ok(StartExecResults::Detached) => Err(RuntimeError::Failed {
                what: "the Docker engine started the step without its output".to_owned(),
                source: None,
            }),
            Err(error) if status(&error) == Some(400) => {
                let message = format!("the step could not be started: {}", message(&error));
                Err(RuntimeError::Unavailable { message })
            }
            Err(error) => Err(engine("start the step", error)),
        }
    }

    async fn discard(&mut self) {
        if let Some(container) = self.container.take() {
            container.remove().await;
        }
    }

    async fn run_command(
        &mut self,
        command: &Command,
        output: &dyn OutputSink,
    ) -> Result<Exit, RuntimeError> {
        if self.options.cancel.is_cancelled() {
            return Ok(Exit::Killed);
        }
        if !self.introduced {
            self.introduced = true;
            output.notice(&format!("container of `{}` ({})", self.image.name, self.image.digest));
        }
        let mut deadline = command.timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        let (exec, frames) = self.start(command).await?;
        let mut frames = Some(frames);
        let mut why = None;
        let mut pause = LOOK;
        let mut look = Instant::now() + pause;
        let code = loop {
            tokio::select! {
                frame = next(&mut frames) => match frame {
                    Some(Ok(frame)) => pass_on(frame, output),
                    // Most steps end with their output, and the engine knows their exit code at once.
                    Some(Err(_)) | None => {
                        frames = None;
                        pause = Duration::from_millis(5);
                        look = Instant::now();
                    }
                },
                () = tokio::time::sleep_until(look) => {
                    let found = self.docker.inspect_exec(&exec).await;
                    let found = found.map_err(|error| engine("say how the step ended", error))?;
                    if found.running == Some(false) {
                        break found.exit_code;
                    }
                    look = Instant::now() + pause;
                    pause = (pause * 2).min(LOOK);
                }
                () = sleep_until(deadline) => {
                    if why.is_some() {
                        break None;
                    }
                    why = Some(Exit::TimedOut);
                    deadline = Some(self.terminate());
                }
                () = self.options.cancel.cancelled(), if why.is_none() => {
                    why = Some(Exit::Killed);
                    deadline = Some(self.terminate());
                }
            }
        };
        if why.is_some() {
            // SECURITY: only the container's end is sure to end all that is in it.
            self.hand_over().await;
            self.discard().await;
        } else if let Some(container) = &self.container
            && !container.sweep().await
        {
            self.discard().await;
        } else {
            self.hand_over().await;
        }
        // What is on its way comes within moments, now that nobody can write more.
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(DRAIN, next_or_end(&mut frames)).await
        {
            pass_on(frame, output);
        }
        match (why, code) {
            (Some(why), _) => Ok(why),
            (None, Some(code)) => Ok(Exit::Code(code as i32)),
            (None, None) => Err(RuntimeError::Failed {
                what: "the Docker engine did not say how the step ended".to_owned(),
                source: None,
            }),
        }
    }

    /// Returns until when everything has time to end by itself.
    fn terminate(&self) -> Instant {
        if let Some(container) = &self.container {
            container.terminate();
        }
        Instant::now() + Duration::from_millis(self.options.kill_grace_ms)
    }

    /// Gives what the container's root made to this process, which could not read or remove it. A runner that is root can.
    async fn hand_over(&self) {
        let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
        if user.is_root() || !self.is_foreign() {
            return;
        }
        if let Some(container) = &self.container {
            let tree = quoted(&self.work_tree_seen);
            let script = format!("chown -R -h {user}:{group} {tree} {HOME} /tmp");
            match container.housekeeping(&script).await {
                Ok(0) => {}
                Ok(code) => tracing::warn!(
                    "the step's files could not be taken over: chown ended with {code}"
                ),
                Err(error) => tracing::warn!("the step's files could not be taken over: {error}"),
            }
        }
    }
}

impl Sandbox for DockerSandbox {
    fn run<'a>(
        &'a mut self,
        command: &'a Command,
        output: &'a dyn OutputSink,
    ) -> Pin<Box<dyn Future<Output = Result<Exit, RuntimeError>> + Send + 'a>> {
        Box::pin(self.run_command(command, output))
    }

    fn close(mut self: Box<Self>) -> BoxFuture<()> {
        Box::pin(async move {
            // A step that was given up in its middle had no such end.
            self.hand_over().await;
            self.discard().await;
        })
    }
}

fn pass_on(frame: LogOutput, output: &dyn OutputSink) {
    match frame {
        LogOutput::StdErr { message } => output.write(Stream::Stderr, &message),
        LogOutput::StdOut { message } | LogOutput::Console { message } => {
            output.write(Stream::Stdout, &message);
        }
        LogOutput::StdIn { .. } => {}
    }
}

/// Waits for ever when there is no stream any more.
async fn next(frames: &mut Option<Output>) -> Option<Result<LogOutput, Error>> {
    match frames {
        Some(frames) => frames.next().await,
        None => std::future::pending().await,
    }
}

async fn next_or_end(frames: &mut Option<Output>) -> Option<Result<LogOutput, Error>> {
    match frames {
        Some(frames) => frames.next().await,
        None => None,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

fn failed(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> RuntimeError {
    RuntimeError::Failed { what: format!("could not {what}"), source: Some(Box::new(source)) }
}
