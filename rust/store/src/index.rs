//! The tree index of one layer: every path it holds, sorted, with all metadata.
//!
//! It is the one manifest that diff, `COPY --from`, checkout, `ls`, `cat` and fsck read; nobody
//! walks a mounted lower directory again. Paths are bytes without leading or trailing slash, the
//! root is empty, and rows are sorted component by component (so a directory precedes its
//! children and a subtree is one run of rows).
//!
//! This module knows one layer only: what lower layers make of it is [`crate::tree`]'s business.

mod builder;
mod entry;
mod format;
mod reader;
mod rows;
mod writer;

use std::collections::BTreeMap;

use fastlayer_tar::Timestamp;

use crate::digest::ContentId;
use crate::error::Error;

pub use builder::IndexBuilder;
pub use entry::EntryRef;
pub use reader::TreeIndex;

/// Longest chain of symbolic links that is followed, as in Linux.
pub const MAX_LINKS: usize = 40;
/// Most paths of a layer, directories that are only implied among them: one entry of a tar can
/// imply two thousand. As many as a tar may have members.
pub const MAX_PATHS: usize = fastlayer_tar::Limits::ENTRIES as usize;
/// Most bytes that the paths, link targets and attributes of a layer have together: a file system
/// of a million files has about 100 MB.
pub const MAX_TEXT: u64 = 1 << 30;

/// What a path of a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A regular file.
    File = 1,
    /// A directory.
    Directory = 2,
    /// A symbolic link.
    Symlink = 3,
    /// A character device.
    CharDevice = 4,
    /// A block device.
    BlockDevice = 5,
    /// A named pipe.
    Fifo = 6,
    /// The lower layers' path is deleted.
    Whiteout = 7,
    /// A hard link to a path that this layer does not hold: its target is in a lower layer.
    LowerLink = 8,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::File,
            2 => Self::Directory,
            3 => Self::Symlink,
            4 => Self::CharDevice,
            5 => Self::BlockDevice,
            6 => Self::Fifo,
            7 => Self::Whiteout,
            8 => Self::LowerLink,
            _ => return None,
        })
    }
}

/// One path of a layer, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The path: no leading or trailing slash, the root is empty.
    pub path: Vec<u8>,
    /// What it is. A hard link bears the kind and metadata of the file it names.
    pub kind: Kind,
    /// A directory whose lower contents are hidden.
    pub opaque: bool,
    /// The layer has no entry of its own for this directory, only for paths below it: the lower
    /// layer's attributes hold, or else 0755, root.
    pub implicit: bool,
    /// A whiteout for this very path is in the layer too, so nothing of a lower layer counts.
    pub replaces: bool,
    /// Permission bits, `0o7777`.
    pub mode: u32,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Time of last modification.
    pub mtime: Timestamp,
    /// Bytes of a regular file's content.
    pub size: u64,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Target of a symbolic link, as it is written; of a `LowerLink`, the path it names.
    pub link_target: Vec<u8>,
    /// When pushed: the path a hard link names. When read: the first path of the hardlink group
    /// in sorted order, and `None` for that first path itself.
    pub hardlink: Option<Vec<u8>>,
    /// Extended attributes by name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The content of a regular file.
    pub content: Option<ContentId>,
    /// Where a regular file's content begins in the layer's tar.
    pub data_offset: u64,
}

impl IndexEntry {
    /// An entry of `kind` at `path` with mode 0, owner 0:0, time 0 and nothing else.
    #[must_use]
    pub fn new(path: Vec<u8>, kind: Kind) -> Self {
        Self {
            path,
            kind,
            opaque: false,
            implicit: false,
            replaces: false,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Timestamp {
                seconds: 0,
                nanoseconds: 0,
            },
            size: 0,
            device: (0, 0),
            link_target: Vec::new(),
            hardlink: None,
            xattrs: BTreeMap::new(),
            content: None,
            data_offset: 0,
        }
    }
}

/// Why an index cannot be built or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// A path runs through something that is no directory, or the root is replaced.
    #[error("{}: {reason}", String::from_utf8_lossy(path))]
    Conflict {
        /// The path of the entry.
        path: Vec<u8>,
        /// What stands in its way.
        reason: &'static str,
    },
    /// Too many or too long.
    #[error("{what} is over the limit of {limit}")]
    Limit {
        /// What is too large or too many.
        what: &'static str,
        /// The limit's value.
        limit: u64,
    },
    /// The stored bytes are not a tree index, or are damaged.
    #[error("damaged tree index: {0}")]
    Corrupt(&'static str),
    /// The stored bytes are of another version.
    #[error("tree index of format version {0}, which this release cannot read")]
    Version(u32),
}

impl From<IndexError> for Error {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Conflict { path, reason } => Self::unsafe_path(&path, reason),
            IndexError::Limit { what, limit } => Self::limit(what, limit),
            IndexError::Version(_) => Self::format("tree index", error.to_string()),
            IndexError::Corrupt(detail) => Self::corrupt("a tree index", detail),
        }
    }
}
