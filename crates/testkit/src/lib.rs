//! Development only: the simulator that attacks the engine from seeds, a deterministic world with crashes, a lossy network and
//! runners that are slow, dead, paused or lying, whose independent oracle is told only what a client could see; and a code host
//! that speaks as the real ones do.

pub mod code_host;
pub mod sim;
