//! Recipes: how a layer's tar is put together again, byte for byte.
//!
//! `docs/formats/recipe.md` has the layout. The object and segment ids are not compressed, so that
//! garbage collection marks a layer with one read; what [`crate::LayerInfo`] tells is in the
//! header, so that asking for it reads a few hundred bytes. A recipe is immutable.

use std::fs::File;
use std::io::Read;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::assembler::SLICE;
use crate::digest::{ContentId, DiffId, SegmentId, checksum};
use crate::error::{Error, Result};
use crate::layer_info::LayerInfo;
use crate::read::read_full;
use crate::segment::{SEGMENT_LIMIT, compress, decompress};

/// Version of the recipe format.
pub const RECIPE_VERSION: u32 = 1;
/// Most bytes of small segments that a recipe keeps itself.
pub const HEAP_LIMIT: usize = 16 << 20;
/// Longest text that says why a layer is raw.
pub const REASON_LIMIT: usize = 4096;

const MAGIC: [u8; 8] = *b"FLRECIPE";
const FLAG_RAW: u32 = 1;
const STORED: u32 = 0;
const OBJECT: u32 = 1;
const HEAP: u32 = 2;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: U32,
    flags: U32,
    diff_id: [u8; 32],
    size: U64,
    content_size: U64,
    entries: U64,
    added_bytes: U64,
    objects: U32,
    segments: U32,
    rows: U32,
    reason: U32,
    /// Bytes of the heap as it is stored, compressed.
    heap_stored: U64,
    /// Bytes of the heap.
    heap: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawRow {
    kind: U32,
    index: U32,
    offset: U64,
    length: U64,
}

/// The source of one run of tar bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// All of the stored segment with this index.
    Segment { index: u32, length: u64 },
    /// A part of the object with this index.
    Object {
        index: u32,
        offset: u64,
        length: u64,
    },
    /// A small segment that the recipe keeps in its heap.
    Heap { offset: u64, length: u64 },
}

impl Row {
    /// Tar bytes.
    pub(crate) fn length(&self) -> u64 {
        match *self {
            Self::Segment { length, .. }
            | Self::Object { length, .. }
            | Self::Heap { length, .. } => length,
        }
    }
}

/// A whole recipe in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) info: LayerInfo,
    /// Every object the layer needs, each once: those of its rows and those of its segments.
    pub(crate) objects: Vec<ContentId>,
    pub(crate) segments: Vec<SegmentId>,
    pub(crate) rows: Vec<Row>,
    pub(crate) heap: Vec<u8>,
}

