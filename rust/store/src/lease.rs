//! Leases: what a running operation needs is not collected under its hands.
//!
//! There are two kinds. A [`Lease`] lasts as long as a whole build or load: it is a locked file in
//! `locks/leases` in which every layer and document that the operation uses or makes is written
//! down, *before* it is looked for or gets its name. Collection reads these files and keeps what
//! they name; it never waits for a lease. [`Writing`] lasts as long as one layer is being made: it
//! is a share of the lock `locks/writers`, and contents are swept only while nobody has one, since
//! a layer in the making relies on contents that nothing names yet.
//!
//! The kernel lets go of both when the process ends, however it ends.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use fastlayer_fs::lock::LockMode;
use fastlayer_fs::publish::temporary_name;
use fastlayer_fs::{Directory, FileLock};

use crate::collect::{COLLECTOR, Keep};
use crate::digest::{BlobDigest, DiffId};
use crate::error::{Error, Result, check_cancelled};
use crate::store::Store;

const LEASES: &[u8] = b"leases";
const WRITERS: &[u8] = b"writers";
/// Held by collection while it waits for writers, so that no new one gets in before it.
const GATE: &[u8] = b"gate";
/// Held by whoever waits to make a layer, so that a collection can tell.
const WAITING: &[u8] = b"waiting";
const PRIVATE: u32 = 0o700;
/// Pause between two tries to lock writers out.
const PAUSE: Duration = Duration::from_millis(5);

/// Keeps what is used and made under it from being collected, as long as any clone lives.
#[derive(Clone, Debug)]
pub struct Lease {
    _held: Arc<Held>,
}

/// A share of the lock that keeps contents from being swept.
#[derive(Clone, Debug)]
pub(crate) struct Writing {
    _lock: Arc<FileLock>,
}

/// The leases of one open store: all users of it share one of each kind.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<Weak<Held>>,
    writing: Mutex<Weak<FileLock>>,
}

#[derive(Debug)]
struct Held {
    lock: FileLock,
    directory: Directory,
    name: Vec<u8>,
    /// What is written down already.
    named: Mutex<HashSet<[u8; 32]>>,
    /// Taken once nothing more can be written down: on a full disk collection waits for us.
    instead: Mutex<Option<FileLock>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Whatever is left behind is removed by collection: nobody holds its lock.
        let _ = self.directory.unlink(&self.name);
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

impl Held {
    fn new(locks: &Directory) -> Result<Self> {
        let directory = locks.ensure_child(LEASES, PRIVATE)?;
        loop {
            let name = temporary_name();
            let lock = FileLock::acquire(&directory, &name, LockMode::Exclusive)?;
            // Collection may have taken it for left behind before it was locked.
            if lock.is_linked()? {
                return Ok(Self {
                    lock,
                    directory,
                    name,
                    named: Mutex::default(),
                    instead: Mutex::default(),
                });
            }
        }
    }

    fn name(&self, locks: &Directory, kind: &str, digest: &[u8; 32], hex: &str) -> Result<()> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        // A layer and a blob never have the same digest unless they are the same bytes.
        if named.contains(digest) {
            return Ok(());
        }
        let mut file = self.lock.file();
        match file.write_all(format!("{kind} {hex}\n").as_bytes()) {
            Ok(()) => {}
            Err(source) if is_full(&source) => self.keep_collection_away(locks)?,
            Err(source) => return Err(Error::io("cannot write a lease", source)),
        }
        named.insert(*digest);
        Ok(())
    }

    /// A full disk must be readable, and be emptied one by one.
    fn keep_collection_away(&self, locks: &Directory) -> Result<()> {
        let mut instead = lock(&self.instead);
        if instead.is_none() {
            *instead = Some(FileLock::acquire(locks, COLLECTOR, LockMode::Shared)?);
        }
        Ok(())
    }
}

impl Store {
    /// Keeps what is used or made through this open store from being collected while the result
    /// lives: layers and documents. By its end something else must name them. A second lease of
    /// the same open store is the same one.
    pub fn lease(&self) -> Result<Lease> {
        let mut slot = lock(&self.leases().held);
        if let Some(held) = slot.upgrade() {
            return Ok(Lease { _held: held });
        }
        let held = Arc::new(Held::new(self.locks())?);
        *slot = Arc::downgrade(&held);
        Ok(Lease { _held: held })
    }

    /// Whether our own lease keeps collection away, since the disk was too full to write it down.
    /// Who collects under such a lease would wait for itself.
    pub(crate) fn keeps_collection_away(&self) -> bool {
        let held = lock(&self.leases().held).upgrade();
        held.is_some_and(|held| lock(&held.instead).is_some())
    }

