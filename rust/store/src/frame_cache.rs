//! What exports leave for the next ones: compressed frames, and what each export gave.
//!
//! `docs/formats/export.md` has the layout. All of it can be lost at any time, and all of it is
//! checked when it is used, so it is written without a sync and removed without a lock. It never
//! decides about an export's bytes: only about the time they take.

use std::collections::HashSet;
use std::io::{Read, Write};

use fastlayer_fs::{Directory, TemporaryFile};

use crate::area::{Fanout, file_name, remove};
use crate::digest::{BlobDigest, DiffId, checksum};
use crate::error::{Error, Result};
use crate::store::Store;

const PRIVATE: u32 = 0o700;
const MAGIC: [u8; 8] = *b"FLEXPORT";
const VERSION: u32 = 1;
/// Bytes of a checksum, and of a frame's key.
const SUM: usize = 32;

/// The frames and records of one store.
pub(crate) struct FrameCache<'store> {
    store: &'store Store,
    frames: Fanout,
    exports: Directory,
}

/// What an export gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExportRecord {
    pub(crate) digest: BlobDigest,
    pub(crate) size: u64,
    /// The keys of its frames.
    pub(crate) frames: Vec<[u8; 32]>,
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
    pub(crate) fn read(&self, key: &[u8; 32]) -> Option<Vec<u8>> {
        let mut file = self.frames.open_file(key).ok()??;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let (frame, sum) = bytes.split_last_chunk::<SUM>()?;
        if checksum(frame) != *sum {
            return None;
        }
        let length = frame.len();
        bytes.truncate(length);
        Some(bytes)
    }

    /// Keeps a frame, if there is room: an export does not fail for want of it.
    pub(crate) fn write(&self, key: &[u8; 32], frame: &[u8]) {
        let _ = self.try_write(key, frame);
    }

    fn try_write(&self, key: &[u8; 32], frame: &[u8]) -> Result<()> {
        let mut file = TemporaryFile::new_in(self.store.staging(), 0o400)?;
        let failed = |source| Error::io("cannot keep a frame", source);
        file.file_mut().write_all(frame).map_err(failed)?;
        file.file_mut()
            .write_all(&checksum(frame))
            .map_err(failed)?;
        // One that is damaged gives way.
        file.replace(&*self.frames.ensured(key[0])?, &file_name(key))?;
        Ok(())
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
                Some(record) => needed.extend(record.frames),
                None => found.exports.push(entry.name.to_vec()),
            }
        }
        let frames = self.frames.ids()?.into_iter();
        found.frames = frames.filter(|key| !needed.contains(key)).collect();
        Ok(found)
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
            for key in record.frames {
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

impl ExportRecord {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(self.digest.as_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        for key in &self.frames {
            bytes.extend_from_slice(key);
        }
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<SUM>()?;
        let rest = body.strip_prefix(&MAGIC)?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        if checksum(body) != *sum || u32::from_le_bytes(*version) != VERSION {
            return None;
        }
        let (digest, rest) = rest.split_first_chunk::<32>()?;
        let (size, rest) = rest.split_first_chunk::<8>()?;
        Some(Self {
            digest: BlobDigest::from_bytes(*digest),
            size: u64::from_le_bytes(*size),
            frames: rest.as_chunks::<SUM>().0.to_vec(),
        })
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
