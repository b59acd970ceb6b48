//! Which contents go: those that no recipe lists.
//!
//! What is looked for may be relied upon before it is removed: whoever removes locks writers out,
//! asks for [`Doomed::spare_new`], and then takes one victim after the other.

use std::collections::HashSet;

use crate::area::Fanout;
use crate::digest::DiffId;
use crate::error::{Error, Result};
use crate::layer_reader::read_recipe;
use crate::store::Store;

pub(super) fn unmarked(fanout: &Fanout, marked: &HashSet<[u8; 32]>) -> Result<Vec<[u8; 32]>> {
    let ids = fanout.ids()?.into_iter();
    Ok(ids.filter(|id| !marked.contains(id)).collect())
}

/// A content that no recipe lists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Victim {
    Object([u8; 32]),
    Segment([u8; 32]),
}

/// The contents that are to go: those that no layer of the time when they were looked for lists.
pub(super) struct Doomed {
    known: HashSet<DiffId>,
    marked: Marked,
    left: Vec<Victim>,
}

impl Doomed {
    pub(super) fn new(store: &Store, known: HashSet<DiffId>, marked: Marked) -> Result<Self> {
        let (mut objects, mut segments) = (HashSet::new(), HashSet::new());
        for area in [store.unsynced(), store.durable()] {
            objects.extend(unmarked(&area.objects, &marked.objects)?);
            segments.extend(unmarked(&area.segments, &marked.segments)?);
        }
        let mut left: Vec<Victim> = objects.into_iter().map(Victim::Object).collect();
        left.extend(segments.into_iter().map(Victim::Segment));
        // One directory after the other.
        left.sort_unstable();
        Ok(Self {
            known,
            marked,
            left,
        })
    }

    /// Spares what layers list that were made meanwhile. Nobody may be making one.
    pub(super) fn spare_new(&mut self, store: &Store) -> Result<()> {
        let made = store.layers()?.into_iter();
        let made: HashSet<DiffId> = made.filter(|layer| !self.known.contains(layer)).collect();
        self.marked.add(store, &made)?;
        self.known.extend(made);
        Ok(())
    }

    pub(super) fn next(&mut self) -> Option<Victim> {
        loop {
            let victim = self.left.pop()?;
            let spared = match victim {
                Victim::Object(id) => self.marked.objects.contains(&id),
                Victim::Segment(id) => self.marked.segments.contains(&id),
            };
            if !spared {
                return Some(victim);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }
}

/// What layers are made of.
#[derive(Default)]
pub(super) struct Marked {
    pub(super) objects: HashSet<[u8; 32]>,
    pub(super) segments: HashSet<[u8; 32]>,
}

impl Marked {
    pub(super) fn new(store: &Store, layers: &HashSet<DiffId>) -> Result<Self> {
        let mut marked = Self::default();
        marked.add(store, layers)?;
        Ok(marked)
    }

    fn add(&mut self, store: &Store, layers: &HashSet<DiffId>) -> Result<()> {
        for diff_id in layers {
            let recipe = match read_recipe(store, diff_id) {
                Ok(recipe) => recipe,
                Err(Error::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            let objects = recipe.objects.iter().map(|id| *id.as_bytes());
            self.objects.extend(objects);
            let segments = recipe.segments.iter().map(|id| *id.as_bytes());
            self.segments.extend(segments);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::HashSet;

    use fastlayer_tar::{Entry, EntryKind, TRAILER, encode_header, padding};

    use super::{Doomed, Marked, Victim};
    use crate::store::Store;
    use crate::{DiffId, IngestOptions};

    fn layer(store: &Store, byte: u8) -> DiffId {
        let content = [byte; 5000];
        let mut entry = Entry::new("file", EntryKind::File);
        entry.size = content.len() as u64;
        let mut tar = Vec::new();
        encode_header(&entry, &mut tar).unwrap();
        tar.extend_from_slice(&content);
        tar.resize(tar.len() + padding(entry.size), 0);
        tar.extend_from_slice(&TRAILER);
        store
            .ingest(tar.as_slice(), IngestOptions::default(), &mut |_| {})
            .unwrap()
            .diff_id
    }

    /// A layer that was made between two turns uses what was a victim before.
    #[test]
    fn what_a_new_layer_lists_is_spared() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store"), true).unwrap();
        for byte in [1, 2] {
            let made = layer(&store, byte);
            for area in [store.durable(), store.unsynced()] {
                crate::area::remove(&area.recipes, made.hex().as_bytes()).unwrap();
            }
        }
        let mut doomed = Doomed::new(&store, HashSet::new(), Marked::default()).unwrap();
        let all = doomed.left.len();
        layer(&store, 1);
        doomed.spare_new(&store).unwrap();
        let (mut objects, mut removed) = (0, 0);
        while let Some(victim) = doomed.next() {
            removed += 1;
            objects += usize::from(matches!(victim, Victim::Object(_)));
        }
        assert!(doomed.is_empty());
        assert_eq!(objects, 1, "the other layer's");
        assert!(removed < all);
    }
}
