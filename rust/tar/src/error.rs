//! What can be wrong with an archive, with an entry to be written, and with names.

use thiserror::Error;

/// An archive that the reader refuses, with the place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct Error {
    /// Where the block at fault begins, in bytes from the start of the (uncompressed) archive.
    pub offset: u64,
    /// What is wrong there.
    pub kind: ErrorKind,
}

/// Why the reader refuses an archive.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The block is no tar header.
    #[error("header checksum does not match")]
    Checksum,
    /// One zero block, then something that is not zero: no end of archive.
    #[error("a single zero block inside the archive")]
    LoneZeroBlock,
    /// An extended header or long name is the last thing in the archive.
    #[error("the archive ends after an extended header that no entry follows")]
    Dangling,
    /// A numeric header field holds no number, or one out of range.
    #[error("header field {field} is not a number in range")]
    Number {
        /// Name of the field.
        field: &'static str,
    },
    /// The archive ends inside something.
    #[error("archive ends inside {part}")]
    Truncated {
        /// What is cut short.
        part: &'static str,
    },
    /// The type flag stands for something that creates no file we know.
    #[error("unsupported entry type {}", .0.escape_ascii())]
    Type(u8),
    /// A PAX extended header is not a sequence of length-framed records.
    #[error("malformed PAX header: {0}")]
    Pax(&'static str),
    /// A PAX record whose value does not fit its key.
    #[error("invalid value of PAX record {key}")]
    PaxValue {
        /// The key of the record.
        key: &'static str,
    },
    /// The map of a sparse file contradicts itself or the file's size.
    #[error("malformed sparse file: {0}")]
    Sparse(&'static str),
    /// The archive asks for more than it may.
    #[error("{part} exceeds the limit of {limit}")]
    Limit {
        /// What is too large.
        part: &'static str,
        /// The limit, in bytes or pieces.
        limit: u64,
    },
}

/// An entry that cannot be written as a tar header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The path is none.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The entry contradicts itself or has a value that tar has no place for.
    #[error("cannot write {} to a tar: {reason}", .path.escape_ascii())]
    Entry {
        /// Path of the entry.
        path: Vec<u8>,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A name that has no place below a root.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unsafe path {}: {reason}", .path.escape_ascii())]
pub struct PathError {
    /// The path as given.
    pub path: Vec<u8>,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A name that begins like a whiteout and is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid whiteout name {}: {reason}", .name.escape_ascii())]
pub struct WhiteoutError {
    /// The name or path as given.
    pub name: Vec<u8>,
    /// What is wrong with it.
    pub reason: &'static str,
}
