//! Checkouts: layers laid out on disk so that overlayfs can mount them.
//!
//! A layer is laid out once, whatever chains it is part of, unless its tar leaves attributes to
//! the layers below it; then once for each chain below. A file is a link to its object where all
//! metadata agree and no other path of the layer has that object; else a reflink or a copy. Where
//! two layers of one chain link the same object, a further directory on top has copies: one inode
//! must not be seen at two paths that are no hard links.
//!
//! Checkouts are derived and may be incomplete after a crash, so they lie below the store's token.
//! Only overlayfs may look into them: a change there would change the store.

mod fix_up;
mod layer;
mod linked;
mod lower_links;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::lock::LockMode;
use fastlayer_fs::publish::temporary_name;
use fastlayer_fs::{Directory, FileLock, remove_tree, write_atomic};
use sha2::{Digest as _, Sha256};

use crate::digest::DiffId;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::tree::TreeView;

pub(crate) use layer::{attributes, fill};
pub(crate) use linked::Linked;

/// Where the layer's files are, in a checkout.
pub(crate) const TREE: &[u8] = b"fs";
/// Which layers a checkout depends on, one a line.
const LAYERS: &[u8] = b"layers";
/// The checkouts that a chain is mounted from, the topmost first, one a line.
const LOWERS: &[u8] = b"lowers";
/// The checkout of a chain that holds nothing.
const EMPTY: &str = "empty";
const PRIVATE: u32 = 0o700;

impl Store {
    /// Lays the layers of a chain out; gives overlay lower directories, the topmost first: at
    /// least one.
    ///
    /// # Errors
    /// [`Error::NotFound`] of a layer that is not stored, [`Error::Raw`] of one without a tree; those
    /// of writing.
    pub fn checkout(&self, chain: &[DiffId], cancel: &AtomicBool) -> Result<Vec<PathBuf>> {
        let area = Area::open(self)?;
        for diff_id in chain {
            self.require_layer(diff_id)?;
        }
        let list = format!("list-{}", chain_name(chain));
        if let Some(known) = area.known_list(&list)? {
            return Ok(known);
        }
        let _writing = self.writing()?;
        let view = self.tree_view(chain)?;
        let mut lowers = Vec::with_capacity(chain.len() + 1);
        let mut numbers = Vec::with_capacity(chain.len());
        for (number, layer) in view.layers().iter().enumerate() {
            // A layer that changes nothing hides nothing either.
            if !layer.index.is_empty() {
                let twice = chain[..number].contains(&layer.diff_id);
                let key = self.checkout_layer(&area, &view, number, twice, cancel)?;
                numbers.push(number);
                lowers.push(key);
            }
        }
        if lowers.is_empty() {
            area.ensure(self, EMPTY, &[], |staging| {
                staging.ensure_child(TREE, 0o755)?;
                Linked::default().write(staging)
            })?;
            lowers.push(EMPTY.to_owned());
        }
        let laid_out: Vec<(usize, &str)> = numbers
            .into_iter()
            .zip(lowers.iter().map(String::as_str))
            .collect();
        if let Some(fix_up) = fix_up::lay_out(self, &area, &view, &laid_out, cancel)? {
            lowers.push(fix_up);
        }
        lowers.reverse();
        area.ensure(self, &list, chain, |staging| {
            let text = lowers.join("\n");
            Ok(write_atomic(
                staging,
                LOWERS,
                0o600,
                text.as_bytes(),
                false,
            )?)
        })?;
        Ok(lowers.iter().map(|key| area.tree_path(key)).collect())
    }

    /// Lays one layer out, unless it is; gives its key. The kernel refuses one directory `twice` in
    /// a mount, so then it is laid out for its place in the chain.
    fn checkout_layer(
        &self,
        area: &Area,
        view: &TreeView,
        number: usize,
        twice: bool,
        cancel: &AtomicBool,
    ) -> Result<String> {
        let chain: Vec<DiffId> = view.layers()[..=number]
            .iter()
            .map(|layer| layer.diff_id)
            .collect();
        let key = if twice {
            chain_key(&chain)
        } else {
            self.checkout_key(&chain)?
        };
        area.ensure(self, &key, &chain, |staging| {
            let tree = staging.ensure_child(TREE, PRIVATE)?;
            let linked = layer::lay_out(self, view, number, tree, cancel)?;
            linked.write(staging)
        })?;
        Ok(key)
    }

    /// The name of the checkout of the topmost layer of `chain`.
    pub(crate) fn checkout_key(&self, chain: &[DiffId]) -> Result<String> {
        let Some(top) = chain.last() else {
            return Err(Error::not_found("a layer of an empty chain"));
        };
        if self.tree_index(top)?.depends_on_parents() {
            return Ok(chain_key(chain));
        }
        Ok(top.hex())
    }

    /// Removes the checkouts of all layers but those in `keep`. None of them may be mounted.
    pub(crate) fn remove_checkouts_except(&self, keep: &HashSet<DiffId>) -> Result<()> {
        self.checkouts_except(keep, &mut |directory, name| discard(self, directory, name))
    }

