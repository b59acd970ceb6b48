//! Files of which an archive stores only the pieces between the holes.
//!
//! A [`SparseMap`] says where the stored bytes lie in the file. The archive's content events give
//! the stored bytes; an [`Expander`] turns them into the file's pieces and holes.

use std::borrow::Borrow;

use crate::error::ErrorKind;

/// A stretch of data inside a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes; may be 0 (writers mark the end of the file so).
    pub length: u64,
}

/// Where the stored bytes of a sparse file lie: pieces in order, without overlap, inside the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseMap {
    real_size: u64,
    pieces: Vec<Piece>,
}

impl SparseMap {
    /// A map of a file of `real_size` bytes of which `stored` bytes are in the archive.
    ///
    /// # Errors
    /// Pieces that overlap, go backwards, lie outside the file, or are not `stored` bytes
    /// together.
    pub fn new(real_size: u64, pieces: Vec<Piece>, stored: u64) -> Result<Self, ErrorKind> {
        let mut position: u64 = 0;
        let mut sum: u64 = 0;
        for piece in &pieces {
            if piece.offset < position {
                return Err(ErrorKind::Sparse("its pieces overlap or go backwards"));
            }
            position = (piece.offset.checked_add(piece.length))
                .filter(|&end| end <= real_size)
                .ok_or(ErrorKind::Sparse("a piece ends after the end of the file"))?;
            // Cannot overflow: the pieces lie side by side below `real_size`.
            sum += piece.length;
        }
        if sum != stored {
            return Err(ErrorKind::Sparse("its pieces are not the bytes it stores"));
        }
        Ok(Self { real_size, pieces })
    }

    /// The size of the file with its holes.
    pub fn real_size(&self) -> u64 {
        self.real_size
    }

    /// The stretches of data, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

/// A stretch of the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch<'a> {
    /// The file's next bytes.
    Data(&'a [u8]),
    /// A hole: so many bytes of zeros.
    Hole(u64),
}

/// Turns the stored bytes of a sparse file, pushed in any pieces, into the whole file.
#[derive(Debug)]
pub struct Expander<Map: Borrow<SparseMap>> {
    map: Map,
    next_piece: usize,
    left_in_piece: u64,
    position: u64,
}

impl<Map: Borrow<SparseMap>> Expander<Map> {
    /// At the beginning of the file.
    pub fn new(map: Map) -> Self {
        Self {
            map,
            next_piece: 0,
            left_in_piece: 0,
            position: 0,
        }
    }

    /// The next stored bytes. More than the map has are given out as data at the end.
    ///
    /// # Errors
    /// Those of `sink`.
    pub fn feed<E>(
        &mut self,
        mut stored: &[u8],
        mut sink: impl FnMut(Stretch<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !stored.is_empty() {
            if self.left_in_piece == 0 {
                match self.map.borrow().pieces.get(self.next_piece).copied() {
                    Some(piece) => {
                        self.next_piece += 1;
                        self.hole_to(piece.offset, &mut sink)?;
                        self.left_in_piece = piece.length;
                    }
                    None => self.left_in_piece = u64::MAX,
                }
                continue;
            }
            let length = usize::try_from(self.left_in_piece)
                .unwrap_or(usize::MAX)
                .min(stored.len());
            let (data, rest) = stored.split_at(length);
            sink(Stretch::Data(data))?;
            stored = rest;
            self.left_in_piece -= length as u64;
            self.position += length as u64;
        }
        Ok(())
    }

    /// The hole at the end of the file, if it has one.
    ///
    /// # Errors
    /// Those of `sink`.
    pub fn finish<E>(
        mut self,
        mut sink: impl FnMut(Stretch<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.hole_to(self.map.borrow().real_size, &mut sink)
    }

    fn hole_to<E>(
        &mut self,
        offset: u64,
        sink: &mut impl FnMut(Stretch<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if offset > self.position {
            sink(Stretch::Hole(offset - self.position))?;
            self.position = offset;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(map: &SparseMap, stored: &[u8], size: usize) -> Vec<String> {
        let mut stretches = Vec::new();
        let mut sink = |stretch: Stretch<'_>| {
            stretches.push(match stretch {
                Stretch::Data(data) => String::from_utf8_lossy(data).into_owned(),
                Stretch::Hole(size) => format!("({size})"),
            });
            Ok::<(), ErrorKind>(())
        };
        let mut expander = Expander::new(map);
        for piece in stored.chunks(size) {
            expander.feed(piece, &mut sink).unwrap();
        }
        expander.finish(&mut sink).unwrap();
        stretches
    }

    #[test]
    fn holes_stand_between_the_pieces() {
        let pieces = [(0, 2), (2, 0), (2, 1), (6, 3), (20, 0)];
        let pieces = pieces.map(|(offset, length)| Piece { offset, length });
        let map = SparseMap::new(20, pieces.to_vec(), 6).unwrap();
        let whole = ["ab", "c", "(3)", "def", "(11)"];
        assert_eq!(expanded(&map, b"abcdef", 100), whole);
        let in_bytes = expanded(&map, b"abcdef", 1).concat();
        assert_eq!(in_bytes, whole.concat());
        let hole = SparseMap::new(5, Vec::new(), 0).unwrap();
        assert_eq!(expanded(&hole, b"", 1), ["(5)"]);
        assert_eq!(
            expanded(&SparseMap::new(0, Vec::new(), 0).unwrap(), b"", 1),
            [""; 0]
        );
    }
}
