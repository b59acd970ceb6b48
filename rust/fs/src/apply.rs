//! Giving a file its owner, mode, attributes and times, in the one order that keeps them all.
//!
//! `chown` clears set-user-id bits and capabilities, so it comes first; attributes follow the mode
//! because an access-control list is stored in both; `security.capability` is last of them; times
//! come at the very end, when nothing touches the file any more. A directory's times must be set
//! after its children are made: that order is the caller's.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chmodat, chownat,
    fchmod, fchown, futimens, openat, utimensat,
};
use rustix::io::{self, Errno};

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::metadata::{Kind, Metadata, Timestamp};
use crate::xattr;

/// The attribute that every other change of a file may clear.
const CAPABILITY: &[u8] = b"security.capability";

/// What a file is to look like.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Permission bits, `0o7777`; not used for symbolic links, which have none.
    pub mode: u32,
    /// Owner; `u32::MAX`, which nobody is, leaves it.
    pub uid: u32,
    /// Group; `u32::MAX` leaves it.
    pub gid: u32,
    /// Time of the last change of content; `None` leaves it.
    pub mtime: Option<Timestamp>,
    /// Extended attributes to add.
    pub xattrs: &'a xattr::Attributes,
}

/// Applies `wanted` to the open file or directory `fd`; `current` saves calls that would change
/// nothing, and `path` is for messages.
pub fn set_metadata(
    fd: impl AsFd,
    wanted: &Attributes<'_>,
    current: Option<&Metadata>,
    path: &std::path::Path,
) -> Result<()> {
    let fd = fd.as_fd();
    let chowned = needs_owner(wanted, current);
    if chowned {
        fchown(fd, uid(wanted.uid), gid(wanted.gid))
            .map_err(|errno| Error::new("change the owner of", path, errno))?;
    }
    if chowned || needs_mode(wanted, current) {
        fchmod(fd, Mode::from_raw_mode(wanted.mode))
            .map_err(|errno| Error::new("change the mode of", path, errno))?;
    }
    for (name, value) in in_order(wanted.xattrs) {
        xattr::set(fd, name, value)
            .map_err(|errno| Error::new("set an attribute of", path, errno).about(name))?;
    }
    if let Some(mtime) = wanted.mtime {
        futimens(fd, &timestamps(mtime))
            .map_err(|errno| Error::new("set times of", path, errno))?;
    }
    Ok(())
}

/// As [`set_metadata`], for `name` in `directory` when it cannot be opened: a symbolic link, a
/// device or a pipe. Never follows a link. Such a file bears no `user.` attributes, on any file
/// system and for any user (xattr(7)): they are left out.
pub fn set_child_metadata(
    directory: &Directory,
    name: &[u8],
    wanted: &Attributes<'_>,
    current: &Metadata,
) -> Result<()> {
    let failed = |operation| move |errno| Error::new(operation, directory.path_to(name), errno);
    let chowned = needs_owner(wanted, Some(current));
    if chowned {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        chownat(directory, name, uid(wanted.uid), gid(wanted.gid), flags)
            .map_err(failed("change the owner of"))?;
    }
    if current.kind != Kind::Symlink && (chowned || needs_mode(wanted, Some(current))) {
        change_mode(directory.as_fd(), name, wanted.mode).map_err(failed("change the mode of"))?;
    }
    for (attribute_name, value) in in_order(wanted.xattrs) {
        match xattr::set_of_child(directory, name, attribute_name, value) {
            Err(Errno::PERM) if attribute_name.starts_with(b"user.") => {}
            set => set
                .map_err(failed("set an attribute of"))
                .map_err(|error| error.about(attribute_name))?,
        }
    }
    if let Some(mtime) = wanted.mtime {
        utimensat(
            directory,
            name,
            &timestamps(mtime),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(failed("set times of"))?;
    }
    Ok(())
}

/// Sets the time of the last change of an open file, leaving the time of the last access.
pub fn set_mtime(fd: impl AsFd, mtime: Timestamp) -> std::io::Result<()> {
    Ok(futimens(fd, &timestamps(mtime))?)
}

/// Even a `chown` that changes nothing takes a file's capabilities.
fn needs_owner(wanted: &Attributes<'_>, current: Option<&Metadata>) -> bool {
    let differs = |wanted: u32, current: Option<u32>| {
        wanted != u32::MAX && current.is_none_or(|current| current != wanted)
    };
    differs(wanted.uid, current.map(|current| current.uid))
        || differs(wanted.gid, current.map(|current| current.gid))
}

fn needs_mode(wanted: &Attributes<'_>, current: Option<&Metadata>) -> bool {
    current.is_none_or(|current| current.mode != wanted.mode)
}

fn in_order(xattrs: &xattr::Attributes) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
    let others = xattrs.iter().filter(|(name, _)| *name != CAPABILITY);
    others.chain(xattrs.get_key_value(CAPABILITY))
}

/// `fchmodat` follows links on all but the newest kernels; the descriptor's magic link leads to
/// the node itself.
fn change_mode(directory: BorrowedFd<'_>, name: &[u8], mode: u32) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = openat(directory, name, flags, Mode::empty())?;
    let magic = format!("/proc/self/fd/{}", node.as_raw_fd());
    chmodat(
        CWD,
        magic.as_str(),
        Mode::from_raw_mode(mode),
        AtFlags::empty(),
    )
}

fn timestamps(mtime: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: mtime.nanoseconds.into(),
        },
    }
}

fn uid(id: u32) -> Option<Uid> {
    (id != u32::MAX).then(|| Uid::from_raw(id))
}

fn gid(id: u32) -> Option<Gid> {
    (id != u32::MAX).then(|| Gid::from_raw(id))
}
