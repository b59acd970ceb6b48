//! Laying the nodes of a builder out as rows and heap.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::builder::{IndexBuilder, Inode, ROOT, count};
use super::format::{
    Header, LAYER_IMPLICIT_PARENTS, LAYER_LOWER_LINKS, MAGIC, NO_ROW, ROW_CONTENT, ROW_IMPLICIT,
    ROW_OPAQUE, ROW_REPLACES, ROW_SIZE, Row, VERSION,
};
use super::{IndexError, Kind};

/// Walks the finished nodes in order and lays rows and heap out.
pub(super) struct IndexWriter<'a> {
    builder: &'a IndexBuilder,
    rows: Vec<Row>,
    heap: Vec<u8>,
    flags: u32,
    /// Where the last stored path begins in the heap.
    last_path: usize,
    /// Row in which each inode was first met.
    first_rows: Vec<u32>,
}

struct Visit<'a> {
    row: usize,
    path_length: usize,
    children: std::collections::btree_map::Iter<'a, Box<[u8]>, u32>,
}

impl<'a> IndexWriter<'a> {
    pub(super) fn new(builder: &'a IndexBuilder) -> Self {
        Self {
            builder,
            rows: Vec::with_capacity(builder.nodes.len()),
            heap: Vec::new(),
            flags: 0,
            last_path: 0,
            first_rows: vec![NO_ROW; builder.inodes.len()],
        }
    }

    pub(super) fn walk(&mut self) -> Result<(), IndexError> {
        let builder = self.builder;
        let mut path: Vec<u8> = Vec::new();
        let mut stack = vec![self.visit(&path, ROOT)?];
        while let Some(top) = stack.last_mut() {
            path.truncate(top.path_length);
            if let Some((name, number)) = top.children.next() {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
                let number = *number;
                debug_assert!((number as usize) < builder.nodes.len());
                stack.push(self.visit(&path, number)?);
            } else {
                let end = count(self.rows.len())?;
                self.rows[top.row].subtree_end = end.into();
                stack.pop();
            }
        }
        Ok(())
    }

    fn visit(&mut self, path: &[u8], number: u32) -> Result<Visit<'a>, IndexError> {
        let node = &self.builder.nodes[number as usize];
        let mut row = Row::implicit_directory();
        (row.path_offset, row.path_length) = self.store_path(path)?;
        let row_number = count(self.rows.len())?;
        if node.whiteout_only {
            row.kind = Kind::Whiteout as u8;
            row.mode = [0; 2];
        } else if let Some(inode) = self.builder.inodes.get(node.inode as usize) {
            self.describe(&mut row, inode)?;
            match self.first_rows[node.inode as usize] {
                NO_ROW => self.first_rows[node.inode as usize] = row_number,
                first => row.hardlink = first.into(),
            }
        } else {
            row.flags |= ROW_IMPLICIT;
            if number != ROOT {
                self.flags |= LAYER_IMPLICIT_PARENTS;
            }
        }
        if node.replaces {
            row.flags |= ROW_REPLACES;
        }
        if row.kind == Kind::Directory as u8 && (node.opaque || node.replaces) {
            row.flags |= ROW_OPAQUE;
        }
        self.rows.push(row);
        let children = node.children.iter();
        Ok(Visit {
            row: row_number as usize,
            path_length: path.len(),
            children,
        })
    }

    fn describe(&mut self, row: &mut Row, inode: &Inode) -> Result<(), IndexError> {
        row.kind = inode.kind as u8;
        row.mode = (inode.mode as u16).to_le_bytes();
        row.uid = inode.uid.into();
        row.gid = inode.gid.into();
        row.mtime_seconds = inode.mtime.seconds.into();
        row.mtime_nanoseconds = inode.mtime.nanoseconds.into();
        row.size = inode.size.into();
        row.data_offset = inode.data_offset.into();
        row.device_major = inode.device.0.into();
        row.device_minor = inode.device.1.into();
        (row.link_offset, row.link_length) = self.store(&inode.link_target)?;
        if !inode.xattrs.is_empty() {
            let mut framed = Vec::new();
            for part in inode.xattrs.iter().flat_map(|(name, value)| [name, value]) {
                framed.extend_from_slice(&count(part.len())?.to_le_bytes());
                framed.extend_from_slice(part);
            }
            (row.xattrs_offset, row.xattrs_length) = self.store(&framed)?;
        }
        if let Some(content) = inode.content {
            row.content = content;
            row.flags |= ROW_CONTENT;
        }
        if inode.kind == Kind::LowerLink {
            self.flags |= LAYER_LOWER_LINKS;
        }
        Ok(())
    }

    /// Stores a path. That of a directory's first child begins with the directory's own, which is
    /// written last: a deep path of implicit parents takes its bytes once.
    fn store_path(&mut self, path: &[u8]) -> Result<(U32, U32), IndexError> {
        let start = self.last_path;
        let known = self.heap.len() - start;
        if known > 0 && known < path.len() && path.starts_with(&self.heap[start..]) {
            self.heap.extend_from_slice(&path[known..]);
            return Ok((count(start)?.into(), count(path.len())?.into()));
        }
        self.last_path = self.heap.len();
        self.store(path)
    }

    fn store(&mut self, bytes: &[u8]) -> Result<(U32, U32), IndexError> {
        let offset = count(self.heap.len())?;
        self.heap.extend_from_slice(bytes);
        Ok((offset.into(), count(bytes.len())?.into()))
    }

    pub(super) fn assemble(self) -> Vec<u8> {
        let header = Header {
            magic: MAGIC,
            version: VERSION.into(),
            row_size: (ROW_SIZE as u32).into(),
            flags: self.flags.into(),
            rows: (self.rows.len() as u32).into(),
            heap_size: (self.heap.len() as u64).into(),
            reserved: [0; 32],
        };
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(self.rows.as_bytes());
        bytes.extend_from_slice(&self.heap);
        bytes
    }
}

impl Row {
    fn implicit_directory() -> Self {
        Self {
            path_offset: 0.into(),
            path_length: 0.into(),
            subtree_end: 0.into(),
            hardlink: NO_ROW.into(),
            kind: Kind::Directory as u8,
            flags: 0,
            mode: 0o755_u16.to_le_bytes(),
            uid: 0.into(),
            gid: 0.into(),
            mtime_nanoseconds: 0.into(),
            mtime_seconds: 0.into(),
            size: 0.into(),
            data_offset: 0.into(),
            device_major: 0.into(),
            device_minor: 0.into(),
            link_offset: 0.into(),
            link_length: 0.into(),
            xattrs_offset: 0.into(),
            xattrs_length: 0.into(),
            content: [0; 32],
        }
    }
}
