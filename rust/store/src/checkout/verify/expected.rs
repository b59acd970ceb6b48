//! What a checkout is to have at its paths.

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
}

impl<'a> OfLayer<'a> {
    pub(super) fn new(view: &'a TreeView, index: &'a TreeIndex) -> Self {
        Self { view, index }
    }

    fn is_needless(&self, row: &EntryRef<'_>) -> Result<bool> {
        let parent = fastlayer_tar::path::split(row.path()).map_or(&b""[..], |(parent, _)| parent);
        let parent = self.index.get(parent)?;
        Ok(row.kind() == Kind::Whiteout && parent.is_some_and(|parent| parent.opaque()))
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
            if !self.is_needless(&row)? {
                visit(row.path(), row.kind());
            }
        }
        Ok(())
    }
}

/// Some paths of a merged tree.
pub(super) struct OfTree<'a> {
    view: &'a TreeView,
}

impl<'a> OfTree<'a> {
    pub(super) fn new(view: &'a TreeView) -> Self {
        Self { view }
    }
}

impl Expected for OfTree<'_> {
    fn at(&self, path: &[u8]) -> Result<Option<Wanted>> {
        match self.view.get(path)? {
            Some(node) => Wanted::of(&node).map(Some),
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
            target: if is_link { node.link_target()?.to_vec() } else { Vec::new() },
            inode: (node.kind() != Kind::Directory).then(|| node.inode()),
        })
    }
}
