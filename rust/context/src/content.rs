//! The hash that names the content of a file.

use std::fmt;

/// Separates this use of BLAKE3 from every other.
const CONTEXT: &str = "fastlayer content v1";

/// BLAKE3 of a file's whole content, in the domain of file contents.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of `content`.
    pub fn of(content: &[u8]) -> Self {
        let mut hasher = hasher();
        hasher.update(content);
        Self(*hasher.finalize().as_bytes())
    }
}

/// A hasher for content that comes in pieces.
pub(crate) fn hasher() -> blake3::Hasher {
    blake3::Hasher::new_derive_key(CONTEXT)
}

impl fmt::Display for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ContentHash({self})")
    }
}
