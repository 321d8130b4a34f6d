//! The binary: server, runner and command line. Wiring only.

mod cli;
mod client;
mod config;
mod server;

use std::process::ExitCode;

/// Small objects by the million come and go with every request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3, which its bindings do not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Free pages go back to the system at once. With the default, 1000, `bench pages` held more than twice the memory; with 0
/// `bench jobs` costs the same.
const PURGE_DELAY_MS: std::ffi::c_long = 0;

fn main() -> ExitCode {
    // SAFETY: sets a number, before there is another thread. `MIMALLOC_PURGE_DELAY` stays stronger.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) };
    // The launcher of job processes is this binary in a hidden mode: it must not start a runtime, or parse anything.
    if std::env::args_os().nth(1).is_some_and(|mode| mode == "__launch") {
        runner::runtime::process::launcher_main();
    }
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("the TLS provider is installed once");
    cli::main()
}
