//! Reading a stored tree index where it lies, without trusting a byte of it.
//!
//! Hostile bytes give an error or a wrong answer, never a panic, an endless loop or a read
//! outside the index.

use std::fmt;
use std::sync::Arc;

use zerocopy::FromBytes;

use super::format::{
    HEADER_SIZE, Header, LAYER_IMPLICIT_PARENTS, LAYER_LOWER_LINKS, MAGIC, NO_ROW, ROW_SIZE, Row,
    VERSION,
};
use super::rows::Rows;
use super::{EntryRef, IndexError};

/// A layer's tree index over bytes in memory or in a mapped file; clones share the bytes.
#[derive(Clone)]
pub struct TreeIndex {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    rows: u32,
    flags: u32,
}

impl fmt::Debug for TreeIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TreeIndex")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl TreeIndex {
    /// Reads the header; rows are checked when they are read.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] or [`IndexError::Version`].
    pub fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self, IndexError> {
        let all = bytes.as_ref();
        let (header, rest) =
            Header::ref_from_prefix(all).map_err(|_| IndexError::Corrupt("it is too short"))?;
        if header.magic != MAGIC {
            return Err(IndexError::Corrupt("it does not begin as one"));
        }
        if header.version.get() != VERSION {
            return Err(IndexError::Version(header.version.get()));
        }
        let rows = header.rows.get();
        let expected = u64::from(rows)
            .checked_mul(ROW_SIZE as u64)
            .and_then(|size| size.checked_add(header.heap_size.get()));
        if header.row_size.get() as usize != ROW_SIZE
            || rows == 0
            || rows == NO_ROW
            || expected != Some(rest.len() as u64)
        {
            return Err(IndexError::Corrupt("its length does not fit its header"));
        }
        let flags = header.flags.get();
        Ok(Self {
            bytes: Arc::new(bytes),
            rows,
            flags,
        })
    }

    /// Number of rows, the root and implicit directories included.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.rows
    }

    /// Whether the layer holds nothing but the root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows <= 1
    }

    /// Whether what the layer unpacks to depends on the layers below it: it has directories
    /// without an entry of their own, or hard links to lower files.
    #[must_use]
    pub fn depends_on_parents(&self) -> bool {
        self.flags & (LAYER_IMPLICIT_PARENTS | LAYER_LOWER_LINKS) != 0
    }

    fn parts(&self) -> Result<Rows<'_>, IndexError> {
        let all: &[u8] = (*self.bytes).as_ref();
        let rest = all
            .get(HEADER_SIZE..)
            .ok_or(IndexError::Corrupt("it is too short"))?;
        let (rows, heap) = <[Row]>::ref_from_prefix_with_elems(rest, self.rows as usize)
            .map_err(|_| IndexError::Corrupt("it is too short"))?;
        Ok(Rows::new(rows, heap))
    }

    /// The row with this number.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] when there is none, it points outside the index, or its place is
    /// not below its directory.
    pub fn row(&self, number: u32) -> Result<EntryRef<'_>, IndexError> {
        EntryRef::new(self.parts()?, number)
    }

    /// The row of a path, if the layer has one.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn get(&self, path: &[u8]) -> Result<Option<EntryRef<'_>>, IndexError> {
        let root = self.root()?;
        if path.is_empty() {
            return Ok(Some(root));
        }
        let mut here = Some(root);
        for name in path.split(|byte| *byte == b'/') {
            let Some(parent) = here else { return Ok(None) };
            here = parent.child(name)?;
        }
        Ok(here)
    }

    /// The root's row.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn root(&self) -> Result<EntryRef<'_>, IndexError> {
        self.row(0)
    }

    /// All rows in order: the root first, every directory before what it holds.
    pub fn iter(&self) -> impl Iterator<Item = Result<EntryRef<'_>, IndexError>> {
        (0..self.rows).map(|number| {
            let row = self.row(number)?;
            row.check_order()?;
            Ok(row)
        })
    }
}
