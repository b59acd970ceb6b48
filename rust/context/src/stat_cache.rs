//! What was known of files when they were last read, so that unchanged ones are not read again.
//!
//! A row is believed when device, inode, size, mode and type, time of content change and time of
//! inode change are all as they were. The last of these cannot be set by anybody, and since Linux
//! 6.13 it moves with every write that follows a look at it. On older kernels two writes within
//! one tick of the clock look alike, so a file that changed less than [`SETTLE_SECONDS`] before
//! the context was opened gets no row (git's "racily clean" rule).
//!
//! The file is a cache: one that is missing, cut, altered or of another version counts as empty.
//! `docs/formats/stat-cache.md` has its layout.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

use fastlayer_fs::{Directory, Kind, Metadata, Timestamp, write_atomic};

use crate::content::ContentHash;
use crate::entry::split_path;

/// First bytes of the file; the last one is the version.
const MAGIC: [u8; 8] = *b"FLSTATC\x01";

/// Magic, number of rows, checksum.
const HEADER_SIZE: usize = 8 + 8 + 32;

/// See the layout in [`Row::encode`].
const ROW_SIZE: usize = 88;

/// Separates the checksum from every other use of BLAKE3.
const CHECKSUM_CONTEXT: &str = "fastlayer stat cache v1";

/// On kernels that give two quick writes the same time, how old a change must be.
pub const SETTLE_SECONDS: i64 = 2;

/// The first kernel whose times tell a write from one that was looked at before it.
const FINE_TIMES: (u32, u32) = (6, 13);

/// How often the cache is written before a row that nobody used is dropped.
const MAX_AGE: u8 = 8;

/// A place of the table without a row.
const FREE: u32 = u32::MAX;

const HAS_CONTENT: u32 = 1;
const HAS_XATTRS: u32 = 2;

/// What the cache knows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its content, where it is a regular file that was read.
    pub content: Option<ContentHash>,
    /// False when it has no extended attribute that counts.
    pub has_xattrs: bool,
}

/// The rows of one cache file, and what was learned since it was read.
#[derive(Debug)]
pub struct StatCache {
    rows: Vec<u8>,
    /// Numbers of rows by a hash of device and inode, with linear probing; [`FREE`] elsewhere. At
    /// least half of it is free.
    table: Vec<u32>,
    /// For each row, whether it was of use: then it stays.
    used: Vec<AtomicBool>,
    learned: BTreeMap<(u64, u64), Row>,
    opened: Timestamp,
    fine_times: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: Timestamp,
    ctime: Timestamp,
    mode: u32,
    flags: u32,
    age: u8,
    content: [u8; 32],
}

impl StatCache {
    /// A cache that knows nothing.
    pub fn empty() -> Self {
        Self {
            rows: Vec::new(),
            table: Vec::new(),
            used: Vec::new(),
            learned: BTreeMap::new(),
            opened: now(),
            fine_times: has_fine_times(),
        }
    }

    /// Reads the cache file at `path`; whatever is wrong with it, the result knows nothing.
    pub fn load(path: &Path) -> Self {
        let mut cache = Self::empty();
        if let Ok(bytes) = std::fs::read(path) {
            cache.set_rows(checked_rows(bytes).unwrap_or_default());
        }
        cache
    }

    /// Replaces the rule of the running kernel, for tests of the other one.
    #[must_use]
    pub fn with_fine_times(mut self, fine_times: bool) -> Self {
        self.fine_times = fine_times;
        self
    }

    /// The number of rows that were read.
    pub fn len(&self) -> usize {
        self.rows.len() / ROW_SIZE
    }

    /// True when no row was read.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What is known of the file with this metadata. The caller has made sure that its file
    /// system keeps times (see [`crate::Context`]).
    pub fn lookup(&self, metadata: &Metadata) -> Option<Known> {
        let key = (metadata.dev, metadata.ino);
        if let Some(row) = self.learned.get(&key) {
            return row.describes(metadata).then(|| row.known());
        }
        let index = self.find(key)?;
        let row = Row::decode(self.row(index));
        row.describes(metadata).then(|| {
            self.used[index].store(true, Relaxed);
            row.known()
        })
    }

