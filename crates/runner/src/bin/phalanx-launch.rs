//! The launcher alone, for tests: what `phalanx __launch` is in the real program.

fn main() {
    runner::runtime::process::launcher_main()
}
