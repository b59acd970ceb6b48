//! Storing a layer again without trust in what is there of it.
//!
//! As a rule a name in the store vouches for the bytes, and what has its name is not written again.
//! So damage would outlive that its layer is loaded once more (containerd#934, containerd#14164).
//! A distrusting store reads what it finds in the way, and removes what is damaged: it is written
//! anew then. Whoever reads it at that moment finds it missing instead of wrong.

use std::fs::File;

use crate::area::{Fanout, file_name, remove};
use crate::digest::{BlobDigest, ContentId, DiffId, SegmentId};
use crate::error::{Error, Result};
use crate::fsck::{check_blob, check_presence, is_damage};
use crate::layer_reader::{LayerReader, read_recipe};
use crate::object::verify_object;
use crate::recipe::Recipe;
use crate::segment::StoredSegment;
use crate::store::Store;

impl Store {
    /// Whether a layer is stored, and all that it lists is there. Contents are not read.
    ///
    /// # Errors
    /// Those of the file system; damage is no error.
    pub fn has_whole_layer(&self, diff_id: &DiffId) -> Result<bool> {
        self.name_layer(diff_id)?;
        let found = LayerReader::open(self, diff_id).and_then(|reader| check_presence(&reader));
        match found {
            Ok(()) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) if is_damage(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether an object need not be written; see [`Self::distrusting`].
    pub(crate) fn holds_object(&self, id: &ContentId) -> Result<bool> {
        if !self.distrusts() {
            return self.has_object(id);
        }
        let mut held = false;
        for area in [self.durable(), self.unsynced()] {
            held |= keep_whole(&area.objects, id.as_bytes(), |file| verify_object(id, file))?;
        }
        Ok(held)
    }

    /// Whether a segment need not be written. What it refers to has been stored before.
    pub(crate) fn holds_segment(&self, id: SegmentId) -> Result<bool> {
        if !self.distrusts() {
            let found = self.lookup(id.as_bytes(), |area| &area.segments, Fanout::find)?;
            return Ok(found.is_some());
        }
        let mut held = false;
        for area in [self.durable(), self.unsynced()] {
            held |= keep_whole(&area.segments, id.as_bytes(), |file| {
                StoredSegment::read_from(self, id, file)?.verify(self)
            })?;
        }
        Ok(held)
    }

    /// Removes the recipe of a layer that is damaged, or is not `made`, which is of the same tar.
    pub(crate) fn clear_recipe(&self, made: &Recipe) -> Result<()> {
        let diff_id = made.info.diff_id;
        match read_recipe(self, &diff_id) {
            Ok(found) if !self.distrusts() || found.agrees_with(made) => return Ok(()),
            Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) if !is_damage(&error) => return Err(error),
            _ => {}
        }
        for area in [self.unsynced(), self.durable()] {
            remove(&area.recipes, diff_id.hex().as_bytes())?;
        }
        Ok(())
    }

    /// Removes the tree index of a layer that is not `made`.
    pub(crate) fn clear_tree(&self, diff_id: &DiffId, made: &[u8]) -> Result<()> {
        let name = diff_id.hex();
        for area in [self.unsynced(), self.durable()] {
            let path = area.trees.path_to(name.as_bytes());
            if std::fs::read(path).is_ok_and(|found| found != made) {
                remove(&area.trees, name.as_bytes())?;
                self.indexes().forget();
            }
        }
        Ok(())
    }

    /// Removes a blob whose bytes are not its own.
    pub(crate) fn clear_blob(&self, digest: &BlobDigest) -> Result<()> {
        match check_blob(self, digest) {
            Err(error) if is_damage(&error) => remove(self.blobs(), digest.hex().as_bytes()),
            result => result,
        }
    }
}

/// Whether `place` has the file of `id`, after it was removed if it is damaged.
pub(crate) fn keep_whole(
    place: &Fanout,
    id: &[u8; 32],
    verify: impl FnOnce(File) -> Result<()>,
) -> Result<bool> {
    let Some(file) = place.open_file(id)? else {
        return Ok(false);
    };
    match verify(file) {
        Ok(()) => Ok(true),
        Err(error) if is_damage(&error) => {
            if let Some(shard) = place.existing(id[0])? {
                remove(&shard, &file_name(id))?;
            }
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
