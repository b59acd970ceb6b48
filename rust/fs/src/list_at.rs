//! `listxattrat`, a system call of Linux 6.13 that no library has yet.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;

use rustix::io::{self, Errno};

/// True when `name` in `directory` has no extended attribute; a link is not followed. False too
/// where that cannot be told at once, and the caller must ask in another way.
pub(crate) fn is_empty(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<bool> {
    match length(directory, name) {
        Ok(length) => Ok(length == 0),
        Err(Errno::OPNOTSUPP) => Ok(true),
        // A kernel without the call, or a filter that predates it.
        Err(Errno::NOSYS | Errno::PERM) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Bytes of the list of names.
#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "s390x",
    target_arch = "powerpc64",
    target_arch = "loongarch64"
))]
fn length(directory: BorrowedFd<'_>, name: &[u8]) -> io::Result<usize> {
    use std::ffi::{CString, c_char, c_int, c_long, c_uint, c_void};
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// One number on all these architectures.
    const LISTXATTRAT: c_long = 465;
    const SYMLINK_NOFOLLOW: c_uint = 0x100;
    static MISSING: AtomicBool = AtomicBool::new(false);

    // SAFETY: this is how the C library, which the standard library links, declares it.
    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }

    if MISSING.load(Ordering::Relaxed) {
        return Err(Errno::NOSYS);
    }
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    let name: *const c_char = name.as_ptr();
    let directory: c_int = directory.as_raw_fd();
    let list: *mut c_void = std::ptr::null_mut();
    // SAFETY: the call has these five arguments. The descriptor is open and the name ends with a
    // NUL; both live until it returns. A list of no size is not written to.
    let result = unsafe {
        syscall(
            LISTXATTRAT,
            directory,
            name,
            SYMLINK_NOFOLLOW,
            list,
            0_usize,
        )
    };
    usize::try_from(result).map_err(|_| {
        let errno = std::io::Error::last_os_error().raw_os_error();
        let errno = errno.map_or(Errno::INVAL, Errno::from_raw_os_error);
        if matches!(errno, Errno::NOSYS | Errno::PERM) {
            MISSING.store(true, Ordering::Relaxed);
        }
        errno
    })
}

/// Bytes of the list of names.
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "s390x",
    target_arch = "powerpc64",
    target_arch = "loongarch64"
)))]
fn length(_directory: BorrowedFd<'_>, _name: &[u8]) -> io::Result<usize> {
    Err(Errno::NOSYS)
}
