//! How fleet and queue stand, and stood.

use serde::{Deserialize, Serialize};

use crate::server::Server;

/// Numbers at one moment. Of the bots each is counted in `bots` and in one of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stand {
    /// Jobs that wait, of all doors of the server.
    pub queued: u64,
    pub running: u64,
    /// All that are known.
    pub bots: u64,
    pub idle: u64,
    pub busy: u64,
    pub quarantined: u64,
    pub maintenance: u64,
    pub dead: u64,
}

pub(crate) fn stand(server: &Server) -> Stand {
    let (queued, running, _) = server.dispatcher.sizes();
    let mut stand = Stand { queued: queued as u64, running: running as u64, ..Stand::default() };
    for seen in server.fleet.after(None) {
        let record = &seen.record;
        stand.bots += 1;
        let counted = if record.dead {
            &mut stand.dead
        } else if record.quarantined.is_some() {
            &mut stand.quarantined
        } else if record.maintenance.is_some() {
            &mut stand.maintenance
        } else if record.task.is_some() {
            &mut stand.busy
        } else {
            &mut stand.idle
        };
        *counted += 1;
    }
    stand
}
