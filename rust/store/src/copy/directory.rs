//! Layers that make a directory and nothing else: WORKDIR.

use fastlayer_tar::Timestamp;

use super::awaited::Awaited;
use super::mode::ModeChange;
use super::place::Placement;
use super::write::write_layer;
use crate::digest::DiffId;
use crate::error::Result;
use crate::layer_info::LayerInfo;
use crate::layer_writer::WriterOptions;
use crate::store::Store;

/// A directory that a layer is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDirectory {
    /// Absolute path in the tree; links in it are followed there.
    pub path: Vec<u8>,
    /// User and group of all directories that are made.
    pub owner: (u32, u32),
    /// Their permission bits.
    pub mode: u32,
    /// Their time, in seconds since 1970.
    pub mtime: i64,
}

impl Store {
    /// The layer that makes a directory, and those above it, over the tree of `base`; `None` where
    /// it exists already.
    ///
    /// # Errors
    /// [`crate::Error::Conflict`] where something that is no directory is in the way.
    pub fn directory_layer(
        &self,
        base: &[DiffId],
        directory: &NewDirectory,
        options: &WriterOptions,
    ) -> Result<Option<LayerInfo>> {
        let view = self.tree_view(base)?;
        let mode = ModeChange::octal(directory.mode);
        let made_at = Timestamp::from_seconds(directory.mtime);
        let owner = Some(directory.owner);
        let mut placement = Placement::new(&view, owner, Some(&mode), false, made_at);
        if placement.make_directory(&directory.path)? {
            let plan = placement.finish();
            return write_layer(self, plan, &mut Awaited::default(), options).map(Some);
        }
        Ok(None)
    }
}
