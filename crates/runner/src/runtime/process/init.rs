//! The first process of a sandbox: builds it, starts the command, reaps what is orphaned, and ends only when nothing is left.
//!
//! In a process namespace it has the number 1, and its end is everybody's. Without one it is a subreaper: every orphan of the
//! command becomes its child, so that no double fork and no new session leaves the tree that it kills.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::capabilities::Capabilities;
use super::launcher::report;
use super::protocol::{Order, Report};
use super::{command, mounts};

/// How long the dead may take to be gone, for example out of a slow system call.
const REAP: Duration = Duration::from_secs(5);

/// Never returns to the supervisor's code.
pub(super) fn run(
    order: Order,
    mut supervisor: UnixStream,
    runner: &mut UnixStream,
    mut got: Capabilities,
) -> ! {
    // SAFETY: these change attributes of this process only.
    unsafe {
        libc::prctl(
            libc::PR_SET_PDEATHSIG,
            if got.pid_namespace { libc::SIGKILL } else { libc::SIGTERM },
        );
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
    }
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGHUP);
    let _ = signals.thread_block();
    // The supervisor says when this process is where it belongs.
    let mut go = [0];
    if !matches!(supervisor.read(&mut go), Ok(1)) {
        std::process::exit(0);
    }
    let places = match mounts::build(&order, &mut got) {
        Ok(places) => places,
        Err(message) => {
            report(runner, &message);
            std::process::exit(0);
        }
    };
    let own_tree = got.pid_namespace;
    // SAFETY: this process has one thread.
    let command = match unsafe { fork() } {
        Ok(ForkResult::Child) => command::run(&order, &places, runner, got),
        Ok(ForkResult::Parent { child }) => child,
        Err(error) => {
            report(runner, &Report::Failed(format!("fork: {error}")));
            std::process::exit(0);
        }
    };
    let Ok(signal_fd) =
        SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
    else {
        report(runner, &Report::Failed("make a signal descriptor".into()));
        std::process::exit(0);
    };
    let mut house = House { own_tree, command, status: None };
    let grace = Duration::from_millis(order.kill_grace_ms);
    let status = house.wait(&mut supervisor, &signal_fd, grace);
    house.kill_all();
    match status {
        Some(WaitStatus::Exited(_, code)) => report(runner, &Report::Exited(code)),
        Some(WaitStatus::Signaled(_, signal, _)) => {
            report(runner, &Report::Signaled(signal as i32))
        }
        _ => report(runner, &Report::Signaled(libc::SIGKILL)),
    }
    std::process::exit(0)
}

struct House {
    own_tree: bool,
    command: Pid,
    status: Option<WaitStatus>,
}

impl House {
    /// Until the command has ended, or was killed with its whole tree.
    fn wait(
        &mut self,
        supervisor: &mut UnixStream,
        signals: &SignalFd,
        grace: Duration,
    ) -> Option<WaitStatus> {
        let mut kill_at: Option<Instant> = None;
        loop {
            let nobody_left = self.reap();
            let done = match kill_at {
                None => self.status.is_some(),
                // The polite end is over when all of the tree is gone, not only the command.
                Some(at) => nobody_left || at <= Instant::now(),
            };
            if done {
                return self.status;
            }
            let wait = match kill_at {
                None => PollTimeout::NONE,
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now()).as_millis().min(60_000);
                    PollTimeout::from(left as u16 + 1)
                }
            };
            let mut ready = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            if kill_at.is_none() {
                ready.push(PollFd::new(supervisor.as_fd(), PollFlags::POLLIN));
            }
            let _ = poll(&mut ready, wait);
            let told = ready.get(1).is_some_and(|fd| fd.any().unwrap_or(false));
            drop(ready);
            let mut stop = false;
            while let Ok(Some(signal)) = signals.read_signal() {
                // SECURITY: with a tree of its own, only processes of the job can send this; it does not matter then.
                stop |= signal.ssi_signo != libc::SIGCHLD as u32 && !self.own_tree;
            }
            if told {
                let mut byte = [0];
                let read = supervisor.read(&mut byte);
                stop = true;
                if !matches!(read, Ok(1)) {
                    // The supervisor is gone: nobody waits for a polite end.
                    return self.status;
                }
            }
            if stop && kill_at.is_none() {
                kill_at = Some(Instant::now() + grace);
                self.signal_all(Signal::SIGTERM);
            }
        }
    }

    /// Collects the dead. True when there are no children at all.
    fn reap(&mut self) -> bool {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return false,
                Ok(status) => {
                    if status.pid() == Some(self.command) {
                        self.status = Some(status);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return true,
            }
        }
    }

    /// Kills everything that is left and waits until it is gone.
    fn kill_all(&mut self) {
        let deadline = Instant::now() + REAP;
        loop {
            if self.reap() || deadline < Instant::now() {
                return;
            }
            self.signal_all(Signal::SIGKILL);
            std::thread::sleep(Duration::from_micros(if self.own_tree { 200 } else { 1000 }));
        }
    }

    fn signal_all(&self, signal: Signal) {
        // SECURITY: `-1` means everybody this process may signal. It may be used only where everybody is the sandbox.
        if self.own_tree && std::process::id() == 1 {
            let _ = kill(Pid::from_raw(-1), signal);
            return;
        }
        for process in descendants(std::process::id() as i32) {
            let _ = kill(Pid::from_raw(process), signal);
        }
    }
}

/// All processes below `root`, by the parents that the kernel names.
fn descendants(root: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read(entry.path().join("stat")) else { continue };
        // The name, in parentheses, may hold anything; after the last one come the state and the parent.
        let Some(end) = stat.iter().rposition(|&b| b == b')') else { continue };
        let text = String::from_utf8_lossy(&stat[end + 1..]).into_owned();
        let Some(parent) = text.split_whitespace().nth(1).and_then(|n| n.parse::<i32>().ok())
        else {
            continue;
        };
        children.entry(parent).or_default().push(pid);
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        next.extend(&below);
        found.extend(below);
    }
    found
}