    /// Calls `visit` with each checkout of a layer that is not in `keep`.
    pub(crate) fn checkouts_except(
        &self,
        keep: &HashSet<DiffId>,
        visit: &mut dyn FnMut(&Directory, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.each_checkout(&mut |directory, name, layers| {
            if layers.iter().all(|layer| keep.contains(layer)) {
                return Ok(());
            }
            visit(directory, name)
        })
    }

    /// Calls `visit` with the place and name of each checkout, and the layers it depends on.
    pub(crate) fn each_checkout(&self, visit: &mut VisitCheckout<'_>) -> Result<()> {
        let area = Area::open(self)?;
        for entry in area.directory.entries()?.iter() {
            let layers = area.layers_of(entry.name)?;
            visit(&area.directory, entry.name, &layers)?;
        }
        Ok(())
    }
}

/// Is given a checkout's place and name, and the layers it depends on.
pub(crate) type VisitCheckout<'a> = dyn FnMut(&Directory, &[u8], &[DiffId]) -> Result<()> + 'a;

fn chain_key(chain: &[DiffId]) -> String {
    format!("chain-{}", chain_name(chain))
}

/// The OCI ChainID of a chain, in hexadecimal digits.
fn chain_name(chain: &[DiffId]) -> String {
    let mut name = String::new();
    for diff_id in chain {
        name = if name.is_empty() {
            diff_id.to_string()
        } else {
            let digest: [u8; 32] = Sha256::digest(format!("{name} {diff_id}")).into();
            DiffId::from_bytes(digest).to_string()
        };
    }
    name.trim_start_matches("sha256:").to_owned()
}

/// The checkouts made under the store's present token.
pub(crate) struct Area {
    directory: Directory,
    path: PathBuf,
}

impl Area {
    pub(crate) fn open(store: &Store) -> Result<Self> {
        let checkouts = store.checkouts();
        let token = store.token().as_bytes();
        if checkouts.find_child(token)?.is_none() {
            drop_stale(store)?;
        }
        let directory = checkouts.ensure_child(token, PRIVATE)?;
        let path = store.path().join("checkouts").join(store.token());
        Ok(Self { directory, path })
    }

    fn tree_path(&self, key: &str) -> PathBuf {
        self.path.join(key).join("fs")
    }

    /// The open checkout of `key`.
    pub(crate) fn open_checkout(&self, key: &str) -> Result<Directory> {
        Ok(self.directory.open_child(key.as_bytes())?)
    }

    /// Makes the checkout `key` with `fill`, one process at a time, unless it is there.
    pub(crate) fn ensure(
        &self,
        store: &Store,
        key: &str,
        layers: &[DiffId],
        fill: impl FnOnce(&Directory) -> Result<()>,
    ) -> Result<()> {
        if self.directory.find_child(key.as_bytes())?.is_some() {
            return Ok(());
        }
        let lock_name = format!("checkout-{key}");
        let _lock = FileLock::acquire(store.locks(), lock_name.as_bytes(), LockMode::Exclusive)?;
        if self.directory.find_child(key.as_bytes())?.is_some() {
            return Ok(());
        }
        let name = temporary_name();
        store.staging().mkdir_at(&name, PRIVATE)?;
        let staging = store.staging().open_child(&name)?;
        let made = fill(&staging)
            .and_then(|()| write_layers(&staging, layers))
            .and_then(|()| {
                Ok(store
                    .staging()
                    .rename_noreplace(&name, &self.directory, key.as_bytes())?)
            });
        if made.is_err() {
            let _ = remove_tree(store.staging(), &name);
        }
        made
    }

    fn known_list(&self, name: &str) -> Result<Option<Vec<PathBuf>>> {
        let directory = match self.directory.open_child(name.as_bytes()) {
            Err(error) if error.is_not_found() => return Ok(None),
            directory => directory?,
        };
        let keys = read_lines(&directory, LOWERS)?;
        Ok(Some(keys.iter().map(|key| self.tree_path(key)).collect()))
    }

    /// The layers that an entry depends on. One without a list of them depends on nothing that
    /// could be kept.
    fn layers_of(&self, name: &[u8]) -> Result<Vec<DiffId>> {
        let nothing = vec![DiffId::from_bytes([0; 32])];
        let Ok(directory) = self.directory.open_child(name) else {
            return Ok(nothing);
        };
        match read_lines(&directory, LAYERS) {
            Ok(lines) => lines.iter().map(|line| DiffId::from_hex(line)).collect(),
            Err(_) => Ok(nothing),
        }
    }
}

fn write_layers(directory: &Directory, layers: &[DiffId]) -> Result<()> {
    let lines: Vec<String> = layers.iter().map(DiffId::hex).collect();
    Ok(write_atomic(
        directory,
        LAYERS,
        0o600,
        lines.join("\n").as_bytes(),
        false,
    )?)
}

fn read_lines(directory: &Directory, name: &[u8]) -> Result<Vec<String>> {
    let failed = |source| Error::io(directory.path_to(name).display(), source);
    let text = std::io::read_to_string(directory.open_file(name)?).map_err(failed)?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Removes the checkouts of other tokens, unless a living process holds one.
fn drop_stale(store: &Store) -> Result<()> {
    for entry in store.checkouts().entries()?.iter() {
        if entry.name == store.token().as_bytes() {
            continue;
        }
        let lock_name = [b"token-", entry.name].concat();
        if let Some(_lock) = FileLock::try_acquire(store.locks(), &lock_name, LockMode::Exclusive)?
        {
            discard(store, store.checkouts(), entry.name)?;
        }
    }
    Ok(())
}

fn discard(store: &Store, directory: &Directory, name: &[u8]) -> Result<()> {
    let doomed = temporary_name();
    match directory.rename_to(name, store.trash(), &doomed) {
        Err(error) if error.is_not_found() => return Ok(()),
        renamed => renamed?,
    }
    Ok(remove_tree(store.trash(), &doomed)?)
}
