//! The four ways in which archives write the map of a sparse file.
//!
//! Old GNU keeps it in the header block and in extra blocks behind it; PAX 0.0 and 0.1 in records
//! of the extended header; PAX 1.0 as text in front of the stored bytes.

use crate::block::{BLOCK_SIZE, Dialect};
use crate::error::ErrorKind;
use crate::limits::Limits;
use crate::number::{decimal, numeric};
use crate::pax::{Records, SPARSE_MAP};
use crate::sparse::Piece;

/// Bytes of one piece in an old GNU map.
const GNU_PIECE: usize = 24;

/// Append pieces to a map, within the limit.
fn push(
    pieces: &mut Vec<Piece>,
    limits: &Limits,
    offset: Option<i64>,
    length: Option<i64>,
) -> Result<(), ErrorKind> {
    let number = |value: Option<i64>| {
        (value.and_then(|value| u64::try_from(value).ok()))
            .ok_or(ErrorKind::Sparse("an offset or length is not a number"))
    };
    let piece = Piece {
        offset: number(offset)?,
        length: number(length)?,
    };
    check_count(pieces.len() + 1, limits)?;
    pieces.push(piece);
    Ok(())
}

fn check_count(count: usize, limits: &Limits) -> Result<(), ErrorKind> {
    if count > limits.sparse_pieces {
        return Err(ErrorKind::Limit {
            part: "the number of pieces of a sparse file",
            limit: limits.sparse_pieces as u64,
        });
    }
    Ok(())
}

/// A map of the old GNU form, while its blocks come in.
#[derive(Debug)]
pub struct GnuMap {
    pub real_size: i64,
    pub pieces: Vec<Piece>,
    /// Whether one more block of pieces follows.
    pub is_extended: bool,
}

impl GnuMap {
    /// The beginning of the map, in the header block.
    pub fn from_header(
        block: &[u8; BLOCK_SIZE],
        dialect: Dialect,
        limits: &Limits,
    ) -> Result<Self, ErrorKind> {
        if dialect != Dialect::Gnu {
            return Err(ErrorKind::Sparse("its header is not of GNU tar"));
        }
        let real_size = numeric(&block[483..495]).ok_or(ErrorKind::Number { field: "realsize" })?;
        let mut map = Self {
            real_size,
            pieces: Vec::new(),
            is_extended: block[482] != 0,
        };
        map.take(&block[386..482], limits)?;
        Ok(map)
    }

    /// The next block of the map.
    pub fn extend(&mut self, block: &[u8], limits: &Limits) -> Result<(), ErrorKind> {
        self.is_extended = block[504] != 0;
        self.take(&block[..504], limits)
    }

    /// An unused place ends a block's pieces, but not the map.
    fn take(&mut self, fields: &[u8], limits: &Limits) -> Result<(), ErrorKind> {
        for field in fields.chunks_exact(GNU_PIECE) {
            if field[0] == 0 {
                break;
            }
            let (offset, length) = field.split_at(GNU_PIECE / 2);
            push(&mut self.pieces, limits, numeric(offset), numeric(length))?;
        }
        Ok(())
    }
}

/// Where the PAX records of an entry say that its map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaxMap {
    /// The file is not sparse.
    None,
    /// In the records themselves (0.0 and 0.1).
    Records,
    /// In front of the stored bytes (1.0).
    Data,
}

/// Which form the records are of. An unknown version is an ordinary file, as Go has it.
pub fn pax_form(records: &Records) -> PaxMap {
    let major = text(records, b"GNU.sparse.major");
    let minor = text(records, b"GNU.sparse.minor");
    match (major, minor) {
        (b"0", b"0" | b"1") => PaxMap::Records,
        (b"1", b"0") => PaxMap::Data,
        (b"", b"") if !text(records, SPARSE_MAP).is_empty() => PaxMap::Records,
        _ => PaxMap::None,
    }
}

/// The value of a record; empty when there is none.
pub fn text<'a>(records: &'a Records, key: &[u8]) -> &'a [u8] {
    records.get(key).map_or(b"", Vec::as_slice)
}

/// The map in the records of formats 0.0 and 0.1.
pub fn from_records(records: &Records, limits: &Limits) -> Result<Vec<Piece>, ErrorKind> {
    let count = decimal(text(records, b"GNU.sparse.numblocks"))
        .and_then(|count| usize::try_from(count).ok())
        .ok_or(ErrorKind::PaxValue {
            key: "GNU.sparse.numblocks",
        })?;
    check_count(count, limits)?;
    let map = text(records, SPARSE_MAP);
    let numbers: Vec<&[u8]> = match map {
        b"" => Vec::new(),
        _ => map.split(|&byte| byte == b',').collect(),
    };
    if numbers.len() != 2 * count {
        return Err(ErrorKind::Sparse("its map has not as many numbers as said"));
    }
    let mut pieces = Vec::with_capacity(count);
    for pair in numbers.chunks_exact(2) {
        push(&mut pieces, limits, decimal(pair[0]), decimal(pair[1]))?;
    }
    Ok(pieces)
}

