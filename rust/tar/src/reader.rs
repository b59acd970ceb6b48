//! The push parser.
//!
//! Bytes come in pieces of any size; each belongs to exactly one event, and events come in the
//! order of the bytes. Headers are gathered in memory (bounded by [`Limits`]); content and padding
//! are passed through as slices of the input, so that a large archive is never copied.
//!
//! The parser is strict: what is malformed is an error with its place, after which the reader
//! takes nothing more. It never looks for a later header to go on with.

use crate::block::{BLOCK_SIZE, decode, is_zero, padding};
use crate::entry::{Entry, EntryKind, Event};
use crate::error::{Error, ErrorKind};
use crate::limits::Limits;
use crate::pending::{Extension, Pending, Sparse};
use crate::sparse::{Piece, SparseMap};
use crate::sparse_map::{GnuMap, TextMap};

/// A push parser for tar archives: ustar, V7, GNU, PAX and star.
///
/// Feed it the archive, then call [`Reader::finish`]. The events given to the sink cover all bytes
/// that were fed, each exactly once and in order. After an error, also one of the sink, the reader
/// is of no further use.
///
/// ```
/// use fastlayer_tar::{Entry, EntryKind, Error, Event, Limits, Reader, TRAILER, encode_header};
///
/// let mut archive = Vec::new();
/// encode_header(&Entry::new("etc", EntryKind::Directory), &mut archive)?;
/// archive.extend_from_slice(&TRAILER);
///
/// let mut paths = Vec::new();
/// let mut reader = Reader::new(Limits::default());
/// let mut sink = |event: Event<'_>| {
///     if let Event::Entry { entry, .. } = event {
///         paths.push(entry.path.clone());
///     }
///     Ok::<(), Error>(())
/// };
/// reader.feed(&archive, &mut sink)?;
/// reader.finish(&mut sink)?;
/// assert_eq!(paths, [b"etc/"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    state: State,
    /// Bytes taken so far.
    position: u64,
    /// Header blocks seen so far.
    members: u64,
    /// Raw bytes since the last content or padding, all of them part of headers.
    raw: Vec<u8>,
    pending: Pending,
}

/// What the next bytes are.
#[derive(Debug)]
enum State {
    /// Part of something of known size that is gathered in `raw`.
    Gather { part: Part, missing: usize },
    /// Data of a member, then padding. Only a file's data is content.
    Data {
        left: u64,
        padding: usize,
        is_content: bool,
    },
    /// Bytes without meaning.
    Padding { left: usize },
    /// All that is left.
    Trailer,
    /// There was an error.
    Failed(Error),
}

/// What is being gathered.
#[derive(Debug)]
enum Part {
    /// A header block, or the first of the two zero blocks.
    Header,
    /// The second zero block.
    End,
    /// The data of an extension and its padding.
    Extension { extension: Extension, size: usize },
    /// A further block of an old GNU map.
    GnuMap { member: Box<Member>, map: GnuMap },
    /// A block of a PAX 1.0 map.
    TextMap {
        member: Box<Member>,
        real_size: i64,
        map: TextMap,
    },
}

/// An entry and the bytes that follow it before the padding.
#[derive(Debug)]
struct Member {
    entry: Entry,
    stored: u64,
}

/// A member that is complete, or none yet.
type Progress = Result<Option<Member>, ErrorKind>;

const NEXT_HEADER: State = State::Gather {
    part: Part::Header,
    missing: BLOCK_SIZE,
};

