//! Laying one layer out in overlay format.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::Directory;

use super::deferred::Deferred;
use super::linked::Linked;
use super::lower_links;
use super::rungs::Rungs;
use crate::area::file_name;
use crate::contents::Contents;
use crate::digest::ContentId;
use crate::error::{Error, Result, check_cancelled, display_path};
use crate::file_source::FileSource;
use crate::index::{EntryRef, Kind};
use crate::overlay::{OverlayNamespace, portable};
use crate::store::Store;
use crate::tree::{Node, TreeView};
use crate::tree_writer::{Fidelity, PathAttributes, TreeWriter};

/// What a layer's directory turned out to be made of.
pub(super) struct LaidOut {
    /// The files that are their objects.
    pub(super) linked: Linked,
    /// The files that are not there.
    pub(super) deferred: Deferred,
}

/// Writes layer `number` of the view below `tree`.
pub(super) fn lay_out(
    store: &Store,
    view: &TreeView,
    number: usize,
    rungs: Rungs,
    tree: Directory,
    cancel: &AtomicBool,
) -> Result<LaidOut> {
    let below = view.below(number + 1);
    let index = &view.layers()[number].index;
    let extended = lower_links::with_targets(&below, index)?;
    let index = extended.as_ref().unwrap_or(index);
    let contents = Contents::new(store, &below);
    let mut layer = LayerCheckout {
        store,
        number,
        view: &below,
        contents: &contents,
        rungs,
        writer: TreeWriter::new(tree, Fidelity::of_process()),
        namespace: OverlayNamespace::of_process(),
        used: HashSet::new(),
        linked: Linked::default(),
        deferred: Deferred::default(),
        missing: HashSet::new(),
    };
    for row in index.iter() {
        check_cancelled(cancel)?;
        layer.row(&row?)?;
    }
    layer.writer.finish()?;
    Ok(LaidOut {
        linked: layer.linked,
        deferred: layer.deferred,
    })
}

struct LayerCheckout<'a> {
    store: &'a Store,
    number: usize,
    /// The layer and those below it.
    view: &'a TreeView,
    contents: &'a Contents<'a>,
    rungs: Rungs,
    writer: TreeWriter,
    namespace: OverlayNamespace,
    /// Objects that a path of this layer is linked to.
    used: HashSet<ContentId>,
    linked: Linked,
    deferred: Deferred,
    /// The rows that are left out: their hard links are left out, too.
    missing: HashSet<u32>,
}

impl LayerCheckout<'_> {
    fn row(&mut self, row: &EntryRef<'_>) -> Result<()> {
        match row.kind() {
            Kind::Directory => self.directory(row),
            Kind::Whiteout => self.whiteout(row),
            _ => match row.hardlink()? {
                Some(first) if self.missing.contains(&first.number()) => Ok(()),
                Some(first) => self.writer.hardlink(&row.path()?, &first.path()?),
                None => self.leaf(row),
            },
        }
    }

    fn directory(&mut self, row: &EntryRef<'_>) -> Result<()> {
        let path = row.path()?;
        let mut attributes = if row.implicit() {
            attributes(&node(self.view, &path)?)?
        } else {
            row_attributes(row)?
        };
        if row.opaque() {
            attributes
                .xattrs
                .insert(self.namespace.name(b"opaque"), b"y".to_vec());
        }
        self.writer.directory(&path, attributes)
    }

    /// A whiteout in an opaque directory hides nothing, and some kernels list it.
    fn whiteout(&mut self, row: &EntryRef<'_>) -> Result<()> {
        if row.parent()?.is_some_and(|parent| parent.opaque()) {
            return Ok(());
        }
        self.writer.whiteout(&row.path()?)
    }

    fn leaf(&mut self, row: &EntryRef<'_>) -> Result<()> {
        // A hard link into a lower layer takes what it names.
        let found = node(self.view, &row.path()?)?;
        let attributes = attributes(&found)?;
        match found.kind() {
            Kind::File => self.file(row.number(), &found, &attributes),
            Kind::Symlink => self
                .writer
                .symlink(found.path(), &attributes, found.link_target()?),
            kind => self
                .writer
                .node(found.path(), kind, found.device(), &attributes),
        }
    }

    fn file(&mut self, number: u32, node: &Node<'_>, attributes: &PathAttributes) -> Result<()> {
        let source = self.contents.source(node)?;
        // What is copied up from below is linked there.
        let (layer, row) = node.inode();
        let is_own = layer == self.number;
        if let FileSource::Object(id) = &source
            && is_own
            && self.rungs.hardlink
            && !self.used.contains(id)
            && self.link_object(id, node.path(), attributes)?
        {
            self.used.insert(*id);
            self.linked.rows.push((*id, row));
            return Ok(());
        }
        if is_own && self.rungs.wants_stub(&source, node.size()) {
            self.missing.insert(number);
            self.deferred.rows.push(row);
            return Ok(());
        }
        let (rungs, store, contents) = (self.rungs, self.store, self.contents);
        self.writer.file(node.path(), attributes, |file| {
            rungs.fill(store, contents, (node, &source), file)
        })
    }

    /// Links the object if it bears just these attributes; false where it does not.
    fn link_object(
        &mut self,
        id: &ContentId,
        path: &[u8],
        attributes: &PathAttributes,
    ) -> Result<bool> {
        let name = file_name(id.as_bytes());
        for area in [self.store.durable(), self.store.unsynced()] {
            let Some(shard) = area.objects.existing(id.as_bytes()[0])? else {
                continue;
            };
            let Some(found) = shard.find_child(&name)? else {
                continue;
            };
            return Ok(attributes.agree_with(&found) && self.writer.link_from(path, &shard, &name)?);
        }
        Ok(false)
    }
}

fn node<'view>(view: &'view TreeView, path: &[u8]) -> Result<Node<'view>> {
    view.get(path)?.ok_or_else(|| {
        Error::corrupt(
            "a tree index",
            format!("{} is not in its tree", display_path(path)),
        )
    })
}

/// What a path of a tree bears on disk.
pub(crate) fn attributes(node: &Node<'_>) -> Result<PathAttributes> {
    Ok(PathAttributes {
        mode: node.mode(),
        uid: node.uid(),
        gid: node.gid(),
        mtime: node.mtime(),
        xattrs: if node.has_xattrs() {
            portable(node.xattrs()?)
        } else {
            Default::default()
        },
    })
}

pub(super) fn row_attributes(row: &EntryRef<'_>) -> Result<PathAttributes> {
    Ok(PathAttributes {
        mode: row.mode(),
        uid: row.uid(),
        gid: row.gid(),
        mtime: row.mtime(),
        xattrs: if row.has_xattrs() {
            portable(row.xattrs()?)
        } else {
            Default::default()
        },
    })
}
