//! Building a tree index from a layer's entries in tar order.
//!
//! The result is what the layer alone unpacks to: a later entry replaces an earlier one of the
//! same path, parents that are symbolic links of this layer are followed inside its root, and
//! hard links share the inode their target had at that moment. Whiteouts speak of lower layers
//! only, wherever in the tar they stand.

use std::collections::{BTreeMap, VecDeque};

use super::format::{
    Header, LAYER_IMPLICIT_PARENTS, LAYER_LOWER_LINKS, MAGIC, NO_ROW, ROW_CONTENT, ROW_IMPLICIT,
    ROW_OPAQUE, ROW_REPLACES, ROW_SIZE, Row, VERSION,
};
use super::{IndexEntry, IndexError, Kind, MAX_LINKS};
use fastlayer_tar::Timestamp;
use fastlayer_tar::path::MAX_COMPONENTS;
use zerocopy::IntoBytes;

const ROOT: u32 = 0;
const NO_INODE: u32 = u32::MAX;

/// Collects a layer's entries and writes its index.
#[derive(Debug)]
pub struct IndexBuilder {
    nodes: Vec<Node>,
    inodes: Vec<Inode>,
    /// The parent path located last: tars list a directory's files one after the other.
    last_parent: Option<(Vec<u8>, u32)>,
}

#[derive(Debug)]
struct Node {
    /// `NO_INODE`: an implicit directory, or a path that is only whited out.
    inode: u32,
    whiteout_only: bool,
    opaque: bool,
    replaces: bool,
    children: BTreeMap<Box<[u8]>, u32>,
}

#[derive(Debug)]
struct Inode {
    kind: Kind,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: Timestamp,
    size: u64,
    device: (u32, u32),
    link_target: Box<[u8]>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    content: Option<[u8; 32]>,
    data_offset: u64,
}

