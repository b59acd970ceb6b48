//! A handle on a directory, and the operations on the names in it.
//!
//! Invariant: a `name` argument is one component. It is refused with `EINVAL` when it is empty or
//! has a slash, so that no caller can leave the directory by accident; `.` and `..` likewise.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, makedev, mkdirat, mknodat, openat, readlinkat,
    renameat, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::entries::EntryList;
use crate::error::{Error, Result, path_of};
use crate::metadata::{Kind, Metadata};
use crate::{beneath, xattr};

/// Flags of every directory we open: never through a link, never inherited by a child process.
pub(crate) const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Flags of every file we read. `NONBLOCK` keeps a pipe put in a file's place from hanging us.
pub(crate) const READ_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// An open directory. The path is kept for messages only.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens `path`, following symbolic links as usual: for paths that the user gave.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| Error::new("open directory", path, errno))?;
        Ok(Self::from_fd(fd, path))
    }

    /// Takes an open descriptor of a directory; `path` is what messages call it.
    pub fn from_fd(fd: OwnedFd, path: impl Into<PathBuf>) -> Self {
        Self {
            fd,
            path: path.into(),
        }
    }

    /// What messages call this directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What messages call `name` in this directory.
    pub fn path_to(&self, name: &[u8]) -> PathBuf {
        self.path.join(path_of(name))
    }

    /// A second handle on the same directory, sharing the read position.
    pub fn try_clone(&self) -> Result<Self> {
        let fd = self
            .fd
            .try_clone()
            .map_err(|source| Error::new("duplicate the handle of", &self.path, source))?;
        Ok(Self::from_fd(fd, self.path.clone()))
    }

    /// Metadata of the directory itself.
    pub fn metadata(&self) -> Result<Metadata> {
        Metadata::of(&self.fd).map_err(|errno| Error::new("stat", &self.path, errno))
    }

    /// All names in the directory, sorted by bytes. One thread at a time.
    pub fn entries(&self) -> Result<EntryList> {
        EntryList::read_from_start(&self.fd).map_err(|errno| Error::new("list", &self.path, errno))
    }

    /// Metadata of `name`, not following a symbolic link.
    pub fn stat_child(&self, name: &[u8]) -> Result<Metadata> {
        self.checked("stat", name, |name| Metadata::of_child(&self.fd, name))
    }

    /// As [`Self::stat_child`], with `None` where there is no such name.
    pub fn find_child(&self, name: &[u8]) -> Result<Option<Metadata>> {
        crate::error::optional(self.stat_child(name))
    }

    /// Opens the directory `name`; a symbolic link is an error.
    pub fn open_child(&self, name: &[u8]) -> Result<Self> {
        let fd = self.open_with("open directory", name, DIRECTORY_FLAGS, Mode::empty())?;
        Ok(Self::from_fd(fd, self.path_to(name)))
    }

    /// Opens the directory that this one lies in now. Whoever came down from it compares the two
    /// by device and inode: this one may have been moved.
    pub fn open_parent(&self) -> Result<Self> {
        let path = self.path.join("..");
        let fd = openat(&self.fd, "..", DIRECTORY_FLAGS, Mode::empty())
            .map_err(|errno| Error::new("open directory", &path, errno))?;
        let above = self.path.parent().unwrap_or(&path);
        Ok(Self::from_fd(fd, above))
    }

    /// Opens the directory at the relative path `path`, of which no component may be a symbolic
    /// link or `..`. The empty path gives this directory again, with a read position of its own.
    pub fn open_descendant(&self, path: &[u8]) -> Result<Self> {
        let fd = beneath::open_beneath(self.fd.as_fd(), path, DIRECTORY_FLAGS)
            .map_err(|errno| Error::new("open directory", self.path_to(path), errno))?;
        Ok(Self::from_fd(fd, self.path_to(path)))
    }

    /// Opens `name` for reading; a symbolic link is an error, a pipe does not block.
    pub fn open_file(&self, name: &[u8]) -> Result<File> {
        self.open_with("open", name, READ_FLAGS, Mode::empty())
            .map(File::from)
    }

    /// Opens `name` itself, link or not, without any right to read it (`O_PATH`).
    pub fn open_path(&self, name: &[u8]) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.open_with("open", name, flags, Mode::empty())
    }

    /// Makes the file `name` for reading and writing; it must not exist. The mode loses the
    /// process's umask bits.
    pub fn create_file(&self, name: &[u8], mode: u32) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        self.open_with("create", name, flags, Mode::from_raw_mode(mode))
            .map(File::from)
    }

    /// Opens `name` for reading and writing, making it where it is missing; never through a link.
    pub fn open_or_create_file(&self, name: &[u8], mode: u32) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.open_with("open", name, flags, Mode::from_raw_mode(mode))
            .map(File::from)
    }

    /// The target of the symbolic link `name`.
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.checked("read link", name, |name| {
            readlinkat(&self.fd, name, Vec::new()).map(std::ffi::CString::into_bytes)
        })
    }

    /// All extended attributes of `name`, not following a symbolic link, sorted by name.
    pub fn xattrs(&self, name: &[u8]) -> Result<xattr::Attributes> {
        self.checked("read attributes of", name, |name| {
            xattr::all_of_child(&self.fd, name)
        })
    }

    /// Makes the directory `name`. The mode loses the process's umask bits.
    pub fn mkdir_at(&self, name: &[u8], mode: u32) -> Result<()> {
        self.checked("make directory", name, |name| {
            mkdirat(&self.fd, name, Mode::from_raw_mode(mode))
        })
    }

    /// Makes the directory `name` unless it exists, and opens it.
    pub fn ensure_child(&self, name: &[u8], mode: u32) -> Result<Self> {
        match self.mkdir_at(name, mode) {
            Err(error) if !error.is_exists() => Err(error),
            _ => self.open_child(name),
        }
    }

    /// Makes the symbolic link `name` to `target`.
    pub fn symlink_at(&self, target: &[u8], name: &[u8]) -> Result<()> {
        self.checked("make link", name, |name| symlinkat(target, &self.fd, name))
    }

    /// Makes a device, pipe or empty file `name`. The mode loses the process's umask bits.
    pub fn mknod_at(&self, name: &[u8], kind: Kind, mode: u32, device: (u32, u32)) -> Result<()> {
        self.checked("make node", name, |name| {
            mknodat(
                &self.fd,
                name,
                kind.file_type(),
                Mode::from_raw_mode(mode),
                makedev(device.0, device.1),
            )
        })
    }

    /// Gives the open file `fd` the name `name` here. Works for `O_TMPFILE` files and for `O_PATH`
    /// descriptors, those of symbolic links included.
    pub fn link_at(&self, fd: impl AsFd, name: &[u8]) -> Result<()> {
        let fd = fd.as_fd();
        self.checked("link", name, |name| link_descriptor(fd, &self.fd, name))
    }

    /// Gives the file `name` here a second name `new` in the directory `into`; a link is not
    /// followed.
    pub fn link_child_at(&self, name: &[u8], into: &Self, new: &[u8]) -> Result<()> {
        self.checked("link", name, |name| {
            let new = component(new)?;
            linkat(&self.fd, name, &into.fd, new, AtFlags::empty())
        })
    }

    /// Renames `name` to `new` in `into`, replacing what is there.
    pub fn rename_to(&self, name: &[u8], into: &Self, new: &[u8]) -> Result<()> {
        self.checked("rename", name, |name| {
            renameat(&self.fd, name, &into.fd, component(new)?)
        })
    }

    /// Renames `name` to `new` in `into`; an error (see [`Error::is_exists`]) where that is taken.
    pub fn rename_noreplace(&self, name: &[u8], into: &Self, new: &[u8]) -> Result<()> {
        self.checked("rename", name, |name| {
            let new = component(new)?;
            match renameat_with(&self.fd, name, &into.fd, new, RenameFlags::NOREPLACE) {
                // No flags on this file system: a link does not replace either. A directory
                // cannot be linked, but never replaces one with something in it.
                Err(Errno::INVAL | Errno::NOSYS) => rename_by_link(&self.fd, name, &into.fd, new),
                result => result,
            }
        })
    }

    /// Removes the file, link or node `name`.
    pub fn unlink(&self, name: &[u8]) -> Result<()> {
        self.checked("remove", name, |name| {
            unlinkat(&self.fd, name, AtFlags::empty())
        })
    }

    /// Removes the empty directory `name`.
    pub fn rmdir(&self, name: &[u8]) -> Result<()> {
        self.checked("remove directory", name, |name| {
            unlinkat(&self.fd, name, AtFlags::REMOVEDIR)
        })
    }

    fn open_with(
        &self,
        operation: &'static str,
        name: &[u8],
        flags: OFlags,
        mode: Mode,
    ) -> Result<OwnedFd> {
        self.checked(operation, name, |name| openat(&self.fd, name, flags, mode))
    }

    fn checked<T>(
        &self,
        operation: &'static str,
        name: &[u8],
        call: impl FnOnce(&[u8]) -> rustix::io::Result<T>,
    ) -> Result<T> {
        component(name)
            .and_then(call)
            .map_err(|errno| Error::new(operation, self.path_to(name), errno))
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Directory> for OwnedFd {
    fn from(directory: Directory) -> Self {
        directory.fd
    }
}

/// The name, if it is one component.
pub(crate) fn component(name: &[u8]) -> rustix::io::Result<&[u8]> {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
        return Err(Errno::INVAL);
    }
    Ok(name)
}

