//! The layer's tar, cut into units with what the table of contents needs to know of them.
//!
//! The tar is parsed once more on its way out, since a unit's frames depend on where contents
//! begin and end. Units are the frames of the other codecs (`frames.rs`), so that versions of a
//! layer share them.

use std::collections::HashSet;

use fastlayer_tar::{EntryKind, Event, Limits, Reader, padding};

use super::member::Member;
use super::unit::{Part, Summing, Sums, Unit};
use crate::digest::DiffId;
use crate::error::{Error, Result, check_cancelled};
use crate::export::ExportOptions;
use crate::export::settings::Settings;
use crate::frames::Frame;
use crate::layer_reader::LayerReader;

/// Bytes of the end blocks, which belong to the first segment after the last member.
const END: usize = 1024;
/// What follows them is cut into segments of this length.
const SEGMENT: usize = 1 << 20;

/// What is to be written down of a unit besides its frames' places, in order.
pub(super) enum Note {
    /// A member begins.
    Member(Box<Member>),
    /// A content of the unit's part with this number. `sums` come with the last part of a content
    /// that is in several.
    Content { part: usize, sums: Option<Sums> },
    /// Bytes at the end of the tar.
    End(Vec<u8>),
}

/// Reads a layer unit by unit.
pub(super) struct Units<'a> {
    reader: &'a LayerReader,
    frames: std::slice::Iter<'a, Frame>,
    settings: Settings,
    options: &'a ExportOptions,
    parser: Reader,
    listener: Listener,
}

impl<'a> Units<'a> {
    pub(super) fn new(
        reader: &'a LayerReader,
        frames: &'a [Frame],
        settings: Settings,
        options: &'a ExportOptions,
    ) -> Self {
        Self {
            reader,
            frames: frames.iter(),
            settings,
            options,
            parser: Reader::new(Limits::default()),
            listener: Listener {
                diff_id: reader.info().diff_id,
                ..Listener::default()
            },
        }
    }

    /// The next unit; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Unit>> {
        let Some(frame) = self.frames.next() else {
            return Ok(None);
        };
        check_cancelled(&self.options.cancel)?;
        let mut bytes = Vec::with_capacity(usize::try_from(frame.length).unwrap_or(0));
        for row in frame.rows.clone() {
            self.reader.expand_checked(row, &mut bytes)?;
        }
        let listener = &mut self.listener;
        listener.begin_unit();
        self.parser
            .feed(&bytes, &mut |event: Event<'_>| listener.take(event))?;
        if self.frames.len() == 0 {
            self.parser
                .finish(&mut |event: Event<'_>| listener.take(event))?;
            listener.end()?;
        }
        let (parts, notes) = listener.end_unit(bytes.len());
        let mut identity = blake3::Hasher::new();
        identity.update(&frame.identity);
        parts.iter().for_each(|part| {
            identity.update(&part.tag());
        });
        Ok(Some(Unit {
            key: self.settings.key(identity.finalize().as_bytes()),
            bytes,
            parts,
            notes,
        }))
    }
}

/// What the parser tells, gathered.
struct Listener {
    diff_id: DiffId,
    /// Tar bytes told of so far, and those before the unit.
    position: u64,
    start: u64,
    /// Tar bytes fed before the unit ended.
    fed: u64,
    parts: Vec<Part>,
    notes: Vec<Note>,
    /// Bytes of the unit that `parts` covers.
    covered: usize,
    content: Option<Content>,
    /// Padding, and at the end whatever else has not been told of.
    pending: Vec<u8>,
    /// The padding that must come before anything else.
    expected: usize,
    is_first_end: bool,
    /// The names so far, hashed.
    names: HashSet<[u8; 16]>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            diff_id: DiffId::from_bytes([0; 32]),
            position: 0,
            start: 0,
            fed: 0,
            parts: Vec::new(),
            notes: Vec::new(),
            covered: 0,
            content: None,
            pending: Vec::new(),
            expected: 0,
            is_first_end: true,
            names: HashSet::new(),
        }
    }
}

