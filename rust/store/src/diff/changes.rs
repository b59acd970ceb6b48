//! The list of what an upper changes.

use super::compare_upper::{leaf_reasons, metadata_reasons};
use super::walk::{UpperDirectory, UpperLeaf, UpperSink};
use crate::compare::{Change, ChangeKind, Reason};
use crate::error::Result;

/// Gathers changes in the order of the walk.
#[derive(Debug, Default)]
pub(super) struct ChangeSink {
    changes: Vec<Change>,
    /// The directories on the way that are not listed yet.
    open: Vec<Option<Vec<u8>>>,
}

impl ChangeSink {
    pub(super) fn finish(mut self) -> Vec<Change> {
        self.changes
            .sort_by(|left, right| fastlayer_tar::path::compare(&left.path, &right.path));
        self.changes
    }

    fn add(&mut self, kind: ChangeKind, path: &[u8], reasons: Vec<Reason>) {
        for open in &mut self.open {
            if let Some(path) = open.take()
                && !path.is_empty()
            {
                let kind = ChangeKind::Changed;
                self.changes.push(Change {
                    kind,
                    path,
                    reasons: Vec::new(),
                });
            }
        }
        self.changes.push(Change {
            kind,
            path: path.to_vec(),
            reasons,
        });
    }
}

impl UpperSink for ChangeSink {
    fn enter(&mut self, directory: &UpperDirectory<'_, '_>) -> Result<()> {
        let path = directory.path;
        let reasons = match directory.lower {
            _ if path.is_empty() || directory.untouched => Vec::new(),
            Some(lower) => {
                metadata_reasons(directory.metadata, directory.owner, directory.xattrs, lower)?
            }
            None => {
                self.add(ChangeKind::Added, path, Vec::new());
                self.open.push(None);
                return Ok(());
            }
        };
        if reasons.is_empty() {
            self.open.push(Some(path.to_vec()));
        } else {
            self.add(ChangeKind::Changed, path, reasons);
            self.open.push(None);
        }
        for hidden in directory.hidden {
            self.add(ChangeKind::Deleted, hidden.path(), Vec::new());
        }
        Ok(())
    }

    fn whiteout(&mut self, path: &[u8]) -> Result<()> {
        self.add(ChangeKind::Deleted, path, Vec::new());
        Ok(())
    }

    fn leaf(&mut self, leaf: UpperLeaf<'_, '_>) -> Result<()> {
        match leaf.lower {
            None => self.add(ChangeKind::Added, leaf.path, Vec::new()),
            Some(lower) => {
                let reasons = leaf_reasons(&leaf, lower)?;
                if !reasons.is_empty() {
                    self.add(ChangeKind::Changed, leaf.path, reasons);
                }
            }
        }
        Ok(())
    }

    fn ignored(&mut self, _path: &[u8]) {}

    fn leave(&mut self, _path: &[u8]) -> Result<()> {
        self.open.pop();
        Ok(())
    }
}
