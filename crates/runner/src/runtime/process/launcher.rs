//! The launcher: a small process of our own program between the runner and one command.
//!
//! Three processes. The *supervisor* (this file) stands outside of the sandbox, listens to the runner, and is the runner's
//! child. The *init* (`init.rs`) is the first process of the sandbox, reaps and kills. The *command* is its child. The
//! supervisor dies with the runner because its socket ends, the init dies with the supervisor because its socket ends (and by
//! the kernel's parent-death signal), and with the init dies everything.
//!
//! Nothing here may run in a process with more than one thread: `fork` and `unshare` need that.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::capabilities::Capabilities;
use super::cgroup::Cgroup;
use super::init;
use super::protocol::{KILL, Order, Report};

/// The largest order that is read.
const ORDER_BYTES: u32 = 64 << 20;

/// The hidden mode of the program: runs one command for a runner, over the socket on standard input. Call it before anything
/// else in `main`, while the process has one thread.
pub fn launcher_main() -> ! {
    let code = match take_socket() {
        Ok(mut socket) => match supervise(&mut socket) {
            Ok(()) => 0,
            Err(message) => {
                report(&mut socket, &Report::Failed(message));
                1
            }
        },
        Err(error) => {
            eprintln!(
                "this is the mode in which the runner starts its steps; it cannot be used by hand ({error})"
            );
            2
        }
    };
    std::process::exit(code)
}

/// Standard input becomes a descriptor that commands do not inherit, and `/dev/null` takes its place.
fn take_socket() -> std::io::Result<UnixStream> {
    // SAFETY: plain system calls on descriptor numbers; the duplicate is owned by nobody else.
    let socket = unsafe {
        let duplicate = libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3);
        if duplicate < 0 {
            return Err(std::io::Error::last_os_error());
        }
        UnixStream::from(OwnedFd::from_raw_fd(duplicate))
    };
    socket.peer_addr()?;
    let null = std::fs::File::open("/dev/null")?;
    // SAFETY: replaces descriptor 0, which nothing in this process has wrapped.
    if unsafe { libc::dup2(null.as_raw_fd(), 0) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SECURITY: whatever else the runner had open by mistake does not reach the command.
    // SAFETY: sets a flag on descriptors; those in use here have it already.
    unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Ok(socket)
}

pub(super) fn report(socket: &mut UnixStream, report: &Report) {
    let mut line = serde_json::to_vec(report).expect("a report is JSON");
    line.push(b'\n');
    // A runner that is gone does not need it.
    let _ = socket.write_all(&line);
}

fn read_order(socket: &mut UnixStream) -> Result<Order, String> {
    let mut length = [0; 4];
    socket.read_exact(&mut length).map_err(|error| format!("read the order: {error}"))?;
    let length = u32::from_le_bytes(length);
    if length > ORDER_BYTES {
        return Err("the order is too long".into());
    }
    let mut text = vec![0; length as usize];
    socket.read_exact(&mut text).map_err(|error| format!("read the order: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("read the order: {error}"))
}

fn supervise(socket: &mut UnixStream) -> Result<(), String> {
    let order = read_order(socket)?;
    let mut got = Capabilities::default();
    // SAFETY: these change attributes of this process only.
    unsafe {
        libc::setsid();
        libc::umask(0o022);
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
    }
    let cgroup = Cgroup::create(&order, &mut got);
    enter_pid_namespace(&order, &mut got);
    // SECURITY: nobody traces this process. Only now: it takes away the right to write the maps of a user namespace, too.
    // SAFETY: changes an attribute of this process only.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
    let (mine, theirs) = UnixStream::pair().map_err(|error| format!("make a socket: {error}"))?;
    // SAFETY: this process has one thread.
    let init = match unsafe { fork() }.map_err(|error| format!("fork: {error}"))? {
        ForkResult::Child => {
            drop(mine);
            init::run(order, theirs, socket, got)
        }
        ForkResult::Parent { child } => child,
    };
    drop(theirs);
    cgroup.add(init);
    let grace = Duration::from_millis(order.kill_grace_ms);
    let ended = watch(socket, mine, init, grace);
    cgroup.remove();
    if let Some(status) = ended.filter(|status| !matches!(status, WaitStatus::Exited(_, 0))) {
        return Err(format!("the sandbox's first process ended early ({status:?})"));
    }
    Ok(())
}

/// Waits for the init, passing on a kill. The init answers for the command; here is only the last resort.
fn watch(
    socket: &mut UnixStream,
    mut init_socket: UnixStream,
    init: Pid,
    grace: Duration,
) -> Option<WaitStatus> {
    let _ = init_socket.write_all(b"G");
    let mut kill_at: Option<Instant> = None;
    let mut listening = true;
    loop {
        let wait = match kill_at {
            None => PollTimeout::NONE,
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now()).as_millis().min(60_000);
                PollTimeout::from(left as u16)
            }
        };
        // The init closes its end when it exits, so its socket tells of its death.
        let mut ready = vec![PollFd::new(init_socket.as_fd(), PollFlags::POLLIN)];
        if listening {
            ready.push(PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        }
        let _ = poll(&mut ready, wait);
        let init_ended = ready[0].any().unwrap_or(false);
        let told = listening && ready[1].any().unwrap_or(false);
        drop(ready);
        if init_ended {
            return waitpid(init, None).ok();
        }
        if told {
            let mut byte = [0];
            let read = socket.read(&mut byte);
            if !matches!(read, Ok(1)) {
                // The runner is gone.
                listening = false;
            }
            if !listening || byte[0] == KILL {
                let _ = init_socket.write_all(&[KILL]);
                kill_at.get_or_insert(Instant::now() + grace + Duration::from_secs(3));
            }
        }
        if kill_at.is_some_and(|at| at <= Instant::now()) {
            let _ = kill(init, Signal::SIGKILL);
            if let Ok(status @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..))) =
                waitpid(init, Some(WaitPidFlag::WNOHANG))
            {
                return Some(status);
            }
            kill_at = Some(Instant::now() + Duration::from_millis(50));
        }
    }
}

/// Makes the next child the first process of a new process tree: directly as root, or else with the help of a user namespace.
fn enter_pid_namespace(order: &Order, got: &mut Capabilities) {
    // SAFETY: reads ids of this process.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let wants_any =
        !order.without.pid_namespace || !order.without.mount_namespace || !order.network;
    if user != 0 && wants_any {
        match unshare(CloneFlags::CLONE_NEWUSER) {
            Ok(()) => {
                let _ = std::fs::write("/proc/self/setgroups", "deny");
                let mapped = std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))
                    .and_then(|()| {
                        std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
                    });
                match mapped {
                    Ok(()) => got.user_namespace = true,
                    Err(error) => got.missing.push(format!("user namespace ({error})")),
                }
            }
            Err(error) => got.missing.push(format!("user namespace ({})", error.desc())),
        }
    }
    if order.without.pid_namespace {
        got.missing.push("own process tree (switched off)".into());
        return;
    }
    match unshare(CloneFlags::CLONE_NEWPID) {
        Ok(()) => got.pid_namespace = true,
        Err(error) => got.missing.push(format!("own process tree ({})", error.desc())),
    }
}