impl Recipe {
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let heap = compress(&self.heap)?;
        let reason = self.info.raw_reason.as_deref().unwrap_or_default();
        let mut bytes = self.header(reason.len(), heap.len())?.as_bytes().to_vec();
        bytes.extend_from_slice(reason.as_bytes());
        for id in &self.objects {
            bytes.extend_from_slice(id.as_bytes());
        }
        for id in &self.segments {
            bytes.extend_from_slice(id.as_bytes());
        }
        for row in &self.rows {
            bytes.extend_from_slice(encode_row(row).as_bytes());
        }
        bytes.extend_from_slice(&heap);
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        Ok(bytes)
    }

    fn header(&self, reason: usize, heap_stored: usize) -> Result<Header> {
        let raw = self.info.raw_reason.is_some();
        Ok(Header {
            magic: MAGIC,
            version: U32::new(RECIPE_VERSION),
            flags: U32::new(if raw { FLAG_RAW } else { 0 }),
            diff_id: *self.info.diff_id.as_bytes(),
            size: U64::new(self.info.size),
            content_size: U64::new(self.info.content_size),
            entries: U64::new(self.info.entries),
            added_bytes: U64::new(self.info.added_bytes),
            objects: count(self.objects.len(), "number of objects")?,
            segments: count(self.segments.len(), "number of segments")?,
            rows: count(self.rows.len(), "number of rows")?,
            reason: count(reason, "length of a reason")?,
            heap_stored: U64::new(heap_stored as u64),
            heap: U64::new(self.heap.len() as u64),
        })
    }

    /// Decodes the recipe of `diff_id`, whose bytes are checked.
    pub(crate) fn decode(diff_id: &DiffId, bytes: &[u8]) -> Result<Self> {
        let what = || format!("recipe {diff_id}");
        let (body, sum) = bytes
            .split_last_chunk::<32>()
            .ok_or_else(|| Error::corrupt(what(), "is cut short"))?;
        if checksum(body) != *sum {
            return Err(Error::corrupt(what(), "its checksum does not match"));
        }
        let (header, rest) = parse_header(diff_id, body)?;
        Self::decode_parts(&header, rest)
            .ok_or_else(|| Error::corrupt(what(), "its parts do not fit together"))
    }

    fn decode_parts(header: &Header, rest: &[u8]) -> Option<Self> {
        let (reason, rest) = rest.split_at_checked(size(header.reason)?)?;
        let (objects, rest) = rest.split_at_checked(size(header.objects)?.checked_mul(32)?)?;
        let (segments, rest) = rest.split_at_checked(size(header.segments)?.checked_mul(32)?)?;
        let width = size_of::<RawRow>();
        let (rows, rest) = rest.split_at_checked(size(header.rows)?.checked_mul(width)?)?;
        if rest.len() as u64 != header.heap_stored.get() {
            return None;
        }
        let recipe = Self {
            info: info(header, reason)?,
            objects: ids(objects, ContentId::from_bytes),
            segments: ids(segments, SegmentId::from_bytes),
            rows: rows
                .chunks_exact(width)
                .map(decode_row)
                .collect::<Option<Vec<Row>>>()?,
            heap: decompress(rest, header.heap.get(), HEAP_LIMIT as u64)?,
        };
        recipe.is_consistent().then_some(recipe)
    }

    /// Whether both make the same tar of the same contents.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        self.objects == other.objects
            && self.segments == other.segments
            && self.rows == other.rows
            && self.heap == other.heap
            && self.info.raw_reason == other.info.raw_reason
    }

    fn is_consistent(&self) -> bool {
        let mut total = 0_u64;
        for row in &self.rows {
            let fits = match *row {
                Row::Segment { index, length } => {
                    (index as usize) < self.segments.len() && length <= SEGMENT_LIMIT
                }
                Row::Object {
                    index,
                    offset,
                    length,
                } => {
                    // A row is expanded in memory.
                    (index as usize) < self.objects.len()
                        && offset.checked_add(length).is_some()
                        && length <= SLICE
                }
                Row::Heap { offset, length } => offset
                    .checked_add(length)
                    .is_some_and(|end| end <= self.heap.len() as u64),
            };
            let Some(sum) = total.checked_add(row.length()) else {
                return false;
            };
            total = sum;
            if !fits {
                return false;
            }
        }
        total == self.info.size
    }
}

/// Reads what the head of a recipe says; the rest of the file is not looked at.
pub(crate) fn read_info(diff_id: &DiffId, file: &mut File) -> Result<LayerInfo> {
    let mut bytes = vec![0; size_of::<Header>() + REASON_LIMIT];
    let count = read_full(file, &mut bytes)
        .map_err(|source| Error::io(format!("cannot read recipe {diff_id}"), source))?;
    bytes.truncate(count);
    let (header, rest) = match parse_header(diff_id, &bytes) {
        // Where the checksum does not hold, it is damage and no other version.
        Err(error @ Error::Version { .. }) => {
            file.read_to_end(&mut bytes)
                .map_err(|source| Error::io(format!("cannot read recipe {diff_id}"), source))?;
            return Err(Recipe::decode(diff_id, &bytes).err().unwrap_or(error));
        }
        parsed => parsed?,
    };
    size(header.reason)
        .and_then(|length| info(&header, rest.get(..length)?))
        .ok_or_else(|| Error::corrupt(format!("recipe {diff_id}"), "its reason is cut short"))
}

fn parse_header<'a>(diff_id: &DiffId, bytes: &'a [u8]) -> Result<(Header, &'a [u8])> {
    let what = || format!("recipe {diff_id}");
    let (header, rest) =
        Header::read_from_prefix(bytes).map_err(|_| Error::corrupt(what(), "is cut short"))?;
    if header.magic != MAGIC {
        return Err(Error::corrupt(what(), "is no recipe"));
    }
    if header.version.get() != RECIPE_VERSION {
        return Err(Error::Version {
            what: what(),
            found: header.version.get().into(),
            known: RECIPE_VERSION.into(),
        });
    }
    if header.diff_id != *diff_id.as_bytes() {
        return Err(Error::corrupt(what(), "is of another layer"));
    }
    Ok((header, rest))
}

