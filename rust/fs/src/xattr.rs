//! Extended attributes of open files, and of names that cannot be opened (links, devices, pipes).
//!
//! A name is reached as `/proc/self/fd/N/name` with the calls that do not follow a final link:
//! only kernels since 6.13 have an `*at` form. It is used where there is one to ask whether a name
//! has any, which is asked of every file, and whose answer is nearly always no.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{
    XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, lgetxattr, llistxattr,
    lremovexattr, lsetxattr,
};
use rustix::io::{self, Errno};

use crate::list_at;

/// Attribute names and values, sorted by name.
pub type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// The first guess of a list's or a value's size; nearly all fit.
const FIRST_SIZE: usize = 256;

/// The kernel's limit of a list and of a value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const LIMIT: usize = 64 * 1024;

/// All attributes of an open file. Empty where the file system has none.
pub fn all(fd: impl AsFd) -> io::Result<Attributes> {
    let fd = fd.as_fd();
    collect(
        |buffer| flistxattr(fd, buffer),
        |name, buffer| fgetxattr(fd, name, buffer),
    )
}

/// All attributes of `name` in `directory`, not following a link.
pub fn all_of_child(directory: impl AsFd, name: &[u8]) -> io::Result<Attributes> {
    if list_at::is_empty(directory.as_fd(), name)? {
        return Ok(Attributes::new());
    }
    let path = child_path(directory.as_fd(), name);
    collect(
        |buffer| llistxattr(path.as_slice(), buffer),
        |name, buffer| lgetxattr(path.as_slice(), name, buffer),
    )
}

/// True when `name` in `directory` has any attribute; one call, for walks where few have.
pub fn child_has_any(directory: impl AsFd, name: &[u8]) -> io::Result<bool> {
    if list_at::is_empty(directory.as_fd(), name)? {
        return Ok(false);
    }
    let path = child_path(directory.as_fd(), name);
    let mut buffer = [0_u8; FIRST_SIZE];
    match llistxattr(path.as_slice(), &mut buffer) {
        Ok(length) => Ok(length > 0),
        Err(Errno::RANGE) => Ok(true),
        Err(Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// One attribute of an open file, or `None`.
pub fn get(fd: impl AsFd, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let fd = fd.as_fd();
    found(grow(|buffer| fgetxattr(fd, name, buffer)))
}

/// One attribute of `child` in `directory`, or `None`.
pub fn get_of_child(
    directory: impl AsFd,
    child: &[u8],
    name: &[u8],
) -> io::Result<Option<Vec<u8>>> {
    let path = child_path(directory.as_fd(), child);
    found(grow(|buffer| lgetxattr(path.as_slice(), name, buffer)))
}

/// Sets an attribute of an open file, new or not.
pub fn set(fd: impl AsFd, name: &[u8], value: &[u8]) -> io::Result<()> {
    fsetxattr(fd, name, value, XattrFlags::empty())
}

/// Sets an attribute of `child` in `directory`, not following a link.
pub fn set_of_child(
    directory: impl AsFd,
    child: &[u8],
    name: &[u8],
    value: &[u8],
) -> io::Result<()> {
    let path = child_path(directory.as_fd(), child);
    lsetxattr(path.as_slice(), name, value, XattrFlags::empty())
}

/// Removes an attribute of an open file; no error where it has none of that name.
pub fn remove(fd: impl AsFd, name: &[u8]) -> io::Result<()> {
    absent_is_removed(fremovexattr(fd, name))
}

/// Removes an attribute of `child` in `directory`; no error where it has none of that name.
pub fn remove_of_child(directory: impl AsFd, child: &[u8], name: &[u8]) -> io::Result<()> {
    let path = child_path(directory.as_fd(), child);
    absent_is_removed(lremovexattr(path.as_slice(), name))
}

fn absent_is_removed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(Errno::NODATA) => Ok(()),
        result => result,
    }
}

fn found(result: io::Result<Vec<u8>>) -> io::Result<Option<Vec<u8>>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn collect(
    list: impl Fn(&mut [u8]) -> io::Result<usize>,
    value: impl Fn(&[u8], &mut [u8]) -> io::Result<usize>,
) -> io::Result<Attributes> {
    let mut attributes = Attributes::new();
    let names = match grow(list) {
        Err(Errno::OPNOTSUPP) => return Ok(attributes),
        result => result?,
    };
    for name in names
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        match grow(|buffer| value(name, buffer)) {
            // Removed between the list and the look.
            Err(Errno::NODATA) => continue,
            result => attributes.insert(name.to_vec(), result?),
        };
    }
    Ok(attributes)
}

/// Calls `read` with a buffer that grows until what there is fits.
fn grow(read: impl Fn(&mut [u8]) -> io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut small = [0_u8; FIRST_SIZE];
    match read(&mut small) {
        Ok(length) => return Ok(small[..length].to_vec()),
        Err(Errno::RANGE) => {}
        Err(errno) => return Err(errno),
    }
    let mut buffer = vec![0_u8; LIMIT];
    let length = read(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

/// The path by which the kernel finds `name` in the open directory, whatever its real path.
fn child_path(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(32 + name.len());
    // Writing to memory cannot fail.
    let _ = write!(path, "/proc/self/fd/{}/", directory.as_raw_fd());
    path.extend_from_slice(name);
    path
}
