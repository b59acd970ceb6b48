//! The work on a layer's files that can be done out of order: reading, hashing, storing objects.
//!
//! A worker takes batches of units and turns each into arenas of tar bytes. It knows neither the
//! segments nor the layer's hash: that is the assembler's part.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender};

use fastlayer_fs::{Directory, Metadata};
use fastlayer_tar::sparse::{Expander, SparseMap};
use fastlayer_tar::{Entry, padding};
use rustix::io::Errno;

use crate::arena::{ARENA_SIZE, Arena, Arenas, Part, Step};
use crate::digest::{ContentHasher, ContentId};
use crate::early_sync::NewObjects;
use crate::error::{Error, Result, check_cancelled};
use crate::file_source::{Adoption, FileSource, PathSource};
use crate::late_object::LateObject;
use crate::object::{Birth, INLINE_LIMIT, ObjectWriter};
use crate::read::read_full;
use crate::sparse_content::SparseContent;
use crate::store::Store;

/// Consecutive units of a layer.
pub(crate) struct Batch {
    pub(crate) number: u64,
    pub(crate) units: Vec<Unit>,
    pub(crate) output: Sender<Result<Arena>>,
}

/// A piece of work on a layer, in tar order.
pub(crate) enum Unit {
    /// A member of our own with its header. Content is to be fetched; zeros up to the block border
    /// follow it.
    Entry {
        entry: Box<Entry>,
        header: Vec<u8>,
        source: Option<Box<FileSource>>,
    },
    /// Members as a tar had them, small contents whole.
    Filled(Arena),
    /// A content as a tar has it, or the stored pieces of a sparse file; its header came before.
    Stream {
        birth: Birth,
        sparse: Option<SparseMap>,
        arenas: Receiver<Arena>,
    },
}

/// What all workers of a layer share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) arenas: Arenas,
    pub(crate) cancel: Arc<AtomicBool>,
    pub(crate) new_objects: Arc<NewObjects>,
}

/// Works until there are no batches.
pub(crate) fn run(context: &Context, next: impl Fn() -> Option<Batch>) {
    let mut held = Vec::new();
    while let Some(batch) = next() {
        let output = batch.output.clone();
        if let Err(error) = process(context, batch, &mut held) {
            // Without a receiver the assembler has failed already and knows why.
            let _ = output.send(Err(error));
            return;
        }
    }
}

fn process(context: &Context, batch: Batch, held: &mut Vec<u8>) -> Result<()> {
    let mut work = Work {
        context,
        number: batch.number,
        output: &batch.output,
        arena: None,
        last_directory: None,
    };
    for unit in batch.units {
        check_cancelled(&context.cancel)?;
        match unit {
            Unit::Entry {
                entry,
                header,
                source,
            } => work.member(entry, &header, source)?,
            Unit::Filled(arena) => work.filled(arena)?,
            Unit::Stream {
                birth,
                sparse: None,
                arenas,
            } => work.stream(birth, &arenas, held)?,
            Unit::Stream {
                birth,
                sparse: Some(map),
                arenas,
            } => work.sparse(&map, birth, &arenas)?,
        }
    }
    work.flush()
}

struct Work<'a> {
    context: &'a Context,
    number: u64,
    output: &'a Sender<Result<Arena>>,
    arena: Option<Arena>,
    last_directory: Option<LastDirectory>,
}

/// The directory that a file was read from last.
struct LastDirectory {
    root: Arc<Directory>,
    path: Vec<u8>,
    directory: Directory,
}

