//! `phalanx doctor`: can this machine do the work?

use std::os::unix::fs::DirBuilderExt;

use clap::Args;
use runner::runtime::docker::DockerRuntime;

use super::{Exit, output, runner as runner_command};
use crate::config::File;

#[derive(Args)]
pub struct Doctor {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Check {
    name: &'static str,
    state: State,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    Good,
    /// Something is missing that some work needs.
    Limited,
    Bad,
}

impl Doctor {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        let checks = vec![git(), data_directory(&file), files(), sandbox().await?, docker().await];
        if self.json {
            output::json(&checks)?;
        } else {
            for check in &checks {
                let mark = match check.state {
                    State::Good => "ok     ",
                    State::Limited => "limited",
                    State::Bad => "BAD    ",
                };
                output::print_line(&format!(
                    "{mark} {:<15} {}",
                    check.name,
                    output::plain(&check.text)
                ))?;
            }
        }
        if checks.iter().any(|check| check.state == State::Bad) {
            Err(Exit(3).into())
        } else {
            Ok(())
        }
    }
}

fn git() -> Check {
    let version = std::process::Command::new("git").arg("--version").output();
    match version {
        Ok(output) if output.status.success() => Check {
            name: "git",
            state: State::Good,
            text: String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        },
        _ => Check { name: "git", state: State::Bad, text: "git is not installed".to_owned() },
    }
}

fn data_directory(file: &File) -> Check {
    let path = &file.server.data_directory;
    let shown = path.display();
    if let Some(live) = crate::server::live_server(path) {
        let text =
            format!("{shown}: a server runs on it at {} (process {})", live.url, live.process);
        return Check { name: "data directory", state: State::Good, text };
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    match made.and_then(|()| tempfile::tempfile_in(path)) {
        Ok(_) => Check {
            name: "data directory",
            state: State::Good,
            text: format!("{shown} can be written"),
        },
        Err(error) => {
            Check { name: "data directory", state: State::Bad, text: format!("{shown}: {error}") }
        }
    }
}

fn files() -> Check {
    use nix::sys::resource::{Resource, getrlimit};
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard);
    let state = if hard >= 4096 { State::Good } else { State::Limited };
    Check {
        name: "open files",
        state,
        text: format!("at most {hard}: about {} runners at once", hard.saturating_sub(256)),
    }
}

async fn sandbox() -> anyhow::Result<Check> {
    Ok(match runner_command::process_runtime()?.probe().await {
        Ok(got) => {
            let text = got.to_string();
            let text = text.trim_start_matches("process sandbox: ").to_owned();
            let limited = text == "none" || text.contains("not available");
            let state = if limited { State::Limited } else { State::Good };
            Check { name: "process sandbox", state, text }
        }
        Err(error) => Check { name: "process sandbox", state: State::Bad, text: error.to_string() },
    })
}

/// Only steps with an image need it, so its absence is a limit and no fault.
async fn docker() -> Check {
    match DockerRuntime::version().await {
        Ok(version) => Check {
            name: "docker",
            state: State::Good,
            text: format!("engine {version}: steps with an image can run"),
        },
        Err(why) => Check {
            name: "docker",
            state: State::Limited,
            text: format!("{why}; steps with an image cannot run"),
        },
    }
}
