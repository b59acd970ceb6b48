//! Laying one layer out in overlay format.

use std::collections::HashSet;
use std::fs::File;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::Directory;
use fastlayer_fs::copy::clone_or_copy;

use super::linked::Linked;
use super::lower_links;
use crate::area::file_name;
use crate::contents::Contents;
use crate::digest::ContentId;
use crate::error::{Error, Result, check_cancelled, display_path};
use crate::file_source::FileSource;
use crate::index::{EntryRef, Kind, TreeIndex};
use crate::overlay::{OverlayNamespace, portable};
use crate::store::Store;
use crate::tree::{Node, TreeView};
use crate::tree_writer::{Fidelity, PathAttributes, TreeWriter, write_bytes};

/// Writes layer `number` of the view below `tree`.
pub(super) fn lay_out(
    store: &Store,
    view: &TreeView,
    number: usize,
    tree: Directory,
    cancel: &AtomicBool,
) -> Result<Linked> {
    let below = view.below(number + 1);
    let index = &view.layers()[number].index;
    let extended = lower_links::with_targets(&below, index)?;
    let index = extended.as_ref().unwrap_or(index);
    let mut layer = LayerCheckout {
        store,
        number,
        index,
        view: &below,
        contents: Contents::new(store, &below),
        writer: TreeWriter::new(tree, Fidelity::of_process()),
        namespace: OverlayNamespace::of_process(),
        used: HashSet::new(),
        linked: Linked::default(),
    };
    for row in index.iter() {
        check_cancelled(cancel)?;
        layer.row(&row?)?;
    }
    layer.writer.finish()?;
    Ok(layer.linked)
}

struct LayerCheckout<'a> {
    store: &'a Store,
    number: usize,
    index: &'a TreeIndex,
    /// The layer and those below it.
    view: &'a TreeView,
    contents: Contents<'a>,
    writer: TreeWriter,
    namespace: OverlayNamespace,
    /// Objects that a path of this layer is linked to.
    used: HashSet<ContentId>,
    linked: Linked,
}

impl LayerCheckout<'_> {
    fn row(&mut self, row: &EntryRef<'_>) -> Result<()> {
        match row.kind() {
            Kind::Directory => self.directory(row),
            Kind::Whiteout => self.whiteout(row.path()),
            _ => match row.hardlink()? {
                Some(first) => self.writer.hardlink(row.path(), first.path()),
                None => self.leaf(row),
            },
        }
    }

    fn directory(&mut self, row: &EntryRef<'_>) -> Result<()> {
        let mut attributes = if row.implicit() {
            attributes(&node(self.view, row.path())?)?
        } else {
            row_attributes(row)?
        };
        if row.opaque() {
            attributes
                .xattrs
                .insert(self.namespace.name(b"opaque"), b"y".to_vec());
        }
        self.writer.directory(row.path(), attributes)
    }

    /// A whiteout in an opaque directory hides nothing, and some kernels list it.
    fn whiteout(&mut self, path: &[u8]) -> Result<()> {
        let parent = fastlayer_tar::path::split(path).map_or(&b""[..], |(parent, _)| parent);
        let parent = self.index.get(parent)?;
        if parent.is_some_and(|parent| parent.opaque()) {
            return Ok(());
        }
        self.writer.whiteout(path)
    }

    fn leaf(&mut self, row: &EntryRef<'_>) -> Result<()> {
        // A hard link into a lower layer takes what it names.
        let found = node(self.view, row.path())?;
        let attributes = attributes(&found)?;
        match found.kind() {
            Kind::File => self.file(&found, &attributes),
            Kind::Symlink => self
                .writer
                .symlink(row.path(), &attributes, found.link_target()?),
            kind => self
                .writer
                .node(row.path(), kind, found.device(), &attributes),
        }
    }

    fn file(&mut self, node: &Node<'_>, attributes: &PathAttributes) -> Result<()> {
        let source = self.contents.source(node)?;
        // What is copied up from below is linked there.
        let (layer, row) = node.inode();
        if let FileSource::Object(id) = &source
            && layer == self.number
            && !self.used.contains(id)
            && self.link_object(id, node.path(), attributes)?
        {
            self.used.insert(*id);
            self.linked.rows.push((*id, row));
            return Ok(());
        }
        let contents = &self.contents;
        let store = self.store;
        self.writer.file(node.path(), attributes, |file| {
            fill(store, contents, node, &source, file)
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

/// Writes the content of a file of the tree to a new file.
pub(crate) fn fill(
    store: &Store,
    contents: &Contents<'_>,
    node: &Node<'_>,
    source: &FileSource,
    file: &mut File,
) -> Result<()> {
    match source {
        FileSource::Object(id) => clone_or_copy(&store.open_object(id)?, file).map_err(|source| {
            Error::io(
                format!("cannot write {}", display_path(node.path())),
                source,
            )
        }),
        FileSource::Bytes(bytes) => write_bytes(file, bytes, node.path()),
        _ => {
            let mut bytes = Vec::new();
            contents.write(node, None, &mut bytes)?;
            write_bytes(file, &bytes, node.path())
        }
    }
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

fn row_attributes(row: &EntryRef<'_>) -> Result<PathAttributes> {
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
