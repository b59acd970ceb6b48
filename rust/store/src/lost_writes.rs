//! When the kernel could not write what it held back.
//!
//! A failing disk, or one that is fuller than it said, loses pages after the writer was told that
//! all was well. A call that waits for the disk then fails, once: the kernel takes the pages for
//! written from then on, and they are gone when memory is short or the file system is mounted
//! again. So what is not on disk for sure counts for nothing after such an error: everything that
//! bears the store's token is discarded, as after a crash.
//!
//! The kernel tells the error to every process that had the store open when it happened. One that
//! opened it later, and before the work was discarded, finds its area gone when it syncs.

use fastlayer_fs::publish::temporary_name;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::store::Store;

impl Store {
    /// Discards what may be lost, and gives the error on. Where not even that can be written (the
    /// file system has become read-only), nothing is done: nothing can be stored there either.
    pub(crate) fn lost_writes(&self, error: Error) -> Error {
        for parent in [b"unsynced".as_slice(), b"checkouts"] {
            if let Ok(parent) = self.root().open_child(parent) {
                let _ = parent.rename_to(self.token().as_bytes(), self.trash(), &temporary_name());
            }
        }
        error
    }

    /// Refuses to go on where what this open store has made was discarded.
    pub(crate) fn check_not_lost(&self) -> Result<()> {
        let ours = self.unsynced().recipes.metadata()?;
        let path = [b"unsynced/", self.token().as_bytes(), b"/recipes"].concat();
        let there = self.root().open_descendant(&path);
        let there = there.and_then(|directory| directory.metadata());
        if there.is_ok_and(|there| (there.dev, there.ino) == (ours.dev, ours.ino)) {
            return Ok(());
        }
        let store = self.path().display();
        let what = format!("the disk did not take what was stored, which is discarded: {store}");
        Err(Error::io(what, Errno::IO))
    }
}
