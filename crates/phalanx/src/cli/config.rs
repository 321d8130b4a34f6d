//! `phalanx config show`

use clap::{Args, Subcommand};

use super::output;
use crate::config::{File, RunnerFlags, ServerFlags};

#[derive(Args)]
pub struct Config {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Print the configuration as it is in force: defaults, file, environment
    Show {
        /// As JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
}

impl Config {
    pub fn run(self, file: File) -> anyhow::Result<()> {
        let Verb::Show { json } = self.verb;
        let shown = File {
            swarming: file.swarming.clone(),
            named: None,
            server: parsed::<ServerFlags>().over(file.server),
            runner: parsed::<RunnerFlags>().over(file.runner),
        };
        if json {
            output::json(&shown)
        } else {
            output::print_line(toml::to_string(&shown)?.trim_end())
        }
    }
}

/// The flags as the environment alone sets them.
fn parsed<A: clap::Args>() -> A {
    let command = A::augment_args(clap::Command::new("phalanx"));
    let matches = command.get_matches_from(["phalanx"]);
    A::from_arg_matches(&matches).expect("every flag is optional")
}
