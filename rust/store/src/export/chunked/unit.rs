//! A run of the layer's rows, compressed: a frame for every chunk of a content, and one for what
//! stands between two contents.
//!
//! What a unit's frames are depends on its bytes and on where contents begin and end in it, so
//! they can be kept and used for any layer that has such a unit.

use sha2::{Digest as _, Sha256};

use crate::error::Result;

use super::chunker::cuts;
use super::crc64::Crc64;
use super::reading::Note;
use crate::export::compressor::Compressor;

/// A unit that is to be compressed.
pub(super) struct Unit {
    /// Names its frames in the cache.
    pub(super) key: [u8; 32],
    pub(super) bytes: Vec<u8>,
    pub(super) parts: Vec<Part>,
    /// For whoever takes the frames.
    pub(super) notes: Vec<Note>,
}

/// A part of a unit's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Headers, padding, the end.
    Other { length: usize },
    /// A content or a part of one.
    Content { length: usize, is_whole: bool },
}

/// The frames of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// One frame of so many bytes.
    Other { compressed: u64 },
    /// A frame for each chunk.
    Content {
        chunks: Vec<Chunk>,
        /// Of a content that is whole.
        sums: Option<Sums>,
    },
}

/// A chunk of a content: a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) plain: u64,
    pub(super) compressed: u64,
    pub(super) is_zeros: bool,
    pub(super) digest: [u8; 32],
}

/// What others compare a whole content with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    /// SHA-256.
    pub(super) digest: [u8; 32],
    pub(super) crc: [u8; 8],
}

/// The sums of a content that comes in parts.
#[derive(Clone, Default)]
pub(super) struct Summing {
    sha256: Sha256,
    crc: Crc64,
}

impl Summing {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc.update(bytes);
    }

    pub(super) fn finish(self) -> Sums {
        Sums {
            digest: self.sha256.finalize().into(),
            crc: self.crc.to_bytes(),
        }
    }
}

impl Part {
    pub(super) fn length(self) -> usize {
        match self {
            Self::Other { length } | Self::Content { length, .. } => length,
        }
    }

    /// Bytes that tell this part from any other.
    pub(super) fn tag(self) -> [u8; 9] {
        let (kind, length) = match self {
            Self::Other { length } => (0, length),
            Self::Content {
                length,
                is_whole: false,
            } => (1, length),
            Self::Content {
                length,
                is_whole: true,
            } => (2, length),
        };
        let mut tag = [kind; 9];
        tag[1..].copy_from_slice(&(length as u64).to_le_bytes());
        tag
    }
}

/// Compresses a unit: gives the bytes of its frames, and what each part's are.
pub(super) fn compress(unit: &Unit, compressor: &mut Compressor) -> Result<(Vec<u8>, Vec<Frames>)> {
    let mut output = Vec::with_capacity(unit.bytes.len() / 2);
    let mut frames = Vec::with_capacity(unit.parts.len());
    let mut rest = unit.bytes.as_slice();
    for part in &unit.parts {
        let (bytes, after) = rest.split_at(part.length().min(rest.len()));
        rest = after;
        frames.push(match part {
            Part::Other { .. } => Frames::Other {
                compressed: compressor.append(bytes, &mut output)? as u64,
            },
            Part::Content { is_whole, .. } => {
                let chunks = chunks(bytes, compressor, &mut output)?;
                let sums = is_whole.then(|| sums(bytes, &chunks));
                Frames::Content { chunks, sums }
            }
        });
    }
    Ok((output, frames))
}

fn chunks(
    mut bytes: &[u8],
    compressor: &mut Compressor,
    output: &mut Vec<u8>,
) -> Result<Vec<Chunk>> {
    let cuts = cuts(bytes);
    let mut chunks = Vec::with_capacity(cuts.len());
    for cut in cuts {
        let (chunk, rest) = bytes.split_at(cut.length);
        bytes = rest;
        chunks.push(Chunk {
            plain: chunk.len() as u64,
            compressed: compressor.append(chunk, output)? as u64,
            is_zeros: cut.is_zeros,
            digest: Sha256::digest(chunk).into(),
        });
    }
    Ok(chunks)
}

