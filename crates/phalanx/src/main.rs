//! The binary: server, runner and command line. Wiring only.

mod cli;
mod client;
mod config;
mod server;

use std::process::ExitCode;

/// Small objects by the million come and go with every request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The launcher of job processes is this binary in a hidden mode: it must not start a runtime, or parse anything.
    if std::env::args_os().nth(1).is_some_and(|mode| mode == "__launch") {
        runner::runtime::process::launcher_main();
    }
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("the TLS provider is installed once");
    cli::main()
}