impl Work<'_> {
    /// The arena to fill, with room for at least one byte.
    fn arena(&mut self) -> Result<&mut Arena> {
        if self
            .arena
            .as_mut()
            .is_some_and(|arena| arena.space().is_empty())
        {
            self.flush()?;
        }
        self.arena_with_room(1)
    }

    /// The arena to fill, with room for `count` bytes: at most [`ARENA_SIZE`].
    fn arena_with_room(&mut self, count: usize) -> Result<&mut Arena> {
        if self
            .arena
            .as_mut()
            .is_some_and(|arena| arena.space().len() < count)
        {
            self.flush()?;
        }
        if self.arena.is_none() {
            self.arena = Some(self.context.arenas.take(self.number)?);
        }
        self.arena.as_mut().ok_or(Error::Interrupted)
    }

    fn flush(&mut self) -> Result<()> {
        match self.arena.take() {
            Some(arena) if arena.is_empty() => {
                self.context.arenas.give_back(arena);
                Ok(())
            }
            Some(arena) => self.output.send(Ok(arena)).map_err(|_| Error::Interrupted),
            None => Ok(()),
        }
    }

    /// Hands over an arena that somebody else has filled.
    fn send(&mut self, arena: Arena) -> Result<()> {
        self.flush()?;
        self.output.send(Ok(arena)).map_err(|_| Error::Interrupted)
    }

    fn append(&mut self, mut bytes: &[u8], part: Part) -> Result<()> {
        while !bytes.is_empty() {
            let count = self.arena()?.put(bytes, part);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        self.append(&[0; 512][..padding(size)], Part::Other)
    }

    fn end(&mut self, id: ContentId) -> Result<()> {
        self.arena_with_room(0)?.steps.push(Step::End(id));
        Ok(())
    }

    fn member(
        &mut self,
        entry: Box<Entry>,
        header: &[u8],
        source: Option<Box<FileSource>>,
    ) -> Result<()> {
        let (size, birth) = (entry.size, Birth::of(&entry));
        let xattrs = !entry.xattrs.is_empty();
        self.arena()?.steps.push(Step::Entry(entry));
        self.append(header, Part::Header)?;
        match source {
            None => Ok(()),
            Some(source) => {
                self.source(size, birth, xattrs, *source)?;
                self.pad(size)
            }
        }
    }

    /// Names the contents of an arena, and stores those that are objects.
    fn filled(&mut self, mut arena: Arena) -> Result<()> {
        let context = self.context;
        arena.name(|content, birth| {
            let id = ContentId::of(content);
            let size = content.len() as u64;
            if size > INLINE_LIMIT && context.store.put_object(&id, content, birth)? {
                context.new_objects.add(size);
            }
            Ok(id)
        })?;
        self.send(arena)
    }

    fn source(&mut self, size: u64, birth: Birth, xattrs: bool, source: FileSource) -> Result<()> {
        if size == 0 {
            let id = ContentId::of(b"");
            if let FileSource::Path(source) = &source {
                source.tell(id);
            }
            return self.end(id);
        }
        match source {
            FileSource::Bytes(bytes) => self.bytes(&bytes, birth),
            FileSource::Object(id) => self.object(&id, size),
            FileSource::Layer {
                reader,
                data_offset,
            } => {
                let mut bytes = Vec::new();
                reader.read_range(data_offset, size, &mut bytes)?;
                self.bytes(&bytes, birth)
            }
            FileSource::Path(source) => self.path(size, birth, xattrs, &source),
        }
    }

    fn bytes(&mut self, bytes: &[u8], birth: Birth) -> Result<()> {
        let id = ContentId::of(bytes);
        self.append(bytes, Part::Content)?;
        if bytes.len() as u64 > INLINE_LIMIT && self.context.store.put_object(&id, bytes, birth)? {
            self.count(bytes.len() as u64);
        }
        self.end(id)
    }

    fn object(&mut self, id: &ContentId, size: u64) -> Result<()> {
        let mut file = self.context.store.open_object(id)?;
        let what = || format!("object {id}");
        let count = self
            .copy(&mut file, size, |_| Ok(()))
            .map_err(|failure| failure.about(&what()))?;
        if count != size {
            return Err(Error::corrupt(
                what(),
                format!("it has {count} bytes, not {size}"),
            ));
        }
        self.end(*id)
    }

    /// Reads `size` bytes into arenas as content, showing each piece to `look`.
    fn copy(
        &mut self,
        file: &mut File,
        size: u64,
        mut look: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64, Failure> {
        let mut done = 0;
        while done < size {
            check_cancelled(&self.context.cancel)?;
            let arena = self.arena()?;
            let room = arena.space().len() as u64;
            let wanted = usize::try_from(room.min(size - done)).unwrap_or(ARENA_SIZE);
            let space = &mut arena.space()[..wanted];
            let count = read_full(file, space).map_err(Failure::Read)?;
            look(&space[..count])?;
            arena.advance(count, Part::Content);
            done += count as u64;
            if count < wanted {
                break;
            }
        }
        Ok(done)
    }

    /// The directory that holds a file, and its name there. Files come directory by directory, so
    /// the last one is kept open; more would use up the process's descriptors.
    fn directory_of<'s>(&mut self, source: &'s PathSource) -> Result<(&Directory, &'s [u8])> {
        let (parent, name) = fastlayer_tar::path::split(&source.path).unwrap_or_default();
        let known = self
            .last_directory
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(&last.root, &source.directory) && last.path == parent);
        if !known {
            self.last_directory = Some(LastDirectory {
                directory: source.directory.open_descendant(parent)?,
                root: Arc::clone(&source.directory),
                path: parent.to_vec(),
            });
        }
        let last = self.last_directory.as_ref().ok_or(Error::Interrupted)?;
        Ok((&last.directory, name))
    }

    fn path(&mut self, size: u64, birth: Birth, xattrs: bool, source: &PathSource) -> Result<()> {
        if let Some(id) = source.content
            && size > INLINE_LIMIT
            && self.context.store.has_object(&id)?
        {
            let (directory, name) = self.directory_of(source)?;
            let now = directory.stat_child(name)?;
            if !now.is_unchanged_since(&source.expected) {
                return Err(changed(source));
            }
            return self.object(&id, size);
        }
        let (directory, name) = self.directory_of(source)?;
        let mut file = match directory.open_file(name) {
            // That is about the source, not about the store.
            Err(error) if error.errno() == Some(Errno::ACCESS) => {
                return Err(Error::Source {
                    path: shown(source),
                    detail: "cannot open: permission denied".to_owned(),
                });
            }
            file => file?,
        };
        let adopt = source.adoption == Adoption::Link && !xattrs;
        let id = if size <= ARENA_SIZE as u64 {
            self.small_file(&mut file, size, birth, adopt, source)?
        } else {
            self.large_file(&mut file, size, birth, adopt, source)?
        };
        source.tell(id);
        self.end(id)
    }

    /// A file that fits into an arena: it is known whether its object exists before it is written.
    fn small_file(
        &mut self,
        file: &mut File,
        size: u64,
        birth: Birth,
        adopt: bool,
        source: &PathSource,
    ) -> Result<ContentId> {
        let length = usize::try_from(size).unwrap_or(ARENA_SIZE);
        let context = self.context;
        let arena = self.arena_with_room(length)?;
        let space = &mut arena.space()[..length];
        let count =
            read_full(file, space).map_err(|error| Failure::Read(error).about(&shown(source)))?;
        check_unchanged(file, count as u64 == size, source)?;
        let id = ContentId::of(space);
        if size > INLINE_LIMIT {
            let new = if adopt {
                strip_overlay_attributes(file)?;
                context.store.adopt_object(&id, file)?
            } else {
                context.store.put_object(&id, space, birth)?
            };
            if new {
                context.new_objects.add(size);
            }
        }
        arena.advance(length, Part::Content);
        Ok(id)
    }

    fn large_file(
        &mut self,
        file: &mut File,
        size: u64,
        birth: Birth,
        adopt: bool,
        source: &PathSource,
    ) -> Result<ContentId> {
        let store = self.context.store.clone();
        let mut hasher = ContentHasher::new();
        let mut writer = match adopt {
            true => None,
            false => Some(ObjectWriter::new(&store, birth.mode)?),
        };
        let count = self
            .copy(file, size, |bytes| {
                hasher.update(bytes);
                writer.as_mut().map_or(Ok(()), |writer| writer.write(bytes))
            })
            .map_err(|failure| failure.about(&shown(source)))?;
        check_unchanged(file, count == size, source)?;
        let id = hasher.finish();
        let new = match writer {
            Some(writer) => writer.publish(&store, &id, birth)?,
            None => {
                strip_overlay_attributes(file)?;
                store.adopt_object(&id, file)?
            }
        };
        if new {
            self.count(size);
        }
        Ok(id)
    }

    fn stream(&mut self, birth: Birth, arenas: &Receiver<Arena>, held: &mut Vec<u8>) -> Result<()> {
        let context = self.context;
        let mut object = LateObject::new(&context.store, birth, held);
        let last = self.follow(arenas, |bytes| object.write(bytes))?;
        let (id, added) = object.publish()?;
        self.count(added);
        self.end_stream(last, id)
    }

    fn sparse(&mut self, map: &SparseMap, birth: Birth, arenas: &Receiver<Arena>) -> Result<()> {
        let context = self.context;
        let mut content = SparseContent::new(&context.store, &context.cancel)?;
        let mut expander = Expander::new(map);
        let last = self.follow(arenas, |bytes| {
            expander.feed(bytes, |stretch| content.push(stretch))
        })?;
        expander.finish(|stretch| content.push(stretch))?;
        let (id, added) = content.publish(birth)?;
        self.count(added);
        self.end_stream(last, id)
    }

    /// Shows each arena of a stream and hands it over; the last one is given back to be ended.
    fn follow(
        &mut self,
        arenas: &Receiver<Arena>,
        mut look: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<Option<Arena>> {
        let mut last = None;
        for arena in arenas {
            check_cancelled(&self.context.cancel)?;
            look(arena.bytes())?;
            if let Some(before) = last.replace(arena) {
                self.send(before)?;
            }
        }
        Ok(last)
    }

    fn end_stream(&mut self, last: Option<Arena>, id: ContentId) -> Result<()> {
        match last {
            Some(mut arena) => {
                arena.steps.push(Step::End(id));
                self.send(arena)
            }
            None => self.end(id),
        }
    }

    fn count(&self, bytes: u64) {
        self.context.new_objects.add(bytes);
    }
}

