//! Making what was published durable.
//!
//! Everything that is new lies below `unsynced/TOKEN`. A sync lists it, has the kernel write the
//! whole file system out, moves contents to their lasting places, has the names written out, and
//! moves recipes last. So whatever has a lasting name is complete, whenever the machine stops.

use fastlayer_fs::lock::LockMode;
use fastlayer_fs::sync::{fsync_dir, syncfs};
use fastlayer_fs::{Directory, FileLock};

use crate::area::remove;
use crate::error::Result;
use crate::store::Store;

/// The lock of whoever moves names to their lasting places.
pub(crate) const SYNC: &[u8] = b"sync";

impl Store {
    /// All that was published before the call is on disk when this returns.
    pub fn sync(&self) -> Result<()> {
        // Another process may be in the middle: what it has moved is not durable yet.
        let _lock = FileLock::acquire(self.locks(), SYNC, LockMode::Exclusive)?;
        let (from, into) = (self.unsynced(), self.durable());
        // Recipes first: whatever a listed one needs is then either listed too or moved already.
        let recipes = names(&from.recipes)?;
        let trees = names(&from.trees)?;
        let objects = from.objects.ids()?;
        let segments = from.segments.ids()?;
        self.write_out()?;
        for id in &objects {
            from.objects.move_to(&into.objects, id)?;
        }
        for id in &segments {
            from.segments.move_to(&into.segments, id)?;
        }
        move_names(&from.trees, &into.trees, &trees)?;
        if recipes.is_empty() {
            return Ok(());
        }
        if !(objects.is_empty() && segments.is_empty()) {
            self.write_out()?;
        }
        move_names(&from.recipes, &into.recipes, &recipes)?;
        Ok(fsync_dir(&into.recipes)?)
    }

    /// Has the kernel write all that it holds back.
    fn write_out(&self) -> Result<()> {
        syncfs(self.root()).map_err(|error| self.lost_writes(error.into()))?;
        self.check_not_lost()
    }
}

fn names(directory: &Directory) -> Result<Vec<Vec<u8>>> {
    let entries = directory.entries()?;
    Ok(entries.iter().map(|entry| entry.name.to_vec()).collect())
}

fn move_names(from: &Directory, into: &Directory, names: &[Vec<u8>]) -> Result<()> {
    for name in names {
        match from.rename_noreplace(name, into, name) {
            Err(error) if error.is_exists() => remove(from, name)?,
            Err(error) if error.is_not_found() => {}
            result => result?,
        }
    }
    Ok(())
}
