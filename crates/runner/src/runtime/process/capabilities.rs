//! Which measures of isolation a sandbox got. Every one is best effort, so every job's log says what it was.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Other processes are invisible, and the end of the first one ends all.
    pub pid_namespace: bool,
    /// A root of its own: only system folders, read-only, and what the job was given.
    pub private_root: bool,
    pub ipc_namespace: bool,
    pub uts_namespace: bool,
    /// A network with nothing but loopback.
    pub no_network: bool,
    /// Namespaces were made without root's help.
    pub user_namespace: bool,
    /// Landlock restricts files: `full`, `partial`.
    pub landlock: Option<String>,
    pub no_new_privileges: bool,
    /// Linux capabilities that could change the system are gone.
    pub capabilities_dropped: bool,
    /// Limits that a control group holds: `memory, pids, cpu`.
    pub cgroup: Vec<String>,
    /// Measures that were asked for and not had, and why.
    pub missing: Vec<String>,
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let landlock = self.landlock.as_ref().map(|level| format!("Landlock ({level})"));
        let cgroup = (!self.cgroup.is_empty())
            .then(|| format!("cgroup limits ({})", self.cgroup.join(", ")));
        let measures = [
            self.private_root.then_some("private root"),
            self.pid_namespace.then_some("own process tree"),
            self.ipc_namespace.then_some("own IPC"),
            self.uts_namespace.then_some("own host name"),
            self.no_network.then_some("no network"),
            self.user_namespace.then_some("user namespace"),
            landlock.as_deref(),
            self.no_new_privileges.then_some("no new privileges"),
            self.capabilities_dropped.then_some("dropped capabilities"),
            cgroup.as_deref(),
        ];
        let got: Vec<&str> = measures.into_iter().flatten().collect();
        match got.as_slice() {
            [] => f.write_str("process sandbox: none")?,
            got => write!(f, "process sandbox: {}", got.join(", "))?,
        }
        if !self.missing.is_empty() {
            write!(f, "; not available: {}", self.missing.join(", "))?;
        }
        Ok(())
    }
}
