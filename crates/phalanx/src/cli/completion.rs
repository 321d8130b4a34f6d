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
        clap_complete::generate(self.shell, &mut C::command(), "phalanx", &mut std::io::stdout());
        Ok(())
    }
}
