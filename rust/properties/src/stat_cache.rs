//! A stat cache of any bytes knows nothing, or what is written in it; and what it learns is found
//! again after it was saved.

use std::fs;

use fastlayer_context::stat_cache::Known;
use fastlayer_context::{ContentHash, StatCache};
use fastlayer_fs::{Kind, Metadata};

use crate::Property;
use crate::scratch::Scratch;
use crate::take::Take;

/// `docs/formats/stat-cache.md`.
const MAGIC: &[u8; 8] = b"FLSTATC\x01";
const ROW: usize = 88;
const CHECKSUM_CONTEXT: &str = "fastlayer stat cache v1";

/// The reader of stat caches. The input is a file, or rows.
pub struct StatCacheReader {
    scratch: Scratch,
    /// Metadata of a real file, for the fields that a row does not have.
    metadata: Metadata,
}

impl StatCacheReader {
    /// A place for a cache.
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let directory = fs::File::open(scratch.path()).expect("the scratch directory");
        Self {
            metadata: Metadata::of(&directory).expect("its metadata"),
            scratch,
        }
    }

    fn metadata_of(&self, row: &[u8]) -> Option<Metadata> {
        let long = |at: usize| {
            row[at..]
                .first_chunk()
                .map(|bytes| u64::from_le_bytes(*bytes))
        };
        let short = |at: usize| {
            row[at..]
                .first_chunk()
                .map(|bytes| u32::from_le_bytes(*bytes))
        };
        let mut metadata = self.metadata;
        metadata.dev = long(0)?;
        metadata.ino = long(8)?;
        metadata.size = long(16)?;
        metadata.mtime.seconds = long(24)?.cast_signed();
        metadata.ctime.seconds = long(32)?.cast_signed();
        metadata.mtime.nanoseconds = short(40)?;
        metadata.ctime.nanoseconds = short(44)?;
        let mode = short(48)?;
        metadata.kind = match mode >> 12 {
            0o10 => Kind::File,
            0o04 => Kind::Directory,
            0o12 => Kind::Symlink,
            _ => return None,
        };
        metadata.mode = mode & 0o7777;
        Some(metadata)
    }

    /// Looks every row up, and one that is not there.
    fn check_rows(&self, cache: &mut StatCache, rows: &[u8]) {
        assert_eq!(cache.len(), rows.len() / ROW);
        for row in rows.chunks_exact(ROW) {
            let Some(metadata) = self.metadata_of(row) else {
                continue;
            };
            if metadata.mtime.nanoseconds >= 1_000_000_000
                || metadata.ctime.nanoseconds >= 1_000_000_000
            {
                continue;
            }
            let found = cache.lookup(&metadata);
            if is_only_one(rows, row) {
                let found = found.expect("the row is in the file");
                let has_content = row[52] & 1 != 0;
                assert_eq!(found.has_xattrs, row[52] & 2 != 0);
                assert_eq!(found.content.is_some(), has_content);
                if let Some(ContentHash(hash)) = found.content {
                    assert_eq!(hash, row[56..]);
                }
            }
            let mut other = metadata;
            other.size ^= 1;
            assert!(cache.lookup(&other).is_none() || !is_only_one(rows, row));
        }
    }

    /// What is learned stays through a file.
    fn check_learning(&self, cache: &mut StatCache, input: &mut Take<'_>) {
        let mut metadata = self.metadata;
        metadata.kind = Kind::File;
        metadata.ino = input.number();
        metadata.size = input.number();
        metadata.ctime.seconds = 5;
        let known = Known {
            content: Some(ContentHash([input.byte(); 32])),
            has_xattrs: input.byte() & 1 != 0,
        };
        cache.learn(&metadata, known);
        assert_eq!(cache.lookup(&metadata), Some(known));
        let path = self.scratch.join("saved");
        cache.save(&path).expect("a cache is written");
        assert_eq!(cache.lookup(&metadata), Some(known));
        let again = StatCache::load(&path);
        assert_eq!(again.len(), cache.len());
        assert_eq!(again.lookup(&metadata), Some(known));
    }
}

/// Whether no other row is of the same file.
fn is_only_one(rows: &[u8], row: &[u8]) -> bool {
    let same = rows
        .chunks_exact(ROW)
        .filter(|other| other[..16] == row[..16]);
    same.count() == 1
}

impl Default for StatCacheReader {
    fn default() -> Self {
        Self::new()
    }
}

impl Property for StatCacheReader {
    fn check(&mut self, bytes: &[u8]) {
        let path = self.scratch.join("cache");
        let mut input = Take(bytes);
        if input.byte() & 1 == 0 {
            fs::write(&path, input.0).expect("a file");
            let mut cache = StatCache::load(&path);
            self.check_learning(&mut cache, &mut Take(bytes));
            return;
        }
        let rows = input.0;
        let rows = &rows[..rows.len() / ROW * ROW];
        let mut file = MAGIC.to_vec();
        file.extend(((rows.len() / ROW) as u64).to_le_bytes());
        let mut hasher = blake3::Hasher::new_derive_key(CHECKSUM_CONTEXT);
        hasher.update(&file);
        hasher.update(rows);
        file.extend(hasher.finalize().as_bytes());
        file.extend(rows);
        fs::write(&path, file).expect("a file");
        let mut cache = StatCache::load(&path).with_fine_times(true);
        self.check_rows(&mut cache, rows);
        self.check_learning(&mut cache, &mut Take(bytes));
    }
}
