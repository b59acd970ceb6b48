//! What a checkout is to have at its paths.

use std::collections::HashSet;

use super::super::deferred::Deferred;
use super::super::layer::{attributes, row_attributes};
use crate::digest::ContentId;
use crate::error::Result;
use crate::index::{EntryRef, Kind, TreeIndex};
use crate::tree::{Node, TreeView};
use crate::tree_writer::PathAttributes;

/// What is to be at one path.
pub(super) struct Wanted {
    pub(super) kind: Kind,
    /// `None` where they do not matter.
    pub(super) attributes: Option<PathAttributes>,
    pub(super) opaque: bool,
    pub(super) size: u64,
    pub(super) content: Option<ContentId>,
    pub(super) device: (u32, u32),
    pub(super) target: Vec<u8>,
    /// The file itself: paths with the same one are hard links of each other.
    pub(super) inode: Option<(usize, u32)>,
    /// Whether it may be a stub.
    pub(super) stub: bool,
}

/// Tells what a checkout is to hold.
pub(super) trait Expected {
    /// What is to be at `path`; nothing for `None`.
    fn at(&self, path: &[u8]) -> Result<Option<Wanted>>;

    /// Calls `visit` with each path that must be there.
    fn each(&self, visit: &mut dyn FnMut(&[u8], Kind)) -> Result<()>;
}

/// No path but the root.
pub(super) struct Nothing;

impl Expected for Nothing {
    fn at(&self, path: &[u8]) -> Result<Option<Wanted>> {
        // What its root bears does not matter.
        Ok(path.is_empty().then(|| Wanted::bare(Kind::Directory)))
    }

    fn each(&self, _visit: &mut dyn FnMut(&[u8], Kind)) -> Result<()> {
        Ok(())
    }
}

/// The paths of one layer in overlay format.
pub(super) struct OfLayer<'a> {
    /// The layer and those below it.
    view: &'a TreeView,
    index: &'a TreeIndex,
    /// Files that are left to the chain.
    deferred: HashSet<(usize, u32)>,
}

impl<'a> OfLayer<'a> {
    pub(super) fn new(view: &'a TreeView, index: &'a TreeIndex, deferred: Deferred) -> Self {
        let number = view.layers().len().saturating_sub(1);
        let rows = deferred.rows.into_iter();
        Self {
            view,
            index,
            deferred: rows.map(|row| (number, row)).collect(),
        }
    }

    fn is_deferred(&self, path: &[u8]) -> Result<bool> {
        if self.deferred.is_empty() {
            return Ok(false);
        }
        let node = self.view.get(path)?;
        Ok(node.is_some_and(|node| self.deferred.contains(&node.inode())))
    }

    fn is_needless(row: &EntryRef<'_>) -> Result<bool> {
        Ok(row.kind() == Kind::Whiteout && row.parent()?.is_some_and(|parent| parent.opaque()))
    }
}

impl Expected for OfLayer<'_> {
    fn at(&self, path: &[u8]) -> Result<Option<Wanted>> {
        let Some(row) = self.index.get(path)? else {
            return Ok(None);
        };
        if row.kind() == Kind::Whiteout {
            return Ok(Some(Wanted::bare(Kind::Whiteout)));
        }
        let Some(node) = self.view.get(path)? else {
            return Ok(None);
        };
        if row.kind() != Kind::Directory && self.deferred.contains(&node.inode()) {
            return Ok(None);
        }
        if path.is_empty() && row.implicit() {
            // A mount shows the root of its upper.
            return Ok(Some(Wanted::bare(Kind::Directory)));
        }
        let mut wanted = Wanted::of(&node)?;
        if row.kind() == Kind::Directory {
            wanted.opaque = row.opaque();
            if !row.implicit() {
                wanted.attributes = Some(row_attributes(&row)?);
            }
        }
        Ok(Some(wanted))
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], Kind)) -> Result<()> {
        for row in self.index.iter() {
            let row = row?;
            let path = row.path()?;
            let is_left_out = row.kind() != Kind::Directory && self.is_deferred(&path)?;
            if !is_left_out && !Self::is_needless(&row)? {
                visit(&path, row.kind());
            }
        }
        Ok(())
    }
}

/// Some paths of a merged tree.
pub(super) struct OfTree<'a> {
    view: &'a TreeView,
    stubs: bool,
}

impl<'a> OfTree<'a> {
    /// With `stubs`, files may be stubs.
    pub(super) fn new(view: &'a TreeView, stubs: bool) -> Self {
        Self { view, stubs }
    }
}

impl Expected for OfTree<'_> {
    fn at(&self, path: &[u8]) -> Result<Option<Wanted>> {
        match self.view.get(path)? {
            Some(node) => Ok(Some(Wanted {
                stub: self.stubs,
                ..Wanted::of(&node)?
            })),
            None => Ok(None),
        }
    }

    fn each(&self, _visit: &mut dyn FnMut(&[u8], Kind)) -> Result<()> {
        Ok(())
    }
}

impl Wanted {
    /// Something of which only the kind matters.
    fn bare(kind: Kind) -> Self {
        Self {
            kind,
            attributes: None,
            opaque: false,
            size: 0,
            content: None,
            device: (0, 0),
            target: Vec::new(),
            inode: None,
            stub: false,
        }
    }

    fn of(node: &Node<'_>) -> Result<Self> {
        let is_link = node.kind() == Kind::Symlink;
        Ok(Self {
            kind: node.kind(),
            attributes: Some(attributes(node)?),
            opaque: false,
            size: node.size(),
            content: node.content(),
            device: node.device(),
            target: if is_link {
                node.link_target()?.to_vec()
            } else {
                Vec::new()
            },
            inode: (node.kind() != Kind::Directory).then(|| node.inode()),
            stub: false,
        })
    }
}
