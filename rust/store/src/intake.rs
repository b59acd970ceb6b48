//! The members of a tar that comes in, on their way to the workers.
//!
//! Bytes go to arenas in the tar's order, copied once; or read right into them, which is what happens
//! to most of a content. A content that fits is whole in one arena, so that a
//! worker can take it from there; a larger one is a stream of arenas that one worker follows.

use std::sync::mpsc::{SyncSender, sync_channel};

use fastlayer_tar::{Entry, EntryKind};

use crate::arena::{ARENA_SIZE, Arena, Part, Step};
use crate::digest::ContentId;
use crate::error::Result;
use crate::object::Birth;
use crate::pipeline::Pipeline;
use crate::worker::Unit;

/// A content up to this size is whole in an arena.
const WHOLE_LIMIT: u64 = ARENA_SIZE as u64 / 2;
/// Arenas of a stream that wait for its worker.
const WAITING: usize = 4;

/// Fills arenas and hands them over.
pub(crate) struct Intake {
    arena: Option<Arena>,
    content: Content,
}

/// What becomes of the content bytes that come in.
enum Content {
    /// There is no file.
    None,
    /// They are gathered in the arena.
    Whole {
        length: usize,
        left: u64,
        birth: Birth,
    },
    /// They go to the worker that has the file already.
    Stream {
        arenas: SyncSender<Arena>,
        batch: u64,
        part: Part,
        left: u64,
    },
}

impl Content {
    /// The next `count` bytes come in; gives what they are.
    fn advance(&mut self, count: usize) -> Part {
        match self {
            Self::None => Part::Other,
            Self::Whole { left, .. } => {
                *left = left.saturating_sub(count as u64);
                Part::Content
            }
            Self::Stream { left, part, .. } => {
                *left = left.saturating_sub(count as u64);
                *part
            }
        }
    }
}

impl Intake {
    pub(crate) fn new() -> Self {
        Self {
            arena: None,
            content: Content::None,
        }
    }

    /// Whether bytes of the last member's content are yet to come.
    pub(crate) fn expects_content(&self) -> bool {
        !matches!(self.content, Content::None)
    }

    /// A member begins. A sparse one is stored as what it stands for.
    pub(crate) fn entry(
        &mut self,
        pipeline: &mut Pipeline,
        entry: &Entry,
        header: &[u8],
    ) -> Result<()> {
        let size = entry.size;
        let birth = Birth::of(entry);
        self.room(pipeline, 1)?
            .steps
            .push(Step::Entry(Box::new(entry.clone())));
        self.append(pipeline, header, Part::Header)?;
        if entry.kind != EntryKind::File {
            return Ok(());
        }
        if entry.sparse.is_some() || size > WHOLE_LIMIT {
            return self.stream(pipeline, entry);
        }
        let length = usize::try_from(size).unwrap_or(ARENA_SIZE);
        let arena = self.room(pipeline, length)?;
        if length == 0 {
            arena.steps.push(Step::End(ContentId::of(b"")));
        } else {
            self.content = Content::Whole {
                length,
                left: size,
                birth,
            };
        }
        Ok(())
    }

    fn stream(&mut self, pipeline: &mut Pipeline, entry: &Entry) -> Result<()> {
        self.flush(pipeline)?;
        let (arenas, receiver) = sync_channel(WAITING);
        let sparse = entry.sparse.clone();
        let part = match sparse {
            Some(_) => Part::Other,
            None => Part::Content,
        };
        let unit = Unit::Stream {
            birth: Birth::of(entry),
            sparse,
            arenas: receiver,
        };
        let batch = pipeline.number();
        pipeline.push(unit, 0)?;
        pipeline.flush()?;
        if entry.size > 0 {
            self.content = Content::Stream {
                arenas,
                batch,
                part,
                left: entry.size,
            };
        }
        Ok(())
    }

    /// The next bytes of the content that is expected.
    pub(crate) fn content(&mut self, pipeline: &mut Pipeline, bytes: &[u8]) -> Result<()> {
        let part = self.content.advance(bytes.len());
        self.append(pipeline, bytes, part)?;
        self.end_content(pipeline)
    }

    /// Room for some of the content that is expected, at least one byte and at most `limit`: who
    /// fills it spares [`Self::content`] a copy, and tells by [`Self::filled`] how far he came.
    pub(crate) fn content_space(
        &mut self,
        pipeline: &mut Pipeline,
        limit: u64,
    ) -> Result<&mut [u8]> {
        let space = self.room(pipeline, 1)?.space();
        let length = usize::try_from(limit).map_or(space.len(), |limit| limit.min(space.len()));
        Ok(&mut space[..length])
    }

    /// The first `count` bytes of the room are there.
    pub(crate) fn filled(&mut self, pipeline: &mut Pipeline, count: usize) -> Result<()> {
        let part = self.content.advance(count);
        self.room(pipeline, 0)?.advance(count, part);
        self.end_content(pipeline)
    }

    /// Ends the content if it is complete.
    fn end_content(&mut self, pipeline: &mut Pipeline) -> Result<()> {
        match self.content {
            Content::Whole {
                length,
                left: 0,
                birth,
            } => {
                self.room(pipeline, 0)?.end_unnamed(length, birth);
                self.content = Content::None;
            }
            Content::Stream { left: 0, .. } => {
                self.flush(pipeline)?;
                // Dropping the sender tells the worker that the content is complete.
                self.content = Content::None;
            }
            _ => {}
        }
        Ok(())
    }

    /// Bytes that belong to no member's meaning.
    pub(crate) fn other(&mut self, pipeline: &mut Pipeline, bytes: &[u8]) -> Result<()> {
        self.append(pipeline, bytes, Part::Other)
    }

    fn append(&mut self, pipeline: &mut Pipeline, mut bytes: &[u8], part: Part) -> Result<()> {
        while !bytes.is_empty() {
            let count = self.room(pipeline, 1)?.put(bytes, part);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// The arena to fill, with room for `count` bytes.
    fn room(&mut self, pipeline: &mut Pipeline, count: usize) -> Result<&mut Arena> {
        if let Some(arena) = &mut self.arena
            && arena.space().len() < count
        {
            self.flush(pipeline)?;
        }
        let arena = match self.arena.take() {
            Some(arena) => arena,
            None => {
                let batch = match self.content {
                    Content::Stream { batch, .. } => batch,
                    _ => pipeline.number(),
                };
                pipeline.arena(batch)?
            }
        };
        Ok(self.arena.insert(arena))
    }

    /// Hands over what is in the arena.
    pub(crate) fn flush(&mut self, pipeline: &mut Pipeline) -> Result<()> {
        let Some(arena) = self.arena.take() else {
            return Ok(());
        };
        if let Content::Stream { arenas, .. } = &self.content {
            return arenas.send(arena).map_err(|_| pipeline.failure());
        }
        let length = arena.bytes().len() as u64;
        pipeline.push(Unit::Filled(arena), length)
    }
}
