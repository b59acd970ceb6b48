//! A place for a property's files that goes away with it, and stores in it.

use std::path::{Path, PathBuf};

use fastlayer_store::Store;

/// A file system in memory: a new store waits for a disk, and there is one for each input.
const MEMORY: &str = "/dev/shm";

/// A directory below `TMPDIR`, or in memory.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        let directory = match std::env::var_os("TMPDIR") {
            None if Path::new(MEMORY).is_dir() => tempfile::tempdir_in(MEMORY),
            _ => tempfile::tempdir(),
        };
        Self(directory.expect("a temporary directory"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A new store.
    pub(crate) fn store(&self, name: &str) -> Store {
        Store::open(&self.join(name), true).expect("an empty store")
    }
}
