//! Garbage collection: what no kept layer needs is removed.
//!
//! Collection holds the lock of which every writer has a share, so nothing is published meanwhile.
//! Recipes go first, then what they alone needed: a collection that is cut short leaves contents
//! too many, never too few.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastlayer_fs::publish::TEMPORARY_PREFIX;
use fastlayer_fs::{Directory, remove_tree};

use crate::area::{Fanout, remove};
use crate::digest::{BlobDigest, DiffId};
use crate::error::{Error, Result, check_cancelled};
use crate::layer_reader::read_recipe;
use crate::store::Store;

/// Age at which somebody's work in progress is taken for left behind.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest pause between two tries to lock writers out.
const PAUSE: Duration = Duration::from_millis(20);

/// What stays in the store.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// Layers. One that is not stored is ignored.
    pub layers: HashSet<DiffId>,
    /// Documents and blobs.
    pub blobs: HashSet<BlobDigest>,
}

impl Store {
    /// Removes every layer and blob but those of `keep`, and all that only the removed ones
    /// needed; gives the bytes freed. Waits for running writers. `roots` is asked once they are
    /// locked out, so that it can not miss what one of them has just named.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the recipe of a kept layer is damaged: nothing is removed then.
    pub fn collect(
        &self,
        roots: impl FnOnce() -> Result<Keep>,
        cancel: &AtomicBool,
    ) -> Result<u64> {
        let _lock = loop {
            check_cancelled(cancel)?;
            match self.lock_out_writers()? {
                Some(lock) => break lock,
                None => std::thread::sleep(PAUSE),
            }
        };
        let keep = roots()?;
        let marked = Marked::new(self, &keep)?;
        let mut freed = 0;
        self.remove_checkouts_except(&keep.layers)?;
        for area in [self.unsynced(), self.durable()] {
            freed += sweep_names(&area.recipes, |name| keeps_layer(&keep, name))?;
            freed += sweep_names(&area.trees, |name| keeps_layer(&keep, name))?;
        }
        check_cancelled(cancel)?;
        for area in [self.unsynced(), self.durable()] {
            freed += sweep_ids(&area.segments, &marked.segments, cancel)?;
            freed += sweep_ids(&area.objects, &marked.objects, cancel)?;
        }
        freed += sweep_names(self.blobs(), |name| {
            BlobDigest::from_hex(name).is_ok_and(|digest| keep.blobs.contains(&digest))
        })?;
        sweep_staging(self.staging())?;
        for entry in self.trash().entries()?.iter() {
            remove_tree(self.trash(), entry.name)?;
        }
        Ok(freed)
    }
}

fn keeps_layer(keep: &Keep, name: &str) -> bool {
    DiffId::from_hex(name).is_ok_and(|diff_id| keep.layers.contains(&diff_id))
}

/// What the kept layers are made of.
struct Marked {
    objects: HashSet<[u8; 32]>,
    segments: HashSet<[u8; 32]>,
}

impl Marked {
    fn new(store: &Store, keep: &Keep) -> Result<Self> {
        let mut marked = Self {
            objects: HashSet::new(),
            segments: HashSet::new(),
        };
        for diff_id in &keep.layers {
            match read_recipe(store, diff_id) {
                Ok(recipe) => {
                    marked
                        .objects
                        .extend(recipe.objects.iter().map(|id| *id.as_bytes()));
                    marked
                        .segments
                        .extend(recipe.segments.iter().map(|id| *id.as_bytes()));
                }
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(marked)
    }
}

/// Removes files whose name `keeps` does not want; gives their bytes.
fn sweep_names(directory: &Directory, keeps: impl Fn(&str) -> bool) -> Result<u64> {
    let mut freed = 0;
    for entry in directory.entries()?.iter() {
        if std::str::from_utf8(entry.name).is_ok_and(&keeps) {
            continue;
        }
        if let Some(metadata) = directory.find_child(entry.name)? {
            freed += metadata.blocks * 512;
            remove(directory, entry.name)?;
        }
    }
    Ok(freed)
}

/// Removes what crashes have left behind. Unfinished files are those of writers, and there is none
/// now; what the store's users keep here may belong to a build that is running.
fn sweep_staging(staging: &Directory) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let limit = now.unwrap_or_default().saturating_sub(STALE).as_secs();
    for entry in staging.entries()?.iter() {
        let unfinished = entry.name.starts_with(TEMPORARY_PREFIX.as_bytes());
        let stale = staging
            .find_child(entry.name)?
            .is_some_and(|found| u64::try_from(found.ctime.seconds).is_ok_and(|time| time < limit));
        if unfinished || stale {
            remove_tree(staging, entry.name)?;
        }
    }
    Ok(())
}

fn sweep_ids(fanout: &Fanout, marked: &HashSet<[u8; 32]>, cancel: &AtomicBool) -> Result<u64> {
    let mut freed = 0;
    for first in 0..=255 {
        check_cancelled(cancel)?;
        let Some(directory) = fanout.existing(first)? else {
            continue;
        };
        for entry in directory.entries()?.iter() {
            let id = crate::area::parse(first, entry.name);
            let unfinished = entry.name.starts_with(TEMPORARY_PREFIX.as_bytes());
            // A name that is neither is not ours to remove: fsck tells of it.
            if id.map_or(!unfinished, |id| marked.contains(&id)) {
                continue;
            }
            let Some(metadata) = directory.find_child(entry.name)? else {
                continue;
            };
            remove(directory, entry.name)?;
            // A checkout may have another link to it.
            if metadata.nlink == 1 {
                freed += metadata.blocks * 512;
            }
        }
    }
    Ok(freed)
}
