//! Comparing checkouts with the tree indexes that they are made of.
//!
//! A checkout is mounted as it lies there, so a difference is seen by every step that runs over it,
//! and goes into the layers of those that copy it up. Contents are compared by inode where a file
//! is its object, whose bytes are checked by themselves, and else by hash.

mod comparison;
mod expected;

use std::sync::atomic::AtomicBool;

use fastlayer_fs::Directory;

use super::{EMPTY, LOWERS, TREE, chain_name, discard, lower_links, read_lines};
use crate::digest::DiffId;
use crate::error::{Error, Result};
use crate::fsck::is_damage;
use crate::store::Store;
use crate::tree::TreeView;
use comparison::Comparison;
use expected::{Expected, OfLayer, OfTree};

/// How the names of checkouts begin that rely on those of layers.
const DERIVED: [&[u8]; 2] = [b"list-", b"fix-"];

/// Compares the checkout `name` in `place`, which depends on `layers`, with what it is to be. One of
/// a layer that is gone is as good as removed and counts as whole.
///
/// # Errors
/// [`Error::Corrupt`] tells the first difference, and how many there are.
pub(crate) fn verify_checkout(
    store: &Store,
    place: &Directory,
    name: &[u8],
    layers: &[DiffId],
    cancel: &AtomicBool,
) -> Result<()> {
    let shown = String::from_utf8_lossy(name).into_owned();
    for diff_id in layers {
        match store.require_layer(diff_id) {
            Err(Error::NotFound { .. }) => return Ok(()),
            found => found?,
        }
    }
    let checkout = place.open_child(name)?;
    let (kind, of) = shown.split_once('-').unwrap_or(("", &shown));
    if !kind.is_empty() && of != chain_name(layers) {
        return Err(Error::corrupt(shown, "is of another chain than it says"));
    }
    match kind {
        "list" => verify_list(place, &checkout, &shown),
        "fix" => {
            let view = store.tree_view(layers)?;
            compare(store, &checkout, &shown, &OfTree::new(&view), cancel)
        }
        "chain" => verify_layer(store, &checkout, &shown, layers, cancel),
        "" if shown == EMPTY => compare(store, &checkout, &shown, &expected::Nothing, cancel),
        "" => match DiffId::from_hex(&shown) {
            Ok(diff_id) => verify_layer(store, &checkout, &shown, &[diff_id], cancel),
            Err(_) => Err(Error::corrupt(shown, "is no name of a checkout")),
        },
        _ => Err(Error::corrupt(shown, "is no name of a checkout")),
    }
}

/// The view whose topmost layer a checkout is of; `None` where it is not of one layer.
///
/// # Errors
/// Where a tree index cannot be had.
pub(crate) fn view_of_checkout(
    store: &Store,
    name: &[u8],
    layers: &[DiffId],
) -> Result<Option<TreeView>> {
    let shown = String::from_utf8_lossy(name);
    if shown.starts_with("chain-") {
        return store.tree_view(layers).map(Some);
    }
    match DiffId::from_hex(&shown) {
        Ok(diff_id) => store.tree_view(&[diff_id]).map(Some),
        Err(_) => Ok(None),
    }
}

impl Store {
    /// Removes the checkouts that are not what they are to be, and those that were made of them.
    /// None of them may be mounted.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn drop_damaged_checkouts(&self, cancel: &AtomicBool) -> Result<()> {
        let mut known = Vec::new();
        self.each_checkout(&mut |directory, name, layers| {
            known.push((directory.try_clone()?, name.to_vec(), layers.to_vec()));
            Ok(())
        })?;
        let mut dropped = false;
        for (directory, name, layers) in &known {
            match verify_checkout(self, directory, name, layers, cancel) {
                Ok(()) => continue,
                Err(error) if !is_damage(&error) => return Err(error),
                Err(_) => discard(self, directory, name)?,
            }
            dropped = true;
        }
        for (directory, name, _) in known.iter().filter(|_| dropped) {
            if DERIVED.iter().any(|prefix| name.starts_with(prefix)) {
                discard(self, directory, name)?;
            }
        }
        Ok(())
    }
}

/// A list must lead to checkouts.
fn verify_list(place: &Directory, checkout: &Directory, shown: &str) -> Result<()> {
    for key in read_lines(checkout, LOWERS)? {
        if place.find_child(key.as_bytes())?.is_none() {
            return Err(Error::corrupt(shown, format!("{key} is missing")));
        }
    }
    Ok(())
}

fn verify_layer(
    store: &Store,
    checkout: &Directory,
    shown: &str,
    chain: &[DiffId],
    cancel: &AtomicBool,
) -> Result<()> {
    let view = store.tree_view(chain)?;
    let Some(top) = view.layers().last() else {
        return Err(Error::corrupt(shown, "is of no layer"));
    };
    let extended = lower_links::with_targets(&view, &top.index)?;
    let index = extended.as_ref().unwrap_or(&top.index);
    compare(store, checkout, shown, &OfLayer::new(&view, index), cancel)
}

fn compare(
    store: &Store,
    checkout: &Directory,
    shown: &str,
    expected: &dyn Expected,
    cancel: &AtomicBool,
) -> Result<()> {
    let tree = checkout.open_child(TREE)?;
    let mut comparison = Comparison::new(store, expected, cancel);
    comparison.run(tree)?;
    comparison.finish(shown)
}
