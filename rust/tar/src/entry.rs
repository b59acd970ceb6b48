//! What an archive member means, apart from the bytes it was written with.
//!
//! An [`Entry`] is the reader's result and the writer's input. It holds what layers can carry and
//! nothing else: user names, access times and vendor records are not part of it (the reader's
//! events give their raw bytes). It knows no tar layout.

use std::collections::BTreeMap;

use crate::sparse::SparseMap;

/// A moment, counted from 1970-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds, negative before 1970; rounded down.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1,000,000,000 also when `seconds` is negative.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// A moment on a whole second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self {
            seconds,
            nanoseconds: 0,
        }
    }
}

/// The kind of file an entry creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A regular file, the only kind with content.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; [`Entry::link`] is what it holds.
    Symlink,
    /// A further name of another file; [`Entry::link`] is that file's path.
    Hardlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as the archive gives it, `./`, leading and trailing slashes included.
    /// [`crate::path::normalise`] gives the name to compare and store.
    pub path: Vec<u8>,
    /// The kind of file.
    pub kind: EntryKind,
    /// Permission bits with set-user-ID, set-group-ID and sticky: at most `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of content that follow in the archive; 0 for all but files. For a sparse file this is
    /// less than the file's own size: see [`Entry::content_size`].
    pub size: u64,
    /// Time of last modification.
    pub mtime: Timestamp,
    /// Target of a symbolic or hard link as the archive gives it, else empty.
    pub link: Vec<u8>,
    /// Major and minor number of a device, else zeros.
    pub device: (u32, u32),
    /// Extended attributes by full name (`security.capability`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Where the content lies in the file when the archive leaves out its holes.
    pub sparse: Option<SparseMap>,
}

impl Entry {
    /// An entry of mode 0, owned by root, empty and of the year 1970.
    pub fn new(path: impl Into<Vec<u8>>, kind: EntryKind) -> Self {
        Self {
            path: path.into(),
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: Timestamp::default(),
            link: Vec::new(),
            device: (0, 0),
            xattrs: BTreeMap::new(),
            sparse: None,
        }
    }

    /// The size of the file in bytes, with its holes.
    pub fn content_size(&self) -> u64 {
        self.sparse.as_ref().map_or(self.size, SparseMap::real_size)
    }
}

/// A piece of an archive. The raw bytes of all events, one after the other, are the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A member begins.
    Entry {
        /// What it means.
        entry: &'a Entry,
        /// All raw bytes since the last content or padding: extended headers, global headers,
        /// members that create no file, the header block, and maps of sparse files.
        header: &'a [u8],
    },
    /// The next content bytes of the current file, as stored.
    Content(&'a [u8]),
    /// Bytes without meaning after an entry: zeros up to the block border as a rule, but also
    /// whatever else stands there, and the data of members whose data creates no file content.
    Padding(&'a [u8]),
    /// The end blocks and everything after them; also headers that no entry follows.
    Trailer(&'a [u8]),
}

impl<'a> Event<'a> {
    /// The raw bytes the event covers.
    pub fn bytes(&self) -> &'a [u8] {
        match *self {
            Event::Entry { header, .. } => header,
            Event::Content(bytes) | Event::Padding(bytes) | Event::Trailer(bytes) => bytes,
        }
    }
}
