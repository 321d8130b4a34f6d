//! `phalanx exec`: a spec over repositories, here or on a server.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use api_rest::types::{CreatedExecution, NewExecution};
use campaign::execution::{Mount, Network, Options, Runtime};
use clap::{Args, ValueEnum};
use model::limit;
use reqwest::Method;

use super::connect::{Connect, Local};
use super::output::say;
use super::watch::Watch;
use super::{BadInput, Exit, output, repositories};
use crate::config::File;

/// Runs a spec over repositories and collects the patches.
///
/// Without a server everything happens on this machine. The patches go to standard output, or with -o into a folder.
#[derive(Args)]
pub struct Exec {
    #[command(flatten)]
    connect: Connect,
    /// The spec: a batch spec or an action definition; `-` reads it from standard input
    #[arg(short = 'f', long = "file", value_name = "SPEC")]
    file: PathBuf,
    /// A repository: a folder or a URL (repeatable)
    #[arg(long = "repo", value_name = "PATH|URL")]
    repositories: Vec<String>,
    /// A folder whose folders are repositories (repeatable)
    #[arg(long = "repos-in", value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The branch, tag or commit to start from [default: each repository's current branch]
    #[arg(long, value_name = "REVISION")]
    branch: Option<String>,
    /// Where steps run
    #[arg(long, value_enum, default_value = "auto")]
    runtime: RuntimeFlag,
    /// Whether steps reach the network
    #[arg(long, value_enum, default_value = "host")]
    network: NetworkFlag,
    /// Run every step, whatever ran before
    #[arg(long)]
    no_cache: bool,
    /// The longest that one job may run
    #[arg(long, value_name = "DURATION", default_value = "60m", value_parser = parse_duration)]
    timeout: u64,
    /// The longest that one step may run
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    step_timeout: Option<u64>,
    /// Processors for each job's container
    #[arg(long, value_name = "COUNT")]
    cpus: Option<f64>,
    /// Memory for each job, as 512M or 4G
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<u64>,
    /// Processes for each job
    #[arg(long, value_name = "COUNT")]
    pids: Option<u64>,
    /// What runners must offer (repeatable)
    #[arg(long = "dimension", value_name = "KEY=VALUE[|VALUE]")]
    dimensions: Vec<String>,
    /// 0 is first, 255 last
    #[arg(long, default_value_t = model::Priority::default().0)]
    priority: u8,
    /// Say what would run, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Submit to the server and do not wait
    #[arg(long, requires = "server")]
    detach: bool,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Clone, Copy, ValueEnum)]
enum RuntimeFlag {
    /// A step with a container in Docker, one without as a process
    Auto,
    /// Every step as a process; `container` is ignored
    Process,
    /// As auto: the steps decide
    Docker,
}

#[derive(Clone, Copy, ValueEnum)]
enum NetworkFlag {
    Host,
    None,
}

/// `90s`, `10m`, `1h`, in milliseconds.
fn parse_duration(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a duration: use 90s, 10m or 1h");
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).ok_or_else(wrong)?);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// `512M`, `4G`, in bytes.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size: use 512M or 4G");
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

