//! The names of things: digests of the OCI world (SHA-256) and of the store's own (BLAKE3).
//!
//! Each kind of name is a type of its own, so that a DiffID can not be passed where a blob's digest
//! is meant. File contents and segments share one hash context on purpose: a segment which is
//! exactly one file's content has that content's id. Nothing here knows where things are kept.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// BLAKE3 context of file contents and of segments.
pub const CONTENT_CONTEXT: &str = "fastlayer content v1";
/// BLAKE3 context of tree ids.
pub const TREE_CONTEXT: &str = "fastlayer tree v1";
/// BLAKE3 context of the checksums that close the store's own files.
pub const CHECKSUM_CONTEXT: &str = "fastlayer checksum v1";

macro_rules! define_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps the 32 bytes of a digest.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes of the digest.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Lower-case hexadecimal digits, without the algorithm's name.
            pub fn hex(&self) -> String {
                encode_hex(&self.0)
            }

            /// From 64 lower-case hexadecimal digits, without the algorithm's name.
            pub fn from_hex(hex: &str) -> Result<Self> {
                decode_hex(hex)
                    .map(Self)
                    .ok_or_else(|| Error::format(hex, "not 64 lower-case hexadecimal digits"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}{}", $prefix, self.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self.hex())
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let hex = text.strip_prefix($prefix).ok_or_else(|| {
                    Error::format(text, concat!("a digest must begin with \"", $prefix, "\""))
                })?;
                Self::from_hex(hex)
            }
        }
    };
}

define_id!(
    /// SHA-256 of a layer's plain tar; text form `sha256:…`.
    DiffId,
    "sha256:"
);
define_id!(
    /// SHA-256 of a blob's bytes as they are stored or sent; text form `sha256:…`.
    BlobDigest,
    "sha256:"
);
define_id!(
    /// BLAKE3 of a regular file's whole content; also the name of an object.
    ContentId,
    ""
);
define_id!(
    /// BLAKE3 of a segment's tar bytes.
    SegmentId,
    ""
);
define_id!(
    /// Merkle hash of a merged tree.
    TreeId,
    ""
);

impl From<ContentId> for SegmentId {
    fn from(id: ContentId) -> Self {
        Self(id.0)
    }
}

impl BlobDigest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl DiffId {
    /// The DiffID of a whole plain tar.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl ContentId {
    /// The id of a whole content.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = ContentHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Hashes a content, or a segment's bytes, as it streams by.
#[derive(Clone)]
pub struct ContentHasher(blake3::Hasher);

impl ContentHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self(blake3::Hasher::new_derive_key(CONTENT_CONTEXT))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The id of all bytes seen; the hasher starts anew.
    pub fn finish(&mut self) -> ContentId {
        let id = ContentId(*self.0.finalize().as_bytes());
        self.0.reset();
        id
    }
}

impl Default for ContentHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// The checksum that closes the store's own files (recipes, segments).
pub fn checksum(bytes: &[u8]) -> [u8; 32] {
    checksum_of(&[bytes])
}

/// The checksum of the parts, one after the other.
pub fn checksum_of(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(CHECKSUM_CONTEXT);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

fn encode_hex(bytes: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(64);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = decode_digit(pair[0])? << 4 | decode_digit(pair[1])?;
    }
    Some(bytes)
}

fn decode_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_round_trip() {
        let diff_id = DiffId::of(&[0; 1024]);
        assert_eq!(
            diff_id.to_string(),
            "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
        );
        assert_eq!(diff_id.to_string().parse::<DiffId>().unwrap(), diff_id);
        let content = ContentId::of(b"abc");
        assert_eq!(ContentId::from_hex(&content.hex()).unwrap(), content);
    }

    #[test]
    fn malformed_digests_are_refused() {
        let hex = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
        for text in [
            hex.to_owned(),
            format!("sha512:{hex}"),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{hex}0"),
            String::new(),
        ] {
            assert!(text.parse::<DiffId>().is_err(), "{text}");
        }
    }
}
