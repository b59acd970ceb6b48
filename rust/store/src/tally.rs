//! Counting bytes of disk the way `du` does, and what removing a set of names would give back.

use std::collections::HashMap;

use fastlayer_fs::{Directory, Kind, Metadata};

use crate::error::Result;

/// Bytes of a block as the kernel counts them.
const BLOCK: u64 = 512;
/// Directories within each other that are looked into: each is open meanwhile.
const DEPTH: usize = 128;

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
    /// What goes away meanwhile is not counted.
    pub(crate) fn walk(&mut self, directory: &Directory, name: &[u8]) -> Result<u64> {
        self.descend(directory, name, DEPTH)
    }

    fn descend(&mut self, directory: &Directory, name: &[u8], depth: usize) -> Result<u64> {
        let metadata = directory.find_child(name)?;
        let mut bytes = self.add(metadata);
        if depth == 0 || metadata.is_none_or(|metadata| metadata.kind != Kind::Directory) {
            return Ok(bytes);
        }
        let Ok(child) = directory.open_child(name) else {
            return Ok(bytes);
        };
        for entry in child.entries()?.iter() {
            bytes += self.descend(&child, entry.name, depth - 1)?;
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
