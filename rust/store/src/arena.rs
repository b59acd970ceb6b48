//! Buffers of tar bytes on their way from the workers to the assembler.
//!
//! An arena holds consecutive bytes of the tar, and steps that say what they are, so that the hash
//! over all bytes is one call a buffer. Their number bounds the memory of a layer's pipeline. Only
//! the batch whose turn it is may go over the common bound, by a little: it is the one that the
//! others wait for, so nobody waits for ever.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use fastlayer_tar::Entry;

use crate::digest::ContentId;
use crate::error::{Error, Result};
use crate::object::Birth;

/// Bytes of one arena: small enough to stay in a core's cache between reading and hashing.
pub(crate) const ARENA_SIZE: usize = 512 << 10;
/// Arenas that all batches together may fill.
const COMMON: usize = 48;
/// Arenas more that the batch whose turn it is may fill.
const RESERVED: usize = 8;

/// What the next bytes of an arena are.
pub(crate) enum Step {
    /// A member begins.
    Entry(Box<Entry>),
    /// So many bytes of its header.
    Header(usize),
    /// So many bytes of its content, as they are in the object.
    Content(usize),
    /// So many bytes that are neither: padding, the trailer, the stored form of a sparse file.
    Other(usize),
    /// The member's content is complete and has this id; it is an object if it is large.
    End(ContentId),
}

/// What bytes are, before it is known how many of them lie in one arena.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Header,
    Content,
    Other,
}

/// A whole content in an arena, whose id a worker has yet to put in.
struct Unnamed {
    /// Which step is its end.
    step: usize,
    start: usize,
    length: usize,
    birth: Birth,
}

/// One buffer.
pub(crate) struct Arena {
    bytes: Box<[u8]>,
    filled: usize,
    pub(crate) steps: Vec<Step>,
    unnamed: Vec<Unnamed>,
}

impl Arena {
    fn new() -> Self {
        Self {
            bytes: vec![0; ARENA_SIZE].into_boxed_slice(),
            filled: 0,
            steps: Vec::new(),
            unnamed: Vec::new(),
        }
    }

    /// The bytes of the tar.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Where the next bytes go.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled..]
    }

    /// The first `count` bytes of the space are tar bytes now.
    pub(crate) fn advance(&mut self, count: usize, part: Part) {
        self.filled += count;
        match (part, self.steps.last_mut()) {
            (Part::Header, Some(Step::Header(length)))
            | (Part::Content, Some(Step::Content(length)))
            | (Part::Other, Some(Step::Other(length))) => *length += count,
            (Part::Header, _) => self.steps.push(Step::Header(count)),
            (Part::Content, _) => self.steps.push(Step::Content(count)),
            (Part::Other, _) => self.steps.push(Step::Other(count)),
        }
    }

    /// Takes as many of `bytes` as there is room for; gives how many.
    pub(crate) fn put(&mut self, bytes: &[u8], part: Part) -> usize {
        let count = bytes.len().min(self.space().len());
        self.space()[..count].copy_from_slice(&bytes[..count]);
        self.advance(count, part);
        count
    }

    /// The last `length` bytes are a whole content, which [`Self::name`] gives its id.
    pub(crate) fn end_unnamed(&mut self, length: usize, birth: Birth) {
        self.unnamed.push(Unnamed {
            step: self.steps.len(),
            start: self.filled - length,
            length,
            birth,
        });
        self.steps.push(Step::End(ContentId::from_bytes([0; 32])));
    }

    /// Gives each content that has none its id.
    pub(crate) fn name(
        &mut self,
        mut identify: impl FnMut(&[u8], Birth) -> Result<ContentId>,
    ) -> Result<()> {
        for unnamed in self.unnamed.drain(..) {
            let content = &self.bytes[unnamed.start..unnamed.start + unnamed.length];
            self.steps[unnamed.step] = Step::End(identify(content, unnamed.birth)?);
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0 && self.steps.is_empty()
    }
}

/// The arenas of one layer.
#[derive(Clone)]
pub(crate) struct Arenas {
    shared: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    free: Vec<Arena>,
    taken: usize,
    /// The batch whose turn it is.
    turn: u64,
    closed: bool,
}

impl Arenas {
    pub(crate) fn new() -> Self {
        let state = State {
            free: Vec::new(),
            taken: 0,
            turn: 0,
            closed: false,
        };
        Self {
            shared: Arc::new((Mutex::new(state), Condvar::new())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding it; and if, the state is whole between any two statements.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty arena for `batch`; waits until there may be one more.
    pub(crate) fn take(&self, batch: u64) -> Result<Arena> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(Error::Interrupted);
            }
            let reserved = if state.turn == batch { RESERVED } else { 0 };
            if state.taken < COMMON + reserved {
                state.taken += 1;
                return Ok(state.free.pop().unwrap_or_else(Arena::new));
            }
            state = self
                .shared
                .1
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes an arena back.
    pub(crate) fn give_back(&self, mut arena: Arena) {
        arena.filled = 0;
        arena.steps.clear();
        arena.unnamed.clear();
        let mut state = self.lock();
        state.taken -= 1;
        state.free.push(arena);
        drop(state);
        self.shared.1.notify_all();
    }

    /// It is the turn of `batch`.
    pub(crate) fn set_turn(&self, batch: u64) {
        self.lock().turn = batch;
        self.shared.1.notify_all();
    }

    /// Nobody gets another arena: the layer has failed.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.shared.1.notify_all();
    }
}
