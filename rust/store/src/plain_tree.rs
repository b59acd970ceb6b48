//! A chain's tree laid out as plain files, for steps where no overlay can be mounted.
//!
//! The step works in the tree itself, so no file of it is a link to an object. What it changed is
//! found by a walk of the whole tree ([`Store::diff_plain_tree`]); what the kernel says is as it was
//! is not read. The next step's tree is this one, brought up to its chain.
//!
//! Each path is a file of its own, hard links too: overlayfs parts the names of a file when one of
//! them is changed, and the same step shall give the same layer here.

mod placed;
mod settle;
mod snapshot;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::Directory;

use crate::checkout::attributes;
use crate::contents::Contents;
use crate::digest::DiffId;
use crate::error::{Result, check_cancelled};
use crate::store::Store;
use crate::tree_writer::{Fidelity, PathAttributes, TreeWriter};
use crate::write_tree::write_node;

pub use placed::MountPoint;
pub(crate) use snapshot::Snapshot;

/// What the root of an empty chain bears.
const ROOT_MODE: u32 = 0o755;

/// A directory with the tree of a chain, and what it looked like when nobody had worked in it.
#[derive(Debug)]
pub struct PlainTree {
    root: Directory,
    chain: Vec<DiffId>,
    snapshot: Snapshot,
    /// Whether somebody has worked in it since the snapshot.
    used: bool,
    placed: Vec<placed::Placed>,
}

impl PlainTree {
    /// The layers whose tree it is.
    #[must_use]
    pub fn chain(&self) -> &[DiffId] {
        &self.chain
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Directory {
        &self.root
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Takes note that what was done in it is the layer `diff_id`.
    pub(crate) fn became(&mut self, diff_id: DiffId) {
        self.chain.push(diff_id);
        self.used = true;
    }
}

impl Store {
    /// Lays the tree of `chain` out in the empty directory `directory`, which gets the attributes
    /// of the tree's root.
    ///
    /// # Errors
    /// [`crate::Error::Raw`] of a layer without a tree; those of writing.
    pub fn lay_out(
        &self,
        chain: &[DiffId],
        directory: &Path,
        cancel: &AtomicBool,
    ) -> Result<PlainTree> {
        let view = self.tree_view(chain)?;
        let contents = Contents::new(self, &view);
        let root = Directory::open(directory)?;
        let mut writer = TreeWriter::new(root.open_descendant(b"")?, Fidelity::of_process());
        let root_bears = match view.root()? {
            Some(node) => attributes(&node)?,
            None => PathAttributes {
                mode: ROOT_MODE,
                uid: 0,
                gid: 0,
                mtime: fastlayer_tar::Timestamp::from_seconds(0),
                xattrs: Default::default(),
            },
        };
        writer.directory(b"", root_bears)?;
        for visit in view.walk()? {
            check_cancelled(cancel)?;
            let node = visit?.node;
            if !node.path().is_empty() {
                write_node(&contents, &mut writer, &node)?;
            }
        }
        writer.finish()?;
        let snapshot = Snapshot::take(&root, cancel)?;
        Ok(PlainTree {
            root,
            chain: chain.to_vec(),
            snapshot,
            used: false,
            placed: Vec::new(),
        })
    }

    /// Makes a plain tree the tree of `chain`, whatever it was before: what both have stays as it
    /// is. What was done in it since [`Store::diff_plain_tree`] is lost in part, so nothing must
    /// have been. Where this fails the tree is of no use any more.
    ///
    /// # Errors
    /// As [`Store::lay_out`].
    pub fn move_plain_tree(
        &self,
        tree: &mut PlainTree,
        chain: &[DiffId],
        cancel: &AtomicBool,
    ) -> Result<()> {
        if tree.used {
            let view = self.tree_view(&tree.chain)?;
            settle::settle(&view, &tree.root, &tree.snapshot, cancel)?;
        }
        if tree.chain != chain {
            let (before, after) = (self.tree_view(&tree.chain)?, self.tree_view(chain)?);
            settle::change(self, &before, &after, &tree.root, cancel)?;
            tree.chain = chain.to_vec();
        } else if !tree.used {
            return Ok(());
        }
        tree.snapshot = Snapshot::take(&tree.root, cancel)?;
        tree.used = false;
        Ok(())
    }
}
