//! The last moments before the command: it gives up what it may not keep, and becomes the command.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::capabilities::Capabilities;
use super::launcher::report;
use super::mounts::Places;
use super::protocol::{Order, Report};
use super::restrict;

/// Never returns: becomes the command, or says why not.
pub(super) fn run(
    order: &Order,
    places: &Places,
    runner: &mut UnixStream,
    mut got: Capabilities,
) -> ! {
    match prepare(order, places, &mut got) {
        Ok(program) => {
            report(runner, &Report::Started(got));
            let errno = program.exec();
            // As a shell says it, because the order is sound and only the program is not there.
            eprintln!("phalanx: cannot run `{}`: {}", order.argv[0], errno.desc());
            std::process::exit(if errno == Errno::ENOENT { 127 } else { 126 })
        }
        Err(message) => {
            report(runner, &message);
            std::process::exit(125)
        }
    }
}

struct Program {
    argv: Vec<CString>,
    env: Vec<CString>,
    candidates: Vec<CString>,
}

impl Program {
    /// Tries every candidate; returns what was wrong with the most promising one.
    fn exec(&self) -> Errno {
        let mut worst = Errno::ENOENT;
        for candidate in &self.candidates {
            let Err(error) = nix::unistd::execve(candidate, &self.argv, &self.env);
            if error != Errno::ENOENT && error != Errno::ENOTDIR {
                worst = error;
            }
        }
        worst
    }
}

fn prepare(order: &Order, places: &Places, got: &mut Capabilities) -> Result<Program, Report> {
    // Part by part, because joining nothing would add a slash.
    let mut directory = places.work_tree.clone();
    directory.extend(Path::new(&order.directory));
    std::env::set_current_dir(&directory).map_err(|error| {
        Report::Failed(format!("enter the folder `{}` of the work tree: {error}", order.directory))
    })?;
    let program = find(order, places, &directory)?;
    // SAFETY: a new session has no terminal; nothing of this process depends on the old one.
    unsafe { libc::setsid() };
    default_signals();
    restrict::resources(order, got);
    restrict::capabilities(got);
    restrict::no_new_privileges(got);
    restrict::files(order, places, got);
    Ok(program)
}

/// The argument vector, the environment, and where the program may be.
fn find(order: &Order, places: &Places, directory: &Path) -> Result<Program, Report> {
    let text = |bytes: Vec<u8>| {
        CString::new(bytes)
            .map_err(|_| Report::Unavailable("a command or a variable holds a zero byte".into()))
    };
    let argv: Result<Vec<CString>, Report> =
        order.argv.iter().map(|a| text(a.clone().into_bytes())).collect();
    let argv = argv?;
    let name = order.argv.first().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Report::Unavailable("the step's command is empty".into()))?;
    let mut variables: Vec<(OsString, OsString)> = vec![
        ("HOME".into(), places.home.clone().into()),
        ("TMPDIR".into(), places.temporary.clone().into()),
        ("PWD".into(), directory.into()),
    ];
    for (name, value) in &order.env {
        variables.retain(|(known, _)| known != name.as_str());
        variables.push((name.into(), value.into()));
    }
    let path = variables.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
    let candidates: Result<Vec<CString>, Report> = if name.contains('/') {
        Ok(vec![argv[0].clone()])
    } else {
        let path = path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        std::env::split_paths(&path)
            .map(|folder| text(folder.join(name).into_os_string().into_vec()))
            .collect()
    };
    let mut env = Vec::new();
    for (name, value) in variables {
        let mut line = name.into_vec();
        line.push(b'=');
        line.extend_from_slice(value.as_bytes());
        env.push(text(line)?);
    }
    Ok(Program { argv, env, candidates: candidates? })
}

/// Rust ignores SIGPIPE and the init blocks some signals; a command expects neither.
fn default_signals() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action runs no code of ours.
        let _ = unsafe { sigaction(signal, &default) };
    }
    let _ = SigSet::all().thread_unblock();
}
