//! Whether the lowest directory of a mount is seen at a path of one of its layers.

use std::collections::HashMap;

use crate::error::Result;
use crate::index::{EntryRef, Kind};
use crate::tree::TreeView;

/// Looks through the layers of a chain up to a certain one.
pub(super) struct Depth<'view> {
    view: &'view TreeView,
    /// The number of the layer whose paths are asked about.
    layer: usize,
    /// Directories that were looked at.
    directories: HashMap<Vec<u8>, bool>,
}

impl<'view> Depth<'view> {
    pub(super) fn new(view: &'view TreeView, layer: usize) -> Self {
        Self {
            view,
            layer,
            directories: HashMap::new(),
        }
    }

    /// Whether a file of the layer would be seen at `path` if it lay in the lowest directory of a
    /// mount instead: no layer below has anything at this path, and none, this one included, hides
    /// what is below at a directory on the way.
    pub(super) fn is_open(&mut self, path: &[u8]) -> Result<bool> {
        let parent = fastlayer_tar::path::split(path).map_or(&b""[..], |(parent, _)| parent);
        if !self.is_merged(parent)? {
            return Ok(false);
        }
        for layer in &self.view.layers()[..self.layer] {
            if layer.index.get(path)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether all layers have a directory at `path` that adds to those below, or nothing.
    fn is_merged(&mut self, path: &[u8]) -> Result<bool> {
        if let Some(known) = self.directories.get(path) {
            return Ok(*known);
        }
        let parent = fastlayer_tar::path::split(path).map_or(&b""[..], |(parent, _)| parent);
        let mut merged = path.is_empty() || self.is_merged(parent)?;
        for layer in &self.view.layers()[..=self.layer] {
            let adds = |row: EntryRef<'_>| {
                row.kind() == Kind::Directory && !row.opaque() && !row.replaces()
            };
            merged = merged && layer.index.get(path)?.is_none_or(adds);
        }
        self.directories.insert(path.to_vec(), merged);
        Ok(merged)
    }
}
