//! The tree that a chain of layers describes: one file system, merged when it is looked at.
//!
//! Nothing is copied: a [`Node`] is made of rows of the layers' indexes. A whiteout, an opaque
//! directory or a non-directory hides what lower layers have at a path; a directory adds to it. A
//! directory that a layer has no entry for takes the attributes of the layer below, or else 0755
//! and root. This module reads no file contents and no mounted directory.

mod linked_files;
mod rebase;
mod resolve;
mod walk;

use std::collections::BTreeMap;

use fastlayer_tar::Timestamp;

use crate::digest::{ContentId, DiffId};
use crate::error::{Error, Result};
use crate::index::{EntryRef, Kind, TreeIndex};

pub(crate) use linked_files::LinkedFiles;
pub use resolve::Resolved;
pub use walk::{Visit, Walk};

/// One layer of a chain: its name and its index.
#[derive(Clone, Debug)]
pub struct TreeLayer {
    /// The layer.
    pub diff_id: DiffId,
    /// Its index.
    pub index: TreeIndex,
}

/// The merged tree of a chain of layers.
#[derive(Clone, Debug)]
pub struct TreeView {
    /// The base first.
    layers: Vec<TreeLayer>,
}

/// A row of one layer of a view.
#[derive(Clone, Copy)]
struct Part<'view> {
    layer: usize,
    row: EntryRef<'view>,
}

/// A path of a merged tree.
#[derive(Clone)]
pub struct Node<'view> {
    path: Vec<u8>,
    /// Where type and attributes come from.
    top: Part<'view>,
    /// The file itself: another row than `top` for a hard link into a lower layer.
    inode: (usize, u32),
    /// Of a directory: all rows that add to it, the topmost first.
    parts: Vec<Part<'view>>,
}

impl TreeView {
    /// The view of `layers`, the base first.
    ///
    /// # Errors
    /// When an index is damaged.
    pub fn new(layers: Vec<TreeLayer>) -> Result<Self> {
        let mut view = Self {
            layers: Vec::with_capacity(layers.len()),
        };
        for layer in layers {
            view.push(layer)?;
        }
        Ok(view)
    }

    /// The layers, the base first.
    #[must_use]
    pub fn layers(&self) -> &[TreeLayer] {
        &self.layers
    }

    /// Puts a further layer on top. Where a directory that it has no entry for is a symbolic
    /// link in the layers below, its paths go through that link, as they do when it is unpacked.
    ///
    /// # Errors
    /// When an index is damaged.
    pub fn push(&mut self, layer: TreeLayer) -> Result<()> {
        let layer = match rebase::through_links(self, &layer)? {
            Some(index) => TreeLayer {
                diff_id: layer.diff_id,
                index,
            },
            None => layer,
        };
        self.layers.push(layer);
        Ok(())
    }

    /// The root directory; `None` for an empty chain.
    ///
    /// # Errors
    /// When an index is damaged.
    pub fn root(&self) -> Result<Option<Node<'_>>> {
        let mut merge = Merge::new(Vec::new());
        for (number, layer) in self.layers.iter().enumerate().rev() {
            if merge.add(Part {
                layer: number,
                row: layer.index.root()?,
            }) {
                break;
            }
        }
        merge.finish(self)
    }

    /// The child `name` of a directory node.
    ///
    /// # Errors
    /// When an index is damaged.
    pub fn child<'view>(
        &'view self,
        parent: &Node<'view>,
        name: &[u8],
    ) -> Result<Option<Node<'view>>> {
        let path = join(&parent.path, name);
        let mut merge = Merge::new(path);
        for part in &parent.parts {
            if let Some(row) = part.row.child(name)?
                && merge.add(Part {
                    layer: part.layer,
                    row,
                })
            {
                break;
            }
        }
        merge.finish(self)
    }

    /// The children of a directory node, sorted by name; none for anything else.
    ///
    /// # Errors
    /// When an index is damaged.
    pub fn children<'view>(&'view self, parent: &Node<'view>) -> Result<Vec<Node<'view>>> {
        let mut sources = Vec::with_capacity(parent.parts.len());
        for part in &parent.parts {
            sources.push((part.layer, part.row.children().peekable()));
        }
        let mut children = Vec::new();
        loop {
            let mut lowest: Option<&[u8]> = None;
            for (_, rows) in &mut sources {
                if let Some(row) = rows.peek() {
                    let name = row.as_ref().map_err(Clone::clone)?.name();
                    lowest = Some(lowest.map_or(name, |known| known.min(name)));
                }
            }
            let Some(name) = lowest else {
                return Ok(children);
            };
            let mut merge = Merge::new(join(&parent.path, name));
            let mut hidden = false;
            for (layer, rows) in &mut sources {
                let here = rows.next_if(|row| row.as_ref().is_ok_and(|row| row.name() == name));
                if let Some(row) = here
                    && !hidden
                {
                    hidden = merge.add(Part {
                        layer: *layer,
                        row: row?,
                    });
                }
            }
            children.extend(merge.finish(self)?);
        }
    }

    /// The node at `path`, no symbolic link followed.
    ///
    /// # Errors
    /// When an index is damaged.
    pub fn get(&self, path: &[u8]) -> Result<Option<Node<'_>>> {
        let mut node = self.root()?;
        for name in components(path) {
            let Some(parent) = node else { return Ok(None) };
            node = self.child(&parent, name)?;
        }
        Ok(node)
    }

    /// The view of the lowest `count` layers.
    pub(crate) fn below(&self, count: usize) -> Self {
        Self {
            layers: self.layers[..count].to_vec(),
        }
    }
}

