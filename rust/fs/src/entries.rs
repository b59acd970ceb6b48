//! The names in a directory, kept in one buffer rather than one allocation each.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::{RawDir, SeekFrom, seek};
use rustix::io::{self, Errno};

use crate::metadata::Kind;

/// Bytes asked of the kernel at a time; about a thousand names.
const BUFFER_SIZE: usize = 32 * 1024;

#[derive(Clone, Copy)]
struct Row {
    start: u32,
    length: u16,
    kind: Option<Kind>,
    ino: u64,
}

/// One name in a directory, as `getdents` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryName<'list> {
    /// The name; never `.` or `..`, never with a slash.
    pub name: &'list [u8],
    /// The type, on file systems that tell it with the name.
    pub kind: Option<Kind>,
    /// Inode number as the directory records it (on overlay and at mount points not `st_ino`).
    pub ino: u64,
}

/// The names in a directory at the time it was read, sorted by bytes.
#[derive(Clone, Default)]
pub struct EntryList {
    names: Vec<u8>,
    rows: Vec<Row>,
}

impl EntryList {
    /// Reads the names of the directory `fd` from where its offset stands: all of them, when it was
    /// just opened. Saves a call a directory over [`crate::Directory::entries`].
    ///
    /// The offset moves: two threads must not read one descriptor at a time.
    pub fn read(fd: impl AsFd) -> io::Result<Self> {
        let mut list = Self::default();
        list.append(fd)?;
        Ok(list)
    }

    /// Reads all names of the directory `fd`, wherever its offset stands.
    pub fn read_from_start(fd: impl AsFd) -> io::Result<Self> {
        seek(&fd, SeekFrom::Start(0))?;
        Self::read(fd)
    }

    fn append(&mut self, fd: impl AsFd) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_SIZE];
        let mut directory = RawDir::new(&fd, &mut buffer);
        while let Some(entry) = directory.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            self.push(name, Kind::from_file_type(entry.file_type()), entry.ino())?;
        }
        let names = &self.names;
        self.rows
            .sort_unstable_by(|left, right| slice(names, left).cmp(slice(names, right)));
        Ok(())
    }

    fn push(&mut self, name: &[u8], kind: Option<Kind>, ino: u64) -> io::Result<()> {
        let start = u32::try_from(self.names.len()).map_err(|_| Errno::OVERFLOW)?;
        let length = u16::try_from(name.len()).map_err(|_| Errno::NAMETOOLONG)?;
        self.names.extend_from_slice(name);
        self.rows.push(Row {
            start,
            length,
            kind,
            ino,
        });
        Ok(())
    }

    /// The number of names.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True for an empty directory.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The names, sorted by bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EntryName<'_>> + DoubleEndedIterator {
        self.rows.iter().map(|row| EntryName {
            name: slice(&self.names, row),
            kind: row.kind,
            ino: row.ino,
        })
    }

    /// Whether there is this name.
    pub fn contains(&self, name: &[u8]) -> bool {
        let found = self
            .rows
            .binary_search_by(|row| slice(&self.names, row).cmp(name));
        found.is_ok()
    }

    /// The `index`-th name in sorted order.
    pub fn get(&self, index: usize) -> Option<EntryName<'_>> {
        self.rows.get(index).map(|row| EntryName {
            name: slice(&self.names, row),
            kind: row.kind,
            ino: row.ino,
        })
    }
}

fn slice<'names>(names: &'names [u8], row: &Row) -> &'names [u8] {
    let start = row.start as usize;
    &names[start..start + usize::from(row.length)]
}
