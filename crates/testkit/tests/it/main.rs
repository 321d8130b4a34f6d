//! The simulator in small, the store against the simulator's rows, and the house's own rules.

mod house;
mod search;
mod simulator;
mod store;
