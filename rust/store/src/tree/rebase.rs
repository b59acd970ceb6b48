//! A layer whose paths run through symbolic links of the layers below it.
//!
//! A tar may hold `lib/x` without an entry for `lib`, and the layers below have `lib` as a link to
//! `usr/lib`. Whoever unpacks it writes, links and deletes through that link (inside the root), so
//! the layer's index over such layers is one with the paths resolved.

use super::{TreeLayer, TreeView};
use crate::error::Result;
use crate::index::{IndexBuilder, Kind, TreeIndex};

/// The index that `layer` has on top of `view`, if that differs from its own.
pub(super) fn through_links(view: &TreeView, layer: &TreeLayer) -> Result<Option<TreeIndex>> {
    if !layer.index.depends_on_parents() || !runs_through_links(view, &layer.index)? {
        return Ok(None);
    }
    let mut builder = IndexBuilder::new();
    for row in layer.index.iter() {
        let row = row?;
        if row.implicit() && !row.opaque() && !row.replaces() {
            continue;
        }
        let own_path = row.path()?;
        let mut entry = row.to_entry()?;
        entry.path = resolve_parents(view, &own_path)?;
        if let Some(first) = entry.hardlink.take() {
            entry.hardlink = Some(resolve_parents(view, &first)?);
        } else if row.kind() == Kind::LowerLink {
            entry.hardlink = Some(std::mem::take(&mut entry.link_target));
        }
        if row.replaces() || row.implicit() {
            let path = view.resolve(&own_path, true)?.path;
            if row.replaces() {
                let whiteout = crate::index::IndexEntry::new(path.clone(), Kind::Whiteout);
                builder.push(whiteout)?;
            }
            if row.opaque() {
                builder.push_opaque(&path)?;
            }
            if row.implicit() {
                continue;
            }
        }
        let opaque = row.opaque().then(|| entry.path.clone());
        builder.push(entry)?;
        if let Some(path) = opaque {
            builder.push_opaque(&path)?;
        }
    }
    Ok(Some(TreeIndex::new(builder.finish()?)?))
}

/// Whether a directory without an entry of its own is a link in the layers below.
fn runs_through_links(view: &TreeView, index: &TreeIndex) -> Result<bool> {
    for row in index.iter() {
        let row = row?;
        if row.implicit() && !row.replaces() {
            let below = view.get(&row.path()?)?;
            if below.is_some_and(|node| node.kind() == Kind::Symlink) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn resolve_parents(view: &TreeView, path: &[u8]) -> Result<Vec<u8>> {
    Ok(view.resolve(path, false)?.path)
}
