//! Segments: runs of tar bytes kept once, however many layers have them.
//!
//! A segment's id is the content hash of its tar bytes; its stored form (`docs/formats/segment.md`)
//! is a list of operations, compressed, in which contents of objects are references. The stored
//! form may differ between releases, the id may not.

use std::fs::File;
use std::io::Write;

use fastlayer_fs::{Published, TemporaryFile};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::area::{Fanout, file_name};
use crate::digest::{ContentHasher, ContentId, SegmentId};
use crate::error::{Error, Result};
use crate::read::read_full;
use crate::store::Store;

/// Most tar bytes that a stored segment may stand for; what claims more is damaged.
pub const SEGMENT_LIMIT: u64 = 4 << 20;

const MAGIC: [u8; 8] = *b"FLSEGM01";
/// What segments of any version begin with; two digits for the version follow.
const FAMILY: &[u8] = b"FLSEGM";
const VERSION: u64 = 1;
const COMPRESSION_LEVEL: i32 = 1;
const INLINE: u64 = 0;
const OBJECT: u64 = 1;
const ZEROS: u64 = 2;
/// A run of zeros shorter than this is left to the compression.
const ZEROS_FLOOR: usize = 32 << 10;

/// The first bytes of a stored segment. Object ids and the compressed operations follow.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    /// Number of object ids.
    objects: U32,
    reserved: U32,
    /// Tar bytes.
    length: U64,
    /// Bytes of the operations before compression.
    operations: U64,
}

/// A segment being put together.
pub(crate) struct SegmentBuilder {
    hasher: ContentHasher,
    length: u64,
    operations: Vec<u8>,
    inline: Vec<u8>,
    objects: Vec<ContentId>,
}

/// A segment that is complete.
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    pub(crate) length: u64,
    pub(crate) objects: Vec<ContentId>,
    operations: Vec<u8>,
}

impl SegmentBuilder {
    pub(crate) fn new() -> Self {
        Self {
            hasher: ContentHasher::new(),
            length: 0,
            operations: Vec::new(),
            inline: Vec::new(),
            objects: Vec::new(),
        }
    }

    /// Tar bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Hashes the next tar bytes: all that is pushed, in as few calls as may be.
    pub(crate) fn hash(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Adds tar bytes that are kept in the segment itself.
    pub(crate) fn push_inline(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if bytes.len() >= ZEROS_FLOOR && bytes.iter().all(|byte| *byte == 0) {
            self.flush_inline();
            write_number(&mut self.operations, (bytes.len() as u64) << 2 | ZEROS);
        } else {
            self.inline.extend_from_slice(bytes);
        }
    }

    /// Adds the tar bytes of an object.
    pub(crate) fn push_object(&mut self, id: ContentId, size: u64) {
        self.length += size;
        self.flush_inline();
        // An object that repeats does so in a row, as a rule; others may be listed twice.
        if self.objects.last() != Some(&id) {
            self.objects.push(id);
        }
        write_number(&mut self.operations, size << 2 | OBJECT);
        write_number(&mut self.operations, self.objects.len() as u64 - 1);
    }

    /// The segment, or its bare bytes when it has no objects and at most `small` bytes.
    pub(crate) fn finish(mut self, small: u64) -> Result<Segment, Vec<u8>> {
        if self.length <= small && self.operations.is_empty() {
            return Err(self.inline);
        }
        self.flush_inline();
        Ok(Segment {
            id: self.hasher.finish().into(),
            length: self.length,
            objects: self.objects,
            operations: self.operations,
        })
    }

    fn flush_inline(&mut self) {
        if !self.inline.is_empty() {
            write_number(
                &mut self.operations,
                (self.inline.len() as u64) << 2 | INLINE,
            );
            self.operations.append(&mut self.inline);
        }
    }
}

impl Segment {
    /// Stores the segment unless it is there; gives the bytes added.
    pub(crate) fn publish(&self, store: &Store) -> Result<u64> {
        let id = self.id.as_bytes();
        if store.holds_segment(self.id)? {
            return Ok(0);
        }
        let bytes = self.encode()?;
        let mut file = TemporaryFile::new_in(store.staging(), 0o400)?;
        file.file_mut()
            .write_all(&bytes)
            .map_err(|source| Error::io(format!("cannot write segment {}", self.id), source))?;
        let shard = store.unsynced().segments.ensured(id[0])?;
        match file.publish(&shard, &file_name(id))? {
            Published::New => Ok(bytes.len() as u64),
            Published::Exists => Ok(0),
        }
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let count = u32::try_from(self.objects.len())
            .map_err(|_| Error::limit("number of objects in a segment", u32::MAX.into()))?;
        let header = Header {
            magic: MAGIC,
            objects: U32::new(count),
            reserved: U32::ZERO,
            length: U64::new(self.length),
            operations: U64::new(self.operations.len() as u64),
        };
        let mut bytes = header.as_bytes().to_vec();
        for id in &self.objects {
            bytes.extend_from_slice(id.as_bytes());
        }
        bytes.extend_from_slice(&compress(&self.operations)?);
        Ok(bytes)
    }
}

/// A stored segment, decoded.
pub(crate) struct StoredSegment {
    id: SegmentId,
    length: u64,
    pub(crate) objects: Vec<ContentId>,
    operations: Vec<u8>,
}

impl StoredSegment {
    /// Reads a segment; what it refers to is not looked at.
    pub(crate) fn read(store: &Store, id: SegmentId) -> Result<Self> {
        let file = store
            .lookup(id.as_bytes(), |area| &area.segments, Fanout::open_file)?
            .ok_or_else(|| Error::not_found(format!("segment {id}")))?;
        Self::read_from(store, id, file)
    }

