//! `phalanx bench NAME`: measures, side by side in one run.

use clap::{Args, Subcommand};

#[derive(Args)]
pub struct Bench {
    #[command(subcommand)]
    name: Name,
}

#[derive(Subcommand)]
enum Name {}

impl Bench {
    pub async fn run(self) -> anyhow::Result<()> {
        match self.name {}
    }
}