/// Set once the kernel has refused to link a descriptor by itself.
static NEEDS_MAGIC_LINK: AtomicBool = AtomicBool::new(false);

fn link_descriptor(fd: BorrowedFd<'_>, into: impl AsFd, name: &[u8]) -> rustix::io::Result<()> {
    // It takes CAP_DAC_READ_SEARCH or a kernel of 2024; the magic link, which anybody may follow,
    // takes twice the time.
    if !NEEDS_MAGIC_LINK.load(Ordering::Relaxed) {
        match linkat(fd, c"", &into, name, AtFlags::EMPTY_PATH) {
            Err(Errno::NOENT | Errno::PERM | Errno::INVAL) => {}
            result => return result,
        }
    }
    let magic = format!("/proc/self/fd/{}", fd.as_raw_fd());
    linkat(CWD, magic.as_str(), &into, name, AtFlags::SYMLINK_FOLLOW)?;
    NEEDS_MAGIC_LINK.store(true, Ordering::Relaxed);
    Ok(())
}

fn rename_by_link(
    from: &OwnedFd,
    name: &[u8],
    into: &OwnedFd,
    new: &[u8],
) -> rustix::io::Result<()> {
    match linkat(from, name, into, new, AtFlags::empty()) {
        Ok(()) => unlinkat(from, name, AtFlags::empty()),
        Err(Errno::PERM | Errno::ISDIR) => match Metadata::of_child(into, new) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => renameat(from, name, into, new),
            Err(errno) => Err(errno),
        },
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renaming_by_link_does_not_replace() {
        let top = tempfile::tempdir().unwrap();
        let directory = Directory::open(top.path()).unwrap();
        directory.create_file(b"file", 0o600).unwrap();
        directory.create_file(b"taken", 0o600).unwrap();
        directory.mkdir_at(b"directory", 0o700).unwrap();
        let rename = |from: &[u8], to| rename_by_link(&directory.fd, from, &directory.fd, to);
        assert_eq!(rename(b"file", b"taken"), Err(Errno::EXIST));
        assert_eq!(rename(b"directory", b"taken"), Err(Errno::EXIST));
        assert_eq!(rename(b"file", b"moved"), Ok(()));
        assert_eq!(rename(b"directory", b"also moved"), Ok(()));
        assert_eq!(directory.entries().unwrap().len(), 3);
    }
}
