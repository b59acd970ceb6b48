//! Leases: what a running operation needs is not collected under its hands.
//!
//! A lease is a shared lock on `locks/writers`; garbage collection takes it exclusively. The kernel
//! lets go of it when the process ends. So collection waits for writers, and writers for it.

use fastlayer_fs::FileLock;
use fastlayer_fs::lock::LockMode;

use crate::error::Result;
use crate::store::Store;

const WRITERS: &[u8] = b"writers";

/// Keeps garbage collection away for its life.
#[derive(Debug)]
pub struct Lease {
    _lock: FileLock,
}

impl Store {
    /// Keeps garbage collection away while the result lives. Layers and documents that are made
    /// under a lease are safe until it is dropped; by then something must name them.
    pub fn lease(&self) -> Result<Lease> {
        let lock = FileLock::acquire(self.locks(), WRITERS, LockMode::Shared)?;
        Ok(Lease { _lock: lock })
    }

    /// The lock that garbage collection holds; `None` while somebody has a lease.
    pub(crate) fn lock_out_writers(&self) -> Result<Option<FileLock>> {
        let lock = FileLock::try_acquire(self.locks(), WRITERS, LockMode::Exclusive)?;
        Ok(lock)
    }
}