impl Default for IndexBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl IndexBuilder {
    /// A builder that holds the root only.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: vec![Node::directory()],
            inodes: Vec::new(),
            last_parent: None,
        }
    }

    /// Takes the next entry in tar order. A hard link has its target in `hardlink`; a
    /// [`Kind::Whiteout`] has the path it hides (without `.wh.`).
    ///
    /// # Errors
    /// [`IndexError::Conflict`] when the path runs through something that is no directory, or
    /// would replace the root; [`IndexError::Limit`].
    pub fn push(&mut self, entry: IndexEntry) -> Result<(), IndexError> {
        if entry.path.is_empty() {
            return self.push_root(entry);
        }
        let (parent, name) = self.locate(&entry.path)?;
        if entry.kind == Kind::Whiteout {
            return self.whiteout(parent, &name);
        }
        let (inode, kind) = match &entry.hardlink {
            Some(target) => self.link(target, &entry.path)?,
            None => (NO_INODE, entry.kind),
        };
        let inode = match inode {
            NO_INODE => self.add_inode(entry)?,
            shared => shared,
        };
        let node = self.place(parent, name, kind)?;
        self.nodes[node as usize].inode = inode;
        Ok(())
    }

    /// Takes an opaque marker that stands in `directory`.
    ///
    /// # Errors
    /// As [`IndexBuilder::push`].
    pub fn push_opaque(&mut self, directory: &[u8]) -> Result<(), IndexError> {
        let mut marker = directory.to_vec();
        marker.extend_from_slice(b"/.");
        let (node, _) = self.locate(marker.strip_prefix(b"/").unwrap_or(&marker))?;
        self.nodes[node as usize].opaque = true;
        Ok(())
    }

    /// The bytes of the index.
    ///
    /// # Errors
    /// [`IndexError::Limit`] when the names and attributes exceed 4 GiB.
    pub fn finish(self) -> Result<Vec<u8>, IndexError> {
        let mut writer = IndexWriter::new(&self);
        writer.walk()?;
        Ok(writer.assemble())
    }

    fn push_root(&mut self, entry: IndexEntry) -> Result<(), IndexError> {
        if entry.kind != Kind::Directory || entry.hardlink.is_some() {
            return Err(conflict(&entry.path, "the root can only be a directory"));
        }
        self.nodes[ROOT as usize].inode = self.add_inode(entry)?;
        Ok(())
    }

    fn add_inode(&mut self, entry: IndexEntry) -> Result<u32, IndexError> {
        let number = count(self.inodes.len())?;
        let (kind, link_target) = match entry.hardlink {
            Some(target) => (Kind::LowerLink, target),
            None => (entry.kind, entry.link_target),
        };
        self.inodes.push(Inode {
            kind,
            mode: entry.mode & 0o7777,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            size: entry.size,
            device: entry.device,
            link_target: link_target.into_boxed_slice(),
            xattrs: entry.xattrs,
            content: entry.content.map(|id| *id.as_bytes()),
            data_offset: entry.data_offset,
        });
        Ok(number)
    }

    /// The inode that `target` has now, or `NO_INODE` when it is not in this layer.
    fn link(&self, target: &[u8], path: &[u8]) -> Result<(u32, Kind), IndexError> {
        let Some(node) = self.find(target) else {
            return Ok((NO_INODE, Kind::LowerLink));
        };
        let node = &self.nodes[node as usize];
        if node.whiteout_only {
            return Ok((NO_INODE, Kind::LowerLink));
        }
        match self.kind_of(node) {
            Kind::Directory => Err(conflict(path, "a hard link to a directory")),
            kind => Ok((node.inode, kind)),
        }
    }

    fn whiteout(&mut self, parent: u32, name: &[u8]) -> Result<(), IndexError> {
        if let Some(&number) = self.nodes[parent as usize].children.get(name) {
            let child = &mut self.nodes[number as usize];
            child.replaces = !child.whiteout_only;
            return Ok(());
        }
        let node = Node {
            whiteout_only: true,
            ..Node::directory()
        };
        self.add_node(parent, name.into(), node)?;
        Ok(())
    }

    /// The node for an entry of `kind`, emptied of what an earlier entry of the path had.
    fn place(&mut self, parent: u32, name: Box<[u8]>, kind: Kind) -> Result<u32, IndexError> {
        let Some(&number) = self.nodes[parent as usize].children.get(&name) else {
            return self.add_node(parent, name, Node::directory());
        };
        let was_directory = {
            let node = &self.nodes[number as usize];
            !node.whiteout_only && self.kind_of(node) == Kind::Directory
        };
        self.last_parent = None;
        let node = &mut self.nodes[number as usize];
        if node.whiteout_only {
            node.replaces = true;
        } else if !was_directory && kind == Kind::Directory {
            // A directory over a file of this layer: whatever a lower layer has there is
            // hidden by the file that came before.
            node.opaque = true;
        } else if was_directory && kind != Kind::Directory {
            node.children.clear();
            node.opaque = false;
        }
        node.whiteout_only = false;
        Ok(number)
    }

    fn add_node(&mut self, parent: u32, name: Box<[u8]>, node: Node) -> Result<u32, IndexError> {
        let number = count(self.nodes.len())?;
        self.nodes.push(node);
        self.nodes[parent as usize].children.insert(name, number);
        Ok(number)
    }

    fn kind_of(&self, node: &Node) -> Kind {
        self.inodes
            .get(node.inode as usize)
            .map_or(Kind::Directory, |inode| inode.kind)
    }

    /// The directory node that holds `path`'s last component, created where it is missing, and
    /// that component.
    fn locate(&mut self, path: &[u8]) -> Result<(u32, Box<[u8]>), IndexError> {
        let (parents, name) = split(path);
        if let Some((last, node)) = &self.last_parent
            && last == parents
        {
            return Ok((*node, name.into()));
        }
        let here = self.enter(path, parents)?;
        self.last_parent = Some((parents.to_vec(), here));
        Ok((here, name.into()))
    }

    /// The directory node of `parents`, through links of this layer, made where it is missing.
    fn enter(&mut self, path: &[u8], parents: &[u8]) -> Result<u32, IndexError> {
        let (mut here, missing) = self.resolve(path, parents)?;
        for name in missing {
            let known = self.nodes[here as usize]
                .children
                .get(name.as_slice())
                .copied();
            here = match known {
                // Entries below a whited-out path: it is a new directory.
                Some(number) => {
                    let node = &mut self.nodes[number as usize];
                    node.whiteout_only = false;
                    node.replaces = true;
                    number
                }
                None => self.add_node(here, name.into_boxed_slice(), Node::directory())?,
            };
        }
        Ok(here)
    }

    /// The node of `path` if this layer has it; the last component is not followed.
    fn find(&self, path: &[u8]) -> Option<u32> {
        let (parents, name) = split(path);
        let (here, missing) = self.resolve(path, parents).ok()?;
        if !missing.is_empty() {
            return None;
        }
        self.nodes[here as usize].children.get(name).copied()
    }

    /// Follows `parents` as far as this layer has them; gives the last directory that exists and
    /// the names below it that do not.
    fn resolve(&self, path: &[u8], parents: &[u8]) -> Result<(u32, Vec<Vec<u8>>), IndexError> {
        let mut trail = vec![ROOT];
        let mut missing: Vec<Vec<u8>> = Vec::new();
        let mut pending: VecDeque<Vec<u8>> = components(parents);
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                if missing.pop().is_none() && trail.len() > 1 {
                    trail.pop();
                }
                continue;
            }
            depth(trail.len() + missing.len())?;
            let here = &self.nodes[trail.last().copied().unwrap_or(ROOT) as usize];
            let known = here.children.get(name.as_slice()).copied();
            let Some(number) = known
                .filter(|number| missing.is_empty() && !self.nodes[*number as usize].whiteout_only)
            else {
                missing.push(name);
                continue;
            };
            let node = &self.nodes[number as usize];
            match self.kind_of(node) {
                Kind::Directory => trail.push(number),
                Kind::Symlink => {
                    links += 1;
                    let target = &self.inodes[node.inode as usize].link_target;
                    follow(path, target, links, &mut trail, &mut pending)?;
                }
                _ => return Err(conflict(path, "its parent is not a directory")),
            }
        }
        Ok((trail.last().copied().unwrap_or(ROOT), missing))
    }
}

