//! The rows of an index as a tree: names, what is above a row, and finding a name in a directory.
//!
//! A row says which directory it is in, and a directory where what is below it ends. Rows of a
//! directory are sorted by name, each followed by what is below it. So a name is found by halves:
//! from the row in the middle upwards to the one that is directly in the directory.

use std::cmp::Ordering;

use fastlayer_tar::path::MAX_COMPONENTS;

use super::format::Row;
use super::{IndexError, Kind};

/// The rows and the heap of an index.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    rows: &'a [Row],
    heap: &'a [u8],
}

impl<'a> Rows<'a> {
    pub(super) fn new(rows: &'a [Row], heap: &'a [u8]) -> Self {
        Self { rows, heap }
    }

    pub(super) fn raw(self, number: u32) -> Result<&'a Row, IndexError> {
        self.rows
            .get(number as usize)
            .ok_or(IndexError::Corrupt("a row is missing"))
    }

    /// So many bytes of the heap.
    pub(super) fn bytes(self, offset: u32, length: u32) -> Result<&'a [u8], IndexError> {
        let start = offset as usize;
        start
            .checked_add(length as usize)
            .and_then(|end| self.heap.get(start..end))
            .ok_or(IndexError::Corrupt("a row points outside it"))
    }

    /// Bytes of the heap behind their length.
    pub(super) fn framed(self, offset: u32) -> Result<&'a [u8], IndexError> {
        let length = self.bytes(offset, 4)?;
        let length = length
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u32::from(*byte));
        let start = offset
            .checked_add(4)
            .ok_or(IndexError::Corrupt("a row points outside it"))?;
        self.bytes(start, length)
    }

    /// The name of a row that is not the root's.
    pub(super) fn name(self, raw: &Row) -> Result<&'a [u8], IndexError> {
        let name = self.name_bytes(raw)?;
        let is_name = !matches!(name, b"" | b"." | b"..")
            && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
        if !is_name {
            return Err(IndexError::Corrupt("a row has no name"));
        }
        Ok(name)
    }

    fn name_bytes(self, raw: &Row) -> Result<&'a [u8], IndexError> {
        self.bytes(raw.name_offset.get(), raw.name_length.get().into())
    }

    /// Whether a row lies in the directory that it names, with all that is below it.
    pub(super) fn check_place(self, number: u32, raw: &Row) -> Result<(), IndexError> {
        let end = end_of(number, raw);
        let fits = if number == 0 {
            is_directory(raw)
                && raw.name_length.get() == 0
                && raw.parent.get() == 0
                && end as usize == self.rows.len()
        } else {
            let parent = raw.parent.get();
            let above = self.raw(parent)?;
            let above_end = end_of(parent, above);
            // Rows below two directories: a walk could take for ever.
            is_directory(above) && parent < number && number < end && end <= above_end
        };
        match fits {
            true => Ok(()),
            false => Err(IndexError::Corrupt("a row is not below its directory")),
        }
    }

    /// Whether a row, all before it being sound, follows the one before it: no directory ends
    /// without need, and names beside each other ascend.
    pub(super) fn check_order(self, number: u32, raw: &Row) -> Result<(), IndexError> {
        let parent = raw.parent.get();
        if number == 0 || parent + 1 == number {
            return Ok(());
        }
        let beside = self.below(parent, number - 1)?;
        let before = self.raw(beside)?;
        if end_of(beside, before) != number || self.name_bytes(before)? >= self.name_bytes(raw)? {
            return Err(IndexError::Corrupt("rows are not sorted"));
        }
        Ok(())
    }

    /// From a row upwards to the one that is directly in `directory`.
    fn below(self, directory: u32, number: u32) -> Result<u32, IndexError> {
        let mut here = number;
        for _ in 0..MAX_COMPONENTS {
            let parent = self.raw(here)?.parent.get();
            if parent == directory {
                return Ok(here);
            }
            if parent >= here {
                break;
            }
            here = parent;
        }
        Err(IndexError::Corrupt("a row is not below its directory"))
    }

    /// The row of this name between the directory's own and `end`.
    pub(super) fn find(
        self,
        directory: u32,
        end: u32,
        name: &[u8],
    ) -> Result<Option<u32>, IndexError> {
        let (mut low, mut high) = (directory + 1, end);
        while low < high {
            let middle = low + (high - low) / 2;
            let found = self.below(directory, middle)?;
            let raw = self.raw(found)?;
            match self.name_bytes(raw)?.cmp(name) {
                Ordering::Equal => return Ok(Some(found)),
                Ordering::Less => low = end_of(found, raw).max(middle + 1),
                Ordering::Greater => high = found,
            }
        }
        Ok(None)
    }

    /// The whole path of a row.
    pub(super) fn path(self, number: u32) -> Result<Vec<u8>, IndexError> {
        let mut names = Vec::with_capacity(16);
        let mut here = number;
        while here != 0 {
            let raw = self.raw(here)?;
            let parent = raw.parent.get();
            if parent >= here || names.len() == MAX_COMPONENTS {
                return Err(IndexError::Corrupt("a row is not below its directory"));
            }
            names.push(self.name(raw)?);
            here = parent;
        }
        names.reverse();
        Ok(names.join(&b'/'))
    }
}

/// The number of the row after the last one below a row.
pub(super) fn end_of(number: u32, raw: &Row) -> u32 {
    match is_directory(raw) {
        true => raw.end_or_first.get(),
        false => number.saturating_add(1),
    }
}

pub(super) fn is_directory(raw: &Row) -> bool {
    raw.kind == Kind::Directory as u8
}
