//! The root that a step sees: system folders read-only, its own work tree, a private `/tmp` and home, a `/dev` with only
//! harmless devices, a fresh `/proc`, and nothing else of the host.
//!
//! Everything is mounted after the change of root, from below `/.old`, so that no symbolic link in a target can lead out.
//! Without a mount namespace the step sees the host's files, as far as Landlock lets it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{pivot_root, sethostname};

use super::capabilities::Capabilities;
use super::protocol::{Order, Report};

/// System folders, where they exist. `/run` is not one: the sockets in it rule the host.
const SYSTEM: [&str; 13] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix",
    "/sys",
    "/run/systemd/resolve",
    "/run/resolvconf",
];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// SECURITY: parts of `/proc` by which root, even without capabilities, could change the host.
const PROC_READ_ONLY: [&str; 5] = ["sys", "sysrq-trigger", "irq", "bus", "fs"];
const PROC_HIDDEN: [&str; 4] = ["kcore", "keys", "timer_list", "sched_debug"];

/// Where things are, as the step sees them.
#[derive(Debug)]
pub(super) struct Places {
    pub work_tree: PathBuf,
    pub home: PathBuf,
    pub temporary: PathBuf,
    /// More that may be written, or read.
    pub writable: Vec<PathBuf>,
    pub readable: Vec<PathBuf>,
}

/// Enters the namespaces and builds the root. Only what the step cannot run without is an error.
pub(super) fn build(order: &Order, got: &mut Capabilities) -> Result<Places, Report> {
    isolate_the_rest(order, got)?;
    let tried = if order.without.mount_namespace {
        Err("switched off".to_owned())
    } else {
        unshare(CloneFlags::CLONE_NEWNS)
            .map_err(|error| error.desc().to_owned())
            .and_then(|()| prepare(order))
    };
    match tried {
        Ok(root) => {
            let places = enter(order, &root, got)?;
            got.private_root = true;
            Ok(places)
        }
        Err(why) => {
            got.missing.push(format!("private root ({why})"));
            without_root(order)
        }
    }
}

fn isolate_the_rest(order: &Order, got: &mut Capabilities) -> Result<(), Report> {
    match unshare(CloneFlags::CLONE_NEWIPC) {
        Ok(()) => got.ipc_namespace = true,
        Err(error) => got.missing.push(format!("own IPC ({})", error.desc())),
    }
    match unshare(CloneFlags::CLONE_NEWUTS) {
        Ok(()) => {
            got.uts_namespace = true;
            let _ = sethostname("phalanx");
        }
        Err(error) => got.missing.push(format!("own host name ({})", error.desc())),
    }
    if !order.network {
        // SECURITY: whoever asks for no network must not get one.
        unshare(CloneFlags::CLONE_NEWNET).map_err(|error| {
            Report::Unavailable(format!(
                "a step without network cannot run as a process on this host: {}",
                error.desc()
            ))
        })?;
        let _ = bring_loopback_up();
        got.no_network = true;
    }
    Ok(())
}

fn bring_loopback_up() -> std::io::Result<()> {
    // SAFETY: `ifreq` is plain data, zero is a value of it, and it lives through the calls; the socket is closed again.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if socket < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        let result = libc::ioctl(socket, libc::SIOCSIFFLAGS as _, &request);
        libc::close(socket);
        if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Makes an empty root; the last point at which the host's own root may still be used instead.
fn prepare(order: &Order) -> Result<PathBuf, String> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|error| error.desc().to_owned())?;
    let root = order.scratch.join("root");
    fs::create_dir_all(&root).map_err(|error| error.to_string())?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("phalanx"), &root, Some("tmpfs"), flags, Some("size=16m,mode=755"))
        .map_err(|error| error.desc().to_owned())?;
    fs::create_dir(root.join(".old")).map_err(|error| error.to_string())?;
    Ok(root)
}

