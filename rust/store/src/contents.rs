//! The contents of a merged tree's files, from whichever layer has them.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use fastlayer_fs::copy::clone_or_copy;

use crate::error::{Error, Result, display_path};
use crate::file_source::FileSource;
use crate::index::Kind;
use crate::layer_reader::LayerReader;
use crate::object::INLINE_LIMIT;
use crate::store::Store;
use crate::tree::{Node, TreeView};

/// Opens the layers of a view when their contents are first asked for.
#[derive(Debug)]
pub(crate) struct Contents<'view> {
    store: &'view Store,
    view: &'view TreeView,
    readers: Vec<OnceLock<Arc<LayerReader>>>,
}

impl<'view> Contents<'view> {
    pub(crate) fn new(store: &'view Store, view: &'view TreeView) -> Self {
        let readers = view.layers().iter().map(|_| OnceLock::new()).collect();
        Self {
            store,
            view,
            readers,
        }
    }

    /// Where the content of a regular file is.
    pub(crate) fn source(&self, node: &Node<'_>) -> Result<FileSource> {
        let (layer, row) = node.row();
        match row.content() {
            Some(id) if row.size() > INLINE_LIMIT => Ok(FileSource::Object(id)),
            _ if row.size() == 0 => Ok(FileSource::Bytes(Vec::new())),
            _ => self.reader(layer)?.source(&row),
        }
    }

    /// Writes the content of a regular file, at most `limit` bytes; gives the bytes written.
    pub(crate) fn write(
        &self,
        node: &Node<'_>,
        limit: Option<u64>,
        output: &mut dyn Write,
    ) -> Result<u64> {
        if node.kind() != Kind::File {
            return Err(Error::conflict(
                display_path(node.path()),
                "is not a regular file",
            ));
        }
        let (layer, row) = node.row();
        self.reader(layer)?.read_content(&row, limit, output)
    }

    /// Gives the empty file of a node its content, which is at `source`.
    pub(crate) fn fill(&self, node: &Node<'_>, source: &FileSource, file: &mut File) -> Result<()> {
        let path = node.path();
        match source {
            FileSource::Object(id) => clone_or_copy(&self.store.open_object(id)?, file)
                .map_err(|source| cannot_write(path, source)),
            FileSource::Bytes(bytes) => file
                .write_all(bytes)
                .map_err(|source| cannot_write(path, source)),
            _ => {
                let mut bytes = Vec::new();
                self.write(node, None, &mut bytes)?;
                file.write_all(&bytes)
                    .map_err(|source| cannot_write(path, source))
            }
        }
    }

    fn reader(&self, layer: usize) -> Result<&Arc<LayerReader>> {
        let slot = &self.readers[layer];
        if let Some(reader) = slot.get() {
            return Ok(reader);
        }
        let reader = LayerReader::open(self.store, &self.view.layers()[layer].diff_id)?;
        Ok(slot.get_or_init(|| Arc::new(reader)))
    }
}

/// The error of a file of a tree that could not be written.
pub(crate) fn cannot_write(path: &[u8], source: io::Error) -> Error {
    Error::io(format!("cannot write {}", display_path(path)), source)
}
