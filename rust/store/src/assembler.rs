//! The serial part of making a layer: its hash, its segments, its recipe's rows and its index.
//!
//! All bytes of the tar pass here in order, once. Where segments are cut depends on the tar's
//! bytes and its members' paths alone (`docs/formats/segment.md`), never on buffers or threads.

use std::collections::HashMap;

use fastlayer_tar::{Entry, EntryKind};
use sha2::{Digest as _, Sha256};

use crate::arena::{Arena, Step};
use crate::digest::{ContentId, DiffId, SegmentId};
use crate::error::Result;
use crate::index::IndexBuilder;
use crate::indexing::{self, Refusal};
use crate::layer_info::LayerInfo;
use crate::object::INLINE_LIMIT;
use crate::recipe::{HEAP_LIMIT, Recipe, Row};
use crate::segment::SegmentBuilder;
use crate::store::Store;

/// A content of this size or more is not part of a segment: its object's slices are.
pub const LARGE_CONTENT: u64 = 128 << 10;
/// Longest slice of an object.
pub const SLICE: u64 = 4 << 20;
/// Tar bytes after which a segment may end.
pub const SEGMENT_FLOOR: u64 = 64 << 10;
/// Tar bytes after which a segment ends with the next member.
pub const SEGMENT_CEILING: u64 = 1 << 20;
/// Tar bytes after which a segment ends wherever it is, unless inside of a content.
pub const SEGMENT_STOP: u64 = 2 << 20;
/// A segment without objects up to this size is kept in the recipe.
pub const SMALL_SEGMENT: u64 = 16 << 10;
/// One in so many members may begin a segment.
const BORDER_CHANCE: u8 = 16;

/// Puts a layer together from its arenas.
pub(crate) struct Assembler {
    store: Store,
    sha256: Sha256,
    position: u64,
    segment: SegmentBuilder,
    member: Option<Member>,
    objects: HashMap<ContentId, u32>,
    segments: HashMap<SegmentId, u32>,
    recipe: Recipe,
    index: IndexBuilder,
    raw_reason: Option<String>,
    added: u64,
}

struct Member {
    entry: Box<Entry>,
    /// Where its content begins.
    content_offset: u64,
    content_length: u64,
}

/// A layer of which everything is stored but the recipe and the index.
pub(crate) struct Assembled {
    pub(crate) recipe: Recipe,
    /// `None` of a raw layer.
    pub(crate) index: Option<Vec<u8>>,
    /// Bytes of new segments.
    pub(crate) added: u64,
}