fn enter(order: &Order, root: &Path, got: &mut Capabilities) -> Result<Places, Report> {
    let fail = |what: &str, error: &dyn std::fmt::Display| {
        Report::Failed(format!("build the sandbox's root: {what}: {error}"))
    };
    // Looked up while the old root is the root: no link remains in these.
    let real = |path: &Path| {
        path.canonicalize().map_err(|error| fail(&path.display().to_string(), &error))
    };
    let scratch = real(&order.scratch)?;
    let work_tree = real(&order.work_tree)?;
    let system: Vec<(PathBuf, PathBuf)> =
        SYSTEM.iter().filter_map(|path| system_folder(Path::new(path))).collect();
    let readable: Vec<(PathBuf, PathBuf)> = order
        .readable
        .iter()
        .filter_map(|path| Some((path.canonicalize().ok()?, path.clone())))
        .collect();
    let mut mounts = Vec::new();
    for (source, target) in &order.mounts {
        mounts.push((real(source)?, PathBuf::from(target)));
    }
    std::env::set_current_dir(root).map_err(|error| fail("enter it", &error))?;
    pivot_root(".", ".old").map_err(|error| fail("change the root", &error))?;
    std::env::set_current_dir("/").map_err(|error| fail("enter it", &error))?;

    for (source, target) in &system {
        if source == target {
            bind(source, target, true)
                .map_err(|error| fail(&target.display().to_string(), &error))?;
        } else {
            let _ = std::os::unix::fs::symlink(source, target);
        }
    }
    mount_proc(order, got);
    mount_dev();
    for target in ["/tmp", "/var/tmp"] {
        bind(&scratch.join("tmp"), Path::new(target), false)
            .map_err(|error| fail(target, &error))?;
    }
    let home = PathBuf::from("/home/phalanx");
    bind(&scratch.join("home"), &home, false).map_err(|error| fail("home", &error))?;
    bind(&work_tree, &order.work_tree_seen, false)
        .map_err(|error| fail("the work tree", &error))?;
    let mut visible: Vec<&Path> =
        system.iter().filter(|(source, target)| source == target).map(|(_, t)| &**t).collect();
    for (source, target) in &readable {
        // A second name of what is visible already adds nothing.
        if visible.iter().any(|seen| target.starts_with(seen)) {
            continue;
        }
        // An earlier step may have put a link in the way, if the place is below its own `/tmp`.
        bind(source, target, true).map_err(|error| {
            Report::Unavailable(format!("`{}` cannot be made visible: {error}", target.display()))
        })?;
        visible.push(target);
    }
    for path in &order.hidden {
        hide(path).map_err(|error| fail(&path.display().to_string(), &error))?;
    }
    for (source, target) in &mounts {
        let reserved = ["/.old", "/proc", "/dev", "/sys"];
        if let Some(folder) = reserved.iter().find(|folder| target.starts_with(folder)) {
            return Err(Report::Unavailable(format!(
                "a file cannot be mounted at `{}`: `{folder}` is the system's",
                target.display()
            )));
        }
        if target.starts_with(&order.work_tree_seen) {
            return Err(Report::Unavailable(format!(
                "a file cannot be mounted at `{}`: that is inside the work tree, and would be part of the patch",
                target.display()
            )));
        }
        bind(source, target, true).map_err(|error| {
            Report::Unavailable(format!(
                "a file cannot be mounted at `{}` ({error}); `/tmp` and new folders at the root always can be used",
                target.display()
            ))
        })?;
    }
    umount2("/.old", MntFlags::MNT_DETACH)
        .map_err(|error| fail("leave the old root", &error.desc()))?;
    let _ = fs::remove_dir("/.old");
    let flags = MsFlags::MS_REMOUNT
        | MsFlags::MS_BIND
        | MsFlags::MS_RDONLY
        | MsFlags::MS_NOSUID
        | MsFlags::MS_NODEV;
    let _ = mount(None::<&str>, "/", None::<&str>, flags, None::<&str>);
    Ok(Places {
        work_tree: order.work_tree_seen.clone(),
        home,
        temporary: "/tmp".into(),
        writable: vec!["/var/tmp".into(), "/dev/shm".into(), "/dev/pts".into()],
        readable: vec!["/".into()],
    })
}

/// A system folder, or where a link in its place leads: (source, target).
fn system_folder(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let found = fs::symlink_metadata(path).ok()?;
    if found.is_symlink() {
        return Some((fs::read_link(path).ok()?, path.to_owned()));
    }
    found.is_dir().then(|| (path.to_owned(), path.to_owned()))
}

/// Makes `source`, a path of the old root without links, visible at `target`.
fn bind(source: &Path, target: &Path, read_only: bool) -> std::io::Result<()> {
    let mut old = PathBuf::from("/.old");
    old.extend(source.strip_prefix("/"));
    make_target(target, fs::metadata(&old)?.is_dir())?;
    mount(Some(&old), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)?;
    set_flags(target, read_only)
}

