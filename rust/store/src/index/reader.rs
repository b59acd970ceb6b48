//! Reading a stored tree index where it lies, without trusting a byte of it.
//!
//! Hostile bytes give an error or a wrong answer, never a panic, an endless loop or a read
//! outside the index.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use fastlayer_tar::Timestamp;
use fastlayer_tar::path::compare;
use zerocopy::FromBytes;

use super::format::{
    HEADER_SIZE, Header, LAYER_IMPLICIT_PARENTS, LAYER_LOWER_LINKS, MAGIC, NO_ROW, ROW_CONTENT,
    ROW_IMPLICIT, ROW_OPAQUE, ROW_REPLACES, ROW_SIZE, Row, VERSION,
};
use super::{IndexEntry, IndexError, Kind};
use crate::digest::ContentId;

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

/// One row of an index, read where it lies.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    index: &'a TreeIndex,
    heap: &'a [u8],
    raw: &'a Row,
    number: u32,
    kind: Kind,
    path: &'a [u8],
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

    fn parts(&self) -> Result<(&[Row], &[u8]), IndexError> {
        let all: &[u8] = (*self.bytes).as_ref();
        let rest = all
            .get(HEADER_SIZE..)
            .ok_or(IndexError::Corrupt("it is too short"))?;
        <[Row]>::ref_from_prefix_with_elems(rest, self.rows as usize)
            .map_err(|_| IndexError::Corrupt("it is too short"))
    }

    /// The row with this number.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] when there is none, or it points outside the index.
    pub fn row(&self, number: u32) -> Result<EntryRef<'_>, IndexError> {
        let (rows, heap) = self.parts()?;
        let raw = rows
            .get(number as usize)
            .ok_or(IndexError::Corrupt("a row is missing"))?;
        let kind = Kind::from_byte(raw.kind).ok_or(IndexError::Corrupt("a row has no kind"))?;
        let path = slice(heap, raw.path_offset.get(), raw.path_length.get())?;
        Ok(EntryRef {
            index: self,
            heap,
            raw,
            number,
            kind,
            path,
        })
    }

    /// The row of a path, if the layer has one.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn get(&self, path: &[u8]) -> Result<Option<EntryRef<'_>>, IndexError> {
        let (rows, heap) = self.parts()?;
        let (mut low, mut high) = (0, rows.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let raw = &rows[middle];
            let found = slice(heap, raw.path_offset.get(), raw.path_length.get())?;
            match compare(found, path) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.row(middle as u32).map(Some),
            }
        }
        Ok(None)
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
        (0..self.rows).map(|number| self.row(number))
    }
}