/// A map of format 1.0 while its blocks come in: lines of decimals, the number of pieces, then
/// offset and length of each, filled up to the block.
#[derive(Debug, Default)]
pub struct TextMap {
    pub pieces: Vec<Piece>,
    count: Option<usize>,
    offset: Option<i64>,
    line: Vec<u8>,
}

impl TextMap {
    /// Longest line: a sign and 19 digits are the longest number.
    const LINE_BYTES: usize = 20;

    /// Take one block; whether it was the last.
    pub fn extend(&mut self, block: &[u8], limits: &Limits) -> Result<bool, ErrorKind> {
        for &byte in block {
            if byte != b'\n' {
                if self.line.len() == Self::LINE_BYTES {
                    return Err(ErrorKind::Sparse("its map is not lines of numbers"));
                }
                self.line.push(byte);
                continue;
            }
            self.take_line(limits)?;
            if self.count == Some(self.pieces.len()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take_line(&mut self, limits: &Limits) -> Result<(), ErrorKind> {
        let number =
            decimal(&self.line).ok_or(ErrorKind::Sparse("its map is not lines of numbers"))?;
        self.line.clear();
        match (self.count, self.offset.take()) {
            (None, _) => {
                let count = usize::try_from(number)
                    .map_err(|_| ErrorKind::Sparse("its map has a negative number of pieces"))?;
                check_count(count, limits)?;
                self.count = Some(count);
                Ok(())
            }
            (Some(_), None) => {
                self.offset = Some(number);
                Ok(())
            }
            (Some(_), offset) => push(&mut self.pieces, limits, offset, Some(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(pairs: &[(u64, u64)]) -> Vec<Piece> {
        (pairs.iter())
            .map(|&(offset, length)| Piece { offset, length })
            .collect()
    }

    fn text_map(text: &str) -> Result<Option<Vec<Piece>>, ErrorKind> {
        let mut map = TextMap::default();
        let mut data = text.as_bytes().to_vec();
        data.resize(data.len().next_multiple_of(BLOCK_SIZE), 0);
        for block in data.chunks_exact(BLOCK_SIZE) {
            if map.extend(block, &Limits::default())? {
                return Ok(Some(map.pieces));
            }
        }
        Ok(None)
    }

    #[test]
    fn text_maps_are_lines_of_decimals() {
        assert_eq!(text_map("0\n"), Ok(Some(pieces(&[]))));
        let two = text_map("2\n0\n5\n10\n0\nrest is padding");
        assert_eq!(two, Ok(Some(pieces(&[(0, 5), (10, 0)]))));
        let long: String = (0..300).map(|n| format!("{}\n1\n", n * 2)).collect();
        let long = text_map(&format!("300\n{long}")).unwrap().unwrap();
        assert_eq!(long.len(), 300);
        assert_eq!(long[299], pieces(&[(598, 1)])[0]);
    }

    #[test]
    fn malformed_text_maps_are_refused() {
        for text in [
            "-1\n",
            "\n",
            "x\n",
            "1\n0\n-5\n",
            "1\n0 \n5\n",
            "99999999\n",
        ] {
            assert!(text_map(text).is_err(), "{text:?}");
        }
        assert!(text_map(&"1".repeat(600)).is_err());
        assert_eq!(
            text_map("2\n0\n5\n10"),
            Err(ErrorKind::Sparse("its map is not lines of numbers"))
        );
    }

    #[test]
    fn record_maps_must_have_as_many_numbers_as_said() {
        let records = |count: &[u8], map: &[u8]| {
            Records::from([
                (b"GNU.sparse.numblocks".to_vec(), count.to_vec()),
                (SPARSE_MAP.to_vec(), map.to_vec()),
            ])
        };
        let limits = Limits::default();
        let read = |count: &[u8], map: &[u8]| from_records(&records(count, map), &limits);
        assert_eq!(read(b"1", b"3,4"), Ok(pieces(&[(3, 4)])));
        assert_eq!(read(b"0", b""), Ok(pieces(&[])));
        for (count, map) in [
            (b"2", &b"3,4"[..]),
            (b"1", b"3"),
            (b"1", b"3,-4"),
            (b"x", b""),
        ] {
            assert!(read(count, map).is_err(), "{}", map.escape_ascii());
        }
    }
}
