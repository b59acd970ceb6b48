//! What can go wrong with a context.

use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, naming the path in the context or the pattern.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused.
    #[error(transparent)]
    FileSystem(#[from] fastlayer_fs::Error),
    /// A wildcard or ignore pattern that cannot be understood.
    #[error("bad pattern {pattern:?}: {reason}")]
    Pattern {
        /// The pattern as it was given.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no such path in the context.
    #[error("{} is not in the build context", path.display())]
    NotFound {
        /// Relative to the context's root.
        path: PathBuf,
    },
    /// The path exists but the ignore rules leave it out.
    #[error("{} is left out by the ignore file", path.display())]
    Ignored {
        /// Relative to the context's root.
        path: PathBuf,
    },
    /// A symbolic link that leads to nothing inside the context.
    #[error(
        "{} is a link to {}, which is not inside the build context",
        path.display(),
        target.display()
    )]
    LinkOutside {
        /// Relative to the context's root.
        path: PathBuf,
        /// What the link says.
        target: PathBuf,
    },
    /// Not a regular file where one is needed.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// Relative to the context's root.
        path: PathBuf,
    },
    /// A file that was written to whenever we read it.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// Relative to the context's root.
        path: PathBuf,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// A relative path as messages show it.
pub(crate) fn shown(path: &[u8]) -> PathBuf {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    PathBuf::from(OsStr::from_bytes(path))
}
