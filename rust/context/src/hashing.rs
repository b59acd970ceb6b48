//! Reading files for their content hash, in a few threads.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use fastlayer_fs::{Directory, Kind, Metadata, RootDir};

use crate::content::{ContentHash, hasher};
use crate::entry::{Entry, split_path};
use crate::error::{Error, Result, shown};

/// Bytes read at a time: within a core's cache, and many blocks of the hash at once.
const BUFFER: usize = 256 * 1024;

/// Files a thread takes at a time: mostly of one directory, which is then opened once.
const BATCH: usize = 32;

/// How often a file that changes while we read it is read again.
const TRIES: usize = 3;

/// A file that was read: its index, what it was while it was read, and its content.
pub(crate) type FileRead = (usize, Metadata, ContentHash);

/// Reads the files `wanted` (indexes into `entries`) in `threads` threads.
pub(crate) fn hash_files(
    root: &RootDir,
    entries: &[Entry],
    wanted: &[usize],
    threads: usize,
    cancel: &AtomicBool,
) -> Result<Vec<FileRead>> {
    let next = AtomicUsize::new(0);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let work = || {
        let mut reader = Reader::new(root);
        let mut done = Vec::new();
        loop {
            let start = next.fetch_add(BATCH, Ordering::Relaxed);
            if start >= wanted.len() {
                return done;
            }
            for &index in &wanted[start..wanted.len().min(start + BATCH)] {
                match reader.read(&entries[index], cancel) {
                    Ok((metadata, content)) => done.push((index, metadata, content)),
                    Err(error) => {
                        next.store(wanted.len(), Ordering::Relaxed);
                        keep_first(&failure, error);
                        return done;
                    }
                }
            }
        }
    };
    let threads = threads.min(wanted.len().div_ceil(BATCH));
    let done = in_threads(threads, &work);
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => Ok(done.into_iter().flatten().collect()),
        Some(error) => Err(error),
    }
}

/// Runs `work` in `threads` threads, this one included, and gives what each returned.
pub(crate) fn in_threads<T: Send>(threads: usize, work: &(dyn Fn() -> T + Sync)) -> Vec<T> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut results = vec![work()];
        for other in others {
            match other.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}

pub(crate) fn keep_first(slot: &Mutex<Option<Error>>, error: Error) {
    if let Ok(mut slot) = slot.lock() {
        slot.get_or_insert(error);
    }
}

struct Reader<'root> {
    root: &'root RootDir,
    directory: Option<(Vec<u8>, Directory)>,
    buffer: Vec<u8>,
}

impl<'root> Reader<'root> {
    fn new(root: &'root RootDir) -> Self {
        Self {
            root,
            directory: None,
            buffer: vec![0; BUFFER],
        }
    }

    fn read(&mut self, entry: &Entry, cancel: &AtomicBool) -> Result<(Metadata, ContentHash)> {
        for _ in 0..TRIES {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let file = self.open(&entry.path)?;
            if let Some(found) = self.read_once(file, entry, cancel)? {
                return Ok(found);
            }
        }
        Err(Error::Changed {
            path: shown(&entry.path),
        })
    }

    fn open(&mut self, path: &[u8]) -> Result<File> {
        let (parent, name) = split_path(path);
        let is_open = |(open, _): &(Vec<u8>, Directory)| open == parent;
        if !self.directory.as_ref().is_some_and(is_open) {
            let directory = self.root.directory().open_descendant(parent)?;
            self.directory = Some((parent.to_vec(), directory));
        }
        match &self.directory {
            Some((_, directory)) => Ok(directory.open_file(name)?),
            None => Err(Error::NotFound { path: shown(path) }),
        }
    }

    /// `None` when the file changed meanwhile.
    fn read_once(
        &mut self,
        mut file: File,
        entry: &Entry,
        cancel: &AtomicBool,
    ) -> Result<Option<(Metadata, ContentHash)>> {
        let failed = |source| {
            fastlayer_fs::Error::new("read", self.root.directory().path_to(&entry.path), source)
        };
        let before = Metadata::of(&file).map_err(|errno| failed(errno.into()))?;
        if before.kind != Kind::File {
            return Ok(None);
        }
        let mut hash = hasher();
        let mut length = 0_u64;
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => {
                    hash.update(&self.buffer[..read]);
                    length += read as u64;
                    // A short read where the end should be is the end: saves a call a file.
                    if length == before.size && read < self.buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error).into()),
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
        }
        let after = Metadata::of(&file).map_err(|errno| failed(errno.into()))?;
        let unchanged = after.is_unchanged_since(&before) && length == before.size;
        Ok(unchanged.then(|| (before, ContentHash(*hash.finalize().as_bytes()))))
    }
}