/// Merges the rows of one path, given from the topmost layer down.
struct Merge<'view> {
    path: Vec<u8>,
    parts: Vec<Part<'view>>,
}

impl<'view> Merge<'view> {
    fn new(path: Vec<u8>) -> Self {
        Self {
            path,
            parts: Vec::new(),
        }
    }

    /// Adds a row; true when nothing below it counts.
    fn add(&mut self, part: Part<'view>) -> bool {
        let row = &part.row;
        if row.kind() != Kind::Directory {
            // A directory above replaces what is here; else this is the answer.
            if self.parts.is_empty() {
                self.parts.push(part);
            }
            return true;
        }
        self.parts.push(part);
        row_hides(&part.row)
    }

    fn finish(self, view: &'view TreeView) -> Result<Option<Node<'view>>> {
        let Some(last) = self.parts.last().copied() else {
            return Ok(None);
        };
        let top = self
            .parts
            .iter()
            .find(|part| !part.row.implicit())
            .copied()
            .unwrap_or(last);
        let (parts, inode) = match top.row.kind() {
            Kind::Whiteout => return Ok(None),
            Kind::Directory => (self.parts, (top.layer, top.row.number())),
            Kind::LowerLink => return lower_link(view, self.path, top),
            _ => (Vec::new(), inode_of(top)?),
        };
        Ok(Some(Node {
            path: self.path,
            top,
            inode,
            parts,
        }))
    }
}

fn row_hides(row: &EntryRef<'_>) -> bool {
    row.opaque() || row.replaces()
}

fn inode_of(part: Part<'_>) -> Result<(usize, u32)> {
    let first = part
        .row
        .hardlink()?
        .map_or(part.row.number(), |first| first.number());
    Ok((part.layer, first))
}

/// A hard link of layer `link.layer` to a path of the layers below it.
fn lower_link<'view>(
    view: &'view TreeView,
    path: Vec<u8>,
    link: Part<'view>,
) -> Result<Option<Node<'view>>> {
    let below = view.below(link.layer);
    let resolved = below.resolve(link.row.link_target()?, false)?;
    let Some(target) = resolved.node.filter(|node| node.kind() != Kind::Directory) else {
        return Err(Error::unsafe_path(
            &path,
            format!(
                "a hard link to {}, which the layers below do not have as a file",
                crate::error::display_path(link.row.link_target()?)
            ),
        ));
    };
    let (layer, number) = (target.top.layer, target.top.row.number());
    let top = Part {
        layer,
        row: view.layers[layer].index.row(number)?,
    };
    Ok(Some(Node {
        path,
        top,
        inode: target.inode,
        parts: Vec::new(),
    }))
}

impl<'view> Node<'view> {
    /// The path in the merged tree; empty for the root.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The last component of the path.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        fastlayer_tar::path::split(&self.path).map_or(b"", |(_, name)| name)
    }

    /// What it is: never a whiteout or a `LowerLink`.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.top.row.kind()
    }

    /// Permission bits.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.top.row.mode()
    }

    /// Owning user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.top.row.uid()
    }

    /// Owning group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.top.row.gid()
    }

    /// Time of last modification.
    #[must_use]
    pub fn mtime(&self) -> Timestamp {
        self.top.row.mtime()
    }

    /// Bytes of content.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.top.row.size()
    }

    /// Major and minor number of a device.
    #[must_use]
    pub fn device(&self) -> (u32, u32) {
        self.top.row.device()
    }

    /// The content of a regular file.
    #[must_use]
    pub fn content(&self) -> Option<ContentId> {
        self.top.row.content()
    }

    /// Target of a symbolic link.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn link_target(&self) -> Result<&'view [u8]> {
        Ok(self.top.row.link_target()?)
    }

    /// Whether it has extended attributes.
    #[must_use]
    pub fn has_xattrs(&self) -> bool {
        self.top.row.has_xattrs()
    }

    /// Extended attributes.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn xattrs(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        Ok(self.top.row.xattrs()?)
    }

    /// The row that attributes and content come from, and the number of its layer in the chain.
    #[must_use]
    pub fn row(&self) -> (usize, EntryRef<'view>) {
        (self.top.layer, self.top.row)
    }

    /// Layer and row of the file itself: two nodes of one view that are hard links of each other
    /// have the same.
    #[must_use]
    pub fn inode(&self) -> (usize, u32) {
        self.inode
    }

    /// The highest layer that adds to the directory, or has the file.
    #[must_use]
    pub fn layer(&self) -> usize {
        self.parts.first().map_or(self.top.layer, |part| part.layer)
    }
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Node")
            .field("path", &crate::error::display_path(&self.path))
            .field("kind", &self.kind())
            .field("layer", &self.top.layer)
            .finish_non_exhaustive()
    }
}

/// `parent/name`, or `name` below the root.
pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
    if !parent.is_empty() {
        path.extend_from_slice(parent);
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The components of a path, without empty ones and `.`.
pub(crate) fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
}