fn sums(bytes: &[u8], chunks: &[Chunk]) -> Sums {
    if let [only] = chunks {
        let mut crc = Crc64::default();
        crc.update(bytes);
        return Sums {
            digest: only.digest,
            crc: crc.to_bytes(),
        };
    }
    let mut summing = Summing::default();
    summing.update(bytes);
    summing.finish()
}

/// What is kept with the bytes of a unit's frames.
pub(super) fn encode(frames: &[Frames]) -> Vec<u8> {
    let mut table = Vec::new();
    for part in frames {
        match part {
            Frames::Other { compressed } => table.extend_from_slice(&compressed.to_le_bytes()),
            Frames::Content { chunks, sums } => {
                table.extend_from_slice(&(chunks.len() as u64).to_le_bytes());
                for chunk in chunks {
                    table.extend_from_slice(&chunk.plain.to_le_bytes());
                    table.extend_from_slice(&chunk.compressed.to_le_bytes());
                    table.push(u8::from(chunk.is_zeros));
                    table.extend_from_slice(&chunk.digest);
                }
                if let Some(sums) = sums {
                    table.extend_from_slice(&sums.digest);
                    table.extend_from_slice(&sums.crc);
                }
            }
        }
    }
    table
}

/// The frames of `parts` as they were kept, if they fit them and `size` bytes.
pub(super) fn decode(mut table: &[u8], parts: &[Part], size: usize) -> Option<Vec<Frames>> {
    let mut frames = Vec::with_capacity(parts.len());
    let mut total = 0_u64;
    for part in parts {
        frames.push(match *part {
            Part::Other { .. } => {
                let compressed = number(&mut table)?;
                total = total.checked_add(compressed)?;
                Frames::Other { compressed }
            }
            Part::Content { length, is_whole } => {
                let chunks = decode_chunks(&mut table, length)?;
                for chunk in &chunks {
                    total = total.checked_add(chunk.compressed)?;
                }
                let sums = match is_whole {
                    false => None,
                    true => Some(Sums {
                        digest: take(&mut table)?,
                        crc: take(&mut table)?,
                    }),
                };
                Frames::Content { chunks, sums }
            }
        });
    }
    (table.is_empty() && total == size as u64).then_some(frames)
}

fn decode_chunks(table: &mut &[u8], length: usize) -> Option<Vec<Chunk>> {
    let count = number(table)?;
    let mut chunks = Vec::new();
    let mut left = length as u64;
    for _ in 0..count {
        let (plain, compressed) = (number(table)?, number(table)?);
        let [zeros] = take::<1>(table)?;
        left = left.checked_sub(plain)?;
        chunks.push(Chunk {
            plain,
            compressed,
            is_zeros: zeros != 0,
            digest: take(table)?,
        });
    }
    (left == 0).then_some(chunks)
}

fn number(table: &mut &[u8]) -> Option<u64> {
    take(table).map(u64::from_le_bytes)
}

fn take<const N: usize>(table: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = table.split_first_chunk::<N>()?;
    *table = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::settings::{Codec, Settings};

    #[test]
    fn what_is_kept_of_frames_round_trips() {
        let content = [vec![0; 2000], b"abc".to_vec()].concat();
        let bytes = [&b"header"[..], &content, b"pad", b"xyz"].concat();
        let parts = vec![
            Part::Other { length: 6 },
            Part::Content {
                length: content.len(),
                is_whole: true,
            },
            Part::Other { length: 3 },
            Part::Content {
                length: 3,
                is_whole: false,
            },
        ];
        let unit = Unit {
            key: [0; 32],
            bytes,
            parts,
            notes: Vec::new(),
        };
        let settings = Settings::new(Codec::ZstdChunked, None).unwrap();
        let mut compressor = Compressor::new(settings).unwrap();
        let (output, frames) = compress(&unit, &mut compressor).unwrap();
        let table = encode(&frames);
        assert_eq!(decode(&table, &unit.parts, output.len()), Some(frames));
        assert_eq!(decode(&table, &unit.parts, output.len() + 1), None);
        assert_eq!(decode(&table, &unit.parts[..3], output.len()), None);
        for end in 0..table.len() {
            assert_eq!(decode(&table[..end], &unit.parts, output.len()), None);
        }
    }
}
