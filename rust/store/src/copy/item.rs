//! What a source holds: paths with everything that a layer's entry of them needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastlayer_context::Context;
use fastlayer_tar::{Entry, EntryKind, Timestamp};

use crate::digest::ContentId;
use crate::file_source::FileSource;
use crate::index::Kind;
use crate::tree::join;

/// One path of a source.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Relative to the match it belongs to; empty for the match itself.
    pub(super) relative: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timestamp,
    pub(super) size: u64,
    pub(super) device: (u32, u32),
    pub(super) link: Vec<u8>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Two numbers that all names of one file in one source share; `None` for a file with one name.
    pub(super) inode: Option<(u64, u64)>,
    pub(super) content: Option<ContentId>,
    /// Where an unknown content is to be reported when it is copied.
    pub(super) awaited: Option<usize>,
    pub(super) body: Body,
}

/// Where an item's content is.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// It has none.
    None,
    /// A file of the build context: `relative` below `top` there.
    Context {
        context: Arc<Context>,
        top: Arc<[u8]>,
        metadata: fastlayer_fs::Metadata,
    },
    /// A content of the store.
    Stored(FileSource),
    /// In memory.
    Bytes(Arc<[u8]>),
    /// A file outside of any context.
    Local { path: Arc<std::path::Path> },
}

impl Item {
    /// A file in memory.
    pub(super) fn inline(content: &Arc<[u8]>, mode: u32) -> Self {
        Self {
            size: content.len() as u64,
            content: Some(ContentId::of(content)),
            body: Body::Bytes(Arc::clone(content)),
            ..Self::new(Kind::File, mode)
        }
    }

    pub(super) fn new(kind: Kind, mode: u32) -> Self {
        Self {
            relative: Vec::new(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: Timestamp::from_seconds(0),
            size: 0,
            device: (0, 0),
            link: Vec::new(),
            xattrs: BTreeMap::new(),
            inode: None,
            content: None,
            awaited: None,
            body: Body::None,
        }
    }

    /// The item's path in its source, where the match that it belongs to is at `top`.
    pub(super) fn path_below(&self, top: &[u8]) -> Vec<u8> {
        if self.relative.is_empty() {
            return top.to_vec();
        }
        join(top, &self.relative)
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// The tar entry of this item at `path`. Sockets and whiteouts never become items.
    pub(super) fn to_entry(&self, path: Vec<u8>) -> Entry {
        let mut entry = Entry::new(path, entry_kind(self.kind));
        entry.mode = if self.kind == Kind::Symlink {
            0o777
        } else {
            self.mode
        };
        entry.uid = self.uid;
        entry.gid = self.gid;
        entry.mtime = Timestamp::from_seconds(self.mtime.seconds);
        entry.size = if self.kind == Kind::File {
            self.size
        } else {
            0
        };
        entry.device = self.device;
        entry.link.clone_from(&self.link);
        entry.xattrs.clone_from(&self.xattrs);
        entry
    }
}

/// The tar type of a kind; what has no type of its own is a link.
pub(crate) fn entry_kind(kind: Kind) -> EntryKind {
    match kind {
        Kind::File => EntryKind::File,
        Kind::Directory => EntryKind::Directory,
        Kind::Symlink => EntryKind::Symlink,
        Kind::CharDevice => EntryKind::CharDevice,
        Kind::BlockDevice => EntryKind::BlockDevice,
        Kind::Fifo => EntryKind::Fifo,
        Kind::Whiteout | Kind::LowerLink => EntryKind::Hardlink,
    }
}

/// What one word of a COPY stands for: a path of its source and all that is below it.
#[derive(Clone, Debug)]
pub(super) struct Match {
    /// The last component of the path as written or matched, before links are followed.
    pub(super) name: Vec<u8>,
    /// Which source of the operation it is from; inode numbers of two sources differ.
    pub(super) source: usize,
    /// Of `--parents`: the path to repeat below the destination, and its directories.
    pub(super) parents: Vec<Item>,
    /// The path itself, then what is below it, each directory before its children.
    pub(super) items: Vec<Item>,
    /// Whether its entries may replace directories by files and the other way round (archives).
    pub(super) replaces: bool,
}

impl Match {
    pub(super) fn is_directory(&self) -> bool {
        self.items.first().is_some_and(Item::is_directory)
    }
}
