//! Repairing a store: what is damaged is taken out of the way, and made again from what is whole.
//!
//! Whatever a kept blob holds comes back by taking it in once more; trees and checkouts are derived. What cannot be made again is missing afterwards
//! instead of wrong, so that loading the image again puts it back.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::area::{Area, Fanout, file_name, remove};
use crate::decompress::{Compression, HEAD};
use crate::digest::{BlobDigest, DiffId};
use crate::error::{Error, Result, check_cancelled};
use crate::fsck::Problem;
use crate::ingest::IngestOptions;
use crate::layer_reader::read_recipe;
use crate::layer_writer::WriterOptions;
use crate::read::read_full;
use crate::segment::StoredSegment;
use crate::store::Store;

/// How long writers at work are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a repair found, and what is still wrong after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// As [`Store::fsck`] told.
    pub found: Vec<Problem>,
    /// As it tells now.
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
            // A checkout may be linked to what was damaged; it is made again when it is needed.
            self.remove_checkouts_except(&HashSet::new())?;
        }
        for entry in self.blobs().entries()?.iter() {
            check_cancelled(cancel)?;
            if let Ok(digest) = BlobDigest::from_hex(&String::from_utf8_lossy(entry.name)) {
                self.take_in_again(&digest, cancel)?;
            }
        }
        self.sync()?;
        let left = self.fsck(cancel, &mut |_| ())?;
        Ok(Repaired { found, left })
    }

    /// Removes what is damaged itself, and not by what it refers to.
    fn take_away(&self, problems: &[Problem]) -> Result<()> {
        let hex = |problem: &Problem| {
            let name = problem.name.rsplit(':').next().unwrap_or_default();
            DiffId::from_hex(name).ok()
        };
        let named = |what: &str| -> Vec<DiffId> {
            let of_kind = problems.iter().filter(|problem| problem.what == what);
            of_kind.filter_map(hex).collect()
        };
        for id in named("object") {
            self.drop_content(|area| &area.objects, id.as_bytes())?;
        }
        for id in named("segment") {
            let id = crate::digest::SegmentId::from_bytes(*id.as_bytes());
            let whole = match StoredSegment::read(self, id) {
                Ok(segment) => segment.objects.iter().try_fold(true, |all, object| {
                    Ok::<bool, Error>(all && self.has_object(object)?)
                })?,
                Err(_) => true,
            };
            if whole {
                self.drop_content(|area| &area.segments, id.as_bytes())?;
            }
        }
        for area in [self.unsynced(), self.durable()] {
            for diff_id in named("tree") {
                remove(&area.trees, diff_id.hex().as_bytes())?;
            }
            for diff_id in named("recipe") {
                if matches!(read_recipe(self, &diff_id), Err(Error::Corrupt { .. })) {
                    remove(&area.recipes, diff_id.hex().as_bytes())?;
                    remove(&area.trees, diff_id.hex().as_bytes())?;
                }
            }
        }
        for digest in named("blob") {
            remove(self.blobs(), digest.hex().as_bytes())?;
        }
        Ok(())
    }

    fn drop_content(&self, place: impl Fn(&Area) -> &Fanout, id: &[u8; 32]) -> Result<()> {
        for area in [self.unsynced(), self.durable()] {
            if let Some(shard) = place(area).existing(id[0])? {
                remove(&shard, &file_name(id))?;
            }
        }
        Ok(())
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
            writer: WriterOptions {
                cancel: Arc::clone(cancel),
                ..WriterOptions::default()
            },
            blob_digest: Some(*digest),
            ..IngestOptions::default()
        };
        match self.ingest(self.open_blob(digest)?.by_ref(), options, &mut |_| {}) {
            // It is no layer, or it was damaged after it was checked.
            Err(
                Error::TarFormat { .. }
                | Error::Format { .. }
                | Error::Limit { .. }
                | Error::DigestMismatch { .. },
            ) => Ok(()),
            result => result.map(drop),
        }
    }
}
