//! A directory that paths are resolved in as if it were `/`.
//!
//! Absolute links start at it again, `..` never leaves it, and magic links of `/proc` are refused
//! (`ELOOP`). One `openat2` call where it is allowed, else one step a component with the same
//! results; the second way refuses every link on procfs, since it cannot tell the magic ones.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::{self, Errno};

use crate::beneath::try_openat2;
use crate::directory::{DIRECTORY_FLAGS, Directory, READ_FLAGS};
use crate::error::{Error, Result};
use crate::resolve;

/// Tries again when something was renamed while the kernel resolved a `..`.
const RACE_TRIES: usize = 32;

/// A directory that paths are resolved in as if it were `/`.
#[derive(Debug)]
pub struct RootDir {
    directory: Directory,
    stepwise: bool,
}

impl RootDir {
    /// The directory at `path`, which itself is found as usual.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Directory::open(path).map(Self::new)
    }

    /// Resolves in `directory`.
    pub fn new(directory: Directory) -> Self {
        Self {
            directory,
            stepwise: false,
        }
    }

    /// Resolves in `directory` without `openat2`, as on kernels that lack it.
    pub fn stepwise(directory: Directory) -> Self {
        Self {
            directory,
            stepwise: true,
        }
    }

    /// The directory itself.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Opens the directory at `path`, following links inside the root.
    pub fn open_directory(&self, path: &[u8]) -> Result<Directory> {
        let flags = DIRECTORY_FLAGS.difference(OFlags::NOFOLLOW);
        let fd = self.open_with("open directory", path, flags)?;
        Ok(Directory::from_fd(fd, self.path_to(path)))
    }

    /// Opens the file at `path` for reading, following links inside the root. A pipe or device is
    /// opened too: the caller looks at the metadata.
    pub fn open_file(&self, path: &[u8]) -> Result<File> {
        let flags = READ_FLAGS.difference(OFlags::NOFOLLOW);
        self.open_with("open", path, flags).map(File::from)
    }

    /// Opens what `path` names without any right to read it (`O_PATH`). With `follow` the last
    /// component is followed when it is a link, else the link itself is opened.
    pub fn open_path(&self, path: &[u8], follow: bool) -> Result<OwnedFd> {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        self.open_with("open", path, flags)
    }

    /// Opens the directory that holds the last component of `path`, and gives that component: for
    /// making, removing or renaming it. The root itself, `.` and `..` at the end are refused.
    pub fn open_parent<'path>(&self, path: &'path [u8]) -> Result<(Directory, &'path [u8])> {
        let trimmed = trim_slashes(path);
        let cut = trimmed.iter().rposition(|&byte| byte == b'/');
        let (parent, name) = match cut {
            Some(cut) => (&trimmed[..cut], &trimmed[cut + 1..]),
            None => (&b""[..], trimmed),
        };
        if name.is_empty() || name == b"." || name == b".." {
            return Err(Error::new(
                "find the parent of",
                self.path_to(path),
                Errno::INVAL,
            ));
        }
        Ok((self.open_directory(parent)?, name))
    }

    /// The path of the same file, relative to the root, without links, dots or doubled slashes.
    /// With `follow` false, a link as the last component stays.
    pub fn real_path(&self, path: &[u8], follow: bool) -> Result<Vec<u8>> {
        resolve::real_path(self.as_fd(), path, follow)
            .map_err(|errno| Error::new("resolve", self.path_to(path), errno))
    }

    /// Opens the directory at `path`, making it and its parents with `mode` where they are
    /// missing. A link to nothing is an error: it is not followed to make what it names.
    pub fn ensure_directory(&self, path: &[u8], mode: u32) -> Result<Directory> {
        match self.open_directory(path) {
            Err(error) if error.is_not_found() => {}
            result => return result,
        }
        let mut made: Vec<u8> = Vec::with_capacity(path.len());
        let mut at = self.open_directory(b"")?;
        for name in path.split(|&byte| byte == b'/') {
            if name.is_empty() || name == b"." {
                continue;
            }
            if name != b".." {
                match at.mkdir_at(name, mode) {
                    Err(error) if !error.is_exists() => return Err(error),
                    _ => {}
                }
            }
            if !made.is_empty() {
                made.push(b'/');
            }
            made.extend_from_slice(name);
            at = self.open_directory(&made)?;
        }
        Ok(at)
    }

    fn open_with(&self, operation: &'static str, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        self.resolve(path, flags)
            .map_err(|errno| Error::new(operation, self.path_to(path), errno))
    }

    fn resolve(&self, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
        // The kernel takes the empty path for a mistake; to us it is the root.
        let path = if path.is_empty() { b"." } else { path };
        if self.stepwise {
            return resolve::open(self.as_fd(), path, flags);
        }
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..RACE_TRIES {
            match try_openat2(self.as_fd(), path, flags, inside) {
                Some(Err(Errno::AGAIN)) => {}
                // The kernel's limit on a path's length is not ours.
                Some(Err(Errno::NAMETOOLONG)) | None => break,
                Some(result) => return result,
            }
        }
        resolve::open(self.as_fd(), path, flags)
    }

    fn path_to(&self, path: &[u8]) -> std::path::PathBuf {
        let inner = path
            .iter()
            .position(|&byte| byte != b'/')
            .map_or(&b""[..], |start| &path[start..]);
        self.directory.path_to(inner)
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path
        .iter()
        .rposition(|&byte| byte != b'/')
        .map_or(0, |last| last + 1);
    &path[..end]
}
