//! Limits by control group, version 1 or 2, where this process may make one. Without one, `restrict.rs` sets what resource
//! limits can do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::capabilities::Capabilities;
use super::protocol::Order;

/// The groups of one sandbox; removed by `remove`.
#[derive(Default)]
pub(super) struct Cgroup {
    folders: Vec<PathBuf>,
}

impl Cgroup {
    pub fn create(order: &Order, got: &mut Capabilities) -> Self {
        let mut group = Self::default();
        let name: String = order
            .label
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
            .collect();
        let name = format!("phalanx-{name}-{}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let unified = root.join("cgroup.controllers").exists();
        let period = 100_000.0;
        let wanted = [
            (
                "memory",
                order.memory_bytes.map(|n| n.to_string()),
                "memory.max",
                "memory.limit_in_bytes",
            ),
            ("pids", order.pids.map(|n| n.to_string()), "pids.max", "pids.max"),
            (
                "cpu",
                order.cpus.map(|n| format!("{}", (n * period) as u64)),
                "cpu.max",
                "cpu.cfs_quota_us",
            ),
        ];
        for (controller, value, file, old_file) in wanted {
            let Some(value) = value else { continue };
            let folder = if unified { root.join(&name) } else { root.join(controller).join(&name) };
            let file = folder.join(if unified { file } else { old_file });
            let made = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, &value));
            if !group.folders.contains(&folder) {
                group.folders.push(folder.clone());
            }
            match made {
                Ok(()) => got.cgroup.push(controller.to_owned()),
                Err(error) => got.missing.push(format!("{controller} limit by cgroup ({error})")),
            }
        }
        group
    }

    pub fn add(&self, process: Pid) {
        for folder in &self.folders {
            let _ = fs::write(folder.join("cgroup.procs"), process.to_string());
        }
    }

    /// The kernel lets go of a group a moment after its last process.
    pub fn remove(self) {
        let deadline = Instant::now() + Duration::from_millis(500);
        for folder in self.folders {
            while fs::remove_dir(&folder).is_err() && Instant::now() < deadline && folder.exists() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}
