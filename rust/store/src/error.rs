//! The errors of the layer store.
//!
//! One enum for the whole crate, so that a caller can match on what went wrong. Every variant names
//! the thing or the place it is about; texts are one line without a final period. The words of a
//! user interface (hints, exit codes) are not this module's matter.

use std::fmt::Display;
use std::io;

use crate::digest::DiffId;

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a store operation can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("{path}: {source}")]
    Io {
        /// The path or the thing that was read or written.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A layer, object, document or path that was asked for is not there.
    #[error("{what} not found")]
    NotFound {
        /// The thing that is missing.
        what: String,
    },
    /// Something stored does not agree with its name or its format.
    #[error("{what} is damaged: {detail}")]
    Corrupt {
        /// The stored thing.
        what: String,
        /// How it disagrees.
        detail: String,
    },
    /// A tar stream is malformed or cut short.
    #[error("bad tar at byte {offset}: {detail}")]
    TarFormat {
        /// Offset in the uncompressed stream.
        offset: u64,
        /// What is wrong there.
        detail: String,
    },
    /// The layer is kept as bytes only: its tar could not be understood, so it has no tree.
    #[error("layer {diff_id} is kept raw: {reason}")]
    Raw {
        /// The raw layer.
        diff_id: DiffId,
        /// Why the parser refused its tar.
        reason: String,
    },
    /// The layer's tar is such that pullers would refuse its table of contents.
    #[error("layer {diff_id} has no zstd:chunked form: {reason}")]
    NoContents {
        /// The layer.
        diff_id: DiffId,
        /// What the table cannot have.
        reason: String,
    },
    /// A path or link leads out of the tree it belongs to, or can not be represented.
    #[error("unsafe path {path}: {detail}")]
    UnsafePath {
        /// The path, as text.
        path: String,
        /// Why it is refused.
        detail: String,
    },
    /// Untrusted input goes beyond a limit.
    #[error("{what} is over the limit of {limit}")]
    Limit {
        /// What is too large or too many.
        what: String,
        /// The limit's value.
        limit: u64,
    },
    /// A text, a compressed stream or a store has a form that is not known here.
    #[error("{what}: {detail}")]
    Format {
        /// The thing whose form is wrong.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A store, or a file in it, is of a version that this release does not know. It is no damage.
    #[error("{what} has version {found}, this release knows version {known} only")]
    Version {
        /// The store or the file.
        what: String,
        /// The version that it has.
        found: u64,
        /// The version that would be read.
        known: u64,
    },
    /// Bytes do not have the digest that they were said to have.
    #[error("digest of {what} is {found}, but {expected} was expected")]
    DigestMismatch {
        /// The bytes that were checked.
        what: String,
        /// The digest they were said to have.
        expected: String,
        /// The digest they have.
        found: String,
    },
    /// The state of the store or of the destination forbids the operation.
    #[error("{what}: {detail}")]
    Conflict {
        /// The thing in the way.
        what: String,
        /// Why it is in the way.
        detail: String,
    },
    /// The operation was cancelled.
    #[error("interrupted")]
    Interrupted,
    /// A source of a copy is missing, lies outside or changed while it was read.
    #[error("{path}: {detail}")]
    Source {
        /// The source, as text.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl Error {
    /// An [`Error::Io`] about `path`.
    pub fn io(path: impl Display, source: impl Into<io::Error>) -> Self {
        Self::Io {
            path: path.to_string(),
            source: source.into(),
        }
    }

    /// An [`Error::NotFound`].
    pub fn not_found(what: impl Display) -> Self {
        Self::NotFound {
            what: what.to_string(),
        }
    }

    /// An [`Error::Corrupt`].
    pub fn corrupt(what: impl Display, detail: impl Display) -> Self {
        Self::Corrupt {
            what: what.to_string(),
            detail: detail.to_string(),
        }
    }

    /// An [`Error::Format`].
    pub fn format(what: impl Display, detail: impl Display) -> Self {
        Self::Format {
            what: what.to_string(),
            detail: detail.to_string(),
        }
    }

    /// An [`Error::NoContents`].
    pub fn no_contents(diff_id: &DiffId, reason: &str) -> Self {
        Self::NoContents {
            diff_id: *diff_id,
            reason: reason.to_owned(),
        }
    }

    /// An [`Error::Conflict`].
    pub fn conflict(what: impl Display, detail: impl Display) -> Self {
        Self::Conflict {
            what: what.to_string(),
            detail: detail.to_string(),
        }
    }

    /// An [`Error::UnsafePath`]; the path is shown with its odd bytes escaped.
    pub fn unsafe_path(path: &[u8], detail: impl Display) -> Self {
        Self::UnsafePath {
            path: display_path(path),
            detail: detail.to_string(),
        }
    }

    /// An [`Error::Source`]; the path is shown with its odd bytes escaped.
    pub fn source(path: &[u8], detail: impl Display) -> Self {
        Self::Source {
            path: display_path(path),
            detail: detail.to_string(),
        }
    }

    /// An [`Error::Limit`].
    pub fn limit(what: impl Display, limit: u64) -> Self {
        Self::Limit {
            what: what.to_string(),
            limit,
        }
    }
}

impl From<fastlayer_tar::Error> for Error {
    fn from(error: fastlayer_tar::Error) -> Self {
        Self::TarFormat {
            offset: error.offset,
            detail: error.kind.to_string(),
        }
    }
}

/// A path as text for a message: what is UTF-8 stays, control characters and other bytes are escaped.
pub fn display_path(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Gives up with [`Error::Interrupted`] once `cancel` is set.
pub fn check_cancelled(cancel: &std::sync::atomic::AtomicBool) -> Result<()> {
    if cancel.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_on_one_line() {
        assert_eq!(display_path(b"a\nb\xff\xc3\xa9"), "a\\nb\\xff\u{e9}");
        let error = Error::unsafe_path(b"../x", "leaves the root");
        assert_eq!(error.to_string(), "unsafe path ../x: leaves the root");
    }
}
