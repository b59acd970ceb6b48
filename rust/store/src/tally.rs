//! Counting bytes of disk the way `du` does, and what removing a set of names would give back.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fastlayer_fs::{Directory, EntryList, Kind, Metadata};

use crate::error::Result;

/// Bytes of a block as the kernel counts them.
const BLOCK: u64 = 512;
/// Directories within each other that are open at a time; a container may have made any number.
const DEPTH: usize = 64;

/// Names that were counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Of inodes with one name.
    single: u64,
    /// Inodes with several, by device and number.
    several: HashMap<(u64, u64), Inode>,
}

#[derive(Debug)]
struct Inode {
    links: u64,
    seen: u64,
    bytes: u64,
}

impl Tally {
    /// Counts one name, if there is a file of it; gives the bytes it adds.
    pub(crate) fn add(&mut self, metadata: Option<Metadata>) -> u64 {
        let Some(metadata) = metadata else {
            return 0;
        };
        let bytes = metadata.blocks * BLOCK;
        // The links of a directory are those of its children.
        if metadata.nlink <= 1 || metadata.kind == Kind::Directory {
            self.single += bytes;
            return bytes;
        }
        let inode = self
            .several
            .entry((metadata.dev, metadata.ino))
            .or_insert(Inode {
                links: u64::from(metadata.nlink),
                seen: 0,
                bytes,
            });
        inode.seen += 1;
        if inode.seen == 1 { bytes } else { 0 }
    }

    /// Counts `name` and everything below it, as far as it can be opened; gives the bytes it adds.
    /// What goes away or is moved meanwhile may not be counted.
    pub(crate) fn walk(&mut self, directory: &Directory, name: &[u8]) -> Result<u64> {
        let metadata = directory.find_child(name)?;
        let mut bytes = self.add(metadata);
        let mut levels: Vec<Level> = Level::of(directory, name, metadata)?.into_iter().collect();
        while let Some(level) = levels.last_mut() {
            let index = level.next;
            level.next += 1;
            let Some(entry) = level.entries.get(index) else {
                leave(&mut levels);
                continue;
            };
            let Some(here) = &level.directory else { break };
            let metadata = here.find_child(entry.name)?;
            bytes += self.add(metadata);
            if let Some(deeper) = Level::of(here, entry.name, metadata)? {
                levels.push(deeper);
                if let Some(far) = levels.len().checked_sub(DEPTH + 1) {
                    levels[far].directory = None;
                }
            }
        }
        Ok(bytes)
    }

    /// Bytes given back when all names that were counted are removed.
    pub(crate) fn freed(&self) -> u64 {
        let inodes = self.several.values();
        let all = inodes.filter(|inode| inode.seen >= inode.links);
        self.single + all.map(|inode| inode.bytes).sum::<u64>()
    }
}

/// A directory that is being walked through.
struct Level {
    /// Closed where it is far above; the way back is by `..`.
    directory: Option<Directory>,
    identity: (u64, u64),
    entries: EntryList,
    next: usize,
}

impl Level {
    /// The directory `name`; `None` where it is none, or may not be looked into.
    fn of(parent: &Directory, name: &[u8], metadata: Option<Metadata>) -> Result<Option<Self>> {
        if metadata.is_none_or(|metadata| metadata.kind != Kind::Directory) {
            return Ok(None);
        }
        let Ok(directory) = parent.open_child(name) else {
            return Ok(None);
        };
        let metadata = directory.metadata()?;
        Ok(Some(Self {
            identity: (metadata.dev, metadata.ino),
            entries: directory.entries()?,
            directory: Some(directory),
            next: 0,
        }))
    }
}

/// Goes back up. Where the directory above was closed and is no longer above, nothing is left to
/// walk through: what was moved is somebody's at work.
fn leave(levels: &mut Vec<Level>) {
    let Some(left) = levels.pop() else { return };
    let Some(above) = levels.last_mut() else {
        return;
    };
    if above.directory.is_some() {
        return;
    }
    let found = left.directory.and_then(|left| left.open_parent().ok());
    let found = found.filter(|directory| {
        let metadata = directory.metadata();
        metadata.is_ok_and(|metadata| (metadata.dev, metadata.ino) == above.identity)
    });
    match found {
        Some(directory) => above.directory = Some(directory),
        None => levels.clear(),
    }
}

/// Bytes of disk that removing `path` with everything in it gives back: those of each file whose
/// names are all there. Nothing there is nothing.
///
/// # Errors
/// Those of the file system, but for directories that may not be looked into.
pub fn disk_usage(path: &Path) -> Result<u64> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(0);
    };
    let parent = match Directory::open(parent) {
        Err(error) if error.is_not_found() => return Ok(0),
        parent => parent?,
    };
    let mut tally = Tally::default();
    tally.walk(&parent, name.as_bytes())?;
    Ok(tally.freed())
}
