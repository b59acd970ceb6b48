//! A layer with hard links to files of the layers below it.
//!
//! Whoever unpacks it onto those layers has the linked file copied up, so that both names are one
//! file in the new layer. Its checkout has the same: the target too, beside the links to it.

use crate::error::Result;
use crate::index::{IndexBuilder, IndexEntry, Kind, TreeIndex};
use crate::tree::TreeView;

/// The index of the topmost layer of `view` with the targets of such links; `None` without them.
pub(super) fn with_targets(view: &TreeView, index: &TreeIndex) -> Result<Option<TreeIndex>> {
    let mut links = Vec::new();
    for row in index.iter() {
        let row = row?;
        if row.kind() == Kind::LowerLink && row.hardlink()?.is_none() {
            links.push(row);
        }
    }
    if links.is_empty() {
        return Ok(None);
    }
    let below = view.below(view.layers().len().saturating_sub(1));
    let mut builder = IndexBuilder::new();
    // What each link names: its target, or, where this layer has something else at that path,
    // the first link to it.
    let mut first_links: Vec<((usize, u32), Vec<u8>)> = Vec::new();
    for link in links {
        // A link to what is not there is an error here as it is for every other reader.
        let link_path = link.path()?;
        view.get(&link_path)?;
        let target = below.resolve(link.link_target()?, false)?;
        let Some(node) = target.node else { continue };
        let known = first_links.iter().any(|(inode, _)| *inode == node.inode());
        if known {
            continue;
        }
        let is_visible = view
            .get(&target.path)?
            .is_some_and(|found| found.inode() == node.inode());
        let first = if is_visible { target.path } else { link_path };
        builder.push(IndexEntry::new(first.clone(), node.kind()))?;
        first_links.push((node.inode(), first));
    }
    for row in index.iter() {
        let row = row?;
        let mut entry = row.to_entry()?;
        if row.kind() == Kind::LowerLink {
            let node = below.resolve(row.link_target()?, false)?.node;
            let first =
                node.and_then(|node| first_links.iter().find(|(inode, _)| *inode == node.inode()));
            match first {
                Some((_, first)) if *first != entry.path => entry.hardlink = Some(first.clone()),
                _ => continue,
            }
        }
        if row.replaces() {
            builder.push(IndexEntry::new(entry.path.clone(), Kind::Whiteout))?;
        }
        if row.opaque() {
            builder.push_opaque(&entry.path)?;
        }
        if !row.implicit() {
            builder.push(entry)?;
        }
    }
    Ok(Some(TreeIndex::new(builder.finish()?)?))
}