impl Reader {
    /// A reader at the start of an archive.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: NEXT_HEADER,
            position: 0,
            members: 0,
            raw: Vec::new(),
            pending: Pending::default(),
        }
    }

    /// Bytes taken so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of a file's content that come next: the caller may take any of them past the reader,
    /// and must then tell it so by [`Self::skip_content`].
    pub fn expected_content(&self) -> u64 {
        match self.state {
            State::Data {
                left,
                is_content: true,
                ..
            } => left,
            _ => 0,
        }
    }

    /// The next `count` bytes of the archive, at most [`Self::expected_content`], were taken past
    /// the reader; there is no event for them.
    pub fn skip_content(&mut self, count: u64) {
        let count = count.min(self.expected_content());
        if let State::Data { left, padding, .. } = &mut self.state {
            *left -= count;
            self.position += count;
            if *left == 0 {
                self.state = after_data(*padding);
            }
        }
    }

    /// Take the next bytes of the archive.
    ///
    /// # Errors
    /// The first fault of the archive, again on each later call; and those of `sink`.
    pub fn feed<E: From<Error>>(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let taken = self.step(bytes, sink)?;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// The archive has ended: give out what is left.
    ///
    /// An archive may end without end blocks, with one, and within the padding of its last entry.
    ///
    /// # Errors
    /// An end within anything else, and those of `sink`.
    pub fn finish<E: From<Error>>(
        &mut self,
        sink: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let cut = match &self.state {
            State::Failed(error) => return Err(error.clone().into()),
            State::Padding { .. } | State::Trailer => None,
            State::Data { .. } => Some("the data of an entry"),
            State::Gather { part, missing } => match part {
                Part::Header | Part::End if *missing == BLOCK_SIZE => None,
                Part::Header | Part::End => Some("a header block"),
                Part::Extension { .. } => Some("an extended header"),
                Part::GnuMap { .. } | Part::TextMap { .. } => Some("the map of a sparse file"),
            },
        };
        if let Some(part) = cut {
            return Err(self
                .fail(self.position, ErrorKind::Truncated { part })
                .into());
        }
        self.end(sink)
    }

    /// Take some of the bytes, at least one.
    fn step<E: From<Error>>(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let taken = match &mut self.state {
            State::Failed(error) => return Err(error.clone().into()),
            State::Trailer => {
                sink(Event::Trailer(bytes))?;
                bytes.len()
            }
            State::Padding { left } => {
                let taken = bytes.len().min(*left);
                sink(Event::Padding(&bytes[..taken]))?;
                *left -= taken;
                if *left == 0 {
                    self.state = NEXT_HEADER;
                }
                taken
            }
            State::Data {
                left,
                padding,
                is_content,
            } => {
                let taken = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                let data = &bytes[..taken];
                sink(match is_content {
                    true => Event::Content(data),
                    false => Event::Padding(data),
                })?;
                *left -= taken as u64;
                if *left == 0 {
                    self.state = after_data(*padding);
                }
                taken
            }
            State::Gather { missing, .. } => {
                let taken = bytes.len().min(*missing);
                *missing -= taken;
                let is_whole = *missing == 0;
                self.raw.extend_from_slice(&bytes[..taken]);
                self.position += taken as u64;
                if is_whole {
                    self.gathered(sink)?;
                }
                return Ok(taken);
            }
        };
        self.position += taken as u64;
        Ok(taken)
    }

    /// Something is whole: see what it is, and what comes next.
    fn gathered<E: From<Error>>(
        &mut self,
        sink: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let State::Gather { part, .. } = std::mem::replace(&mut self.state, NEXT_HEADER) else {
            return Ok(());
        };
        let mut start = self.position - BLOCK_SIZE as u64;
        let progress = match part {
            Part::Header => self.header(),
            Part::End if is_zero(self.tail(BLOCK_SIZE)) => return self.end(sink),
            Part::End => Err(ErrorKind::LoneZeroBlock),
            Part::Extension { extension, size } => {
                let padded = size + padding(size as u64);
                start = self.position - padded as u64;
                let data = &self.raw[self.raw.len() - padded..][..size];
                self.pending.take(extension, data).map(|()| None)
            }
            Part::GnuMap { member, map } => self.gnu_map(*member, map),
            Part::TextMap {
                member,
                real_size,
                map,
            } => self.text_map(*member, real_size, map),
        };
        match progress {
            Ok(Some(member)) => self.begin(&member, sink),
            Ok(None) => Ok(()),
            Err(kind) => Err(self.fail(start, kind).into()),
        }
    }

    /// The last bytes gathered.
    fn tail(&self, length: usize) -> &[u8] {
        &self.raw[self.raw.len() - length..]
    }

    /// A header block is there.
    fn header(&mut self) -> Progress {
        let Some(block) = self.raw.last_chunk::<BLOCK_SIZE>() else {
            return Ok(None);
        };
        if is_zero(block) {
            self.gather(Part::End, BLOCK_SIZE)?;
            return Ok(None);
        }
        self.members += 1;
        if self.members > self.limits.entries {
            return Err(limit("the number of entries", self.limits.entries));
        }
        let fields = decode(block)?;
        if let Some(extension) = Extension::of(fields.type_flag) {
            let size = usize::try_from(fields.size);
            let size = size.map_err(|_| ErrorKind::Number { field: "size" })?;
            if size as u64 > self.limits.extension_bytes {
                return Err(limit("an extended header", self.limits.extension_bytes));
            }
            return self.extension(extension, size);
        }
        let resolved = self.pending.resolve(fields, block, &self.limits)?;
        let member = Member {
            entry: resolved.entry,
            stored: resolved.stored,
        };
        match resolved.sparse {
            Sparse::None => Ok(Some(member)),
            Sparse::Known { real_size, pieces } => with_map(member, real_size, pieces),
            Sparse::Gnu(map) => self.next_gnu_map(member, map),
            Sparse::Data { real_size } => self.next_text_map(member, real_size, TextMap::default()),
        }
    }

    /// An extension is announced; one without data is whole at once.
    fn extension(&mut self, extension: Extension, size: usize) -> Progress {
        if size == 0 {
            self.pending.take(extension, &[])?;
            return Ok(None);
        }
        let missing = size + padding(size as u64);
        self.gather(Part::Extension { extension, size }, missing)?;
        Ok(None)
    }

    fn gnu_map(&mut self, member: Member, mut map: GnuMap) -> Progress {
        map.extend(self.tail(BLOCK_SIZE), &self.limits)?;
        self.next_gnu_map(member, map)
    }

    fn next_gnu_map(&mut self, member: Member, map: GnuMap) -> Progress {
        if !map.is_extended {
            return with_map(member, map.real_size, map.pieces);
        }
        let member = Box::new(member);
        self.gather(Part::GnuMap { member, map }, BLOCK_SIZE)?;
        Ok(None)
    }

    fn text_map(&mut self, mut member: Member, real_size: i64, mut map: TextMap) -> Progress {
        // The map is the first part of the stored bytes, but not of the content.
        member.stored -= BLOCK_SIZE as u64;
        member.entry.size = member.stored;
        if map.extend(self.tail(BLOCK_SIZE), &self.limits)? {
            return with_map(member, real_size, map.pieces);
        }
        self.next_text_map(member, real_size, map)
    }

    fn next_text_map(&mut self, member: Member, real_size: i64, map: TextMap) -> Progress {
        if member.stored < BLOCK_SIZE as u64 {
            return Err(ErrorKind::Sparse("its map does not end"));
        }
        let part = Part::TextMap {
            member: Box::new(member),
            real_size,
            map,
        };
        self.gather(part, BLOCK_SIZE)?;
        Ok(None)
    }

    /// Gather the next `missing` bytes.
    fn gather(&mut self, part: Part, missing: usize) -> Result<(), ErrorKind> {
        if self.raw.len() + missing > self.limits.header_bytes {
            let limit_bytes = self.limits.header_bytes as u64;
            return Err(limit("what stands before an entry", limit_bytes));
        }
        self.state = State::Gather { part, missing };
        Ok(())
    }

    /// Give out an entry; its data is next.
    fn begin<E: From<Error>>(
        &mut self,
        member: &Member,
        sink: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        sink(Event::Entry {
            entry: &member.entry,
            header: &self.raw,
        })?;
        self.raw.clear();
        if member.stored > 0 {
            self.state = State::Data {
                left: member.stored,
                padding: padding(member.stored),
                is_content: member.entry.kind == EntryKind::File,
            };
        }
        Ok(())
    }

    /// The end of the members, in end blocks or without: what is gathered is the trailer's begin.
    fn end<E: From<Error>>(
        &mut self,
        sink: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.pending.is_empty() {
            let kind = ErrorKind::Dangling;
            return Err(self.fail(self.position, kind).into());
        }
        self.state = State::Trailer;
        if !self.raw.is_empty() {
            sink(Event::Trailer(&self.raw))?;
            self.raw = Vec::new();
        }
        Ok(())
    }

    /// Take nothing more.
    fn fail(&mut self, offset: u64, kind: ErrorKind) -> Error {
        let error = Error { offset, kind };
        self.state = State::Failed(error.clone());
        error
    }
}

/// What comes after a member's data.
fn after_data(padding: usize) -> State {
    match padding {
        0 => NEXT_HEADER,
        left => State::Padding { left },
    }
}

fn with_map(mut member: Member, real_size: i64, pieces: Vec<Piece>) -> Progress {
    let real_size = u64::try_from(real_size);
    let real_size = real_size.map_err(|_| ErrorKind::Sparse("its size is negative"))?;
    member.entry.sparse = Some(SparseMap::new(real_size, pieces, member.stored)?);
    Ok(Some(member))
}

fn limit(part: &'static str, limit: u64) -> ErrorKind {
    ErrorKind::Limit { part, limit }
}
