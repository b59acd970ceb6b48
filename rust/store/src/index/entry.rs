//! One row of a tree index, read where it lies.

use std::collections::BTreeMap;

use fastlayer_tar::Timestamp;
use zerocopy::FromBytes;

use super::format::{NO_ROW, Pair, ROW_CONTENT, ROW_IMPLICIT, ROW_OPAQUE, ROW_REPLACES, Row};
use super::rows::{Rows, end_of, is_directory};
use super::{IndexEntry, IndexError, Kind};
use crate::digest::ContentId;

/// One row of an index, read where it lies.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    rows: Rows<'a>,
    raw: &'a Row,
    number: u32,
    kind: Kind,
    name: &'a [u8],
}

impl<'a> EntryRef<'a> {
    pub(super) fn new(rows: Rows<'a>, number: u32) -> Result<Self, IndexError> {
        let raw = rows.raw(number)?;
        let kind = Kind::from_byte(raw.kind).ok_or(IndexError::Corrupt("a row has no kind"))?;
        rows.check_place(number, raw)?;
        let name = match number {
            0 => b"",
            _ => rows.name(raw)?,
        };
        Ok(Self {
            rows,
            raw,
            number,
            kind,
            name,
        })
    }

    pub(super) fn check_order(&self) -> Result<(), IndexError> {
        self.rows.check_order(self.number, self.raw)
    }

    /// The number of the row.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The whole path, put together from the names above it.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn path(&self) -> Result<Vec<u8>, IndexError> {
        self.rows.path(self.number)
    }

    /// The last component of the path; the root has none.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.name
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
        u32::from(self.raw.mode.get()) & 0o7777
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

    /// Major and minor number of a device; zeros of anything else.
    #[must_use]
    pub fn device(&self) -> (u32, u32) {
        match self.kind {
            Kind::CharDevice | Kind::BlockDevice => self.pair(),
            _ => (0, 0),
        }
    }

    /// The content of a regular file.
    #[must_use]
    pub fn content(&self) -> Option<ContentId> {
        (self.kind == Kind::File && self.raw.flags & ROW_CONTENT != 0)
            .then(|| ContentId::from_bytes(self.raw.value))
    }

    /// Target of a symbolic link, or the path a `LowerLink` names; nothing of anything else.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn link_target(&self) -> Result<&'a [u8], IndexError> {
        match self.kind {
            Kind::Symlink | Kind::LowerLink => {
                let (offset, length) = self.pair();
                self.rows.bytes(offset, length)
            }
            _ => Ok(b""),
        }
    }

    fn pair(&self) -> (u32, u32) {
        Pair::ref_from_bytes(&self.raw.value)
            .map_or((0, 0), |pair| (pair.first.get(), pair.second.get()))
    }

    /// First row of the hardlink group; `None` for a file without links and for that first row.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn hardlink(&self) -> Result<Option<EntryRef<'a>>, IndexError> {
        let first = self.raw.end_or_first.get();
        if is_directory(self.raw) || first == NO_ROW {
            return Ok(None);
        }
        if first >= self.number || is_directory(self.rows.raw(first)?) {
            return Err(IndexError::Corrupt(
                "a hard link is not to a file before it",
            ));
        }
        Self::new(self.rows, first).map(Some)
    }

    /// Whether the row has extended attributes.
    #[must_use]
    pub fn has_xattrs(&self) -> bool {
        self.raw.xattrs_offset.get() != NO_ROW
    }

    /// The extended attributes.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn xattrs(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, IndexError> {
        let mut all = BTreeMap::new();
        if !self.has_xattrs() {
            return Ok(all);
        }
        let mut rest = self.rows.framed(self.raw.xattrs_offset.get())?;
        while !rest.is_empty() {
            let name = take_framed(&mut rest)?;
            let value = take_framed(&mut rest)?;
            all.insert(name.to_vec(), value.to_vec());
        }
        Ok(all)
    }

    /// The directory that the row is in; `None` for the root.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn parent(&self) -> Result<Option<EntryRef<'a>>, IndexError> {
        match self.number {
            0 => Ok(None),
            _ => Self::new(self.rows, self.raw.parent.get()).map(Some),
        }
    }

    /// The row of this name in the directory.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn child(&self, name: &[u8]) -> Result<Option<EntryRef<'a>>, IndexError> {
        let found = self.rows.find(self.number, self.subtree_end(), name)?;
        found.map(|row| Self::new(self.rows, row)).transpose()
    }

    /// The rows directly below this directory, in order.
    pub fn children(&self) -> impl Iterator<Item = Result<EntryRef<'a>, IndexError>> + use<'a> {
        let (rows, directory, end) = (self.rows, self.number, self.subtree_end());
        let mut next = directory + 1;
        let mut before: &[u8] = b"";
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let row = Self::new(rows, next).and_then(|row| {
                if row.raw.parent.get() != directory || row.name <= before {
                    return Err(IndexError::Corrupt("rows are not sorted"));
                }
                Ok(row)
            });
            next = row.as_ref().map_or(end, EntryRef::subtree_end);
            before = row.as_ref().map_or(b"", EntryRef::name);
            Some(row)
        })
    }

    /// The number of the row after the last one below this path.
    #[must_use]
    pub fn subtree_end(&self) -> u32 {
        end_of(self.number, self.raw)
    }

    /// An owned copy.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn to_entry(&self) -> Result<IndexEntry, IndexError> {
        Ok(IndexEntry {
            path: self.path()?,
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
            hardlink: self.hardlink()?.map(|first| first.path()).transpose()?,
            xattrs: self.xattrs()?,
            content: self.content(),
            data_offset: self.data_offset(),
        })
    }
}

fn take_framed<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], IndexError> {
    let damaged = IndexError::Corrupt("extended attributes are cut short");
    let (length, after) = rest.split_first_chunk::<4>().ok_or(damaged.clone())?;
    let length = u32::from_le_bytes(*length) as usize;
    let value = after.get(..length).ok_or(damaged)?;
    *rest = &after[length..];
    Ok(value)
}
