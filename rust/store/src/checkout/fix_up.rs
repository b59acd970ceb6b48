//! Copies for files that two layers of one chain link to the same object.
//!
//! Seen through one mount they would be one inode at two paths, and `tar` or `cp -a` would make
//! hard links of them. All but the first are copied into a directory that goes on top.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;

use super::layer::{attributes, fill};
use super::{Area, Linked, PRIVATE, TREE, chain_name};
use crate::contents::Contents;
use crate::digest::{ContentId, DiffId};
use crate::error::{Error, Result, check_cancelled, display_path};
use crate::store::Store;
use crate::tree::{Node, TreeView};
use crate::tree_writer::{Fidelity, TreeWriter};

/// A file that needs a copy: its layer and its row.
type Place = (usize, u32);

/// Makes the directory of copies if the chain needs one; gives its key.
pub(super) fn lay_out(
    store: &Store,
    area: &Area,
    view: &TreeView,
    lowers: &[(usize, &str)],
    cancel: &AtomicBool,
) -> Result<Option<String>> {
    let paths = repeated_paths(area, view, lowers)?;
    if paths.is_empty() {
        return Ok(None);
    }
    let chain: Vec<DiffId> = view.layers().iter().map(|layer| layer.diff_id).collect();
    let key = format!("fix-{}", chain_name(&chain));
    area.ensure(store, &key, &chain, |staging| {
        let tree = staging.ensure_child(TREE, PRIVATE)?;
        let writer = TreeWriter::new(tree, Fidelity::of_process());
        write_copies(store, view, writer, &paths, cancel)?;
        Linked::default().write(staging)
    })?;
    Ok(Some(key))
}

/// The visible paths whose object another visible file of a lower layer has, in order.
fn repeated_paths(area: &Area, view: &TreeView, lowers: &[(usize, &str)]) -> Result<Vec<Vec<u8>>> {
    let mut places: HashMap<ContentId, Vec<Place>> = HashMap::new();
    for &(layer, key) in lowers {
        for (id, row) in Linked::read(&area.open_checkout(key)?)?.rows {
            places.entry(id).or_default().push((layer, row));
        }
    }
    let mut paths: Vec<Vec<u8>> = Vec::new();
    for (_, places) in places.into_iter().filter(|(_, places)| places.len() > 1) {
        let mut seen = false;
        for (layer, row) in places {
            let visible = visible_paths(view, layer, row)?;
            if visible.is_empty() {
                continue;
            }
            if seen {
                paths.extend(visible);
            }
            seen = true;
        }
    }
    paths.sort_by(|left, right| fastlayer_tar::path::compare(left, right));
    Ok(paths)
}

/// Where the file of a row is still seen: at its own path and at those of its hard links.
fn visible_paths(view: &TreeView, layer: usize, row: u32) -> Result<Vec<Vec<u8>>> {
    let index = &view.layers()[layer].index;
    let mut visible = Vec::new();
    for number in row..index.len() {
        let candidate = index.row(number)?;
        let is_name = number == row
            || candidate
                .hardlink()?
                .is_some_and(|first| first.number() == row);
        if is_name
            && let Some(node) = view.get(candidate.path())?
            && node.inode() == (layer, row)
        {
            visible.push(candidate.path().to_vec());
        }
    }
    Ok(visible)
}

fn write_copies(
    store: &Store,
    view: &TreeView,
    mut writer: TreeWriter,
    paths: &[Vec<u8>],
    cancel: &AtomicBool,
) -> Result<()> {
    let contents = Contents::new(store, view);
    let mut first_paths: BTreeMap<(usize, u32), &[u8]> = BTreeMap::new();
    let mut made: Vec<u8> = Vec::new();
    if let Some(root) = view.root()? {
        writer.directory(b"", attributes(&root)?)?;
    }
    for path in paths {
        check_cancelled(cancel)?;
        for end in (0..path.len()).filter(|end| path[*end] == b'/') {
            let parent = &path[..end];
            let known =
                made == parent || made.starts_with(parent) && made.get(parent.len()) == Some(&b'/');
            if !known {
                writer.directory(parent, attributes(&node(view, parent)?)?)?;
                made = parent.to_vec();
            }
        }
        let node = node(view, path)?;
        if let Some(first) = first_paths.get(&node.inode()) {
            writer.hardlink(path, first)?;
            continue;
        }
        first_paths.insert(node.inode(), path);
        let source = contents.source(&node)?;
        writer.file(path, &attributes(&node)?, |file| {
            fill(store, &contents, &node, &source, file)
        })?;
    }
    writer.finish()
}

fn node<'view>(view: &'view TreeView, path: &[u8]) -> Result<Node<'view>> {
    view.get(path)?
        .ok_or_else(|| Error::not_found(display_path(path)))
}
