//! A merged tree as the source of a COPY.

use super::item::{Body, Item};
use super::select::SourceTree;
use crate::contents::Contents;
use crate::error::Result;
use crate::index::Kind;
use crate::store::Store;
use crate::tree::{Node, TreeView, components};

pub(super) struct TreeSource<'view> {
    view: &'view TreeView,
    contents: Contents<'view>,
    /// Whether directories without an entry of their own are left out.
    explicit_only: bool,
}

impl<'view> TreeSource<'view> {
    pub(super) fn new(store: &'view Store, view: &'view TreeView) -> Self {
        Self {
            view,
            contents: Contents::new(store, view),
            explicit_only: false,
        }
    }

    /// An archive that is unpacked over something else: what it has no entry for, it leaves as
    /// it is there.
    pub(super) fn of_archive(store: &'view Store, view: &'view TreeView) -> Self {
        Self {
            explicit_only: true,
            ..Self::new(store, view)
        }
    }

    fn item(&self, node: &Node<'_>, relative: Vec<u8>) -> Result<Item> {
        let is_file = node.kind() == Kind::File;
        let (layer, row) = node.inode();
        Ok(Item {
            relative,
            kind: node.kind(),
            mode: node.mode(),
            uid: node.uid(),
            gid: node.gid(),
            mtime: node.mtime(),
            size: if is_file { node.size() } else { 0 },
            device: node.device(),
            link: match node.kind() {
                Kind::Symlink => node.link_target()?.to_vec(),
                _ => Vec::new(),
            },
            xattrs: if node.has_xattrs() {
                node.xattrs()?
            } else {
                Default::default()
            },
            inode: (node.kind() != Kind::Directory).then_some((layer as u64, u64::from(row))),
            awaited: None,
            content: node.content(),
            body: if is_file {
                Body::Stored(self.contents.source(node)?)
            } else {
                Body::None
            },
        })
    }
}

impl SourceTree for TreeSource<'_> {
    fn find(&self, path: &[u8], follow: bool) -> Result<Option<(Vec<u8>, Item)>> {
        let found = self.view.resolve(path, follow)?;
        match found.node {
            Some(node) => Ok(Some((found.path, self.item(&node, Vec::new())?))),
            // The root of an empty chain is an empty directory.
            None if components(path).next().is_none() => {
                Ok(Some((Vec::new(), Item::new(Kind::Directory, 0o755))))
            }
            None => Ok(None),
        }
    }

    fn list(&self, path: &[u8]) -> Result<Vec<Item>> {
        let Some(node) = self.view.get(path)? else {
            return Ok(Vec::new());
        };
        let children = self.view.children(&node)?;
        children
            .iter()
            .map(|child| self.item(child, child.name().to_vec()))
            .collect()
    }

    fn subtree(&self, path: &[u8], items: &mut Vec<Item>) -> Result<()> {
        let Some(node) = self.view.get(path)? else {
            return Ok(());
        };
        let skip = if path.is_empty() { 0 } else { path.len() + 1 };
        for visit in self.view.walk_from(node).skip(1) {
            let node = visit?.node;
            if self.explicit_only && node.row().1.implicit() {
                continue;
            }
            items.push(self.item(&node, node.path()[skip..].to_vec())?);
        }
        Ok(())
    }
}