/// A content that is passing.
struct Content {
    size: u64,
    seen: u64,
    summing: Summing,
}

impl Listener {
    fn begin_unit(&mut self) {
        self.start = self.fed;
        self.covered = 0;
    }

    fn end_unit(&mut self, length: usize) -> (Vec<Part>, Vec<Note>) {
        self.cover(length);
        self.fed += length as u64;
        (
            std::mem::take(&mut self.parts),
            std::mem::take(&mut self.notes),
        )
    }

    /// What is not content up to `end` is one part.
    fn cover(&mut self, end: usize) {
        if end > self.covered {
            let length = end - self.covered;
            self.parts.push(Part::Other { length });
            self.covered = end;
        }
    }

    fn take(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Entry { entry, header } => {
                self.check_padding()?;
                let segment = [&self.pending[..], header].concat();
                self.pending.clear();
                let member = Member::new(entry, header, segment);
                let member = member.map_err(|reason| self.refused(&reason))?;
                self.check_name(&entry.path, &member.name)?;
                self.expected = padding(entry.size);
                let is_content = entry.kind == EntryKind::File && entry.size > 0;
                self.content = is_content.then(|| Content {
                    size: entry.size,
                    seen: 0,
                    summing: Summing::default(),
                });
                self.notes.push(Note::Member(Box::new(member)));
            }
            Event::Content(bytes) => self.content(bytes),
            Event::Padding(bytes) => self.pending.extend_from_slice(bytes),
            Event::Trailer(bytes) => self.trailer(bytes)?,
        }
        self.position += event.bytes().len() as u64;
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) {
        let begin = usize::try_from(self.position - self.start).unwrap_or(usize::MAX);
        self.cover(begin);
        let Some(content) = &mut self.content else {
            return;
        };
        let is_whole = bytes.len() as u64 == content.size;
        content.seen += bytes.len() as u64;
        let is_last = content.seen == content.size;
        let part = self.parts.len();
        let length = bytes.len();
        self.parts.push(Part::Content { length, is_whole });
        self.covered = begin + length;
        if !is_whole {
            content.summing.update(bytes);
        }
        let mut sums = None;
        if is_last {
            let ended = self.content.take().filter(|_| !is_whole);
            sums = ended.map(|content| content.summing.finish());
        }
        self.notes.push(Note::Content { part, sums });
    }

    fn trailer(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.iter().any(|byte| *byte != 0) {
            return Err(self.refused("something follows the end of its tar"));
        }
        self.pending.extend_from_slice(bytes);
        loop {
            let limit = match self.is_first_end {
                true => self.expected + END,
                false => SEGMENT,
            };
            if self.pending.len() < limit {
                return Ok(());
            }
            let rest = self.pending.split_off(limit);
            let segment = std::mem::replace(&mut self.pending, rest);
            self.notes.push(Note::End(segment));
            self.is_first_end = false;
        }
    }

    /// The tar has ended.
    fn end(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.is_first_end {
            self.check_padding()?;
        }
        let segment = std::mem::take(&mut self.pending);
        self.notes.push(Note::End(segment));
        Ok(())
    }

    fn check_padding(&mut self) -> Result<()> {
        if self.pending.len() < self.expected {
            return Err(self.refused("its tar ends within the padding of a file"));
        }
        self.expected = 0;
        Ok(())
    }

    fn check_name(&mut self, path: &[u8], name: &str) -> Result<()> {
        let normal = fastlayer_tar::path::normalise(path)
            .map_err(|_| self.refused(&format!("{name} leads out of the layer")))?;
        let hash = blake3::hash(&normal);
        let Some(short) = hash.as_bytes().first_chunk::<16>() else {
            return Ok(());
        };
        match self.names.insert(*short) {
            true => Ok(()),
            false => Err(self.refused(&format!("{name} is in it twice"))),
        }
    }

    fn refused(&self, reason: &str) -> Error {
        Error::no_contents(&self.diff_id, reason)
    }
}
