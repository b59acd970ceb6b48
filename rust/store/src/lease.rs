//! Leases: what a running operation needs is not collected under its hands.
//!
//! A lease is a shared lock on `locks/writers`; garbage collection takes it exclusively. The kernel
//! lets go of it when the process ends. So collection waits for writers, and writers for it.

use std::sync::atomic::AtomicBool;

use fastlayer_fs::FileLock;
use fastlayer_fs::lock::LockMode;

use crate::digest::BlobDigest;
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

    /// As [`Self::lease`], unless `cancel` is set while garbage collection runs.
    pub(crate) fn lease_unless(&self, cancel: &AtomicBool) -> Result<Lease> {
        let lock = FileLock::acquire_unless(self.locks(), WRITERS, LockMode::Shared, cancel)?;
        Ok(Lease { _lock: lock })
    }

    /// The right to take in a blob: one process does it, others wait and find the layer. Tells
    /// whether it had to wait.
    pub(crate) fn single_flight(
        &self,
        digest: &BlobDigest,
        cancel: &AtomicBool,
    ) -> Result<(FileLock, bool)> {
        let name = format!("blob-{}", digest.hex()).into_bytes();
        match FileLock::try_acquire(self.locks(), &name, LockMode::Exclusive)? {
            Some(lock) => Ok((lock, false)),
            None => {
                let lock =
                    FileLock::acquire_unless(self.locks(), &name, LockMode::Exclusive, cancel)?;
                Ok((lock, true))
            }
        }
    }

    /// The lock that garbage collection holds; `None` while somebody has a lease.
    pub(crate) fn lock_out_writers(&self) -> Result<Option<FileLock>> {
        let lock = FileLock::try_acquire(self.locks(), WRITERS, LockMode::Exclusive)?;
        Ok(lock)
    }
}
