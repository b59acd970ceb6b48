//! A layer whose paths run through symbolic links of the layers below it.
//!
//! A tar may hold `lib/x` without an entry for `lib`, and the layers below have `lib` as a link to
//! `usr/lib`. Whoever unpacks it writes, links and deletes through that link (inside the root), so
//! the layer's index over such layers is one with the paths resolved.

use std::collections::BTreeSet;

use fastlayer_tar::path::split;

use super::{TreeLayer, TreeView};
use crate::error::Result;
use crate::index::{EntryRef, IndexBuilder, IndexEntry, Kind, TreeIndex};

/// The index that `layer` has on top of `view`, if that differs from its own.
pub(super) fn through_links(view: &TreeView, layer: &TreeLayer) -> Result<Option<TreeIndex>> {
    if !layer.index.depends_on_parents() || !runs_through_links(view, &layer.index)? {
        return Ok(None);
    }
    let mut passage = Passage::new(view);
    for row in layer.index.iter() {
        passage.take_marker(&row?)?;
    }
    let mut builder = IndexBuilder::new();
    // The layer's own links first: others of its paths may lead through them once they came through
    // a link below.
    for of_links in [true, false] {
        for row in layer.index.iter() {
            let row = row?;
            if (row.kind() == Kind::Symlink) == of_links {
                passage.push(&row, &mut builder)?;
            }
        }
    }
    Ok(Some(TreeIndex::new(builder.finish()?)?))
}

/// The way of a layer's paths through the links below, of which the layer itself takes some away.
struct Passage<'view> {
    view: &'view TreeView,
    /// Paths at which nothing of the layers below is left.
    deleted: BTreeSet<Vec<u8>>,
    /// Directories in which nothing of them is left.
    opaque: BTreeSet<Vec<u8>>,
    /// Paths of which the layer has an entry.
    explicit: BTreeSet<Vec<u8>>,
}

impl<'view> Passage<'view> {
    fn new(view: &'view TreeView) -> Self {
        Self {
            view,
            deleted: BTreeSet::new(),
            opaque: BTreeSet::new(),
            explicit: BTreeSet::new(),
        }
    }

    /// Takes note of what a row deletes: wherever it stands, it does so before all else.
    fn take_marker(&mut self, row: &EntryRef<'_>) -> Result<()> {
        let own_path = row.path()?;
        if row.kind() == Kind::Whiteout || row.replaces() {
            let path = self.resolve(&own_path, false)?;
            self.deleted.insert(path);
        } else if row.opaque() {
            let path = self.resolve(&own_path, row.implicit())?;
            self.opaque.insert(path);
        }
        if !row.implicit() && row.kind() != Kind::Whiteout {
            let path = self.resolve(&own_path, false)?;
            self.explicit.insert(path);
        }
        Ok(())
    }

    /// Pushes what a row is on top of the layers below.
    fn push(&self, row: &EntryRef<'_>, builder: &mut IndexBuilder) -> Result<()> {
        let own_path = row.path()?;
        if row.replaces() {
            let path = self.resolve(&own_path, false)?;
            builder.push(IndexEntry::new(path, Kind::Whiteout))?;
        }
        if !row.implicit() {
            let mut entry = row.to_entry()?;
            entry.path = self.resolve(&own_path, false)?;
            if let Some(first) = entry.hardlink.take() {
                entry.hardlink = Some(self.resolve(&first, false)?);
            } else if row.kind() == Kind::LowerLink {
                entry.hardlink = Some(std::mem::take(&mut entry.link_target));
            }
            builder.push(entry)?;
        }
        if row.opaque() {
            let follow = row.implicit() && !row.replaces();
            builder.push_opaque(&self.resolve(&own_path, follow)?)?;
        }
        Ok(())
    }

    fn resolve(&self, path: &[u8], follow: bool) -> Result<Vec<u8>> {
        let hidden = |path: &[u8], kind: Kind| {
            let parent = split(path).map_or(&b""[..], |(parent, _)| parent);
            self.deleted.contains(path)
                || self.opaque.contains(parent)
                || kind != Kind::Directory && self.explicit.contains(path)
        };
        Ok(self.view.resolve_past(path, follow, &hidden)?.path)
    }
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
