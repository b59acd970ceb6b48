//! The table of contents and the tar-split data of a blob, written while its frames pass, and the
//! footer that closes it.

use sha2::{Digest as _, Sha256};

use super::json::Object;
use super::member::Member;
use super::reading::Note;
use super::unit::{Chunk, Frames, Sums};
use crate::digest::BlobDigest;
use crate::error::{Error, Result};
use crate::export::compressor::failed;
use crate::frame_cache::{ContentsPlace, Stretch};

/// What begins a frame that decompressors skip.
const SKIPPED: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// Bytes of that and of the frame's length.
const FRAME_HEADER: u64 = 8;
const FOOTER_MAGIC: [u8; 8] = *b"GNUlInUx";
/// The kind of table that this is, for the footer and the annotation.
pub(super) const TABLE_KIND: u64 = 1;

/// Rows of tar-split data: a content, and bytes that are none.
const FILE_ROW: i64 = 1;
const SEGMENT_ROW: i64 = 2;

/// A text that is compressed while it is written.
struct Text {
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    plain: u64,
}

impl Text {
    fn new(level: i32) -> Result<Self> {
        let encoder = zstd::stream::write::Encoder::new(Vec::new(), level).map_err(failed)?;
        Ok(Self { encoder, plain: 0 })
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.plain += bytes.len() as u64;
        std::io::Write::write_all(&mut self.encoder, bytes).map_err(failed)
    }

    fn finish(self) -> Result<(Vec<u8>, u64)> {
        Ok((self.encoder.finish().map_err(failed)?, self.plain))
    }
}

/// A member whose content is passing.
struct Open {
    member: Member,
    chunks: Vec<(u64, Chunk)>,
    sums: Option<Sums>,
}

/// The two texts in the making.
pub(super) struct Contents {
    table: Text,
    tar_split: Text,
    rows: u64,
    split_rows: i64,
    open: Option<Open>,
}

impl Contents {
    pub(super) fn new(level: i32) -> Result<Self> {
        let mut table = Text::new(level)?;
        table.push(br#"{"version":1,"entries":["#)?;
        Ok(Self {
            table,
            tar_split: Text::new(level)?,
            rows: 0,
            split_rows: 0,
            open: None,
        })
    }

    /// Takes what is to be noted of a unit, whose frames begin at `offset` in the blob.
    pub(super) fn take(&mut self, notes: Vec<Note>, frames: &[Frames], offset: u64) -> Result<()> {
        let starts = starts(frames, offset);
        for note in notes {
            match note {
                Note::Member(member) => {
                    self.close()?;
                    self.segment(&member.segment)?;
                    self.open = Some(Open {
                        member: *member,
                        chunks: Vec::new(),
                        sums: None,
                    });
                }
                Note::Content { part, sums } => {
                    let (Some(open), Some(Frames::Content { chunks, sums: own })) =
                        (&mut self.open, frames.get(part))
                    else {
                        continue;
                    };
                    let mut start = starts[part];
                    for chunk in chunks {
                        open.chunks.push((start, *chunk));
                        start += chunk.compressed;
                    }
                    open.sums = sums.or(*own);
                }
                Note::End(bytes) => {
                    self.close()?;
                    self.segment(&bytes)?;
                }
            }
        }
        Ok(())
    }

    /// The member before is complete.
    fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        for row in open.member.rows(&open.chunks, open.sums)? {
            if self.rows > 0 {
                self.table.push(b",")?;
            }
            self.table.push(&row)?;
            self.rows += 1;
        }
        let mut row = Object::new();
        row.any_number("type", FILE_ROW);
        row.text("name", &open.member.name)?;
        row.number("size", i64::try_from(open.member.size).unwrap_or(i64::MAX));
        let crc = open.sums.map(|sums| sums.crc);
        row.bytes("payload", crc.as_ref().map_or(&[], <[u8; 8]>::as_slice));
        self.split_row(row)
    }

    fn segment(&mut self, bytes: &[u8]) -> Result<()> {
        let mut row = Object::new();
        row.any_number("type", SEGMENT_ROW);
        row.bytes("payload", bytes);
        self.split_row(row)
    }

    fn split_row(&mut self, mut row: Object) -> Result<()> {
        row.any_number("position", self.split_rows);
        self.split_rows += 1;
        self.tar_split.push(&row.end())?;
        self.tar_split.push(b"\n")
    }

    /// The frames that close a blob whose others have `offset` bytes, and where they are.
    pub(super) fn finish(mut self, offset: u64) -> Result<(Vec<u8>, ContentsPlace)> {
        self.close()?;
        let (tar_split, tar_split_plain) = self.tar_split.finish()?;
        let digest = BlobDigest::from_bytes(Sha256::digest(&tar_split).into());
        self.table
            .push(format!("],\"tarSplitDigest\":\"{digest}\"}}").as_bytes())?;
        let (table, table_plain) = self.table.finish()?;
        let table_offset = offset + FRAME_HEADER;
        let place = ContentsPlace {
            digest: BlobDigest::of(&table),
            table: Stretch {
                offset: table_offset,
                length: table.len() as u64,
                plain: table_plain,
            },
            tar_split: Stretch {
                offset: table_offset + table.len() as u64 + FRAME_HEADER,
                length: tar_split.len() as u64,
                plain: tar_split_plain,
            },
        };
        let mut output = Vec::new();
        push_skipped(&mut output, &table)?;
        push_skipped(&mut output, &tar_split)?;
        push_skipped(&mut output, &footer(&place))?;
        Ok((output, place))
    }
}

/// Where the frames of each part begin.
fn starts(frames: &[Frames], mut offset: u64) -> Vec<u64> {
    let mut starts = Vec::with_capacity(frames.len());
    for part in frames {
        starts.push(offset);
        offset += match part {
            Frames::Other { compressed } => *compressed,
            Frames::Content { chunks, .. } => chunks.iter().map(|chunk| chunk.compressed).sum(),
        };
    }
    starts
}

fn push_skipped(output: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    let length = u32::try_from(bytes.len())
        .map_err(|_| Error::limit("size of a table of contents", u32::MAX.into()))?;
    output.extend_from_slice(&SKIPPED);
    output.extend_from_slice(&length.to_le_bytes());
    output.extend_from_slice(bytes);
    Ok(())
}

fn footer(place: &ContentsPlace) -> Vec<u8> {
    let (table, tar_split) = (place.table, place.tar_split);
    let numbers = [
        table.offset,
        table.length,
        table.plain,
        TABLE_KIND,
        tar_split.offset,
        tar_split.length,
        tar_split.plain,
    ];
    let mut footer = numbers.map(u64::to_le_bytes).concat();
    footer.extend_from_slice(&FOOTER_MAGIC);
    footer
}
