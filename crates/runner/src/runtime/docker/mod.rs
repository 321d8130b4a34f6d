//! Steps in containers of a Docker engine.
//!
//! A job gets one container per image. It is started once, with a keeper as its first process, and each step is an `exec` in
//! it: starting a container costs several times what an `exec` does. Everything that a container may do is written down in
//! `container.rs` and comes from us; nothing of it is taken from a spec.

mod container;
mod files;
mod leftovers;
mod sandbox;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ImageConfig, ImageInspect};
use bollard::query_parameters::CreateImageOptions;
use futures::StreamExt;
use parking_lot::Mutex;

use self::sandbox::DockerSandbox;
use super::{ImageRef, RuntimeError, RuntimeFactory, Sandbox, SandboxOptions};
use crate::job::BoxFuture;

/// How long an engine may take to say that it is there.
const DETECT: Duration = Duration::from_secs(2);
/// How long an image's name is taken to mean what it meant. Jobs that start together ask once.
const REMEMBER: Duration = Duration::from_secs(60);

/// The Docker engine of this host.
#[derive(Clone)]
pub struct DockerRuntime {
    docker: Docker,
    resolved: Arc<Mutex<HashMap<String, (Instant, ImageRef)>>>,
}

impl DockerRuntime {
    /// `None` where no engine answers. Removes the containers of runners that died.
    pub async fn detect() -> Option<Arc<dyn RuntimeFactory>> {
        let docker = match connect().await {
            Ok(docker) => docker,
            Err(why) => {
                tracing::debug!("no Docker: {why}");
                return None;
            }
        };
        leftovers::remove(&docker).await;
        Some(Arc::new(Self { docker, resolved: Arc::default() }))
    }

    /// Which engine there is, or a sentence that says why there is none.
    pub async fn version() -> Result<String, String> {
        let docker = connect().await?;
        let version = tokio::time::timeout(DETECT, docker.version()).await;
        let version = version
            .map_err(|_| "the Docker engine does not answer".to_owned())?
            .map_err(|error| format!("the Docker engine does not say its version: {error}"))?;
        Ok(version.version.unwrap_or_else(|| "unknown".to_owned()))
    }

    async fn resolve_image(&self, name: &str) -> Result<ImageRef, RuntimeError> {
        if let Some((at, image)) = self.resolved.lock().get(name)
            && at.elapsed() < REMEMBER
        {
            return Ok(image.clone());
        }
        let found = match self.docker.inspect_image(name).await {
            Err(error) if status(&error) == Some(404) => {
                self.pull(name).await?;
                self.docker.inspect_image(name).await
            }
            other => other,
        };
        let found = found.map_err(|error| engine(&format!("look at the image `{name}`"), error))?;
        let digest = found.id.ok_or_else(|| RuntimeError::Failed {
            what: format!("the Docker engine does not say which image `{name}` is"),
            source: None,
        })?;
        let image = ImageRef { name: name.to_owned(), digest };
        self.resolved.lock().insert(name.to_owned(), (Instant::now(), image.clone()));
        Ok(image)
    }

    async fn pull(&self, name: &str) -> Result<(), RuntimeError> {
        let options = CreateImageOptions {
            from_image: Some(with_tag(name)),
            ..CreateImageOptions::default()
        };
        let mut progress = self.docker.create_image(Some(options), None, None);
        while let Some(step) = progress.next().await {
            step.map_err(|error| RuntimeError::Unavailable {
                message: format!(
                    "the image `{name}` is not on this host and could not be pulled: {}",
                    message(&error)
                ),
            })?;
        }
        Ok(())
    }

    async fn open_sandbox(
        &self,
        options: SandboxOptions,
        image: Option<ImageRef>,
    ) -> Result<Box<dyn Sandbox>, RuntimeError> {
        let image = image.ok_or_else(|| RuntimeError::Unavailable {
            message: "a step without an image cannot run in a container".to_owned(),
        })?;
        // SECURITY: by its id, so that what runs is what the cache key says, even if the name moved meanwhile.
        let found = self.docker.inspect_image(&image.digest).await;
        let found: ImageInspect = found.map_err(|error| {
            self.resolved.lock().remove(&image.name);
            engine(&format!("look at the image `{}`", image.name), error)
        })?;
        let config: ImageConfig = found.config.unwrap_or_default();
        let sandbox = DockerSandbox::open(self.docker.clone(), options, image, config).await?;
        Ok(Box::new(sandbox))
    }
}

impl RuntimeFactory for DockerRuntime {
    fn open(
        &self,
        options: SandboxOptions,
        image: Option<&ImageRef>,
    ) -> BoxFuture<Result<Box<dyn Sandbox>, RuntimeError>> {
        let (runtime, image) = (self.clone(), image.cloned());
        Box::pin(async move { runtime.open_sandbox(options, image).await })
    }

    fn resolve(&self, image: &str) -> BoxFuture<Result<ImageRef, RuntimeError>> {
        let (runtime, image) = (self.clone(), image.to_owned());
        Box::pin(async move { runtime.resolve_image(&image).await })
    }
}

/// Only over a socket of this host: the folders of a job must be where the engine is.
async fn connect() -> Result<Docker, String> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    if !host.is_empty() && !host.starts_with("unix://") {
        return Err(format!("DOCKER_HOST is `{host}`; only `unix://` engines can be used"));
    }
    let docker = Docker::connect_with_unix_defaults()
        .map_err(|error| format!("the Docker engine cannot be reached: {error}"))?;
    match tokio::time::timeout(DETECT, docker.negotiate_version()).await {
        Ok(Ok(docker)) => Ok(docker),
        Ok(Err(error)) => Err(format!("the Docker engine cannot be reached: {error}")),
        Err(_) => Err("the Docker engine does not answer".to_owned()),
    }
}

/// Without a tag or digest an engine would pull every tag there is.
fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') || last.contains('@') {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

fn status(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What the engine said, without what the client wraps around it.
fn message(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message.clone(),
        bollard::errors::Error::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    }
}

fn engine(what: &str, error: bollard::errors::Error) -> RuntimeError {
    RuntimeError::Failed {
        what: format!("the Docker engine could not {what}: {}", message(&error)),
        source: Some(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_gets_a_tag() {
        for (name, full) in [
            ("alpine", "alpine:latest"),
            ("host:5000/alpine", "host:5000/alpine:latest"),
            ("alpine:3", "alpine:3"),
            ("alpine@sha256:00", "alpine@sha256:00"),
        ] {
            assert_eq!(super::with_tag(name), full);
        }
    }
}