impl Exec {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        let (name, text) = self.read_spec()?;
        // Here too, so that a spec with errors starts nothing.
        let parsed = spec::parse(&name, &text).map_err(|diagnostics| {
            let all: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
            say!("{}", output::plain(&all.join("\n")));
            Exit(2)
        })?;
        if let Some(directory) = &self.watch.output {
            // Before the work, not after it.
            let made = std::fs::create_dir_all(directory);
            made.and_then(|()| tempfile::tempfile_in(directory).map(drop)).map_err(|error| {
                BadInput(format!("-o {}: it cannot be written: {error}", directory.display()))
            })?;
        }
        let found = repositories::find(&self.repositories, &self.folders)?;
        let mounts = self.mounts(&name, &parsed.spec)?;
        let local = Local::open(&self.connect, &file).await?;
        let submitted = self.submit(&local, name, text, &parsed.spec, &found, mounts).await;
        let execution = match submitted {
            Ok(Some(execution)) => execution,
            done => {
                local.close().await;
                return done.map(drop);
            }
        };
        let containers = parsed.spec.steps.iter().any(|step| step.container.is_some());
        self.watch.see_through(local, &self.connect, &file, execution, containers, None).await
    }

    /// The execution, if there is one to wait for.
    async fn submit(
        &self,
        local: &Local,
        name: String,
        text: Vec<u8>,
        spec: &spec::Spec,
        found: &[repositories::Named],
        mounts: Vec<(Mount, Vec<u8>)>,
    ) -> anyhow::Result<Option<u64>> {
        let client = local.client();
        let named = repositories::announce(client, found, self.branch.as_deref()).await?;
        for (mount, bytes) in &mounts {
            let path = format!("blobs/{}", mount.digest);
            client.send(client.request(Method::PUT, &path).body(bytes.clone())).await?;
        }
        let passed = spec.steps.iter().flat_map(|step| &step.env).filter(|v| v.value.is_none());
        let environment: BTreeMap<String, String> = passed
            .filter_map(|variable| {
                Some((variable.name.clone(), std::env::var(&variable.name).ok()?))
            })
            .collect();
        let body = NewExecution {
            file: name,
            spec: String::from_utf8(text).context("read the spec")?,
            repositories: named,
            options: self.options(),
            mounts: mounts.into_iter().map(|(mount, _)| mount).collect(),
            environment,
            dry_run: self.dry_run,
        };
        let key = hex::encode(rand::random::<[u8; 16]>());
        let request = client.request(Method::POST, "executions").header("idempotency-key", key);
        let created: CreatedExecution = client.send(request.json(&body)).await?.json().await?;
        if self.watch.json && created.execution.is_none() {
            output::json(&created)?;
            return Ok(None);
        }
        for notice in &created.notices {
            say!("note: {}", output::plain(notice));
        }
        let Some(execution) = created.execution else {
            for workspace in &created.workspaces {
                output::print_line(workspace)?;
            }
            return Ok(None);
        };
        if self.detach {
            output::print_line(&format!("execution {execution}: {} jobs", created.jobs))?;
            return Ok(None);
        }
        Ok(Some(execution))
    }

    fn options(&self) -> Options {
        Options {
            runtime: match self.runtime {
                RuntimeFlag::Auto | RuntimeFlag::Docker => Runtime::ByStep,
                RuntimeFlag::Process => Runtime::Process,
            },
            network: match self.network {
                NetworkFlag::Host => Network::Host,
                NetworkFlag::None => Network::None,
            },
            cache: !self.no_cache,
            step_timeout_ms: self.step_timeout,
            job_timeout_ms: Some(self.timeout),
            cpus: self.cpus,
            memory_bytes: self.memory,
            pids: self.pids,
            priority: self.priority,
            dimensions: self.dimensions.clone(),
        }
    }

    fn read_spec(&self) -> anyhow::Result<(String, Vec<u8>)> {
        let name = self.file.display().to_string();
        let wrong = |error: std::io::Error| BadInput(format!("{name}: {error}"));
        let mut text = Vec::new();
        // One byte more than may be, to notice; a huge file is not read whole.
        let most = limit::SPEC_BYTES as u64 + 1;
        if name == "-" {
            std::io::stdin().take(most).read_to_end(&mut text).map_err(wrong)?;
        } else {
            std::fs::File::open(&self.file)
                .and_then(|f| f.take(most).read_to_end(&mut text))
                .map_err(wrong)?;
        }
        if text.len() > limit::SPEC_BYTES {
            return Err(BadInput(format!(
                "{name}: a spec may have {} bytes; this has more",
                limit::SPEC_BYTES
            ))
            .into());
        }
        Ok((name, text))
    }

    /// The files that steps mount, with their content.
    fn mounts(&self, name: &str, spec: &spec::Spec) -> anyhow::Result<Vec<(Mount, Vec<u8>)>> {
        let root =
            if name == "-" { Path::new(".") } else { self.file.parent().unwrap_or(Path::new(".")) };
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        let mut wrong = Vec::new();
        let mut mounts = BTreeMap::new();
        for mount in spec.steps.iter().flat_map(|step| &step.mount) {
            if let Err(error) = collect_mount(root, Path::new(&mount.path), &mut mounts) {
                wrong.push(format!(
                    "{name}:{}:{}: mount `{}`: {error}",
                    mount.at.line, mount.at.column, mount.path
                ));
            }
        }
        if wrong.is_empty() {
            Ok(mounts.into_values().collect())
        } else {
            Err(BadInput(wrong.join("\n")).into())
        }
    }
}

/// A mounted file, or all files of a mounted folder, by path relative to the spec's folder.
fn collect_mount(
    root: &Path,
    path: &Path,
    mounts: &mut BTreeMap<String, (Mount, Vec<u8>)>,
) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let full = root.join(path).canonicalize()?;
    // SECURITY: a spec names files beside it, not files of the person who runs it.
    anyhow::ensure!(full.starts_with(root.canonicalize()?), "it is outside of the spec's folder");
    let meta = full.metadata()?;
    if meta.is_dir() {
        for entry in std::fs::read_dir(&full)? {
            collect_mount(root, &path.join(entry?.file_name()), mounts)?;
        }
        return Ok(());
    }
    anyhow::ensure!(meta.is_file(), "it is not a file");
    anyhow::ensure!(meta.len() <= 10 * 1024 * 1024, "it is larger than 10 MiB");
    let bytes = std::fs::read(&full)?;
    let relative = path.to_str().context("its name is not UTF-8")?;
    let relative = relative.strip_prefix("./").unwrap_or(relative).to_owned();
    let mount = Mount {
        path: relative.clone(),
        digest: blobs::digest_of(&bytes).to_string(),
        executable: meta.permissions().mode() & 0o111 != 0,
    };
    mounts.insert(relative, (mount, bytes));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_do_not_overflow() {
        assert_eq!(parse_duration("90s"), Ok(90_000));
        assert_eq!(parse_size("4G"), Ok(4 << 30));
        for bad in ["", "h", "10", "10y", "99999999999999999999h", "9999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert!(parse_size("99999999999G").is_err());
    }
}
