//! The program as people run it: real processes, real git, real signals.

mod exec;
mod faults;
mod security;
mod support;
