//! Tree indexes that are open: the steps of a build ask the same layers many times.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::digest::DiffId;
use crate::index::TreeIndex;

/// Most indexes that are kept; a chain of an image has a tenth of that.
const LIMIT: usize = 1024;

/// The indexes that one open store has mapped. A layer never changes, so neither does its index.
#[derive(Debug, Default)]
pub(crate) struct OpenIndexes {
    known: Mutex<HashMap<DiffId, TreeIndex>>,
}

impl OpenIndexes {
    /// The index of a layer, if it is open.
    pub(crate) fn find(&self, diff_id: &DiffId) -> Option<TreeIndex> {
        self.lock().get(diff_id).cloned()
    }

    /// Keeps the index of a layer open.
    pub(crate) fn keep(&self, diff_id: &DiffId, index: &TreeIndex) {
        let mut known = self.lock();
        if known.len() >= LIMIT {
            known.clear();
        }
        known.insert(*diff_id, index.clone());
    }

    /// Keeps none.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DiffId, TreeIndex>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
