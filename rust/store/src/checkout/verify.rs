//! Comparing checkouts with the tree indexes that they are made of.
//!
//! A checkout is mounted as it lies there, so a difference is seen by every step that runs over it,
//! and goes into the layers of those that copy it up. Contents are compared by inode where a file
//! is its object, whose bytes are checked by themselves, and else by hash.

mod comparison;
mod expected;

use std::sync::atomic::AtomicBool;

use fastlayer_fs::Directory;

use super::deferred::Deferred;
use super::patch::Names;
use super::{
    Area, EMPTY, LOWERS, STUBS, TREE, chain_name, discard, layer_key, lower_links, read_lines,
};
use crate::digest::DiffId;
use crate::error::{Error, Result, display_path};
use crate::fsck::is_damage;
use crate::overlay::OverlayNamespace;
use crate::store::Store;
use crate::tree::TreeView;
use comparison::Comparison;
use expected::{Expected, OfLayer, OfTree};

/// A checkout that is there.
pub(crate) struct KnownCheckout {
    namespace: OverlayNamespace,
    /// What holds it.
    place: Directory,
    /// Its name there.
    pub(crate) name: String,
    /// What it depends on.
    layers: Vec<DiffId>,
}

impl KnownCheckout {
    /// Whether it is there still.
    pub(crate) fn exists(&self) -> Result<bool> {
        Ok(self.place.find_child(self.name.as_bytes())?.is_some())
    }

    pub(crate) fn open(&self) -> Result<Directory> {
        Ok(self.place.open_child(self.name.as_bytes())?)
    }

    /// The view whose topmost layer it is of; `None` where it is not of one layer.
    ///
    /// # Errors
    /// Where a tree index cannot be had.
    pub(crate) fn view(&self, store: &Store) -> Result<Option<TreeView>> {
        if self.name.starts_with("chain-") {
            return store.tree_view(&self.layers).map(Some);
        }
        match DiffId::from_hex(&self.name) {
            Ok(diff_id) => store.tree_view(&[diff_id]).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Compares it with what it is to be. One of a layer that is gone is as good as removed and
    /// counts as whole.
    ///
    /// # Errors
    /// [`Error::Corrupt`] tells the first difference, and how many there are.
    pub(crate) fn verify(&self, store: &Store, cancel: &AtomicBool) -> Result<()> {
        for diff_id in &self.layers {
            match store.require_layer(diff_id) {
                Err(Error::NotFound { .. }) => return Ok(()),
                found => found?,
            }
        }
        let damaged = |detail: &str| Error::corrupt(&self.name, detail);
        let kind = self.name.split_once('-');
        if kind.is_some_and(|(_, of)| of != chain_name(&self.layers)) {
            return Err(damaged("is of another chain than it says"));
        }
        match kind.map(|(kind, _)| kind) {
            Some("list") => self.verify_list(store),
            Some(kind @ ("fix" | "stubs")) => {
                let view = store.tree_view(&self.layers)?;
                self.compare(store, &OfTree::new(&view, kind == "stubs"), cancel)
            }
            None if self.name == EMPTY => self.compare(store, &expected::Nothing, cancel),
            _ => match self.view(store)? {
                Some(view) => self.verify_layer(store, &view, cancel),
                None => Err(damaged("is no name of a checkout")),
            },
        }
    }

    fn verify_layer(&self, store: &Store, view: &TreeView, cancel: &AtomicBool) -> Result<()> {
        let Some(top) = view.layers().last() else {
            return Err(Error::corrupt(&self.name, "is of no layer"));
        };
        let extended = lower_links::with_targets(view, &top.index)?;
        let index = extended.as_ref().unwrap_or(&top.index);
        let deferred = Deferred::read(&self.open()?)?;
        self.compare(store, &OfLayer::new(view, index, deferred), cancel)
    }

    fn compare(&self, store: &Store, expected: &dyn Expected, cancel: &AtomicBool) -> Result<()> {
        let tree = self.open()?.open_child(TREE)?;
        let mut comparison = Comparison::new(store, expected, self.namespace, cancel);
        comparison.run(tree)?;
        comparison.finish(&self.name)
    }

    /// A list must lead to checkouts, and these must have what layers leave to their chain.
    fn verify_list(&self, store: &Store) -> Result<()> {
        let directory = self.open()?;
        let mut keys = read_lines(&directory, LOWERS)?;
        if directory.find_child(STUBS)?.is_some() {
            keys.extend(read_lines(&directory, STUBS)?);
        }
        let mut above = Vec::new();
        for key in &keys {
            if self.place.find_child(key.as_bytes())?.is_none() {
                return Err(Error::corrupt(&self.name, format!("{key} is missing")));
            }
            if is_of_chain(key) {
                above.push(self.place.open_child(key.as_bytes())?.open_child(TREE)?);
            }
        }
        let view = store.tree_view(&self.layers)?;
        let mut names = Names::new(&view);
        for number in 0..self.layers.len() {
            if view.layers()[number].index.is_empty() {
                continue;
            }
            let key = layer_key(store, &self.layers[..=number])?;
            let checkout = self.place.open_child(key.as_bytes())?;
            for row in Deferred::read(&checkout)?.rows {
                for path in names.visible(number, row)? {
                    if !above.iter().any(|tree| has(tree, &path)) {
                        let detail = format!("/{} is in none of it", display_path(&path));
                        return Err(Error::corrupt(&self.name, detail));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a checkout relies on those of layers.
fn is_of_chain(name: &str) -> bool {
    name.starts_with("fix-") || name.starts_with("stubs-")
}

fn has(tree: &Directory, path: &[u8]) -> bool {
    let (parent, name) = fastlayer_tar::path::split(path).unwrap_or_default();
    tree.open_descendant(parent)
        .and_then(|parent| parent.find_child(name))
        .is_ok_and(|found| found.is_some())
}

impl Store {
    /// The checkouts that are there, of both kinds.
    pub(crate) fn known_checkouts(&self) -> Result<Vec<KnownCheckout>> {
        let mut known = Vec::new();
        for namespace in [OverlayNamespace::Trusted, OverlayNamespace::User] {
            let area = Area::of(self, namespace)?;
            for entry in area.directory.entries()?.iter() {
                known.push(KnownCheckout {
                    namespace,
                    place: area.directory.try_clone()?,
                    name: String::from_utf8_lossy(entry.name).into_owned(),
                    layers: area.layers_of(entry.name)?,
                });
            }
        }
        Ok(known)
    }

    /// Removes the checkouts that are not what they are to be, and those that were made of them.
    /// None of them may be mounted.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn drop_damaged_checkouts(&self, cancel: &AtomicBool) -> Result<()> {
        let known = self.known_checkouts()?;
        let mut dropped = false;
        for checkout in &known {
            match checkout.verify(self, cancel) {
                Ok(()) => continue,
                Err(error) if !is_damage(&error) => return Err(error),
                Err(_) => discard(self, &checkout.place, checkout.name.as_bytes())?,
            }
            dropped = true;
        }
        for checkout in known.iter().filter(|_| dropped) {
            if is_of_chain(&checkout.name) || checkout.name.starts_with("list-") {
                discard(self, &checkout.place, checkout.name.as_bytes())?;
            }
        }
        Ok(())
    }
}
