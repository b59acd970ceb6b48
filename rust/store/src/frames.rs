//! Which bytes of a layer are compressed together.
//!
//! A frame is a run of the recipe's rows. Its borders depend on the rows next to it alone, so that
//! versions of a layer share most of their frames, and its key on the bytes and the codec's settings
//! alone. `docs/formats/export.md` has the rule: changing it changes digests.

use std::ops::Range;

use crate::digest::ContentId;
use crate::recipe::{Recipe, Row};

/// A slice of an object of this length or more is a frame of its own: it is the same in versions
/// of a layer that differ in the times of their files only.
pub(crate) const LONE: u64 = 512 << 10;
/// Tar bytes after which a frame may end.
pub(crate) const FLOOR: u64 = 256 << 10;
/// Tar bytes after which a frame ends.
pub(crate) const CEILING: u64 = 1 << 20;
/// One in so many rows may end a frame.
const BORDER_CHANCE: u8 = 4;

/// A run of rows that is compressed in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) rows: Range<usize>,
    /// Tar bytes.
    pub(crate) length: u64,
    /// Names the tar bytes: equal identities have equal bytes.
    pub(crate) identity: [u8; 32],
}

/// The frames of a layer, in order. A layer without bytes has one, which is empty.
pub(crate) fn frames(recipe: &Recipe) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut gathered = Gathered::default();
    for (number, row) in recipe.rows.iter().enumerate() {
        let identity = identity(recipe, row);
        if matches!(row, Row::Object { .. }) && row.length() >= LONE {
            frames.extend(gathered.end(number));
            gathered.add(row, &identity);
            frames.extend(gathered.end(number + 1));
            continue;
        }
        gathered.add(row, &identity);
        let chance = identity[0].is_multiple_of(BORDER_CHANCE);
        if gathered.length >= CEILING || (gathered.length >= FLOOR && chance) {
            frames.extend(gathered.end(number + 1));
        }
    }
    frames.extend(gathered.end(recipe.rows.len()));
    if frames.is_empty() {
        frames.push(Frame {
            rows: 0..0,
            length: 0,
            identity: *ContentId::of(b"").as_bytes(),
        });
    }
    frames
}

#[derive(Default)]
struct Gathered {
    start: usize,
    length: u64,
    hasher: blake3::Hasher,
}

impl Gathered {
    fn add(&mut self, row: &Row, identity: &[u8; 32]) {
        self.length += row.length();
        self.hasher.update(identity);
    }

    fn end(&mut self, next: usize) -> Option<Frame> {
        let rows = self.start..next;
        let hasher = std::mem::take(&mut self.hasher);
        let length = std::mem::take(&mut self.length);
        self.start = next;
        (!rows.is_empty()).then(|| Frame {
            rows,
            length,
            identity: *hasher.finalize().as_bytes(),
        })
    }
}

/// Names the bytes of a row. One and the same run of bytes has one place in all layers, since
/// borders depend on the bytes; so it need not matter that a row's kind is part of this.
fn identity(recipe: &Recipe, row: &Row) -> [u8; 32] {
    let id = |bytes: Option<&[u8; 32]>| bytes.copied().unwrap_or_default();
    match *row {
        Row::Segment { index, .. } => {
            let found = recipe.segments.get(index as usize);
            id(found.map(|found| found.as_bytes()))
        }
        Row::Object {
            index,
            offset,
            length,
        } => {
            let found = recipe.objects.get(index as usize);
            let mut hasher = blake3::Hasher::new();
            hasher.update(&id(found.map(|found| found.as_bytes())));
            hasher.update(&offset.to_le_bytes());
            hasher.update(&length.to_le_bytes());
            *hasher.finalize().as_bytes()
        }
        Row::Heap { offset, length } => {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let bytes = recipe.heap.get(start..).unwrap_or_default();
            *ContentId::of(&bytes[..bytes.len().min(length)]).as_bytes()
        }
    }
}
