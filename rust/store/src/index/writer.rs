//! Laying the nodes of a builder out as rows and heap.

use std::collections::HashMap;
use std::collections::btree_map;

use zerocopy::little_endian::U32;
use zerocopy::{IntoBytes, transmute};

use super::builder::{IndexBuilder, Inode, Node, ROOT, count, limit};
use super::format::{
    Header, LAYER_IMPLICIT_PARENTS, LAYER_LOWER_LINKS, MAGIC, NO_ROW, Pair, ROW_CONTENT,
    ROW_IMPLICIT, ROW_OPAQUE, ROW_REPLACES, ROW_SIZE, Row, VERSION,
};
use super::{IndexError, Kind};

/// Walks the finished nodes in order and lays rows and heap out.
pub(super) struct IndexWriter<'a> {
    builder: &'a IndexBuilder,
    rows: Vec<Row>,
    heap: Vec<u8>,
    /// Where names and targets are in the heap: a tree has many of a name.
    known: HashMap<&'a [u8], u32>,
    flags: u32,
    /// Row in which each inode was first met.
    first_rows: Vec<u32>,
}

/// A node whose children are being laid out.
struct Visit<'a> {
    row: u32,
    children: btree_map::Iter<'a, Box<[u8]>, u32>,
}

impl<'a> IndexWriter<'a> {
    pub(super) fn new(builder: &'a IndexBuilder) -> Self {
        Self {
            builder,
            rows: Vec::with_capacity(builder.nodes.len()),
            heap: Vec::new(),
            known: HashMap::new(),
            flags: 0,
            first_rows: vec![NO_ROW; builder.inodes.len()],
        }
    }

    pub(super) fn walk(&mut self) -> Result<(), IndexError> {
        let mut stack = vec![self.visit(b"", ROOT, 0)?];
        while let Some(top) = stack.last_mut() {
            if let Some((name, number)) = top.children.next() {
                let parent = top.row;
                stack.push(self.visit(name, *number, parent)?);
                continue;
            }
            let end = count(self.rows.len())?;
            let row = &mut self.rows[top.row as usize];
            if row.kind == Kind::Directory as u8 {
                row.end_or_first = end.into();
            }
            stack.pop();
        }
        Ok(())
    }

    fn visit(&mut self, name: &'a [u8], number: u32, parent: u32) -> Result<Visit<'a>, IndexError> {
        let node = &self.builder.nodes[number as usize];
        let row_number = count(self.rows.len())?;
        let mut row = self.row(node, number, row_number)?;
        row.parent = parent.into();
        row.name_offset = self.store_known(name)?.into();
        let length = u16::try_from(name.len())
            .map_err(|_| limit("the length of a name", u16::MAX.into()))?;
        row.name_length = length.into();
        self.rows.push(row);
        Ok(Visit {
            row: row_number,
            children: node.children.iter(),
        })
    }

    /// The row of a node, without its place in the tree.
    fn row(&mut self, node: &'a Node, number: u32, row_number: u32) -> Result<Row, IndexError> {
        let mut row = Row::implicit_directory();
        if node.whiteout_only {
            row.kind = Kind::Whiteout as u8;
            row.mode = 0.into();
        } else if let Some(inode) = self.builder.inodes.get(node.inode as usize) {
            self.describe(&mut row, inode)?;
            match self.first_rows[node.inode as usize] {
                NO_ROW => self.first_rows[node.inode as usize] = row_number,
                first => row.end_or_first = first.into(),
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
        Ok(row)
    }

    fn describe(&mut self, row: &mut Row, inode: &'a Inode) -> Result<(), IndexError> {
        row.kind = inode.kind as u8;
        row.mode = (inode.mode as u16).into();
        row.uid = inode.uid.into();
        row.gid = inode.gid.into();
        row.mtime_seconds = inode.mtime.seconds.into();
        row.mtime_nanoseconds = inode.mtime.nanoseconds.into();
        row.xattrs_offset = self.store_xattrs(inode)?;
        match inode.kind {
            Kind::File => {
                row.size = inode.size.into();
                row.data_offset = inode.data_offset.into();
                if let Some(content) = inode.content {
                    row.value = content;
                    row.flags |= ROW_CONTENT;
                }
            }
            Kind::Symlink | Kind::LowerLink => {
                let offset = self.store_known(&inode.link_target)?;
                row.value = pair(offset, count(inode.link_target.len())?);
            }
            Kind::CharDevice | Kind::BlockDevice => {
                row.value = pair(inode.device.0, inode.device.1);
            }
            Kind::Directory | Kind::Fifo | Kind::Whiteout => {}
        }
        if inode.kind == Kind::LowerLink {
            self.flags |= LAYER_LOWER_LINKS;
        }
        Ok(())
    }

    fn store_xattrs(&mut self, inode: &Inode) -> Result<U32, IndexError> {
        if inode.xattrs.is_empty() {
            return Ok(NO_ROW.into());
        }
        let mut framed = Vec::new();
        for part in inode.xattrs.iter().flat_map(|(name, value)| [name, value]) {
            framed.extend_from_slice(&count(part.len())?.to_le_bytes());
            framed.extend_from_slice(part);
        }
        let offset = count(self.heap.len())?;
        self.heap
            .extend_from_slice(&count(framed.len())?.to_le_bytes());
        self.heap.extend_from_slice(&framed);
        Ok(offset.into())
    }

    /// Where the bytes are in the heap; they are stored when they are met first.
    fn store_known(&mut self, bytes: &'a [u8]) -> Result<u32, IndexError> {
        let offset = count(self.heap.len())?;
        Ok(*self.known.entry(bytes).or_insert_with(|| {
            self.heap.extend_from_slice(bytes);
            offset
        }))
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

fn pair(first: u32, second: u32) -> [u8; 32] {
    transmute!(Pair {
        first: first.into(),
        second: second.into(),
        reserved: [0; 24],
    })
}

impl Row {
    fn implicit_directory() -> Self {
        Self {
            name_offset: 0.into(),
            name_length: 0.into(),
            kind: Kind::Directory as u8,
            flags: 0,
            parent: 0.into(),
            end_or_first: NO_ROW.into(),
            mode: 0o755.into(),
            uid: 0.into(),
            gid: 0.into(),
            mtime_seconds: 0.into(),
            mtime_nanoseconds: 0.into(),
            size: 0.into(),
            data_offset: 0.into(),
            xattrs_offset: NO_ROW.into(),
            value: [0; 32],
        }
    }
}
