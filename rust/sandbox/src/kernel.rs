//! The system calls that have no safe wrapper elsewhere: the one place that calls them.
//!
//! All of them are for the child of a sandbox, which has one thread.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_ulong};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use rustix::fd::FromRawFd;
use rustix::io::Errno;
use rustix::process::Pid;

type Result<T> = std::result::Result<T, Errno>;

/// Which side of a fork this is.
pub(crate) enum Side {
    /// The old process, and the new one's id.
    Parent(Pid),
    /// The new process.
    Child,
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn check(result: c_int) -> Result<c_int> {
    if result < 0 { Err(last()) } else { Ok(result) }
}

fn check_long(result: c_long) -> Result<c_long> {
    if result < 0 { Err(last()) } else { Ok(result) }
}

/// Splits the process in two. The child must end by [`exit`] or [`execute`].
pub(crate) fn fork() -> Result<Side> {
    // SAFETY: a sandbox's process has one thread, so the child finds every lock free.
    let pid = check(unsafe { libc::fork() })?;
    Ok(Pid::from_raw(pid).map_or(Side::Child, Side::Parent))
}

/// Ends the process at once: no destructor and no handler runs.
pub(crate) fn exit(code: u8) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Becomes another program; returns only where that fails.
pub(crate) fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> Errno {
    let pointers = |words: &[CString]| -> Vec<*const c_char> {
        let words = words.iter().map(|word| word.as_ptr());
        words.chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both lists end with a null pointer and live, with their texts, until the call ends.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    last()
}

/// Gives every signal its default action and lets all through.
pub(crate) fn reset_signals() {
    for number in 1..=64 {
        // SAFETY: the default action is no function of ours; numbers that cannot be changed are
        // refused by the kernel, which is as well.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    // SAFETY: the set is made by the library before it is used.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// Lets ended children vanish without being waited for.
pub(crate) fn ignore_children() {
    // SAFETY: sets no handler of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Makes `number` the descriptor of what `fd` names; it stays open on exec.
pub(crate) fn place(fd: BorrowedFd<'_>, number: RawFd) -> Result<()> {
    // SAFETY: what had the number before belongs to no object of ours: the numbers used here are
    // the standard streams.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) }).map(drop)
}

/// Takes over the descriptor with this number, which no object of ours owns.
pub(crate) fn adopt(number: RawFd) -> OwnedFd {
    // SAFETY: only called for a number that was just made free for the purpose.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Moves a descriptor to a number; it is closed on exec there.
pub(crate) fn move_to(fd: OwnedFd, number: RawFd) -> Result<OwnedFd> {
    if fd.as_raw_fd() == number {
        return Ok(fd);
    }
    // SAFETY: the caller says that nothing of ours has the number.
    check(unsafe { libc::dup3(fd.as_raw_fd(), number, libc::O_CLOEXEC) })?;
    Ok(adopt(number))
}

/// Closes every descriptor from `first` on. Their owners must not be dropped any more.
pub(crate) fn close_from(first: u32) {
    // SAFETY: the process ends without running destructors (`exit`, `execute`).
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Adds attributes to a mount, and with `below` to all mounts below it.
pub(crate) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    attributes: u64,
    below: bool,
) -> Result<()> {
    // SAFETY: all fields are numbers.
    let mut wanted: libc::mount_attr = unsafe { std::mem::zeroed() };
    wanted.attr_set = attributes;
    let recursive = if below { libc::AT_RECURSIVE } else { 0 };
    let flags = libc::AT_EMPTY_PATH | recursive;
    // SAFETY: the path is empty and ends; the structure lives through the call and its size is
    // given.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const wanted,
            std::mem::size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Sets the further groups of the process.
pub(crate) fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the pointer and the count describe one slice.
    check(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) }).map(drop)
}

/// Sets all three group ids.
pub(crate) fn set_group(gid: u32) -> Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::setresgid(gid, gid, gid) }).map(drop)
}

/// Sets all three user ids.
pub(crate) fn set_user(uid: u32) -> Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::setresuid(uid, uid, uid) }).map(drop)
}

/// Never gives a capability away any more, by its number.
pub(crate) fn drop_from_bounding_set(capability: u32) -> Result<()> {
    // SAFETY: takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, c_ulong::from(capability), 0, 0, 0) };
    check(result).map(drop)
}

/// Sets a resource limit by the kernel's number.
pub(crate) fn set_limit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the structure lives through the call; the old limit is not asked for.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            &raw const limit,
            ptr::null_mut::<libc::rlimit64>(),
        )
    })
    .map(drop)
}

/// Filters the system calls of this process and its descendants.
pub(crate) fn set_filter(program: &[u8]) -> Result<()> {
    const SIZE: usize = std::mem::size_of::<libc::sock_filter>();
    let mut instructions: Vec<libc::sock_filter> = program
        .chunks_exact(SIZE)
        .map(|bytes| libc::sock_filter {
            code: u16::from_le_bytes([bytes[0], bytes[1]]),
            jt: bytes[2],
            jf: bytes[3],
            k: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
        .collect();
    let length = u16::try_from(instructions.len()).map_err(|_| Errno::INVAL)?;
    let filter = libc::sock_fprog {
        len: length,
        filter: instructions.as_mut_ptr(),
    };
    // SAFETY: the structure and the instructions it counts live through the call, which copies
    // and checks them.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const filter,
        )
    })
    .map(drop)
}

/// Switches the loopback interface of the network namespace on.
pub(crate) fn raise_loopback(socket: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: a structure of numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *slot = byte as c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: the request has the structure's form and lives through the call.
    check(unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    })
    .map(drop)
}

/// Writes `name` over the arguments of this process, where everybody sees them in `/proc`.
pub(crate) fn show_as(name: &[u8]) {
    // Fields 48 and 49; the name of the program before them may hold blanks.
    const FIRST: usize = 48 - 3;
    let Ok(status) = std::fs::read_to_string("/proc/self/stat") else {
        return;
    };
    let fields = status.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = fields.split(' ').skip(FIRST);
    let mut number = || fields.next().and_then(|field| field.parse::<usize>().ok());
    let (Some(start), Some(end)) = (number(), number()) else {
        return;
    };
    if start == 0 || end <= start {
        return;
    }
    for (position, address) in (start..end).enumerate() {
        let byte = name.get(position).copied().unwrap_or(0);
        // SAFETY: the kernel says that the process's arguments are from `start` to `end`; they are
        // on its stack, can be written, and nothing reads them after the start of the program.
        unsafe { ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(byte) };
    }
}