/// Makes the place of a mount. SECURITY: the host can still be written below `/.old`, and an earlier step may have left links
/// in its `/tmp` and home, so none is followed. Nothing of the job runs now, so what is looked at stays as it is.
fn make_target(target: &Path, folder: bool) -> std::io::Result<()> {
    let mut at = PathBuf::from("/");
    let mut parts = target.components().skip(1).peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(name) = part else {
            return Err(std::io::Error::other("it is not a plain absolute path"));
        };
        at.push(name);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_symlink() => {
                let why = format!("`{}` is a symbolic link", at.display());
                return Err(std::io::Error::other(why));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if parts.peek().is_some() || folder {
                    fs::create_dir(&at)?;
                } else {
                    fs::File::create_new(&at)?;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// No set-user-id programs, and read-only if asked, for a mount and all below it.
fn set_flags(target: &Path, read_only: bool) -> std::io::Result<()> {
    let mut set = libc::MOUNT_ATTR_NOSUID;
    if read_only {
        set |= libc::MOUNT_ATTR_RDONLY;
    }
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let path = std::ffi::CString::new(target.as_os_str().as_bytes())?;
    // SAFETY: the path is terminated, and the attributes live through the call and have the size that is named.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    // Linux before 5.12: this mount alone.
    let mut flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_NOSUID;
    if read_only {
        flags |= MsFlags::MS_RDONLY;
    }
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)?;
    Ok(())
}

fn mount_proc(order: &Order, got: &mut Capabilities) {
    let _ = fs::create_dir("/proc");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let fresh = mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>);
    if fresh.is_err() || order.without.pid_namespace {
        if fresh.is_err() {
            let _ = bind(Path::new("/proc"), Path::new("/proc"), true);
        }
        got.missing.push("own /proc".into());
    }
    for part in PROC_READ_ONLY {
        let path = Path::new("/proc").join(part);
        if mount(Some(&path), &path, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
            .is_ok()
        {
            let _ = set_flags(&path, true);
        }
    }
    for part in PROC_HIDDEN {
        let _ = hide(&Path::new("/proc").join(part));
    }
}

fn mount_dev() {
    let _ = fs::create_dir("/dev");
    for device in DEVICES {
        let target = Path::new("/dev").join(device);
        let _ = bind(&target, &target, false);
    }
    for (name, to) in
        [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        let _ = std::os::unix::fs::symlink(to, Path::new("/dev").join(name));
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let _ = fs::create_dir("/dev/shm");
    let _ = mount(Some("shm"), "/dev/shm", Some("tmpfs"), flags, Some("size=256m,mode=1777"));
    let _ = fs::create_dir("/dev/pts");
    let options = "newinstance,ptmxmode=0666,mode=0620";
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    if mount(Some("devpts"), "/dev/pts", Some("devpts"), flags, Some(options)).is_ok() {
        let _ = std::os::unix::fs::symlink("pts/ptmx", "/dev/ptmx");
    }
}

/// Covers a file or folder, if it is there.
fn hide(path: &Path) -> std::io::Result<()> {
    let Ok(found) = fs::metadata(path) else { return Ok(()) };
    if found.is_dir() {
        mount(Some("hidden"), path, Some("tmpfs"), MsFlags::MS_RDONLY, Some("size=4k,mode=555"))?;
    } else {
        mount(Some("/.old/dev/null"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    }
    Ok(())
}

/// The host's own root, behind Landlock alone.
fn without_root(order: &Order) -> Result<Places, Report> {
    let mut readable: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    readable.extend(["/proc", "/dev", "/run"].map(PathBuf::from));
    readable.extend(order.readable.iter().cloned());
    for (source, target) in &order.mounts {
        if source.as_path() != Path::new(target) {
            return Err(Report::Unavailable(format!(
                "a file cannot be mounted at `{target}`: this host gives processes no mount namespace; use a container"
            )));
        }
        readable.push(source.clone());
    }
    Ok(Places {
        work_tree: order.work_tree.clone(),
        home: order.scratch.join("home"),
        temporary: order.scratch.join("tmp"),
        writable: vec!["/dev/pts".into()],
        readable,
    })
}
