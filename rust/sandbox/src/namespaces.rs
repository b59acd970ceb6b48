//! Entering new namespaces, in a process with one thread.

#![allow(unsafe_code)]

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{
    ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces, unshare_unsafe,
};

use crate::failure::Failure;

/// The namespaces that a task may ask for.
const KNOWN: UnshareFlags = UnshareFlags::NEWNS
    .union(UnshareFlags::NEWPID)
    .union(UnshareFlags::NEWUTS)
    .union(UnshareFlags::NEWIPC)
    .union(UnshareFlags::NEWNET)
    .union(UnshareFlags::NEWCGROUP);

/// Makes a namespace of processes, if `flags` asks for it: the next child is the first in it.
pub(crate) fn enter_processes(flags: u32) -> Result<(), Failure> {
    let wanted = known(flags)?.intersection(UnshareFlags::NEWPID);
    unshare(wanted)
}

/// Makes the others that `flags` asks for, and a mount namespace in any case.
pub(crate) fn enter_others(flags: u32) -> Result<(), Failure> {
    let others = known(flags)?.difference(UnshareFlags::NEWPID);
    unshare(others.union(UnshareFlags::NEWNS))
}

/// Enters the namespaces of another process, and with its mounts its root directory; those of
/// processes count for children only.
pub(crate) fn enter_those_of(process: u32, flags: u32) -> Result<(), Failure> {
    let failed = |errno| Failure::new(format!("cannot enter the namespaces of {process}: {errno}"));
    let wanted = ThreadNameSpaceType::from_bits_retain(known(flags)?.bits());
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| failed(Errno::SRCH))?;
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(failed)?;
    move_into_thread_name_spaces(process.as_fd(), wanted).map_err(failed)
}

/// Makes a user namespace and enters it. Its maps are still to be written, by a process outside.
///
/// # Errors
/// The kernel's own: `EINVAL` in a process with other threads, `EPERM` and `ENOSPC` where user
/// namespaces are forbidden.
pub fn enter_user_namespace() -> std::io::Result<()> {
    // SAFETY: the kernel refuses this in a process with other threads.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.map_err(Into::into)
}

/// Whether this process is in a user namespace inside of the machine's own: overlays keep their
/// marks elsewhere there.
pub(crate) fn is_nested() -> bool {
    const ALL: [&str; 3] = ["0", "0", "4294967295"];
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !map.split_whitespace().eq(ALL))
}

fn known(flags: u32) -> Result<UnshareFlags, Failure> {
    UnshareFlags::from_bits(flags)
        .filter(|flags| KNOWN.contains(*flags))
        .ok_or_else(|| Failure::new("the task asks for an unknown namespace"))
}

fn unshare(flags: UnshareFlags) -> Result<(), Failure> {
    if flags.is_empty() {
        return Ok(());
    }
    // SAFETY: none of the flags concerns what threads share but for the working directory, and
    // this process has one thread.
    unsafe { unshare_unsafe(flags) }.map_err(|errno| {
        let reason = match errno {
            Errno::PERM => "this needs root or a user namespace".to_owned(),
            Errno::NOSPC => "there are too many already (user.max_*_namespaces)".to_owned(),
            _ => errno.to_string(),
        };
        Failure::new(format!("cannot make namespaces: {reason}"))
    })
}
