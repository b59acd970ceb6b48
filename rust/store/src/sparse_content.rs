//! The content of a sparse file, made from the pieces that a tar stores of it.
//!
//! The tar's own bytes stay in the layer's segments; the object made here is what a reader of the
//! file sees, holes and all.

use std::sync::atomic::AtomicBool;

use fastlayer_tar::sparse::Stretch;

use crate::digest::{ContentHasher, ContentId};
use crate::error::{Result, check_cancelled};
use crate::object::{Birth, ObjectWriter};
use crate::store::Store;

/// Largest sparse file that is understood. A few bytes of tar can claim any size, and all of it
/// has to be hashed: this much takes some seconds.
pub const SPARSE_LIMIT: u64 = 16 << 30;
/// The same for all sparse files of a layer together.
pub const SPARSE_TOTAL: u64 = 32 << 30;

/// Zeros hashed between two looks at the cancel flag.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// A sparse file on its way into the store.
pub(crate) struct SparseContent<'a> {
    store: &'a Store,
    cancel: &'a AtomicBool,
    writer: ObjectWriter<'a>,
    hasher: ContentHasher,
    stored: u64,
}

impl<'a> SparseContent<'a> {
    pub(crate) fn new(store: &'a Store, cancel: &'a AtomicBool) -> Result<Self> {
        Ok(Self {
            store,
            cancel,
            writer: ObjectWriter::new(store, 0o600)?,
            hasher: ContentHasher::new(),
            stored: 0,
        })
    }

    /// Takes the next stretch of the file.
    pub(crate) fn push(&mut self, stretch: Stretch<'_>) -> Result<()> {
        match stretch {
            Stretch::Data(bytes) => {
                self.hasher.update(bytes);
                self.stored += bytes.len() as u64;
                self.writer.write(bytes)
            }
            Stretch::Hole(length) => {
                self.writer.skip(length);
                let mut left = length;
                while left > 0 {
                    check_cancelled(self.cancel)?;
                    let count =
                        usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
                    self.hasher.update(&ZEROS[..count]);
                    left -= count as u64;
                }
                Ok(())
            }
        }
    }

    /// Names the object; gives its id and the bytes added to the store.
    pub(crate) fn publish(mut self, birth: Birth) -> Result<(ContentId, u64)> {
        let id = self.hasher.finish();
        let new = self.writer.publish(self.store, &id, birth)?;
        Ok((id, if new { self.stored } else { 0 }))
    }
}
