//! Locks between processes: `flock` on a file of its own.
//!
//! The kernel lets go of a lock when its holder ends, however it ends. The descriptor is not
//! inherited by programs we start, so a child cannot keep a lock alive. Lock files that guard a
//! name are never removed; a lease, which may be, is checked with [`FileLock::is_linked`].

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::metadata::Metadata;

/// First and longest pause between two tries at a lock that somebody else holds.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Who else may hold the lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Others with [`LockMode::Shared`].
    Shared,
    /// Nobody.
    Exclusive,
}

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    /// Waits for the lock `name` in `directory`, making its file where it is missing. Cannot be
    /// interrupted: for locks held for an instant. See [`Self::acquire_unless`].
    pub fn acquire(directory: &Directory, name: &[u8], mode: LockMode) -> Result<Self> {
        let lock = Self::open(directory, name)?;
        let operation = match mode {
            LockMode::Shared => FlockOperation::LockShared,
            LockMode::Exclusive => FlockOperation::LockExclusive,
        };
        loop {
            match flock(&lock.file, operation) {
                Ok(()) => return Ok(lock),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::new("lock", &lock.path, errno)),
            }
        }
    }

    /// Takes the lock if nobody is in the way, else gives `None`.
    pub fn try_acquire(directory: &Directory, name: &[u8], mode: LockMode) -> Result<Option<Self>> {
        let lock = Self::open(directory, name)?;
        Ok(lock.try_lock(mode)?.then_some(lock))
    }

    /// Waits for the lock until `cancel` is set, which gives an error of kind `Interrupted`.
    pub fn acquire_unless(
        directory: &Directory,
        name: &[u8],
        mode: LockMode,
        cancel: &AtomicBool,
    ) -> Result<Self> {
        let lock = Self::open(directory, name)?;
        let mut pause = FIRST_PAUSE;
        while !lock.try_lock(mode)? {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::new("lock", &lock.path, Errno::INTR));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(lock)
    }

    /// False when the lock's file was removed by another before we got the lock: then it guards
    /// nothing, and the caller starts again.
    pub fn is_linked(&self) -> Result<bool> {
        Metadata::of(&self.file)
            .map(|metadata| metadata.nlink > 0)
            .map_err(|errno| Error::new("stat", &self.path, errno))
    }

    /// The locked file, for what its holder writes into it.
    pub fn file(&self) -> &File {
        &self.file
    }

    fn open(directory: &Directory, name: &[u8]) -> Result<Self> {
        Ok(Self {
            file: directory.open_or_create_file(name, 0o600)?,
            path: directory.path_to(name),
        })
    }

    fn try_lock(&self, mode: LockMode) -> Result<bool> {
        let operation = match mode {
            LockMode::Shared => FlockOperation::NonBlockingLockShared,
            LockMode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        match flock(&self.file, operation) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(Error::new("lock", &self.path, errno)),
        }
    }
}

impl AsFd for FileLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
