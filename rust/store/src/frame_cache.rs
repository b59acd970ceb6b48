//! What exports leave for the next ones: compressed frames, and what each export gave.
//!
//! `docs/formats/export.md` has the layout. All of it can be lost at any time, and all of it is
//! checked when it is used, so it is written without a sync and removed without a lock. It never
//! decides about an export's bytes: only about the time they take.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};

use fastlayer_fs::{Directory, Metadata, TemporaryFile};

use crate::area::{Fanout, file_name, remove};
use crate::digest::{DiffId, checksum, checksum_of};
use crate::error::{Error, Result};
use crate::store::Store;

pub(crate) use record::{ContentsPlace, ExportRecord, Piece, Stretch};

mod record;

const PRIVATE: u32 = 0o700;
/// Bytes of a checksum, and of a frame's key.
const SUM: usize = 32;

/// The frames and records of one store.
pub(crate) struct FrameCache<'store> {
    store: &'store Store,
    frames: Fanout,
    exports: Directory,
}

/// A frame, or several, that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// What goes into the blob.
    pub(crate) bytes: Vec<u8>,
    /// What whoever made it needs to know of it; not part of the blob.
    pub(crate) table: Vec<u8>,
    /// The checksum of `bytes`.
    pub(crate) sum: [u8; SUM],
}

impl Kept {
    pub(crate) fn new(bytes: Vec<u8>, table: Vec<u8>) -> Self {
        let sum = checksum(&bytes);
        Self { bytes, table, sum }
    }

    /// One that will neither be kept nor recorded.
    pub(crate) fn unchecked(bytes: Vec<u8>, table: Vec<u8>) -> Self {
        let sum = [0; SUM];
        Self { bytes, table, sum }
    }

    /// What follows `bytes` in its file.
    fn tail(&self, key: &[u8; SUM]) -> Vec<u8> {
        let length = (self.table.len() as u64).to_le_bytes();
        let bound = checksum_of(&[key, &self.table, &length, &self.sum]);
        [&self.table[..], &length, &self.sum, &bound].concat()
    }

    fn decode(mut file: Vec<u8>, key: &[u8; SUM]) -> Option<Self> {
        let (rest, bound) = file.split_last_chunk::<SUM>()?;
        let (rest, sum) = rest.split_last_chunk::<SUM>()?;
        let (rest, length) = rest.split_last_chunk::<8>()?;
        let table = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let end = rest.len().checked_sub(table)?;
        let (bytes, table) = rest.split_at_checked(end)?;
        if checksum_of(&[key, table, length, sum]) != *bound || checksum(bytes) != *sum {
            return None;
        }
        let (table, sum) = (table.to_vec(), *sum);
        file.truncate(end);
        Some(Self {
            bytes: file,
            table,
            sum,
        })
    }
}

/// A file that exports have left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LeftBehind {
    /// A record, by its name.
    Record(Vec<u8>),
    /// A frame, by its key.
    Frame([u8; SUM]),
}

/// What is to be removed.
#[derive(Debug, Default)]
pub(crate) struct Unneeded {
    pub(crate) exports: Vec<Vec<u8>>,
    pub(crate) frames: Vec<[u8; 32]>,
}

impl<'store> FrameCache<'store> {
    pub(crate) fn open(store: &'store Store) -> Result<Self> {
        let cache = store.root().ensure_child(b"cache", PRIVATE)?;
        Ok(Self {
            store,
            frames: Fanout::open(&cache, b"frames")?,
            exports: cache.ensure_child(b"exports", PRIVATE)?,
        })
    }

    /// A frame, if it is here and whole.
    pub(crate) fn read(&self, key: &[u8; SUM]) -> Option<Kept> {
        Kept::decode(self.read_file(key)?, key)
    }

    /// What a frame gives to a blob, if it is here and what it was when the blob was made.
    pub(crate) fn read_piece(&self, piece: &Piece) -> Option<Vec<u8>> {
        let mut bytes = self.read_file(&piece.key)?;
        let length = usize::try_from(piece.length).ok()?;
        if bytes.len() < length {
            return None;
        }
        bytes.truncate(length);
        (checksum(&bytes) == piece.sum).then_some(bytes)
    }

