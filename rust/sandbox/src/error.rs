//! What can go wrong with namespaces, mounts and programs started in them.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, with what was tried and on what.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel wants a right that this process does not have.
    #[error("cannot {operation} {}: this needs {capability}", path.display())]
    Privilege {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The capability that is missing.
        capability: &'static str,
    },
    /// The kernel refused for another reason.
    #[error("cannot {operation} {}: {source}{detail}", path.display())]
    System {
        /// What was tried, as a verb phrase.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel added, beginning with a blank; mostly empty.
        detail: String,
        /// The error number.
        source: io::Error,
    },
    /// More lower directories than the kernel stacks.
    #[error("an overlay has at most {limit} layers, and this one has {count}")]
    TooManyLayers {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A program could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// Its first argument.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Something in the request makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
    /// The namespace was closed, or its thread has ended.
    #[error("the mount namespace is closed")]
    Closed,
}

impl Error {
    /// An error of `operation` on `path`; says which capability is missing where that is why.
    pub(crate) fn of(
        operation: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        let source = source.into();
        let path = path.into();
        if Errno::from_io_error(&source) != Some(Errno::PERM) {
            return Self::System {
                operation,
                path,
                detail: String::new(),
                source,
            };
        }
        let held =
            capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
        if held {
            return Self::System {
                operation,
                path,
                detail: " although CAP_SYS_ADMIN is held: a seccomp filter or security module \
                         is in the way"
                    .to_owned(),
                source,
            };
        }
        Self::Privilege {
            operation,
            path,
            capability: "CAP_SYS_ADMIN",
        }
    }

    /// The error number behind it, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Privilege { .. } => Some(Errno::PERM.raw_os_error()),
            Self::System { source, .. } | Self::Start { source, .. } => source.raw_os_error(),
            Self::TooManyLayers { .. } | Self::Invalid(_) | Self::Closed => None,
        }
    }

    /// Adds what the kernel wrote about the failure.
    pub(crate) fn with_detail(mut self, text: &str) -> Self {
        if let Self::System { detail, .. } = &mut self
            && !text.is_empty()
        {
            detail.push_str(&format!(" ({text})"));
        }
        self
    }
}