fn info(header: &Header, reason: &[u8]) -> Option<LayerInfo> {
    let reason = std::str::from_utf8(reason).ok()?;
    let raw = header.flags.get() & FLAG_RAW != 0;
    Some(LayerInfo {
        diff_id: DiffId::from_bytes(header.diff_id),
        size: header.size.get(),
        content_size: header.content_size.get(),
        entries: header.entries.get(),
        raw_reason: raw.then(|| reason.to_owned()),
        added_bytes: header.added_bytes.get(),
    })
}

fn encode_row(row: &Row) -> RawRow {
    let (kind, index, offset, length) = match *row {
        Row::Segment { index, length } => (STORED, index, 0, length),
        Row::Object {
            index,
            offset,
            length,
        } => (OBJECT, index, offset, length),
        Row::Heap { offset, length } => (HEAP, 0, offset, length),
    };
    RawRow {
        kind: U32::new(kind),
        index: U32::new(index),
        offset: U64::new(offset),
        length: U64::new(length),
    }
}

fn decode_row(bytes: &[u8]) -> Option<Row> {
    let row = RawRow::read_from_bytes(bytes).ok()?;
    let (index, offset, length) = (row.index.get(), row.offset.get(), row.length.get());
    Some(match row.kind.get() {
        STORED => Row::Segment { index, length },
        OBJECT => Row::Object {
            index,
            offset,
            length,
        },
        HEAP => Row::Heap { offset, length },
        _ => return None,
    })
}

fn ids<T>(bytes: &[u8], make: impl Fn([u8; 32]) -> T) -> Vec<T> {
    bytes
        .as_chunks::<32>()
        .0
        .iter()
        .map(|id| make(*id))
        .collect()
}

fn size(number: U32) -> Option<usize> {
    usize::try_from(number.get()).ok()
}

fn count(number: usize, what: &str) -> Result<U32> {
    u32::try_from(number)
        .map(U32::new)
        .map_err(|_| Error::limit(format!("{what} in a recipe"), u32::MAX.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Recipe {
        Recipe {
            info: LayerInfo {
                diff_id: DiffId::of(b"x"),
                size: 30,
                content_size: 7,
                entries: 2,
                raw_reason: Some("odd".to_owned()),
                added_bytes: 3,
            },
            objects: vec![ContentId::of(b"a")],
            segments: vec![ContentId::of(b"b").into()],
            rows: vec![
                Row::Segment {
                    index: 0,
                    length: 10,
                },
                Row::Object {
                    index: 0,
                    offset: 5,
                    length: 15,
                },
                Row::Heap {
                    offset: 0,
                    length: 5,
                },
            ],
            heap: b"hello".to_vec(),
        }
    }

    #[test]
    fn round_trips() {
        let recipe = sample();
        let bytes = recipe.encode().unwrap();
        assert_eq!(
            Recipe::decode(&recipe.info.diff_id, &bytes).unwrap(),
            recipe
        );
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let recipe = sample();
        let bytes = recipe.encode().unwrap();
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(Recipe::decode(&recipe.info.diff_id, &changed).is_err());
            assert!(Recipe::decode(&recipe.info.diff_id, &bytes[..position]).is_err());
        }
    }

    /// A row is expanded in memory: a size that is only said must not take it.
    #[test]
    fn no_row_is_longer_than_a_slice_or_a_segment() {
        for (row, limit) in [(0, SEGMENT_LIMIT), (1, SLICE)] {
            for (length, fits) in [(limit, true), (limit + 1, false)] {
                let mut recipe = sample();
                recipe.info.size = recipe.info.size - recipe.rows[row].length() + length;
                match &mut recipe.rows[row] {
                    Row::Segment { length: known, .. }
                    | Row::Object { length: known, .. }
                    | Row::Heap { length: known, .. } => *known = length,
                }
                let bytes = recipe.encode().unwrap();
                assert_eq!(Recipe::decode(&recipe.info.diff_id, &bytes).is_ok(), fits);
            }
        }
    }

    #[test]
    fn rows_must_add_up_and_stay_inside() {
        for break_it in [
            (|recipe: &mut Recipe| recipe.info.size = 31) as fn(&mut Recipe),
            |recipe| recipe.segments.clear(),
            |recipe| recipe.heap.truncate(4),
        ] {
            let mut recipe = sample();
            break_it(&mut recipe);
            let bytes = recipe.encode().unwrap();
            assert!(Recipe::decode(&recipe.info.diff_id, &bytes).is_err());
        }
    }
}
