//! An object whose content comes in pieces: nothing is written before it is known to be new.
//!
//! A content up to a limit is held in memory until its id is known; most layers that come in share
//! most of their contents with others. A larger one is written while it comes.

use crate::digest::{ContentHasher, ContentId};
use crate::error::Result;
use crate::object::{Birth, ObjectWriter};
use crate::store::Store;

/// Bytes that are held back.
const HELD_LIMIT: usize = 16 << 20;
/// Bytes of one write: a run of zeros of that length becomes a hole.
const PIECE: usize = 256 << 10;

/// An object on its way, with a buffer that is used again for the next one.
pub(crate) struct LateObject<'a> {
    store: &'a Store,
    birth: Birth,
    hasher: ContentHasher,
    size: u64,
    held: &'a mut Vec<u8>,
    writer: Option<ObjectWriter<'a>>,
}

impl<'a> LateObject<'a> {
    pub(crate) fn new(store: &'a Store, birth: Birth, held: &'a mut Vec<u8>) -> Self {
        held.clear();
        Self {
            store,
            birth,
            hasher: ContentHasher::new(),
            size: 0,
            held,
            writer: None,
        }
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        if self.writer.is_none() && self.held.len() + bytes.len() <= HELD_LIMIT {
            self.held.extend_from_slice(bytes);
            return Ok(());
        }
        self.write_held()?.write(bytes)
    }

    /// The object's file, with all that was held written to it.
    fn write_held(&mut self) -> Result<&mut ObjectWriter<'a>> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => ObjectWriter::new(self.store, self.birth.mode)?,
        };
        for piece in self.held.chunks(PIECE) {
            writer.write(piece)?;
        }
        self.held.clear();
        Ok(self.writer.insert(writer))
    }

    /// Names the object unless it is there; gives its id, and its bytes where it is new.
    pub(crate) fn publish(mut self) -> Result<(ContentId, u64)> {
        let id = self.hasher.finish();
        if self.store.holds_object(&id)? {
            return Ok((id, 0));
        }
        self.write_held()?;
        let new = match self.writer {
            Some(writer) => writer.publish_new(self.store, &id, self.birth)?,
            None => false,
        };
        Ok((id, if new { self.size } else { 0 }))
    }
}
