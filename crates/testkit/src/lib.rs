//! Development only: the simulator that attacks the engine from seeds. A deterministic world with crashes, a lossy network and
//! runners that are slow, dead, paused or lying; an independent oracle that is told only what a client could see.

pub mod sim;
