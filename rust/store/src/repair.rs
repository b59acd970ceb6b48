//! Repairing a store: what is damaged is taken out of the way, and made again from what is whole.
//!
//! A content comes back from the other area of the store, from a checkout that has it, from the
//! frames that exports left, or from a kept blob. Trees and checkouts are derived: they go, and
//! are made again when they are asked for. A layer of which something is lost for good is taken
//! out, so that nothing relies on it and loading or building it again stores it anew.

mod salvage;

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::area::remove;
use crate::decompress::{Compression, HEAD};
use crate::digest::{BlobDigest, ContentId, DiffId, SegmentId};
use crate::distrust::keep_whole;
use crate::error::{Error, Result, check_cancelled};
use crate::fsck::{Problem, check_presence};
use crate::ingest::IngestOptions;
use crate::layer_reader::LayerReader;
use crate::layer_writer::WriterOptions;
use crate::object::verify_object;
use crate::read::read_full;
use crate::rebuild::verify_diff_id;
use crate::recipe::Recipe;
use crate::segment::StoredSegment;
use crate::store::Store;

/// How long writers at work are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a repair found, and what is still wrong after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// As [`Store::fsck`] told.
    pub found: Vec<Problem>,
    /// As it tells now, and the layers that were taken out (`layer`).
    pub left: Vec<Problem>,
}

impl Store {
    /// Checks the store and repairs what it can. Nothing may be mounted from it.
    ///
    /// # Errors
    /// [`Error::Conflict`] while others make layers; those of writing.
    pub fn repair(&self, cancel: &Arc<AtomicBool>) -> Result<Repaired> {
        let found = self.fsck(cancel, &mut |_| ())?;
        if found.iter().all(|problem| problem.what == "name") {
            let left = found.clone();
            return Ok(Repaired { found, left });
        }
        {
            let lock = self.lock_out_writers(PATIENCE, cancel)?;
            let _lock = lock.ok_or_else(|| {
                Error::conflict("store", "other commands are storing layers: try again")
            })?;
            self.take_away(&found)?;
            // Before checkouts go: they may have what is missing.
            salvage::objects_from_checkouts(self, cancel)?;
            self.take_away_segments(&found)?;
            self.drop_damaged_checkouts(cancel)?;
        }
        let mut broken: BTreeSet<DiffId> = named(&found, "recipe").into_iter().collect();
        self.forget_whole(&mut broken, cancel)?;
        for diff_id in &broken {
            salvage::layer_from_frames(self, diff_id, cancel)?;
        }
        self.forget_whole(&mut broken, cancel)?;
        if !broken.is_empty() {
            for entry in self.blobs().entries()?.iter() {
                check_cancelled(cancel)?;
                if let Ok(digest) = BlobDigest::from_hex(&String::from_utf8_lossy(entry.name)) {
                    self.take_in_again(&digest, cancel)?;
                }
            }
            self.forget_whole(&mut broken, cancel)?;
        }
        let taken_out = self.take_out(&broken)?;
        self.sync()?;
        let mut left = self.fsck(cancel, &mut |_| ())?;
        left.extend(taken_out);
        Ok(Repaired { found, left })
    }

    /// Removes what is damaged itself, and not by what it refers to.
    fn take_away(&self, problems: &[Problem]) -> Result<()> {
        for id in named(problems, "object") {
            let id = ContentId::from_bytes(*id.as_bytes());
            for area in [self.unsynced(), self.durable()] {
                keep_whole(&area.objects, id.as_bytes(), |file| {
                    verify_object(&id, file)
                })?;
            }
        }
        for area in [self.unsynced(), self.durable()] {
            for diff_id in named(problems, "tree") {
                remove(&area.trees, diff_id.hex().as_bytes())?;
            }
            for diff_id in named(problems, "recipe") {
                let name = diff_id.hex();
                let Ok(bytes) = std::fs::read(area.recipes.path_to(name.as_bytes())) else {
                    continue;
                };
                if matches!(Recipe::decode(&diff_id, &bytes), Err(Error::Corrupt { .. })) {
                    remove(&area.recipes, name.as_bytes())?;
                    remove(&area.trees, name.as_bytes())?;
                }
            }
        }
        for digest in named(problems, "blob") {
            remove(self.blobs(), digest.hex().as_bytes())?;
        }
        self.indexes().forget();
        Ok(())
    }