    fn read_file(&self, key: &[u8; SUM]) -> Option<Vec<u8>> {
        let mut file = self.frames.open_file(key).ok()??;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Keeps a frame, if there is room: an export does not fail for want of it.
    pub(crate) fn write(&self, key: &[u8; SUM], kept: &Kept) {
        let _ = self.try_write(key, kept);
    }

    fn try_write(&self, key: &[u8; SUM], kept: &Kept) -> Result<()> {
        let mut file = TemporaryFile::new_in(self.store.staging(), 0o400)?;
        let failed = |source| Error::io("cannot keep a frame", source);
        file.file_mut().write_all(&kept.bytes).map_err(failed)?;
        file.file_mut().write_all(&kept.tail(key)).map_err(failed)?;
        // One that is damaged gives way.
        file.replace(&*self.frames.ensured(key[0])?, &file_name(key))?;
        Ok(())
    }

    /// Removes what is known of an export.
    pub(crate) fn forget(&self, name: &str) -> Result<()> {
        remove(&self.exports, name.as_bytes())
    }

    /// What an earlier export gave.
    pub(crate) fn record(&self, name: &str) -> Option<ExportRecord> {
        let mut bytes = Vec::new();
        let mut file = self.exports.open_file(name.as_bytes()).ok()?;
        file.read_to_end(&mut bytes).ok()?;
        ExportRecord::decode(&bytes)
    }

    /// What earlier exports of a layer gave.
    pub(crate) fn records_of(&self, diff_id: &DiffId) -> Result<Vec<ExportRecord>> {
        let mut records = Vec::new();
        for entry in self.exports.entries()?.iter() {
            if layer_of(entry.name) == Some(*diff_id) {
                records.extend(self.record(&String::from_utf8_lossy(entry.name)));
            }
        }
        Ok(records)
    }

    /// Writes down what an export gave, and that it was used now.
    pub(crate) fn put_record(&self, name: &str, record: &ExportRecord) {
        let _ = self.try_put_record(name, record);
    }

    fn try_put_record(&self, name: &str, record: &ExportRecord) -> Result<()> {
        let mut file = TemporaryFile::new_in(self.store.staging(), 0o600)?;
        file.file_mut()
            .write_all(&record.encode())
            .map_err(|source| Error::io("cannot write down an export", source))?;
        Ok(file.replace(&self.exports, name.as_bytes())?)
    }

    /// The records that `keeps` does not want, and the frames that only they need.
    pub(crate) fn unneeded(&self, keeps: impl Fn(&[u8]) -> bool) -> Result<Unneeded> {
        let mut found = Unneeded::default();
        let mut needed = HashSet::new();
        for entry in self.exports.entries()?.iter() {
            let name = String::from_utf8_lossy(entry.name);
            match self.record(&name).filter(|_| keeps(entry.name)) {
                Some(record) => needed.extend(record.pieces.iter().map(|piece| piece.key)),
                None => found.exports.push(entry.name.to_vec()),
            }
        }
        let frames = self.frames.ids()?.into_iter();
        found.frames = frames.filter(|key| !needed.contains(key)).collect();
        Ok(found)
    }

    /// What earlier exports of each layer left: the names of their records, and the frames.
    pub(crate) fn by_layer(&self) -> Result<HashMap<DiffId, Vec<LeftBehind>>> {
        let mut found: HashMap<_, Vec<LeftBehind>> = HashMap::new();
        for entry in self.exports.entries()?.iter() {
            let Some(diff_id) = layer_of(entry.name) else {
                continue;
            };
            let record = self.record(&String::from_utf8_lossy(entry.name));
            let pieces = record.map(|record| record.pieces).unwrap_or_default();
            let left = found.entry(diff_id).or_default();
            left.push(LeftBehind::Record(entry.name.to_vec()));
            left.extend(pieces.iter().map(|piece| LeftBehind::Frame(piece.key)));
        }
        Ok(found)
    }

    /// Calls `visit` with each record and frame that is here, and its metadata.
    pub(crate) fn each_left_behind(
        &self,
        visit: &mut dyn FnMut(LeftBehind, Option<Metadata>),
    ) -> Result<()> {
        for entry in self.exports.entries()?.iter() {
            let metadata = self.exports.find_child(entry.name)?;
            visit(LeftBehind::Record(entry.name.to_vec()), metadata);
        }
        for key in self.frames.ids()? {
            visit(LeftBehind::Frame(key), self.frames.find(&key)?);
        }
        Ok(())
    }

    /// Records whose frames, the last used first, fit into `budget` bytes.
    pub(crate) fn within(&self, budget: u64) -> Result<HashSet<Vec<u8>>> {
        let mut exports = Vec::new();
        for entry in self.exports.entries()?.iter() {
            if let Some(metadata) = self.exports.find_child(entry.name)? {
                exports.push((std::cmp::Reverse(metadata.mtime), entry.name.to_vec()));
            }
        }
        exports.sort_unstable();
        let mut kept = HashSet::new();
        let (mut counted, mut total) = (HashSet::new(), 0);
        for (_, name) in exports {
            let Some(record) = self.record(&String::from_utf8_lossy(&name)) else {
                continue;
            };
            for key in record.pieces.iter().map(|piece| piece.key) {
                if counted.insert(key) {
                    let found = self.frames.find(&key)?;
                    total += found.map_or(0, |metadata| metadata.blocks * 512);
                }
            }
            if total > budget {
                break;
            }
            kept.insert(name);
        }
        Ok(kept)
    }

    /// Calls `visit` with the place and name of each file of what is not needed.
    pub(crate) fn each(
        &self,
        unneeded: &Unneeded,
        visit: &mut dyn FnMut(&Directory, &[u8]) -> Result<()>,
    ) -> Result<()> {
        for name in &unneeded.exports {
            visit(&self.exports, name)?;
        }
        for key in &unneeded.frames {
            if let Some(shard) = self.frames.existing(key[0])? {
                visit(&shard, &file_name(key))?;
            }
        }
        Ok(())
    }
}

/// The layer whose export a record is of.
pub(crate) fn layer_of(name: &[u8]) -> Option<DiffId> {
    let name = std::str::from_utf8(name).ok()?;
    DiffId::from_hex(name.split('.').next()?).ok()
}

impl Store {
    /// Removes compressed frames, those of the exports that were not used for longest first, until
    /// the rest have at most `budget` bytes; gives the bytes freed.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn trim_exports(&self, budget: u64) -> Result<u64> {
        let cache = FrameCache::open(self)?;
        let kept = cache.within(budget)?;
        let mut unneeded = cache.unneeded(|name| kept.contains(name))?;
        // What an export gave stays known.
        unneeded.exports.clear();
        let mut tally = crate::tally::Tally::default();
        cache.each(&unneeded, &mut |directory, name| {
            tally.add(directory.find_child(name)?);
            remove(directory, name)
        })?;
        Ok(tally.freed())
    }
}