    /// Records what was found of a file whose metadata was the same before and after it was read,
    /// unless a change could have gone unseen.
    pub fn learn(&mut self, metadata: &Metadata, known: Known) {
        let settled = metadata.ctime.seconds.saturating_add(SETTLE_SECONDS) < self.opened.seconds;
        if !self.fine_times && !settled {
            return;
        }
        let row = Row::new(metadata, known);
        self.learned.insert((row.dev, row.ino), row);
    }

    /// True when there is something to write.
    pub fn is_dirty(&self) -> bool {
        !self.learned.is_empty()
    }

    /// Writes the cache to `path`, in one step. What was learned replaces older rows of the same
    /// files; rows that were of no use for long are dropped.
    ///
    /// # Errors
    /// Those of writing the file; the old one is then untouched.
    pub fn save(&mut self, path: &Path) -> Result<(), fastlayer_fs::Error> {
        use std::os::unix::ffi::OsStrExt;

        let merged = self.merged();
        let bytes = with_header(&merged);
        let (parent, name) = split_path(path.as_os_str().as_bytes());
        let parent = match (parent, path.is_absolute()) {
            (b"", true) => Path::new("/"),
            (b"", false) => Path::new("."),
            (parent, _) => Path::new(std::ffi::OsStr::from_bytes(parent)),
        };
        write_atomic(&Directory::open(parent)?, name, 0o600, &bytes, false)?;
        self.set_rows(merged);
        self.learned.clear();
        Ok(())
    }

    fn set_rows(&mut self, rows: Vec<u8>) {
        self.rows = rows;
        self.used.clear();
        self.used.resize_with(self.len(), AtomicBool::default);
        self.table.clear();
        self.table
            .resize((self.len() * 2).next_power_of_two(), FREE);
        for index in 0..self.len() {
            let mut slot = self.first_slot(key_of(self.row(index)));
            while self.table[slot] != FREE {
                slot = (slot + 1) % self.table.len();
            }
            // The rows of a file of this many would take 350 GB.
            self.table[slot] = u32::try_from(index).unwrap_or(FREE);
        }
    }

    /// Where in the table to look for a key first. Inode numbers follow each other, so the
    /// multiplication is needed to spread them.
    fn first_slot(&self, (dev, ino): (u64, u64)) -> usize {
        let hash = (ino ^ dev.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        usize::try_from(hash).unwrap_or(0) & (self.table.len() - 1)
    }

    fn row(&self, index: usize) -> &[u8] {
        &self.rows[index * ROW_SIZE..][..ROW_SIZE]
    }

    /// The number of the row of this file.
    fn find(&self, key: (u64, u64)) -> Option<usize> {
        if self.table.is_empty() {
            return None;
        }
        let mut slot = self.first_slot(key);
        while self.table[slot] != FREE {
            let index = usize::try_from(self.table[slot]).ok()?;
            if key_of(self.row(index)) == key {
                return Some(index);
            }
            slot = (slot + 1) % self.table.len();
        }
        None
    }

    fn merged(&self) -> Vec<u8> {
        let mut merged = Vec::with_capacity(self.rows.len() + self.learned.len() * ROW_SIZE);
        let mut learned = self.learned.values().peekable();
        for index in 0..self.len() {
            let mut row = Row::decode(self.row(index));
            let key = (row.dev, row.ino);
            while let Some(new) = learned.next_if(|new| (new.dev, new.ino) < key) {
                new.encode(&mut merged);
            }
            if let Some(new) = learned.next_if(|new| (new.dev, new.ino) == key) {
                new.encode(&mut merged);
            } else if self.used[index].load(Relaxed) {
                row.age = 0;
                row.encode(&mut merged);
            } else if row.age < MAX_AGE {
                row.age += 1;
                row.encode(&mut merged);
            }
        }
        learned.for_each(|new| new.encode(&mut merged));
        merged
    }
}

impl Row {
    fn new(metadata: &Metadata, known: Known) -> Self {
        let content = known.content.map_or(0, |_| HAS_CONTENT);
        let xattrs = if known.has_xattrs { HAS_XATTRS } else { 0 };
        Self {
            dev: metadata.dev,
            ino: metadata.ino,
            size: metadata.size,
            mtime: metadata.mtime,
            ctime: metadata.ctime,
            mode: full_mode(metadata),
            flags: content | xattrs,
            age: 0,
            content: known.content.unwrap_or_default().0,
        }
    }