impl Node {
    fn directory() -> Self {
        Self {
            inode: NO_INODE,
            whiteout_only: false,
            opaque: false,
            replaces: false,
            children: BTreeMap::new(),
        }
    }
}

/// Walks the finished nodes in order and lays rows and heap out.
struct IndexWriter<'a> {
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
    fn new(builder: &'a IndexBuilder) -> Self {
        Self {
            builder,
            rows: Vec::with_capacity(builder.nodes.len()),
            heap: Vec::new(),
            flags: 0,
            last_path: 0,
            first_rows: vec![NO_ROW; builder.inodes.len()],
        }
    }

    fn walk(&mut self) -> Result<(), IndexError> {
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
    fn store_path(
        &mut self,
        path: &[u8],
    ) -> Result<(zerocopy::little_endian::U32, zerocopy::little_endian::U32), IndexError> {
        let start = self.last_path;
        let known = self.heap.len() - start;
        if known > 0 && known < path.len() && path.starts_with(&self.heap[start..]) {
            self.heap.extend_from_slice(&path[known..]);
            return Ok((count(start)?.into(), count(path.len())?.into()));
        }
        self.last_path = self.heap.len();
        self.store(path)
    }

    fn store(
        &mut self,
        bytes: &[u8],
    ) -> Result<(zerocopy::little_endian::U32, zerocopy::little_endian::U32), IndexError> {
        let offset = count(self.heap.len())?;
        self.heap.extend_from_slice(bytes);
        Ok((offset.into(), count(bytes.len())?.into()))
    }

    fn assemble(self) -> Vec<u8> {
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

/// Steps into a symbolic link: its components come before what is left of the path.
fn follow(
    path: &[u8],
    target: &[u8],
    links: usize,
    trail: &mut Vec<u32>,
    pending: &mut VecDeque<Vec<u8>>,
) -> Result<(), IndexError> {
    if links > MAX_LINKS {
        return Err(conflict(path, "too many levels of symbolic links"));
    }
    if target.starts_with(b"/") {
        trail.truncate(1);
    }
    for component in components(target).into_iter().rev() {
        pending.push_front(component);
    }
    depth(pending.len())
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty() && *component != b".")
        .map(<[u8]>::to_vec)
        .collect()
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    fastlayer_tar::path::split(path).unwrap_or_default()
}

fn depth(components: usize) -> Result<(), IndexError> {
    if components > MAX_COMPONENTS {
        return Err(IndexError::Limit {
            what: "2048 components in a path",
        });
    }
    Ok(())
}

fn conflict(path: &[u8], reason: &'static str) -> IndexError {
    IndexError::Conflict {
        path: path.to_vec(),
        reason,
    }
}

fn count(length: usize) -> Result<u32, IndexError> {
    u32::try_from(length)
        .ok()
        .filter(|number| *number != NO_ROW)
        .ok_or(IndexError::Limit {
            what: "4 GiB of names",
        })
}
