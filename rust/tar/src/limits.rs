//! Bounds on what an archive may make the reader keep in memory.

/// How much an untrusted archive may ask for. [`Limits::default`] is what the store uses; each
/// value is a named constant of this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one extended header, long name, or map of a sparse file.
    pub extension_bytes: u64,
    /// Bytes of everything that stands before one entry's content.
    pub header_bytes: usize,
    /// Bytes of a path or of a link target.
    pub path_bytes: usize,
    /// Components of a path or of a hard link's target.
    pub path_components: usize,
    /// Pieces of data in one sparse file.
    pub sparse_pieces: usize,
    /// Members in one archive.
    pub entries: u64,
}

impl Limits {
    /// As Go's reader and libarchive's: 1 MiB.
    pub const EXTENSION_BYTES: u64 = 1 << 20;
    /// A few full extensions (a PAX header, a long name, a long link, a global header).
    pub const HEADER_BYTES: usize = 8 << 20;
    /// Sixteen times what Linux takes in one system call, and what fits 16 bits.
    pub const PATH_BYTES: usize = u16::MAX as usize;
    /// As many as a normal path may have.
    pub const PATH_COMPONENTS: usize = crate::path::MAX_COMPONENTS;
    /// A map of 1 MiB has room for about 200,000 short pieces; real files have some hundreds.
    pub const SPARSE_PIECES: usize = 1 << 16;
    /// Larger than any image known; a file system of a million files has one layer of a million.
    pub const ENTRIES: u64 = 4_000_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            extension_bytes: Self::EXTENSION_BYTES,
            header_bytes: Self::HEADER_BYTES,
            path_bytes: Self::PATH_BYTES,
            path_components: Self::PATH_COMPONENTS,
            sparse_pieces: Self::SPARSE_PIECES,
            entries: Self::ENTRIES,
        }
    }
}
