//! What a command gives up before it begins: resources, capabilities, new privileges, files.

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};

use super::capabilities::Capabilities;
use super::mounts::Places;
use super::protocol::Order;

/// Open files of one process, as high as the host allows.
const OPEN_FILES: u64 = 65_536;
/// What root keeps, so that unpacking an archive or `chown` in the work tree works: chown, dac_override, fowner, fsetid, kill,
/// setgid, setuid. The files that it could reach with these are the sandbox's.
const KEPT: [u32; 7] = [0, 1, 3, 4, 5, 6, 7];
const CAPABILITIES: u32 = 64;
const DEVICES: [&str; 7] = ["null", "zero", "full", "random", "urandom", "tty", "ptmx"];

/// Limits of the process and its children.
pub(super) fn resources(order: &Order, got: &Capabilities) {
    set_limit(libc::RLIMIT_CORE, 0);
    set_limit(libc::RLIMIT_NOFILE, OPEN_FILES);
    let by_cgroup = |name: &str| got.cgroup.iter().any(|held| held == name);
    if let Some(bytes) = order.memory_bytes.filter(|_| !by_cgroup("memory")) {
        set_limit(libc::RLIMIT_AS, bytes);
    }
    if let Some(count) = order.pids.filter(|_| !by_cgroup("pids")) {
        set_limit(libc::RLIMIT_NPROC, count);
    }
}

fn set_limit(resource: libc::__rlimit_resource_t, most: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for both calls.
    unsafe {
        libc::getrlimit(resource, &mut limit);
        limit.rlim_max = limit.rlim_max.min(most);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(resource, &limit);
    }
}

/// SECURITY: without these neither root nor a user namespace's root can mount, trace, load, or see past its namespaces.
pub(super) fn capabilities(got: &mut Capabilities) {
    let mut all_gone = true;
    for capability in (0..CAPABILITIES).filter(|number| !KEPT.contains(number)) {
        // SAFETY: changes the bounding set of this process.
        let result =
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong, 0, 0, 0) };
        // A number that this kernel does not know is as good as gone; another refusal is not.
        if result != 0 && std::io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL) {
            all_gone = false;
        }
    }
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    // SAFETY: the header and the two data blocks have the layout of version 3 and live through the calls.
    unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        let mut data = [const { Data { effective: 0, permitted: 0, inheritable: 0 } }; 2];
        if libc::syscall(libc::SYS_capget, &header, data.as_mut_ptr()) == 0 {
            let kept = KEPT.iter().fold(0, |set, number| set | 1 << number);
            for (half, data) in data.iter_mut().enumerate() {
                let mask = if half == 0 { kept } else { 0 };
                data.effective &= mask;
                data.permitted &= mask;
                data.inheritable = 0;
            }
            all_gone &= libc::syscall(libc::SYS_capset, &header, data.as_ptr()) == 0;
        }
    }
    // Without root's powers there was nothing to drop: an ordinary user has none.
    // SAFETY: reads an id.
    got.capabilities_dropped = all_gone || unsafe { libc::geteuid() } != 0;
}

pub(super) fn no_new_privileges(got: &mut Capabilities) {
    // SAFETY: sets an attribute of this process.
    got.no_new_privileges = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
}

/// Landlock: reading and running where `places` says, writing only in the work tree, home and temporary folder.
pub(super) fn files(order: &Order, places: &Places, got: &mut Capabilities) {
    if order.without.landlock {
        got.missing.push("Landlock (switched off)".into());
        return;
    }
    match restrict_files(places) {
        Ok(RulesetStatus::FullyEnforced) => got.landlock = Some("full".into()),
        Ok(RulesetStatus::PartiallyEnforced) => got.landlock = Some("partial".into()),
        Ok(RulesetStatus::NotEnforced) => got.missing.push("Landlock (not in this kernel)".into()),
        Err(error) => got.missing.push(format!("Landlock ({error})")),
    }
}

fn restrict_files(places: &Places) -> Result<RulesetStatus, landlock::RulesetError> {
    let abi = ABI::V6;
    let all = AccessFs::from_all(abi);
    let device = AccessFs::WriteFile | AccessFs::ReadFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let devices = DEVICES.map(|name| format!("/dev/{name}"));
    let writable =
        [&places.work_tree, &places.home, &places.temporary].into_iter().chain(&places.writable);
    // What is not there is left out: it cannot be used either.
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(&places.readable, AccessFs::from_read(abi)))?
        .add_rules(path_beneath_rules(writable, all))?
        .add_rules(path_beneath_rules(devices, device))?;
    Ok(rules.restrict_self()?.ruleset)
}
