//! Where the content of a file that goes into a layer comes from.

use std::sync::{Arc, OnceLock};

use fastlayer_fs::{Directory, Metadata};

use crate::digest::ContentId;
use crate::layer_reader::LayerReader;

/// The content of one regular file.
#[derive(Clone, Debug)]
pub enum FileSource {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A stored object.
    Object(ContentId),
    /// A small file of another layer; see [`LayerReader::source`].
    Layer {
        /// The layer.
        reader: Arc<LayerReader>,
        /// Where the content begins in its tar.
        data_offset: u64,
    },
    /// A file on disk.
    Path(PathSource),
}

/// A file on disk. It is read later, on another thread, and must then still be what it was.
#[derive(Clone, Debug)]
pub struct PathSource {
    /// A directory above it: one for all files of a layer, or the process runs out of descriptors.
    pub directory: Arc<Directory>,
    /// Its path below that directory, without links in it.
    pub path: Vec<u8>,
    /// What it was when its entry was made; a file that changed since is an error.
    pub expected: Metadata,
    /// Its content's id, if known: where that object is stored, the file is not read.
    pub content: Option<ContentId>,
    /// Whether the file itself may become the object.
    pub adoption: Adoption,
    /// Who is told the id of its content when it has been read.
    pub report: Option<Report>,
}

impl PathSource {
    /// Says what the file contains.
    pub(crate) fn tell(&self, id: ContentId) {
        if let Some(report) = &self.report {
            report.tell(id);
        }
    }
}

/// A place for the id of one content, in a table that is shared with those who read.
#[derive(Clone, Debug)]
pub struct Report {
    ids: Arc<[OnceLock<ContentId>]>,
    number: usize,
}

impl Report {
    /// The place `number` of a table.
    #[must_use]
    pub fn new(ids: Arc<[OnceLock<ContentId>]>, number: usize) -> Self {
        Self { ids, number }
    }

    fn tell(&self, id: ContentId) {
        if let Some(place) = self.ids.get(self.number) {
            // One content is copied once; a second report says the same.
            let _ = place.set(id);
        }
    }
}

/// How a file on disk becomes an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// Its content is copied.
    Copy,
    /// It is linked: only for a file on the store's file system that nobody writes again. Overlay
    /// attributes are stripped from it; a file with other attributes is copied all the same.
    Link,
}
