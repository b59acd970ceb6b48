//! Trees of stored layers, and what can be asked of them.

use std::io::Write;

use crate::contents::Contents;
use crate::digest::{DiffId, TreeId};
use crate::error::{Error, Result, display_path};
use crate::store::Store;
use crate::tree::{TreeLayer, TreeView};
use crate::tree_id::tree_id;

impl Store {
    /// The merged tree of a chain, the base first.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a layer that is not stored, [`Error::Raw`] for one without a tree.
    pub fn tree_view(&self, chain: &[DiffId]) -> Result<TreeView> {
        let layers = chain.iter().map(|diff_id| {
            Ok(TreeLayer {
                diff_id: *diff_id,
                index: self.tree_index(diff_id)?,
            })
        });
        TreeView::new(layers.collect::<Result<_>>()?)
    }

    /// The id of the merged tree of a chain.
    ///
    /// # Errors
    /// As [`Store::tree_view`].
    pub fn tree_id(&self, chain: &[DiffId]) -> Result<TreeId> {
        tree_id(&self.tree_view(chain)?)
    }

    /// Writes the content of the regular file at `path`, links followed inside the tree, to
    /// `output`: at most `limit` bytes. Gives the bytes written.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a path, [`Error::Conflict`] when it is no regular file.
    pub fn read_file(
        &self,
        chain: &[DiffId],
        path: &[u8],
        limit: Option<u64>,
        output: &mut dyn Write,
    ) -> Result<u64> {
        let view = self.tree_view(chain)?;
        let node = view.resolve(path, true)?.node;
        let node = node.ok_or_else(|| Error::not_found(display_path(path)))?;
        Contents::new(self, &view).write(&node, limit, output)
    }
}
