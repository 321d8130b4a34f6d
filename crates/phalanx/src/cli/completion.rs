//! `phalanx completion SHELL`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Args)]
pub struct Completion {
    /// bash, zsh, fish, elvish or powershell
    shell: Shell,
}

impl Completion {
    pub fn run<C: CommandFactory>(self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut C::command(), "phalanx", &mut script);
        Ok(super::output::print_bytes(&script)?)
    }
}
