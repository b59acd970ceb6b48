//! Checking a store: does everything have the content that its name says, and is it all there?
//!
//! There are four levels, each of which includes the ones before it: names and what they lead to,
//! the bytes of contents, the tars of layers, and checkouts. Nothing is repaired or removed. What
//! can be made anew is told as well as what is lost.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::Directory;
use rustix::io::Errno;

use crate::area::{Area, Fanout};
use crate::digest::{BlobDigest, ContentId, DiffId, SegmentId};
use crate::error::{Error, Result, check_cancelled};
use crate::index::{IndexError, TreeIndex};
use crate::layer_reader::LayerReader;
use crate::object::{INLINE_LIMIT, verify_object};
use crate::rebuild::{index_bytes, verify_diff_id};
use crate::segment::StoredSegment;
use crate::store::Store;

/// How far a check goes; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Names, and that all that recipes list is there. Reads the recipes alone.
    Names = 1,
    /// The bytes of objects, segments and blobs have the hashes that they are named by.
    Contents = 2,
    /// Recipes give the tars of their layers, and tree indexes are what these tars give.
    Layers = 3,
    /// Checkouts are what the tree indexes say.
    Checkouts = 4,
}

impl Level {
    /// The level with this number.
    ///
    /// # Errors
    /// [`Error::Format`] for another number than 1 to 4.
    pub fn from_number(number: u32) -> Result<Self> {
        match number {
            1 => Ok(Self::Names),
            2 => Ok(Self::Contents),
            3 => Ok(Self::Layers),
            4 => Ok(Self::Checkouts),
            _ => Err(Error::format(
                "level",
                format!("{number} is none, 1 to 4 are"),
            )),
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind of thing: `object`, `segment`, `recipe`, `tree`, `blob`, `name`, `checkout`.
    pub what: &'static str,
    /// Its name in the store.
    pub name: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Store {
    /// Reads everything and tells what is wrong. `progress` is told each thing that was checked.
    ///
    /// # Errors
    /// What keeps the check itself from going on; damage is no error.
    pub fn fsck(
        &self,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(&'static str),
    ) -> Result<Vec<Problem>> {
        self.fsck_to(Level::Checkouts, cancel, progress)
    }

    /// As [`Self::fsck`], up to a level.
    ///
    /// # Errors
    /// As there.
    pub fn fsck_to(
        &self,
        level: Level,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(&'static str),
    ) -> Result<Vec<Problem>> {
        let _lease = self.lease()?;
        // What is on disk is to be checked, not what was opened before.
        self.indexes().forget();
        let mut check = Check {
            store: self,
            level,
            cancel,
            problems: Vec::new(),
            progress,
        };
        for area in [self.durable(), self.unsynced()] {
            check.area(area)?;
        }
        check.blobs()?;
        for diff_id in self.layers()? {
            check.layer(&diff_id)?;
        }
        if level >= Level::Checkouts {
            check.checkouts()?;
        }
        Ok(check.problems)
    }
}

struct Check<'a> {
    store: &'a Store,
    level: Level,
    cancel: &'a AtomicBool,
    problems: Vec<Problem>,
    progress: &'a mut dyn FnMut(&'static str),
}

impl Check<'_> {
    /// Notes the damage that `result` tells; other errors end the check.
    fn note(&mut self, what: &'static str, name: &dyn ToString, result: Result<()>) -> Result<()> {
        check_cancelled(self.cancel)?;
        (self.progress)(what);
        let detail = match result {
            Ok(()) => return Ok(()),
            Err(Error::Corrupt { detail, .. }) => detail,
            Err(error) if !is_damage(&error) => return Err(error),
            Err(error) => error.to_string(),
        };
        self.problems.push(Problem {
            what,
            name: name.to_string(),
            detail,
        });
        Ok(())
    }

    fn area(&mut self, area: &Area) -> Result<()> {
        for fanout in [&area.objects, &area.segments] {
            for name in fanout.strangers()? {
                let stray = Error::corrupt(&name, "is no name of the store's");
                self.note("name", &name, Err(stray))?;
            }
        }
        self.names(&[&area.recipes, &area.trees])?;
        if self.level < Level::Contents {
            return Ok(());
        }
        for id in area.objects.ids()? {
            let id = ContentId::from_bytes(id);
            let result = check_object(&area.objects, &id);
            self.note("object", &id, result)?;
        }
        for id in area.segments.ids()? {
            let id = SegmentId::from_bytes(id);
            let result = match StoredSegment::read(self.store, id) {
                Ok(segment) => segment.verify(self.store),
                Err(error) => gone(error),
            };
            self.note("segment", &id, result)?;
        }
        Ok(())
    }

    /// Notes what bears no layer's name.
    fn names(&mut self, directories: &[&Directory]) -> Result<()> {
        for directory in directories {
            for entry in directory.entries()?.iter() {
                let name = String::from_utf8_lossy(entry.name).into_owned();
                let result = DiffId::from_hex(&name).map(|_| ());
                if result.is_err() {
                    self.note("name", &name, result)?;
                }
            }
        }
        Ok(())
    }

    fn blobs(&mut self) -> Result<()> {
        for entry in self.store.blobs().entries()?.iter() {
            let name = String::from_utf8_lossy(entry.name).into_owned();
            match BlobDigest::from_hex(&name) {
                Ok(_) if self.level < Level::Contents => {}
                Ok(digest) => {
                    let result = check_blob(self.store, &digest);
                    self.note("blob", &digest, result)?;
                }
                Err(error) => self.note("name", &name, Err(error))?,
            }
        }
        Ok(())
    }

    fn layer(&mut self, diff_id: &DiffId) -> Result<()> {
        // Named by our lease before it is looked for: what is there now stays until we have read it.
        self.store.name_layer(diff_id)?;
        let reader = match LayerReader::open(self.store, diff_id) {
            Ok(reader) => reader,
            Err(error) => return self.note("recipe", diff_id, gone(error)),
        };
        let mut result = check_presence(&reader);
        let mut index = None;
        if self.level >= Level::Layers {
            result = result.and_then(|()| verify_diff_id(&reader, self.cancel));
            result = result.and_then(|()| check_lists(&reader));
            if result.is_ok() && reader.info().raw_reason.is_none() {
                let made = index.insert(index_bytes(&reader));
                result = made
                    .as_ref()
                    .map_or(Ok(()), |made| check_contents(&reader, made));
            }
        }
        self.note("recipe", diff_id, result)?;
        if let Some(made) = index {
            let result = made.and_then(|made| self.check_tree(&reader, &made));
            self.note("tree", diff_id, result)?;
        }
        Ok(())
    }

    fn checkouts(&mut self) -> Result<()> {
        for checkout in self.store.known_checkouts()? {
            let result = checkout.verify(self.store, self.cancel);
            // What was removed since it was listed is no damage.
            if checkout.exists()? {
                self.note("checkout", &checkout.name, result)?;
            }
        }
        Ok(())
    }

    fn check_tree(&self, reader: &LayerReader, expected: &[u8]) -> Result<()> {
        let name = reader.info().diff_id.hex();
        for area in [self.store.durable(), self.store.unsynced()] {
            let path = area.trees.path_to(name.as_bytes());
            match std::fs::read(&path) {
                Ok(bytes) if bytes == expected => {}
                // One of another version counts as missing.
                Ok(bytes) if is_of_another_version(&bytes) => {}
                Ok(_) => return Err(Error::corrupt(name, "is not what the layer's tar gives")),
                // It is made when it is asked for.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(path.display(), error)),
            }
        }
        Ok(())
    }
}

/// Whether an error speaks of what is stored, and not of the machine or the moment.
pub(crate) fn is_damage(error: &Error) -> bool {
    match error {
        Error::Interrupted | Error::Conflict { .. } | Error::Limit { .. } => false,
        // Another release has written it and may still need it: nothing is to be removed for that.
        Error::Version { .. } => false,
        // What the kernel says of a disk that fails, and of a file system that is damaged.
        Error::Io { source, .. } => [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::NODATA]
            .into_iter()
            .any(|errno| source.raw_os_error() == Some(errno.raw_os_error())),
        _ => true,
    }
}

/// What was collected since it was listed is no damage.
fn gone(error: Error) -> Result<()> {
    match error {
        Error::NotFound { .. } => Ok(()),
        error => Err(error),
    }
}

fn check_object(objects: &Fanout, id: &ContentId) -> Result<()> {
    match objects.open_file(id.as_bytes())? {
        Some(file) => verify_object(id, file),
        // Moved by a sync, or collected, since it was listed.
        None => Ok(()),
    }
}

pub(crate) fn check_blob(store: &Store, digest: &BlobDigest) -> Result<()> {
    let mut output = crate::hashing::HashingWriter::new(std::io::sink());
    let mut file = match store.open_blob(digest) {
        Ok(file) => file,
        Err(error) => return gone(error),
    };
    std::io::copy(&mut file, &mut output)
        .map_err(|source| Error::io(format!("cannot read blob {digest}"), source))?;
    let (found, _) = output.finish();
    if found == *digest {
        return Ok(());
    }
    Err(Error::corrupt(
        digest,
        format!("its bytes have the digest {found}"),
    ))
}

/// All that a recipe lists must be there.
pub(crate) fn check_presence(reader: &LayerReader) -> Result<()> {
    let store = reader.store();
    let missing = |what: String| Error::corrupt("recipe", format!("{what} is missing"));
    for id in reader.objects() {
        if !store.has_object(id)? {
            return Err(missing(format!("object {id}")));
        }
    }
    for id in &reader.recipe().segments {
        let found = store.lookup(id.as_bytes(), |area| &area.segments, Fanout::find)?;
        if found.is_none() {
            return Err(missing(format!("segment {id}")));
        }
    }
    Ok(())
}

/// The recipe must name every object that its segments need, or garbage collection would take them
/// away.
fn check_lists(reader: &LayerReader) -> Result<()> {
    let listed: BTreeSet<&ContentId> = reader.objects().iter().collect();
    for id in &reader.recipe().segments {
        for object in StoredSegment::read(reader.store(), *id)?.objects {
            if !listed.contains(&object) {
                return Err(unlisted(&object));
            }
        }
    }
    Ok(())
}

/// The same of every object that its tree needs, by the index that was made of its tar.
fn check_contents(reader: &LayerReader, made: &[u8]) -> Result<()> {
    let listed: BTreeSet<&ContentId> = reader.objects().iter().collect();
    for entry in TreeIndex::new(made.to_vec())?.iter() {
        let entry = entry?;
        if let Some(id) = entry.content()
            && entry.size() > INLINE_LIMIT
            && !listed.contains(&id)
        {
            return Err(unlisted(&id));
        }
    }
    Ok(())
}

fn is_of_another_version(index: &[u8]) -> bool {
    matches!(TreeIndex::new(index.to_vec()), Err(IndexError::Version(_)))
}

fn unlisted(id: &ContentId) -> Error {
    Error::corrupt("recipe", format!("does not list object {id}"))
}