impl Assembler {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            sha256: Sha256::new(),
            position: 0,
            segment: SegmentBuilder::new(),
            member: None,
            objects: HashMap::new(),
            segments: HashMap::new(),
            recipe: Recipe {
                info: LayerInfo {
                    diff_id: DiffId::from_bytes([0; 32]),
                    size: 0,
                    content_size: 0,
                    entries: 0,
                    raw_reason: None,
                    added_bytes: 0,
                },
                objects: Vec::new(),
                segments: Vec::new(),
                rows: Vec::new(),
                heap: Vec::new(),
            },
            index: IndexBuilder::new(),
            raw_reason: None,
            added: 0,
        }
    }

    /// Takes the next bytes of the tar.
    pub(crate) fn take(&mut self, arena: &mut Arena) -> Result<()> {
        self.sha256.update(arena.bytes());
        let steps = std::mem::take(&mut arena.steps);
        let mut span = Span::new(arena.bytes());
        for step in steps {
            match step {
                Step::Entry(entry) => self.begin(entry, &mut span)?,
                Step::Header(length) => {
                    self.inline(length, &mut span)?;
                    if let Some(member) = &mut self.member {
                        member.content_offset = self.position;
                    }
                }
                Step::Content(length) => self.content(length, &mut span)?,
                Step::Other(length) => self.inline(length, &mut span)?,
                Step::End(id) => self.end(id)?,
            }
        }
        self.segment.hash(span.unhashed());
        Ok(())
    }

    /// The rest, when all bytes are taken.
    pub(crate) fn finish(mut self, raw_reason: Option<String>) -> Result<Assembled> {
        self.cut(&mut Span::new(&[]))?;
        let mut index = None;
        let mut raw_reason = raw_reason.or(self.raw_reason);
        if raw_reason.is_none() {
            match self.index.finish() {
                Ok(bytes) => index = Some(bytes),
                Err(error) => raw_reason = Some(reason(error.into())?),
            }
        }
        let info = &mut self.recipe.info;
        info.diff_id = DiffId::from_bytes(self.sha256.finalize().into());
        info.size = self.position;
        if raw_reason.is_some() {
            info.content_size = 0;
        }
        info.raw_reason = raw_reason;
        Ok(Assembled {
            recipe: self.recipe,
            index,
            added: self.added,
        })
    }

    fn begin(&mut self, entry: Box<Entry>, span: &mut Span<'_>) -> Result<()> {
        let gathered = self.segment.length();
        let chance = || blake3::hash(&entry.path).as_bytes()[0].is_multiple_of(BORDER_CHANCE);
        if gathered >= SEGMENT_CEILING || (gathered >= SEGMENT_FLOOR && chance()) {
            self.cut(span)?;
        }
        self.recipe.info.entries += 1;
        if entry.kind == EntryKind::File {
            self.recipe.info.content_size += entry.content_size();
            self.member = Some(Member {
                entry,
                content_offset: 0,
                content_length: 0,
            });
        } else {
            self.index(&entry, None, 0)?;
        }
        Ok(())
    }

    fn index(&mut self, entry: &Entry, content: Option<ContentId>, offset: u64) -> Result<()> {
        if self.raw_reason.is_none()
            && let Err(refusal) = indexing::push(&mut self.index, entry, content, offset)
        {
            self.raw_reason = Some(reason(refusal)?);
        }
        Ok(())
    }

    fn inline(&mut self, mut length: usize, span: &mut Span<'_>) -> Result<()> {
        while length > 0 {
            let room = SEGMENT_STOP.saturating_sub(self.segment.length());
            if room == 0 {
                self.cut(span)?;
                continue;
            }
            let count = usize::try_from(room).map_or(length, |room| room.min(length));
            self.segment.push_inline(span.next(count));
            self.position += count as u64;
            length -= count;
        }
        Ok(())
    }

    fn content(&mut self, length: usize, span: &mut Span<'_>) -> Result<()> {
        let Some(member) = &mut self.member else {
            return self.inline(length, span);
        };
        let first = member.content_length == 0;
        member.content_length += length as u64;
        let size = member.entry.size;
        if size >= LARGE_CONTENT && first {
            self.cut(span)?;
        }
        let bytes = span.next(length);
        self.position += length as u64;
        if size >= LARGE_CONTENT {
            // Its slices are rows of their own.
            span.unhashed();
        } else if size <= INLINE_LIMIT {
            self.segment.push_inline(bytes);
        }
        Ok(())
    }

    fn end(&mut self, id: ContentId) -> Result<()> {
        let Some(member) = self.member.take() else {
            return Ok(());
        };
        let size = member.content_length;
        if member.entry.sparse.is_some() && size == 0 {
            self.object_index(id);
        } else if size >= LARGE_CONTENT {
            let index = self.object_index(id);
            let mut offset = 0;
            while offset < size {
                let length = SLICE.min(size - offset);
                self.recipe.rows.push(Row::Object {
                    index,
                    offset,
                    length,
                });
                offset += length;
            }
        } else if size > INLINE_LIMIT {
            self.object_index(id);
            self.segment.push_object(id, size);
        }
        self.index(&member.entry, Some(id), member.content_offset)
    }

    fn object_index(&mut self, id: ContentId) -> u32 {
        let objects = &mut self.recipe.objects;
        *self.objects.entry(id).or_insert_with(|| {
            objects.push(id);
            // A tar of 2^32 objects has 16 TiB; the recipe's encoder refuses it.
            u32::try_from(objects.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Ends the segment that is being put together.
    fn cut(&mut self, span: &mut Span<'_>) -> Result<()> {
        self.segment.hash(span.unhashed());
        if self.segment.length() == 0 {
            return Ok(());
        }
        let room = (HEAP_LIMIT - self.recipe.heap.len()) as u64;
        let builder = std::mem::replace(&mut self.segment, SegmentBuilder::new());
        let row = match builder.finish(SMALL_SEGMENT.min(room)) {
            Err(bytes) => {
                let offset = self.recipe.heap.len() as u64;
                self.recipe.heap.extend_from_slice(&bytes);
                Row::Heap {
                    offset,
                    length: bytes.len() as u64,
                }
            }
            Ok(segment) => {
                self.added += segment.publish(&self.store)?;
                let segments = &mut self.recipe.segments;
                let index = *self.segments.entry(segment.id).or_insert_with(|| {
                    segments.push(segment.id);
                    u32::try_from(segments.len() - 1).unwrap_or(u32::MAX)
                });
                Row::Segment {
                    index,
                    length: segment.length,
                }
            }
        };
        self.recipe.rows.push(row);
        Ok(())
    }
}

/// Why the layer is raw; a limit is an error instead.
fn reason(refusal: Refusal) -> Result<String> {
    match refusal {
        Refusal::Contradiction(reason) => Ok(reason),
        Refusal::Limit(error) => Err(error),
    }
}

/// The bytes of an arena, and how far the current segment's hash has seen them.
struct Span<'a> {
    bytes: &'a [u8],
    hashed: usize,
    position: usize,
}

impl<'a> Span<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            hashed: 0,
            position: 0,
        }
    }

    /// The next bytes.
    fn next(&mut self, count: usize) -> &'a [u8] {
        let start = self.position;
        self.position += count;
        &self.bytes[start..self.position]
    }

    /// What has passed since the last call.
    fn unhashed(&mut self) -> &'a [u8] {
        let start = self.hashed;
        self.hashed = self.position;
        &self.bytes[start..self.position]
    }
}
