//! Merged trees out of the store: as plain files below a directory, or as one tar.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::Directory;
use fastlayer_tar::{Entry, EntryKind, TRAILER, Timestamp, encode_header, padding};

use crate::checkout::attributes;
use crate::contents::Contents;
use crate::copy::entry_kind;
use crate::digest::DiffId;
use crate::error::{Error, Result, check_cancelled, display_path};
use crate::index::Kind;
use crate::overlay::portable;
use crate::progress::Progress;
use crate::store::Store;
use crate::tree::{Node, Visit};
use crate::tree_writer::{Fidelity, TreeWriter};

/// Bytes of a content that are handled at a time.
const BUFFER: usize = 256 << 10;

impl Store {
    /// Writes the merged tree of a chain as plain files below the existing directory
    /// `destination`. Files that are in the way are replaced, directories are kept. Owners,
    /// devices and attributes that the user may not set are left out.
    ///
    /// # Errors
    /// [`Error::Conflict`] where a directory is in the way of a file; those of writing.
    pub fn write_tree(
        &self,
        chain: &[DiffId],
        destination: &Path,
        cancel: &AtomicBool,
        progress: &Progress,
    ) -> Result<()> {
        let view = self.tree_view(chain)?;
        let contents = Contents::new(self, &view);
        let mut writer = TreeWriter::new(Directory::open(destination)?, Fidelity::Possible);
        for visit in view.walk()? {
            check_cancelled(cancel)?;
            let Visit { node, hardlink } = visit?;
            let path = node.path();
            // The directory belongs to whoever made it.
            if path.is_empty() {
                continue;
            }
            if let Some(first) = hardlink {
                writer.hardlink(path, &first)?;
                continue;
            }
            write_node(&contents, &mut writer, &node)?;
            progress.add(node.size());
        }
        writer.finish()
    }

    /// Writes the merged tree of a chain as one deterministic tar; gives its length in bytes.
    ///
    /// # Errors
    /// Those of reading the store and of writing.
    pub fn write_tree_tar(
        &self,
        chain: &[DiffId],
        output: &mut dyn Write,
        cancel: &AtomicBool,
        progress: &Progress,
    ) -> Result<u64> {
        let view = self.tree_view(chain)?;
        let contents = Contents::new(self, &view);
        let mut tar = TarStream {
            output,
            written: 0,
            progress,
        };
        for visit in view.walk()? {
            check_cancelled(cancel)?;
            let visit = visit?;
            let path = visit.node.path();
            if path.is_empty() {
                continue;
            }
            let entry = tar_entry(&visit)?;
            let mut header = Vec::new();
            encode_header(&entry, &mut header).map_err(|error| Error::unsafe_path(path, error))?;
            tar.write(&header)?;
            if entry.kind == EntryKind::File {
                tar.content(self, &contents, &visit.node, cancel)?;
            }
        }
        tar.write(&TRAILER)?;
        Ok(tar.written)
    }
}

/// Writes one path of a tree, as a file of its own whatever other names it has.
pub(crate) fn write_node(
    contents: &Contents<'_>,
    writer: &mut TreeWriter,
    node: &Node<'_>,
) -> Result<()> {
    let path = node.path();
    let bears = attributes(node)?;
    match node.kind() {
        Kind::Directory => writer.directory(path, bears),
        Kind::File => {
            let source = contents.source(node)?;
            writer.file(path, &bears, |file| contents.fill(node, &source, file))
        }
        Kind::Symlink => writer.symlink(path, &bears, node.link_target()?),
        kind => writer.node(path, kind, node.device(), &bears),
    }
}

struct TarStream<'a> {
    output: &'a mut dyn Write,
    written: u64,
    progress: &'a Progress,
}

impl TarStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.output
            .write_all(bytes)
            .map_err(|source| Error::io("cannot write the tar", source))?;
        self.written += bytes.len() as u64;
        self.progress.set(self.written);
        Ok(())
    }

    fn content(
        &mut self,
        store: &Store,
        contents: &Contents<'_>,
        node: &Node<'_>,
        cancel: &AtomicBool,
    ) -> Result<()> {
        let size = node.size();
        let before = self.written;
        match node
            .content()
            .filter(|_| size > crate::object::INLINE_LIMIT)
        {
            Some(id) => {
                let mut object = store.open_object(&id)?.take(size);
                let mut buffer = vec![0; BUFFER];
                loop {
                    check_cancelled(cancel)?;
                    let count = crate::read::read_some(&mut object, &mut buffer)
                        .map_err(|source| Error::io(format!("object {id}"), source))?;
                    if count == 0 {
                        break;
                    }
                    self.write(&buffer[..count])?;
                }
            }
            None => {
                let mut bytes = Vec::new();
                contents.write(node, None, &mut bytes)?;
                self.write(&bytes)?;
            }
        }
        if self.written - before != size {
            return Err(Error::corrupt(
                display_path(node.path()),
                "its content is cut short",
            ));
        }
        self.write(&[0; 512][..padding(size)])
    }
}

/// What a visited path is in a tar.
pub(crate) fn tar_entry(visit: &Visit<'_>) -> Result<Entry> {
    let node = &visit.node;
    let kind = match visit.hardlink {
        Some(_) => EntryKind::Hardlink,
        None => entry_kind(node.kind()),
    };
    let mut entry = Entry::new(node.path(), kind);
    entry.mode = if node.kind() == Kind::Symlink {
        0o777
    } else {
        node.mode()
    };
    (entry.uid, entry.gid) = (node.uid(), node.gid());
    entry.mtime = Timestamp::from_seconds(node.mtime().seconds);
    match (&visit.hardlink, kind) {
        (Some(first), _) => {
            entry.link.clone_from(first);
            return Ok(entry);
        }
        (None, EntryKind::File) => entry.size = node.size(),
        (None, EntryKind::Symlink) => entry.link = node.link_target()?.to_vec(),
        (None, EntryKind::CharDevice | EntryKind::BlockDevice) => entry.device = node.device(),
        _ => {}
    }
    if node.has_xattrs() {
        entry.xattrs = portable(node.xattrs()?);
    }
    Ok(entry)
}
