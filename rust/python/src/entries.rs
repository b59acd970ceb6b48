//! Paths of trees and layers, gathered without the interpreter lock.

use fastlayer_store::index::{EntryRef, IndexEntry, Kind};
use fastlayer_store::tree::{Node, TreeView};
use fastlayer_store::{DiffId, Result, Store};

use crate::values::EntryFields;

/// The fields of a merged tree's node.
pub fn of_node(node: &Node<'_>, hardlink: Option<&[u8]>) -> Result<EntryFields> {
    Ok(EntryFields {
        path: node.path().to_vec(),
        kind: node.kind(),
        mode: node.mode(),
        owner: (node.uid(), node.gid()),
        mtime: (node.mtime().seconds, node.mtime().nanoseconds),
        size: node.size(),
        link: symlink(node.kind(), node.link_target()?),
        hardlink: hardlink.unwrap_or_default().to_vec(),
        device: node.device(),
        xattrs: node.xattrs()?.into_iter().collect(),
        content: node.content().map(|id| id.hex()).unwrap_or_default(),
    })
}

/// Every path of a merged tree.
pub fn walk(view: &TreeView) -> Result<Vec<EntryFields>> {
    view.walk()?
        .map(|visit| {
            let visit = visit?;
            of_node(&visit.node, visit.hardlink.as_deref())
        })
        .collect()
}

/// The children of the directory at `path`, links followed.
pub fn children(view: &TreeView, path: &[u8]) -> Result<Vec<EntryFields>> {
    let shown = || fastlayer_store::error::display_path(path);
    let parent = view.resolve(path, true)?.node;
    let parent = parent.ok_or_else(|| fastlayer_store::Error::not_found(shown()))?;
    if parent.kind() != Kind::Directory {
        return Err(fastlayer_store::Error::conflict(shown(), "not a directory"));
    }
    let nodes = view.children(&parent)?;
    nodes.iter().map(|node| of_node(node, None)).collect()
}

/// Every path of one layer, whiteouts included.
pub fn of_layer(store: &Store, diff_id: &DiffId) -> Result<Vec<EntryFields>> {
    let index = store.tree_index(diff_id)?;
    let entries = index.iter().map(|row| of_row(&row?));
    entries.collect()
}

fn of_row(row: &EntryRef<'_>) -> Result<EntryFields> {
    let entry: IndexEntry = row.to_entry()?;
    Ok(EntryFields {
        kind: entry.kind,
        mode: entry.mode,
        owner: (entry.uid, entry.gid),
        mtime: (entry.mtime.seconds, entry.mtime.nanoseconds),
        size: entry.size,
        link: symlink(entry.kind, &entry.link_target),
        hardlink: entry.hardlink.unwrap_or_default(),
        device: entry.device,
        xattrs: entry.xattrs.into_iter().collect(),
        content: entry.content.map(|id| id.hex()).unwrap_or_default(),
        path: entry.path,
    })
}

fn symlink(kind: Kind, target: &[u8]) -> Vec<u8> {
    if kind == Kind::Symlink {
        target.to_vec()
    } else {
        Vec::new()
    }
}