    /// Removes segments that are damaged although all objects are there that they refer to.
    fn take_away_segments(&self, problems: &[Problem]) -> Result<()> {
        for id in named(problems, "segment") {
            let id = SegmentId::from_bytes(*id.as_bytes());
            for area in [self.unsynced(), self.durable()] {
                keep_whole(&area.segments, id.as_bytes(), |file| {
                    let segment = StoredSegment::read_from(self, id, file)?;
                    for object in &segment.objects {
                        if !self.has_object(object)? {
                            return Ok(());
                        }
                    }
                    segment.verify(self)
                })?;
            }
        }
        Ok(())
    }

    /// Leaves those layers that are not whole.
    fn forget_whole(&self, layers: &mut BTreeSet<DiffId>, cancel: &AtomicBool) -> Result<()> {
        let mut broken = BTreeSet::new();
        for diff_id in &*layers {
            let whole = LayerReader::open(self, diff_id)
                .and_then(|reader| {
                    check_presence(&reader)?;
                    verify_diff_id(&reader, cancel)
                })
                .is_ok();
            check_cancelled(cancel)?;
            if !whole {
                broken.insert(*diff_id);
            }
        }
        *layers = broken;
        Ok(())
    }

    /// Takes layers out of the store; what they have still goes with the next collection.
    fn take_out(&self, layers: &BTreeSet<DiffId>) -> Result<Vec<Problem>> {
        let mut problems = Vec::new();
        for diff_id in layers {
            for area in [self.unsynced(), self.durable()] {
                remove(&area.recipes, diff_id.hex().as_bytes())?;
                remove(&area.trees, diff_id.hex().as_bytes())?;
            }
            problems.push(Problem {
                what: "layer",
                name: diff_id.to_string(),
                detail: "no other copy has what is damaged of it: it was taken out".to_owned(),
            });
        }
        self.indexes().forget();
        Ok(problems)
    }

    /// Takes a kept layer blob in once more: what the store lacks of it is stored again.
    fn take_in_again(&self, digest: &BlobDigest, cancel: &Arc<AtomicBool>) -> Result<()> {
        let mut head = [0; HEAD];
        let failed = |source| Error::io(format!("cannot read blob {digest}"), source);
        let count = read_full(&mut self.open_blob(digest)?, &mut head).map_err(failed)?;
        if Compression::detect(&head[..count]) == Compression::None {
            return Ok(());
        }
        let options = IngestOptions {
            blob_digest: Some(*digest),
            ..IngestOptions::default()
        };
        self.store_again(self.open_blob(digest)?, options, cancel)
    }

    /// Stores a layer of which something is there. One that turns out to be none, or another one,
    /// is left alone.
    fn store_again(
        &self,
        source: impl Read,
        options: IngestOptions,
        cancel: &Arc<AtomicBool>,
    ) -> Result<()> {
        let options = IngestOptions {
            writer: WriterOptions {
                cancel: Arc::clone(cancel),
                ..WriterOptions::default()
            },
            ..options
        };
        match self.distrusting().ingest(source, options, &mut |_| {}) {
            Err(
                Error::TarFormat { .. }
                | Error::Format { .. }
                | Error::Limit { .. }
                | Error::Corrupt { .. }
                | Error::DigestMismatch { .. },
            ) => Ok(()),
            result => result.map(drop),
        }
    }
}

/// The names of all problems of a kind.
fn named(problems: &[Problem], what: &str) -> Vec<DiffId> {
    let of_kind = problems.iter().filter(|problem| problem.what == what);
    of_kind
        .filter_map(|problem| {
            let name = problem.name.rsplit(':').next().unwrap_or_default();
            DiffId::from_hex(name).ok()
        })
        .collect()
}
