//! An upper becomes a layer.
//!
//! A directory that is there only because something below it was touched is written when the
//! first change below it is: with what it bears, as whoever unpacks the layer needs it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fastlayer_fs::xattr::Attributes;
use fastlayer_fs::{Directory, Metadata};
use fastlayer_tar::{Entry, EntryKind, Timestamp, whiteout};

use super::compare_upper::{kind, leaf_reasons, metadata_reasons};
use super::walk::{UpperDirectory, UpperLeaf, UpperSink};
use crate::copy::entry_kind;
use crate::error::{Error, Result};
use crate::file_source::{Adoption, FileSource, PathSource};
use crate::layer_info::LayerInfo;
use crate::layer_writer::{LayerWriter, WriterOptions};
use crate::overlay::portable;
use crate::store::Store;
use crate::tree::join;

/// Paths of an upper that its layer has no entry for: the layer's checkout must not have them.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// What is no directory.
    pub(super) leaves: HashSet<Vec<u8>>,
    /// Directories.
    pub(super) directories: HashSet<Vec<u8>>,
    /// Directories with an opaque mark that hides something.
    pub(super) opaque: HashSet<Vec<u8>>,
}

pub(super) struct LayerSink {
    writer: LayerWriter,
    root: Arc<Directory>,
    adoption: Adoption,
    /// The directories on the way; `None` once their entry is written.
    open: Vec<Option<Entry>>,
    /// First paths of files with several names.
    first_paths: HashMap<(u64, u64), Vec<u8>>,
    leftovers: Leftovers,
}

impl LayerSink {
    pub(super) fn new(
        store: &Store,
        root: &Arc<Directory>,
        adoption: Adoption,
        options: &WriterOptions,
    ) -> Result<Self> {
        Ok(Self {
            writer: LayerWriter::new(store, options.clone())?,
            root: Arc::clone(root),
            adoption,
            open: Vec::new(),
            first_paths: HashMap::new(),
            leftovers: Leftovers::default(),
        })
    }

    pub(super) fn finish(self) -> Result<(LayerInfo, Leftovers)> {
        Ok((self.writer.finish_canonical()?, self.leftovers))
    }

    /// Writes the entries of the directories on the way that are still to be written. The root
    /// has none, as in Docker's layers: it is not the image's but the mount's.
    fn write_open(&mut self) -> Result<()> {
        for open in &mut self.open {
            if let Some(entry) = open.take()
                && !entry.path.is_empty()
            {
                self.writer.other(&entry)?;
            }
        }
        Ok(())
    }

    fn marker(&mut self, path: Vec<u8>) -> Result<()> {
        self.write_open()?;
        self.writer.file(
            &Entry::new(path, EntryKind::File),
            FileSource::Bytes(Vec::new()),
        )
    }
}

impl UpperSink for LayerSink {
    fn enter(&mut self, directory: &UpperDirectory<'_, '_>) -> Result<()> {
        let entry = entry(
            directory.path,
            EntryKind::Directory,
            directory.metadata,
            directory.owner,
            directory.xattrs,
        );
        let changed = match directory.lower {
            _ if directory.path.is_empty() || directory.untouched => false,
            Some(lower) => {
                let (metadata, xattrs) = (directory.metadata, directory.xattrs);
                !metadata_reasons(metadata, directory.owner, xattrs, lower)?.is_empty()
            }
            None => true,
        };
        self.open.push(Some(entry));
        if changed || !directory.hidden.is_empty() {
            self.write_open()?;
        }
        if !directory.hidden.is_empty() {
            self.leftovers.opaque.insert(directory.path.to_vec());
            self.marker(join(directory.path, whiteout::OPAQUE))?;
        }
        Ok(())
    }

    fn whiteout(&mut self, path: &[u8]) -> Result<()> {
        let (parent, name) = fastlayer_tar::path::split(path).unwrap_or_default();
        let name = whiteout::encode(name).map_err(|error| Error::unsafe_path(path, error))?;
        self.marker(join(parent, &name))
    }

    fn leaf(&mut self, leaf: UpperLeaf<'_, '_>) -> Result<()> {
        let has_links = leaf.metadata.nlink > 1;
        // Names that were linked up here are one file: either all of them are written or none.
        let unchanged = !has_links
            && match leaf.lower {
                Some(lower) => leaf_reasons(&leaf, lower)?.is_empty(),
                None => false,
            };
        if unchanged {
            self.leftovers.leaves.insert(leaf.path.to_vec());
            return Ok(());
        }
        let Some(kind) = kind(leaf.metadata.kind).map(entry_kind) else {
            return Ok(());
        };
        self.write_open()?;
        let mut entry = entry(leaf.path, kind, leaf.metadata, leaf.owner, &leaf.xattrs);
        if has_links {
            let inode = (leaf.metadata.dev, leaf.metadata.ino);
            if let Some(first) = self.first_paths.get(&inode) {
                entry.kind = EntryKind::Hardlink;
                entry.size = 0;
                entry.device = (0, 0);
                entry.link.clone_from(first);
                entry.xattrs.clear();
                return self.writer.other(&entry);
            }
            self.first_paths.insert(inode, leaf.path.to_vec());
        }
        match kind {
            EntryKind::File => {
                let source = PathSource {
                    directory: Arc::clone(&self.root),
                    path: leaf.path.to_vec(),
                    expected: *leaf.metadata,
                    content: None,
                    adoption: self.adoption,
                    report: None,
                };
                self.writer.file(&entry, FileSource::Path(source))
            }
            EntryKind::Symlink => {
                entry.link = leaf.directory.read_link(leaf.name)?;
                self.writer.other(&entry)
            }
            _ => self.writer.other(&entry),
        }
    }

    fn ignored(&mut self, path: &[u8]) {
        self.leftovers.leaves.insert(path.to_vec());
    }

    fn leave(&mut self, path: &[u8]) -> Result<()> {
        if let Some(Some(_)) = self.open.pop()
            && !path.is_empty()
        {
            self.leftovers.directories.insert(path.to_vec());
        }
        Ok(())
    }
}

fn entry(
    path: &[u8],
    kind: EntryKind,
    metadata: &Metadata,
    owner: (u32, u32),
    xattrs: &Attributes,
) -> Entry {
    let mut entry = Entry::new(path, kind);
    entry.mode = if kind == EntryKind::Symlink {
        0o777
    } else {
        metadata.mode
    };
    (entry.uid, entry.gid) = owner;
    entry.mtime = Timestamp::from_seconds(metadata.mtime.seconds);
    if kind == EntryKind::File {
        entry.size = metadata.size;
    }
    if matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
        entry.device = metadata.rdev;
    }
    entry.xattrs = portable(xattrs.clone());
    entry
}
