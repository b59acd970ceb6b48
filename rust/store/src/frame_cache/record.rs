//! What an export gave, so that it is known without making it, and can be put together again.

use crate::digest::{BlobDigest, checksum};
use crate::frame_cache::Kept;

const MAGIC: [u8; 8] = *b"FLEXPORT";
const VERSION: u32 = 3;
const HAS_CONTENTS: u32 = 1;
const SUM: usize = 32;
const PIECE: usize = 2 * SUM + 8;

/// What an export gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExportRecord {
    pub(crate) digest: BlobDigest,
    pub(crate) size: u64,
    /// Where the blob's table of contents is, if it has one.
    pub(crate) contents: Option<ContentsPlace>,
    /// What the blob is made of, in order.
    pub(crate) pieces: Vec<Piece>,
}

/// A part of a blob that the cache may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) key: [u8; SUM],
    /// Bytes of the blob.
    pub(crate) length: u64,
    /// Their checksum.
    pub(crate) sum: [u8; SUM],
}

impl Piece {
    pub(crate) fn new(key: [u8; SUM], kept: &Kept) -> Self {
        Self {
            key,
            length: kept.bytes.len() as u64,
            sum: kept.sum,
        }
    }
}

/// Where a zstd:chunked blob has its table of contents and its tar-split data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentsPlace {
    /// SHA-256 of the compressed table.
    pub(crate) digest: BlobDigest,
    pub(crate) table: Stretch,
    pub(crate) tar_split: Stretch,
}

/// A compressed stretch of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Bytes when it is decompressed.
    pub(crate) plain: u64,
}

impl ExportRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let flags = if self.contents.is_some() {
            HAS_CONTENTS
        } else {
            0
        };
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(self.digest.as_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        if let Some(contents) = &self.contents {
            bytes.extend_from_slice(contents.digest.as_bytes());
            for stretch in [contents.table, contents.tar_split] {
                for number in [stretch.offset, stretch.length, stretch.plain] {
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
        for piece in &self.pieces {
            bytes.extend_from_slice(&piece.key);
            bytes.extend_from_slice(&piece.length.to_le_bytes());
            bytes.extend_from_slice(&piece.sum);
        }
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    /// The record in a file; `None` for a damaged one, and for one of another version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<SUM>()?;
        let rest = body.strip_prefix(&MAGIC)?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        if checksum(body) != *sum || u32::from_le_bytes(*version) != VERSION {
            return None;
        }
        let (flags, rest) = rest.split_first_chunk::<4>()?;
        let (digest, rest) = rest.split_first_chunk::<SUM>()?;
        let (size, mut rest) = number(rest)?;
        let mut contents = None;
        if u32::from_le_bytes(*flags) & HAS_CONTENTS != 0 {
            let (digest, after) = rest.split_first_chunk::<SUM>()?;
            let (table, after) = stretch(after)?;
            let (tar_split, after) = stretch(after)?;
            rest = after;
            contents = Some(ContentsPlace {
                digest: BlobDigest::from_bytes(*digest),
                table,
                tar_split,
            });
        }
        Some(Self {
            digest: BlobDigest::from_bytes(*digest),
            size,
            contents,
            pieces: (rest.as_chunks::<PIECE>().0.iter())
                .map(|piece| decode_piece(piece))
                .collect::<Option<_>>()?,
        })
    }
}

fn decode_piece(bytes: &[u8]) -> Option<Piece> {
    let (key, rest) = bytes.split_first_chunk::<SUM>()?;
    let (length, rest) = number(rest)?;
    Some(Piece {
        key: *key,
        length,
        sum: *rest.first_chunk::<SUM>()?,
    })
}

fn stretch(bytes: &[u8]) -> Option<(Stretch, &[u8])> {
    let (offset, rest) = number(bytes)?;
    let (length, rest) = number(rest)?;
    let (plain, rest) = number(rest)?;
    let stretch = Stretch {
        offset,
        length,
        plain,
    };
    Some((stretch, rest))
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_and_tell_damage() {
        let stretch = |offset| Stretch {
            offset,
            length: 5,
            plain: 9,
        };
        let contents = ContentsPlace {
            digest: BlobDigest::of(b"t"),
            table: stretch(1),
            tar_split: stretch(2),
        };
        for contents in [None, Some(contents)] {
            let record = ExportRecord {
                digest: BlobDigest::of(b"x"),
                size: 12,
                contents,
                pieces: (0..3)
                    .map(|number| {
                        let kept = Kept::new(vec![number; 4], Vec::new());
                        Piece::new([number; SUM], &kept)
                    })
                    .collect(),
            };
            let bytes = record.encode();
            assert_eq!(ExportRecord::decode(&bytes), Some(record));
            for position in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[position] ^= 1;
                assert_eq!(ExportRecord::decode(&changed), None);
                assert_eq!(ExportRecord::decode(&bytes[..position]), None);
            }
        }
    }
}
