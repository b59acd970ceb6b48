//! Directories that hold some files of a tree, with what is on the way to them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::Directory;

use super::layer::attributes;
use crate::error::{Error, Result, check_cancelled, display_path};
use crate::index::TreeIndex;
use crate::tree::{Node, TreeView};
use crate::tree_writer::{Fidelity, TreeWriter};

/// The names of the files of one view.
pub(super) struct Names<'view> {
    view: &'view TreeView,
    /// By layer: the rows of further names, by the row of the first.
    links: HashMap<usize, HashMap<u32, Vec<u32>>>,
}

impl<'view> Names<'view> {
    pub(super) fn new(view: &'view TreeView) -> Self {
        Self {
            view,
            links: HashMap::new(),
        }
    }

    /// All paths that a layer has for the file of a row.
    pub(super) fn of(&mut self, layer: usize, row: u32) -> Result<Vec<Vec<u8>>> {
        let index = &self.view.layers()[layer].index;
        let links = match self.links.entry(layer) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(links_of(index)?),
        };
        let mut paths = vec![index.row(row)?.path()?];
        for number in links.get(&row).into_iter().flatten() {
            paths.push(index.row(*number)?.path()?);
        }
        Ok(paths)
    }

    /// Those of them at which the file is still seen.
    pub(super) fn visible(&mut self, layer: usize, row: u32) -> Result<Vec<Vec<u8>>> {
        let mut visible = Vec::new();
        for path in self.of(layer, row)? {
            if let Some(node) = self.view.get(&path)?
                && node.inode() == (layer, row)
            {
                visible.push(path);
            }
        }
        Ok(visible)
    }
}

/// The rows of further names, by the row of the first.
fn links_of(index: &TreeIndex) -> Result<HashMap<u32, Vec<u32>>> {
    let mut links: HashMap<u32, Vec<u32>> = HashMap::new();
    for row in index.iter() {
        let row = row?;
        if let Some(first) = row.hardlink()? {
            links.entry(first.number()).or_default().push(row.number());
        }
    }
    Ok(links)
}

/// Writes the files at `paths` of the view below `tree`: hard links as such, and the content of
/// each file by `fill`.
pub(super) fn write(
    view: &TreeView,
    tree: Directory,
    mut paths: Vec<Vec<u8>>,
    cancel: &AtomicBool,
    mut fill: impl FnMut(&Node<'_>, &mut File) -> Result<()>,
) -> Result<()> {
    paths.sort_by(|left, right| fastlayer_tar::path::compare(left, right));
    let mut writer = TreeWriter::new(tree, Fidelity::of_process());
    let mut first_paths: BTreeMap<(usize, u32), &[u8]> = BTreeMap::new();
    let mut made: Vec<u8> = Vec::new();
    if let Some(root) = view.root()? {
        writer.directory(b"", attributes(&root)?)?;
    }
    for path in &paths {
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
        writer.file(path, &attributes(&node)?, |file| fill(&node, file))?;
    }
    writer.finish()
}

fn node<'view>(view: &'view TreeView, path: &[u8]) -> Result<Node<'view>> {
    view.get(path)?
        .ok_or_else(|| Error::not_found(display_path(path)))
}
