//! The command line: noun verb. One file per command; the doc comments are the help.

mod action;
mod campaign;
mod changeset;
mod codehost;
mod completion;
mod config;
mod connect;
mod doctor;
mod exec;
mod execution;
mod graph;
mod job;
mod login;
mod output;
mod patches;
mod progress;
mod repositories;
mod runner;
mod runners;
mod saved_search;
mod search;
mod secret;
mod server;
mod token;
mod up;
mod watch;

use self::output::say;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::client::Refused;

/// Runs commands over every repository you name, on every machine you have, and turns what they changed into patches.
#[derive(Parser)]
#[command(name = "phalanx", version, propagate_version = true)]
struct Cli {
    /// Configuration file [default: phalanx.toml in the working directory]
    #[arg(long, global = true, env = "PHALANX_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a spec over repositories and collect the patches
    Exec(Box<exec::Exec>),
    /// Start a server and one runner; print the URL and a token
    Up(up::Up),
    /// Start a server
    Server(server::Server),
    /// Work for a server (without a verb), or look at a server's runners
    Runner(Box<runner::Runner>),
    /// Look at executions, retry and cancel them
    Execution(execution::Execution),
    /// Look at jobs, their logs and why they wait; retry and cancel them
    Job(job::Job),
    /// Make, change, run and schedule actions
    Action(action::Action),
    /// Make campaigns of patches, publish and close them
    Campaign(campaign::Campaign),
    /// Look at the changesets of a campaign, publish and retry them
    Changeset(changeset::Changeset),
    /// Find repositories and files
    Search(search::Search),
    /// Queries that run again and again, and start actions
    SavedSearch(saved_search::SavedSearch),
    /// Where repositories come from and changesets go to
    Codehost(codehost::Codehost),
    /// Values that steps may use and nobody sees
    Secret(secret::Secret),
    /// Access tokens of people and programs
    Token(token::Token),
    /// Keep the token of a server for later commands
    Login(login::Login),
    /// Check whether this machine can do the work
    Doctor(doctor::Doctor),
    /// Show the configuration
    Config(config::Config),
    /// Measure, and attack
    Bench(bench::Bench),
    /// Print a completion script
    Completion(completion::Completion),
}

mod bench;

/// The input is wrong: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// Something ended with this exit code, and said why already.
#[derive(Debug, thiserror::Error)]
#[error("exit code {0}")]
pub struct Exit(pub u8);

/// Exit codes: 0 all well, 1 some jobs failed, 2 bad input, 3 infrastructure.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            say!("phalanx: failed to start: {error}");
            return ExitCode::from(3);
        }
    };
    let result = runtime.block_on(run(cli));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let quiet = matches!(cli.command, Command::Exec(_) | Command::Bench(_));
    let default = if quiet { "warn" } else { "info" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("PHALANX_LOG");
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| default.into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        .init();
    let file = crate::config::read(cli.config.as_deref())
        .map_err(|error| BadInput(format!("{error:#}")))?;
    match cli.command {
        Command::Exec(command) => command.run(file).await,
        Command::Up(command) => command.run(file).await,
        Command::Server(command) => command.run(file).await,
        Command::Runner(command) => command.run(file).await,
        Command::Execution(command) => command.run(file).await,
        Command::Job(command) => command.run(file).await,
        Command::Action(command) => command.run(file).await,
        Command::Campaign(command) => command.run(file).await,
        Command::Changeset(command) => command.run(file).await,
        Command::Search(command) => command.run(file).await,
        Command::SavedSearch(command) => command.run(file).await,
        Command::Codehost(command) => command.run(file).await,
        Command::Secret(command) => command.run(file).await,
        Command::Token(command) => command.run(file).await,
        Command::Login(command) => command.run().await,
        Command::Doctor(command) => command.run(file).await,
        Command::Config(command) => command.run(file),
        Command::Bench(command) => command.run().await,
        Command::Completion(command) => command.run::<Cli>(),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    if let Some(Exit(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    if let Some(refused) = error.downcast_ref::<Refused>() {
        if refused.problem.diagnostics.is_empty() {
            say!("phalanx: {}", output::plain(&refused.problem.error));
        }
        for diagnostic in &refused.problem.diagnostics {
            say!("{}", output::plain(&diagnostic.to_string()));
        }
        // The server cannot be used by this caller, or has no room: not the input's fault.
        let infrastructure = matches!(refused.status, 401 | 403 | 429);
        return ExitCode::from(if infrastructure { 3 } else { 2 });
    }
    if let Some(BadInput(text)) = error.downcast_ref() {
        say!("phalanx: {}", output::plain(text));
        return ExitCode::from(2);
    }
    say!("phalanx: {}", output::plain(&format!("{error:#}")));
    ExitCode::from(3)
}