    fn describes(&self, metadata: &Metadata) -> bool {
        self.ctime == metadata.ctime
            && self.mtime == metadata.mtime
            && self.size == metadata.size
            && self.mode == full_mode(metadata)
    }

    fn known(&self) -> Known {
        Known {
            content: (self.flags & HAS_CONTENT != 0).then_some(ContentHash(self.content)),
            has_xattrs: self.flags & HAS_XATTRS != 0,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.dev.to_le_bytes());
        out.extend_from_slice(&self.ino.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.mtime.seconds.to_le_bytes());
        out.extend_from_slice(&self.ctime.seconds.to_le_bytes());
        out.extend_from_slice(&self.mtime.nanoseconds.to_le_bytes());
        out.extend_from_slice(&self.ctime.nanoseconds.to_le_bytes());
        out.extend_from_slice(&self.mode.to_le_bytes());
        out.extend_from_slice(&(self.flags | u32::from(self.age) << 24).to_le_bytes());
        out.extend_from_slice(&self.content);
    }

    /// `bytes` has the length of a row.
    fn decode(bytes: &[u8]) -> Self {
        let long = |at| u64::from_le_bytes(array(&bytes[at..]));
        let short = |at| u32::from_le_bytes(array(&bytes[at..]));
        let seconds = |at| i64::from_le_bytes(array(&bytes[at..]));
        let flags = short(52);
        Self {
            dev: long(0),
            ino: long(8),
            size: long(16),
            mtime: Timestamp::new(seconds(24), short(40)),
            ctime: Timestamp::new(seconds(32), short(44)),
            mode: short(48),
            flags: flags & 0x00ff_ffff,
            age: flags.to_be_bytes()[0],
            content: array(&bytes[56..]),
        }
    }
}

/// The first `N` bytes; shorter input, which does not occur, counts as zeros.
#[inline]
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    match bytes.first_chunk() {
        Some(chunk) => *chunk,
        None => [0; N],
    }
}

fn key_of(row: &[u8]) -> (u64, u64) {
    let long = |at: usize| u64::from_le_bytes(array(&row[at..]));
    (long(0), long(8))
}

/// Permission bits and the type, which no two kinds share.
fn full_mode(metadata: &Metadata) -> u32 {
    let kind = match metadata.kind {
        Kind::File => 0o100_000,
        Kind::Directory => 0o040_000,
        Kind::Symlink => 0o120_000,
        Kind::CharDevice => 0o020_000,
        Kind::BlockDevice => 0o060_000,
        Kind::Fifo => 0o010_000,
        Kind::Socket => 0o140_000,
    };
    kind | metadata.mode
}

fn with_header(rows: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_SIZE + rows.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&((rows.len() / ROW_SIZE) as u64).to_le_bytes());
    bytes.extend_from_slice(&checksum(&bytes[..16], rows));
    bytes.extend_from_slice(rows);
    bytes
}

/// The rows of a file that is whole and ours.
fn checked_rows(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let header = bytes.get(..HEADER_SIZE)?;
    let rows = &bytes[HEADER_SIZE..];
    let count = u64::from_le_bytes(array(&header[8..]));
    let is_ours = header[..8] == MAGIC
        && rows.len().is_multiple_of(ROW_SIZE)
        && count == (rows.len() / ROW_SIZE) as u64
        && header[16..] == checksum(&header[..16], rows);
    is_ours.then(|| {
        bytes.drain(..HEADER_SIZE);
        bytes
    })
}

fn checksum(start: &[u8], rows: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(CHECKSUM_CONTEXT);
    hasher.update(start);
    hasher.update(rows);
    *hasher.finalize().as_bytes()
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Timestamp::new(seconds, since.subsec_nanos())
}

fn has_fine_times() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release
        .split(|character: char| !character.is_ascii_digit())
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= FINE_TIMES
}
