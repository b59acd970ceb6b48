//! Building a tree index from a layer's entries in tar order.
//!
//! The result is what the layer alone unpacks to: a later entry replaces an earlier one of the
//! same path, parents that are symbolic links of this layer are followed inside its root, and
//! hard links share the inode their target had at that moment. Whiteouts speak of lower layers
//! only, wherever in the tar they stand.

use std::collections::{BTreeMap, VecDeque};

use super::format::NO_ROW;
use super::writer::IndexWriter;
use super::{IndexEntry, IndexError, Kind, MAX_LINKS, MAX_PATHS, MAX_TEXT};
use fastlayer_tar::Timestamp;
use fastlayer_tar::path::MAX_COMPONENTS;

pub(super) const ROOT: u32 = 0;
const NO_INODE: u32 = u32::MAX;
/// What an attribute counts for beside its name and value: in memory it takes more.
const ATTRIBUTE_BYTES: usize = 64;

/// Collects a layer's entries and writes its index.
#[derive(Debug)]
pub struct IndexBuilder {
    pub(super) nodes: Vec<Node>,
    pub(super) inodes: Vec<Inode>,
    /// The parent path located last: tars list a directory's files one after the other.
    last_parent: Option<(Vec<u8>, u32)>,
    /// Bytes of all paths, link targets and attributes so far.
    text: u64,
}

#[derive(Debug)]
pub(super) struct Node {
    /// `NO_INODE`: an implicit directory, or a path that is only whited out.
    pub(super) inode: u32,
    /// Bytes of the whole path.
    path_length: u32,
    pub(super) whiteout_only: bool,
    pub(super) opaque: bool,
    pub(super) replaces: bool,
    pub(super) children: BTreeMap<Box<[u8]>, u32>,
}

#[derive(Debug)]
pub(super) struct Inode {
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timestamp,
    pub(super) size: u64,
    pub(super) device: (u32, u32),
    pub(super) link_target: Box<[u8]>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) content: Option<[u8; 32]>,
    pub(super) data_offset: u64,
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
            text: 0,
        }
    }

    /// Takes the next entry in tar order. A hard link has its target in `hardlink`; a
    /// [`Kind::Whiteout`] has the path it hides (without `.wh.`). What has the root's path and is
    /// no directory is passed over, as container runtimes do: nothing can be in the root's place.
    ///
    /// # Errors
    /// [`IndexError::Conflict`] when the path runs through something that is no directory, or the
    /// root would be deleted; [`IndexError::Limit`].
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
    /// [`IndexError::Limit`] when the index itself would be too large.
    pub fn finish(self) -> Result<Vec<u8>, IndexError> {
        let mut writer = IndexWriter::new(&self);
        writer.walk()?;
        Ok(writer.assemble())
    }

    fn push_root(&mut self, entry: IndexEntry) -> Result<(), IndexError> {
        if entry.kind == Kind::Whiteout {
            return Err(conflict(&entry.path, "the root cannot be deleted"));
        }
        if entry.kind == Kind::Directory && entry.hardlink.is_none() {
            self.nodes[ROOT as usize].inode = self.add_inode(entry)?;
        }
        Ok(())
    }

    fn add_inode(&mut self, entry: IndexEntry) -> Result<u32, IndexError> {
        let number = count(self.inodes.len())?;
        self.take_text(attribute_bytes(&entry))?;
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
        if self.nodes.len() > MAX_PATHS {
            return Err(limit("the number of paths of a layer", MAX_PATHS as u64));
        }
        let above = self.nodes[parent as usize].path_length;
        let slash = u32::from(above > 0);
        let path_length = above.saturating_add(slash + count(name.len())?);
        self.take_text(path_length.into())?;
        self.nodes.push(Node {
            path_length,
            ..node
        });
        self.nodes[parent as usize].children.insert(name, number);
        Ok(number)
    }

    /// Counts text that is kept until the index is written.
    fn take_text(&mut self, bytes: u64) -> Result<(), IndexError> {
        self.text = self.text.saturating_add(bytes);
        if self.text > MAX_TEXT {
            let what = "the size of a layer's paths, link targets and attributes";
            return Err(limit(what, MAX_TEXT));
        }
        Ok(())
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
            // With this name and the path's own; the root has none.
            depth(trail.len() + missing.len() + 1)?;
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
                    follow(target, links, &mut trail, &mut pending)?;
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
            path_length: 0,
            whiteout_only: false,
            opaque: false,
            replaces: false,
            children: BTreeMap::new(),
        }
    }
}

/// Steps into a symbolic link: its components come before what is left of the path.
fn follow(
    target: &[u8],
    links: usize,
    trail: &mut Vec<u32>,
    pending: &mut VecDeque<Vec<u8>>,
) -> Result<(), IndexError> {
    if links > MAX_LINKS {
        let what = "the number of symbolic links on the way to a path";
        return Err(limit(what, MAX_LINKS as u64));
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
        let what = "the number of components of a path";
        return Err(limit(what, MAX_COMPONENTS as u64));
    }
    Ok(())
}

fn attribute_bytes(entry: &IndexEntry) -> u64 {
    let link = entry.hardlink.as_ref().unwrap_or(&entry.link_target);
    let xattrs = entry.xattrs.iter();
    let bytes = xattrs.map(|(name, value)| name.len() + value.len() + ATTRIBUTE_BYTES);
    (link.len() + bytes.sum::<usize>()) as u64
}

pub(super) fn limit(what: &'static str, limit: u64) -> IndexError {
    IndexError::Limit { what, limit }
}

fn conflict(path: &[u8], reason: &'static str) -> IndexError {
    IndexError::Conflict {
        path: path.to_vec(),
        reason,
    }
}

pub(super) fn count(length: usize) -> Result<u32, IndexError> {
    u32::try_from(length)
        .ok()
        .filter(|number| *number != NO_ROW)
        .ok_or_else(|| limit("the size of a tree index", u32::MAX.into()))
}