    /// Writes down that the lease, if there is one, needs a layer. To be called before the layer
    /// is looked for or published: what is found after that stays.
    pub(crate) fn name_layer(&self, diff_id: &DiffId) -> Result<()> {
        match lock(&self.leases().held).upgrade() {
            Some(held) => held.name(self.locks(), "layer", diff_id.as_bytes(), &diff_id.hex()),
            None => Ok(()),
        }
    }

    /// As [`Self::name_layer`], for a document or blob.
    pub(crate) fn name_blob(&self, digest: &BlobDigest) -> Result<()> {
        match lock(&self.leases().held).upgrade() {
            // A plain blob has the digest of its layer, so both kinds are kept for either name.
            Some(held) => held.name(self.locks(), "blob", digest.as_bytes(), &digest.hex()),
            None => Ok(()),
        }
    }

    /// Adds to `keep` what living leases name, and removes the files of dead ones.
    pub(crate) fn add_leased(&self, keep: &mut Keep) -> Result<()> {
        let directory = self.locks().ensure_child(LEASES, PRIVATE)?;
        for entry in directory.entries()?.iter() {
            let file = match directory.open_file(entry.name) {
                Err(error) if error.is_not_found() => continue,
                file => file?,
            };
            if let Some(_dead) = FileLock::try_acquire(&directory, entry.name, LockMode::Exclusive)?
            {
                crate::area::remove(&directory, entry.name)?;
                continue;
            }
            let mut text = String::new();
            let mut file = file;
            file.read_to_string(&mut text)
                .map_err(|source| Error::io(directory.path_to(entry.name).display(), source))?;
            for line in text.lines() {
                let digits = line.rsplit(' ').next().unwrap_or_default();
                // A line that is not complete yet: its owner has not looked for anything either.
                if let (Ok(layer), Ok(blob)) =
                    (DiffId::from_hex(digits), BlobDigest::from_hex(digits))
                {
                    keep.layers.insert(layer);
                    keep.blobs.insert(blob);
                }
            }
        }
        Ok(())
    }

    /// Keeps contents from being swept while the result lives.
    pub(crate) fn writing(&self) -> Result<Writing> {
        self.writing_unless(&AtomicBool::new(false))
    }

    /// As [`Self::writing`], unless `cancel` is set while contents are swept.
    pub(crate) fn writing_unless(&self, cancel: &AtomicBool) -> Result<Writing> {
        let slot = &self.leases().writing;
        if let Some(known) = lock(slot).upgrade() {
            return Ok(Writing { _lock: known });
        }
        let waiting = FileLock::acquire_unless(self.locks(), WAITING, LockMode::Shared, cancel)?;
        let gate = FileLock::acquire_unless(self.locks(), GATE, LockMode::Shared, cancel)?;
        let held = FileLock::acquire_unless(self.locks(), WRITERS, LockMode::Shared, cancel)?;
        drop((gate, waiting));
        let held = Arc::new(held);
        *lock(slot) = Arc::downgrade(&held);
        Ok(Writing { _lock: held })
    }

    /// The lock that nobody has while a layer is being made; `None` when the writers of now have
    /// not come to their end within `patience`. New ones wait meanwhile.
    pub(crate) fn lock_out_writers(
        &self,
        patience: Duration,
        cancel: &AtomicBool,
    ) -> Result<Option<FileLock>> {
        let _gate = FileLock::acquire_unless(self.locks(), GATE, LockMode::Exclusive, cancel)?;
        let end = Instant::now() + patience;
        loop {
            check_cancelled(cancel)?;
            let lock = FileLock::try_acquire(self.locks(), WRITERS, LockMode::Exclusive)?;
            if lock.is_some() || Instant::now() >= end {
                return Ok(lock);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether somebody waits to make a layer.
    pub(crate) fn writers_wait(&self) -> Result<bool> {
        let lock = FileLock::try_acquire(self.locks(), WAITING, LockMode::Exclusive)?;
        Ok(lock.is_none())
    }

    /// Lets those who wait to make a layer go first; nobody may be locked out.
    pub(crate) fn let_writers_in(&self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        while self.writers_wait()? && Instant::now() < end {
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Whether no layer is being made at this moment.
    pub(crate) fn no_writers(&self) -> Result<bool> {
        let lock = FileLock::try_acquire(self.locks(), WRITERS, LockMode::Exclusive)?;
        Ok(lock.is_some())
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
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