impl<'a> EntryRef<'a> {
    /// The number of the row.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The whole path.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        self.path
    }

    /// The last component of the path.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.path
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether lower contents of the directory are hidden.
    #[must_use]
    pub fn opaque(&self) -> bool {
        self.raw.flags & ROW_OPAQUE != 0
    }

    /// Whether the layer has no entry of its own for this directory.
    #[must_use]
    pub fn implicit(&self) -> bool {
        self.raw.flags & ROW_IMPLICIT != 0
    }

    /// Whether the path is whited out besides.
    #[must_use]
    pub fn replaces(&self) -> bool {
        self.raw.flags & ROW_REPLACES != 0
    }

    /// Permission bits.
    #[must_use]
    pub fn mode(&self) -> u32 {
        u32::from(u16::from_le_bytes(self.raw.mode)) & 0o7777
    }

    /// Owning user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.raw.uid.get()
    }

    /// Owning group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.raw.gid.get()
    }

    /// Time of last modification.
    #[must_use]
    pub fn mtime(&self) -> Timestamp {
        Timestamp {
            seconds: self.raw.mtime_seconds.get(),
            nanoseconds: self.raw.mtime_nanoseconds.get().min(999_999_999),
        }
    }

    /// Bytes of content.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.raw.size.get()
    }

    /// Where the content begins in the layer's tar.
    #[must_use]
    pub fn data_offset(&self) -> u64 {
        self.raw.data_offset.get()
    }

    /// Major and minor number.
    #[must_use]
    pub fn device(&self) -> (u32, u32) {
        (self.raw.device_major.get(), self.raw.device_minor.get())
    }

    /// The content of a regular file.
    #[must_use]
    pub fn content(&self) -> Option<ContentId> {
        (self.raw.flags & ROW_CONTENT != 0).then(|| ContentId::from_bytes(self.raw.content))
    }

    /// Target of a symbolic link, or the path a `LowerLink` names.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn link_target(&self) -> Result<&'a [u8], IndexError> {
        slice(
            self.heap,
            self.raw.link_offset.get(),
            self.raw.link_length.get(),
        )
    }

    /// First path of the hardlink group; `None` for a file without links and for that first path.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn hardlink(&self) -> Result<Option<EntryRef<'a>>, IndexError> {
        match self.raw.hardlink.get() {
            NO_ROW => Ok(None),
            first => self.index.row(first).map(Some),
        }
    }

    /// Whether the row has extended attributes.
    #[must_use]
    pub fn has_xattrs(&self) -> bool {
        self.raw.xattrs_length.get() != 0
    }

    /// The extended attributes.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn xattrs(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, IndexError> {
        let mut rest = slice(
            self.heap,
            self.raw.xattrs_offset.get(),
            self.raw.xattrs_length.get(),
        )?;
        let mut all = BTreeMap::new();
        while !rest.is_empty() {
            let name = take_framed(&mut rest)?;
            let value = take_framed(&mut rest)?;
            all.insert(name.to_vec(), value.to_vec());
        }
        Ok(all)
    }

    /// The rows directly below this directory, in order.
    pub fn children(&self) -> impl Iterator<Item = Result<EntryRef<'a>, IndexError>> + use<'a> {
        let index = self.index;
        let end = self.subtree_end();
        let mut next = self.number + 1;
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let row = index.row(next).and_then(|row| match row.subtree_end() {
                // Rows would be seen from several directories: a walk could take for ever.
                past if past > end => Err(IndexError::Corrupt("subtrees overlap")),
                _ => Ok(row),
            });
            next = row.as_ref().map_or(end, EntryRef::subtree_end);
            Some(row)
        })
    }

    /// The number of the row after the last one below this path.
    #[must_use]
    pub fn subtree_end(&self) -> u32 {
        self.raw
            .subtree_end
            .get()
            .clamp(self.number + 1, self.index.rows)
    }

    /// An owned copy.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn to_entry(&self) -> Result<IndexEntry, IndexError> {
        Ok(IndexEntry {
            path: self.path.to_vec(),
            kind: self.kind,
            opaque: self.opaque(),
            implicit: self.implicit(),
            replaces: self.replaces(),
            mode: self.mode(),
            uid: self.uid(),
            gid: self.gid(),
            mtime: self.mtime(),
            size: self.size(),
            device: self.device(),
            link_target: self.link_target()?.to_vec(),
            hardlink: self.hardlink()?.map(|first| first.path.to_vec()),
            xattrs: self.xattrs()?,
            content: self.content(),
            data_offset: self.data_offset(),
        })
    }
}

fn slice(heap: &[u8], offset: u32, length: u32) -> Result<&[u8], IndexError> {
    let start = offset as usize;
    start
        .checked_add(length as usize)
        .and_then(|end| heap.get(start..end))
        .ok_or(IndexError::Corrupt("a row points outside it"))
}

fn take_framed<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], IndexError> {
    let damaged = IndexError::Corrupt("extended attributes are cut short");
    let (length, after) = rest.split_first_chunk::<4>().ok_or(damaged.clone())?;
    let length = u32::from_le_bytes(*length) as usize;
    let value = after.get(..length).ok_or(damaged)?;
    *rest = &after[length..];
    Ok(value)
}