/// What went wrong while copying: the caller knows what was being read.
enum Failure {
    Read(std::io::Error),
    Other(Error),
}

impl Failure {
    fn about(self, what: &str) -> Error {
        match self {
            Self::Read(source) => Error::io(format!("cannot read {what}"), source),
            Self::Other(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

fn shown(source: &PathSource) -> String {
    source.directory.path_to(&source.path).display().to_string()
}

fn changed(source: &PathSource) -> Error {
    Error::Source {
        path: shown(source),
        detail: "the file changed while it was read".to_owned(),
    }
}

fn check_unchanged(file: &File, complete: bool, source: &PathSource) -> Result<()> {
    let now = Metadata::of(file).map_err(|errno| Error::io(shown(source), errno))?;
    if complete && now.is_unchanged_since(&source.expected) {
        return Ok(());
    }
    Err(changed(source))
}

/// What overlayfs left on a file that was copied up says nothing outside of its mount.
fn strip_overlay_attributes(file: &File) -> Result<()> {
    use fastlayer_fs::xattr;
    let failed = |errno| Error::io("cannot strip an adopted file's attributes", errno);
    for name in xattr::all(file).map_err(failed)?.into_keys() {
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            xattr::remove(file, &name).map_err(failed)?;
        }
    }
    Ok(())
}
