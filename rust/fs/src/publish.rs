//! Files that appear under their name complete, or not at all.
//!
//! Content-addressed files are written without a name (`O_TMPFILE`) and linked; the link is the
//! reservation, and a taken name means that the content is already there. Small mutable files are
//! written beside and renamed over. Nothing is left behind by a killed process on file systems
//! with `O_TMPFILE`; on others a file whose name begins with [`TEMPORARY_PREFIX`].

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::sync;

/// What the names of unfinished files begin with; such a file may be removed by anybody who finds
/// it and knows that no writer is alive.
pub const TEMPORARY_PREFIX: &str = ".unfinished-";

/// Tries at a free temporary name; two of 2^64 hardly ever meet.
const NAME_TRIES: usize = 16;

/// Whether a publication made the file or found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The name is new and ours.
    New,
    /// The name was taken; our file is gone.
    Exists,
}

/// A file without a final name yet; dropped without being published, it vanishes.
#[derive(Debug)]
pub struct TemporaryFile<'directory> {
    directory: &'directory Directory,
    file: File,
    name: Option<TemporaryName<'directory>>,
}

impl<'directory> TemporaryFile<'directory> {
    /// A new file on the file system of `directory`, with `mode` less the umask.
    pub fn new_in(directory: &'directory Directory, mode: u32) -> Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match openat(directory, c".", flags, Mode::from_raw_mode(mode)) {
            Ok(fd) => Ok(Self {
                directory,
                file: File::from(fd),
                name: None,
            }),
            // ISDIR: a kernel that does not know the flag sees an attempt to write a directory.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Self::named_in(directory, mode),
            Err(errno) => Err(Error::new("create a file in", directory.path(), errno)),
        }
    }

    /// As [`Self::new_in`], for file systems without `O_TMPFILE`: under a temporary name.
    pub fn named_in(directory: &'directory Directory, mode: u32) -> Result<Self> {
        let mut tries = 0;
        loop {
            let name = temporary_name();
            match directory.create_file(&name, mode) {
                Err(error) if error.is_exists() && tries < NAME_TRIES => tries += 1,
                result => {
                    return Ok(Self {
                        directory,
                        file: result?,
                        name: Some(TemporaryName { directory, name }),
                    });
                }
            }
        }
    }

    /// The open file, for reading and writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The open file, for [`Write`].
    pub fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file one more name, `name` in `into` (on the same file system), unless it is
    /// taken. The temporary file stays, and can be published again elsewhere.
    pub fn link(&self, into: &Directory, name: &[u8]) -> Result<Published> {
        let linked = match &self.name {
            None => into.link_at(&self.file, name),
            Some(temporary) => self.directory.link_child_at(&temporary.name, into, name),
        };
        published(linked)
    }

    /// Gives the file the name `name` in `into` (on the same file system), unless it is taken.
    pub fn publish(self, into: &Directory, name: &[u8]) -> Result<Published> {
        match self.name {
            None => published(into.link_at(&self.file, name)),
            Some(temporary) => {
                let renamed = self.directory.rename_noreplace(&temporary.name, into, name);
                if renamed.is_ok() {
                    temporary.forget();
                }
                published(renamed)
            }
        }
    }

    /// Gives the file the name `name` in `into`, in the place of what has it now.
    pub fn replace(self, into: &Directory, name: &[u8]) -> Result<()> {
        let temporary = match self.name {
            Some(temporary) => temporary,
            None => {
                let name = temporary_name();
                self.directory.link_at(&self.file, &name)?;
                TemporaryName {
                    directory: self.directory,
                    name,
                }
            }
        };
        self.directory.rename_to(&temporary.name, into, name)?;
        temporary.forget();
        Ok(())
    }
}

impl AsFd for TemporaryFile<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A name to be removed unless the file got its real one.
#[derive(Debug)]
struct TemporaryName<'directory> {
    directory: &'directory Directory,
    name: Vec<u8>,
}

impl TemporaryName<'_> {
    fn forget(mut self) {
        self.name.clear();
    }
}

impl Drop for TemporaryName<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // Nothing can be done about a failure here; whoever cleans up knows the prefix.
            let _ = self.directory.unlink(&self.name);
        }
    }
}

fn published(result: Result<()>) -> Result<Published> {
    match result {
        Ok(()) => Ok(Published::New),
        Err(error) if error.is_exists() => Ok(Published::Exists),
        Err(error) => Err(error),
    }
}

/// Makes `name` hold `bytes`, replacing it in one step; with `durable`, file and name are on disk
/// when this returns.
pub fn write_atomic(
    directory: &Directory,
    name: &[u8],
    mode: u32,
    bytes: &[u8],
    durable: bool,
) -> Result<()> {
    let mut temporary = TemporaryFile::named_in(directory, mode)?;
    let failed = |source| Error::new("write", directory.path_to(name), source);
    temporary.file_mut().write_all(bytes).map_err(failed)?;
    if durable {
        temporary.file().sync_all().map_err(failed)?;
    }
    temporary.replace(directory, name)?;
    if durable {
        sync::fsync_dir(directory)?;
    }
    Ok(())
}

/// A name that nobody else has: the standard library seeds its hashers from the kernel.
pub fn temporary_name() -> Vec<u8> {
    let random = RandomState::new().build_hasher().finish();
    format!("{TEMPORARY_PREFIX}{random:016x}").into_bytes()
}
