//! Which files of a merged tree have several names.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Node, TreeView};
use crate::error::Result;
use crate::index::Kind;

/// The files of a tree that have several names in it; found when they are first asked for.
pub(crate) struct LinkedFiles<'view> {
    view: &'view TreeView,
    found: OnceCell<HashSet<(usize, u32)>>,
}

impl<'view> LinkedFiles<'view> {
    pub(crate) fn new(view: &'view TreeView) -> Self {
        Self {
            view,
            found: OnceCell::new(),
        }
    }

    /// Whether the file has another name in the tree.
    pub(crate) fn contains(&self, node: &Node<'_>) -> Result<bool> {
        if let Some(found) = self.found.get() {
            return Ok(found.contains(&node.inode()));
        }
        let found = find(self.view)?;
        let answer = found.contains(&node.inode());
        // Nobody else can have set it meanwhile: there is one thread.
        let _ = self.found.set(found);
        Ok(answer)
    }
}

fn find(view: &TreeView) -> Result<HashSet<(usize, u32)>> {
    let mut names: BTreeSet<Vec<u8>> = BTreeSet::new();
    for (number, layer) in view.layers().iter().enumerate() {
        for row in layer.index.iter() {
            let row = row?;
            if let Some(first) = row.hardlink()? {
                names.insert(first.path()?);
            } else if row.kind() == Kind::LowerLink {
                let below = view.below(number);
                names.insert(below.resolve(row.link_target()?, false)?.path);
            } else {
                continue;
            }
            names.insert(row.path()?);
        }
    }
    let mut counts: HashMap<(usize, u32), usize> = HashMap::new();
    for name in &names {
        if let Some(node) = view.get(name)? {
            *counts.entry(node.inode()).or_default() += 1;
        }
    }
    counts.retain(|_, count| *count > 1);
    Ok(counts.into_keys().collect())
}