    /// Reads a segment from its open file.
    pub(crate) fn read_from(store: &Store, id: SegmentId, mut file: File) -> Result<Self> {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes)
            .map_err(|source| Error::io(format!("cannot read segment {id}"), source))?;
        if let Some(found) = other_version(&bytes) {
            // The digits have no checksum: where the rest gives what it is named by, they are wrong.
            bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
            return match Self::decode(id, &bytes).map(|segment| segment.verify(store)) {
                Some(Ok(())) => Err(Error::corrupt(
                    format!("segment {id}"),
                    format!("its version, {found}, is not what it was written with"),
                )),
                _ => Err(Error::Version {
                    what: format!("segment {id}"),
                    found,
                    known: VERSION,
                }),
            };
        }
        Self::decode(id, &bytes)
            .ok_or_else(|| Error::corrupt(format!("segment {id}"), "is not in its format"))
    }

    fn decode(id: SegmentId, bytes: &[u8]) -> Option<Self> {
        let (header, rest) = Header::read_from_prefix(bytes).ok()?;
        let length = header.length.get();
        // Operations are never longer than twice what they make, and that is bounded.
        if header.magic != MAGIC || length > SEGMENT_LIMIT {
            return None;
        }
        let count = usize::try_from(header.objects.get()).ok()?;
        let (ids, frame) = rest.split_at_checked(count.checked_mul(32)?)?;
        let operations = decompress(frame, header.operations.get(), 2 * SEGMENT_LIMIT)?;
        Some(Self {
            id,
            length,
            objects: ids
                .as_chunks::<32>()
                .0
                .iter()
                .map(|id| ContentId::from_bytes(*id))
                .collect(),
            operations,
        })
    }

    /// Appends the segment's tar bytes to `output`.
    pub(crate) fn expand(&self, store: &Store, output: &mut Vec<u8>) -> Result<()> {
        let start = output.len();
        let damaged = || Error::corrupt(format!("segment {}", self.id), "an operation is invalid");
        let mut rest = self.operations.as_slice();
        while !rest.is_empty() {
            let number = read_number(&mut rest).ok_or_else(damaged)?;
            let (length, operation) = (number >> 2, number & 3);
            let room = self.length - (output.len() - start) as u64;
            if length > room {
                return Err(damaged());
            }
            let length = usize::try_from(length).map_err(|_| damaged())?;
            match operation {
                INLINE => {
                    let (bytes, after) = rest.split_at_checked(length).ok_or_else(damaged)?;
                    output.extend_from_slice(bytes);
                    rest = after;
                }
                OBJECT => {
                    let index = read_number(&mut rest).ok_or_else(damaged)?;
                    let id = usize::try_from(index)
                        .ok()
                        .and_then(|index| self.objects.get(index))
                        .ok_or_else(damaged)?;
                    append_object(store, id, length, output)?;
                }
                ZEROS => output.resize(output.len() + length, 0),
                _ => return Err(damaged()),
            }
        }
        if (output.len() - start) as u64 != self.length {
            return Err(damaged());
        }
        Ok(())
    }

    /// Expands and compares with the id.
    pub(crate) fn verify(&self, store: &Store) -> Result<()> {
        let mut bytes = Vec::new();
        self.expand(store, &mut bytes)?;
        let found: SegmentId = ContentId::of(&bytes).into();
        if found == self.id {
            return Ok(());
        }
        Err(Error::corrupt(
            format!("segment {}", self.id),
            format!("its bytes have the id {found}"),
        ))
    }
}

/// Appends a whole object, which must have `size` bytes.
pub(crate) fn append_object(
    store: &Store,
    id: &ContentId,
    size: usize,
    output: &mut Vec<u8>,
) -> Result<()> {
    let mut file = store.open_object(id)?;
    let start = output.len();
    output.resize(start + size, 0);
    let count = read_full(&mut file, &mut output[start..])
        .map_err(|source| Error::io(format!("cannot read object {id}"), source))?;
    if count != size {
        return Err(Error::corrupt(
            format!("object {id}"),
            format!("it has {count} bytes, not {size}"),
        ));
    }
    Ok(())
}

/// One zstd frame with a checksum, as all of the store's own compressed data.
pub(crate) fn compress(bytes: &[u8]) -> Result<Vec<u8>> {
    let failed = |source| Error::io("cannot compress", source);
    let mut compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL).map_err(failed)?;
    compressor.include_checksum(true).map_err(failed)?;
    compressor.compress(bytes).map_err(failed)
}

/// The content of a frame that must have `size` bytes, at most `limit`.
pub(crate) fn decompress(frame: &[u8], size: u64, limit: u64) -> Option<Vec<u8>> {
    if size > limit {
        return None;
    }
    let size = usize::try_from(size).ok()?;
    let bytes = zstd::bulk::decompress(frame, size).ok()?;
    (bytes.len() == size).then_some(bytes)
}

/// Seven bits a byte, the lowest first; the high bit says that more follow.
fn write_number(output: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        output.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    output.push(number.to_le_bytes()[0]);
}

fn read_number(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The version of a stored segment that says it has another one than [`VERSION`].
fn other_version(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.get(..MAGIC.len())?.strip_prefix(FAMILY)?;
    let version = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (version != VERSION && digits.iter().all(u8::is_ascii_digit)).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for number in [0, 1, 127, 128, 300, 1 << 20, (1 << 62) - 1] {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            let mut rest = bytes.as_slice();
            assert_eq!(read_number(&mut rest), Some(number));
            assert!(rest.is_empty());
            let mut short = &bytes[..bytes.len() - 1];
            assert_eq!(read_number(&mut short), None);
        }
        assert_eq!(read_number(&mut [0xff; 12].as_slice()), None);
    }
}
