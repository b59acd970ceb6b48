//! Checkouts: layers laid out on disk so that overlayfs can mount them.
//!
//! A layer is laid out once, whatever chains it is part of, unless its tar leaves attributes to
//! the layers below it; then once for each chain below. A file is a link to its object where all
//! metadata agree and no other path of the layer has that object; else it takes the next rung of
//! the ladder ([`ladder`]): a reflink, a stub, a copy. Stubs, and what must not be one inode with a
//! file of another layer, lie in directories of the chain's own ([`stack`]).
//!
//! Checkouts are derived and may be incomplete after a crash, so they lie below the store's token,
//! and apart for each kind of overlay marks, since a mount takes the other kind for plain
//! attributes. Only overlayfs may look into them: a change there would change the store, and some
//! files are not in the directory of their layer.

pub mod ladder;

mod deferred;
mod depth;
mod layer;
mod linked;
mod lower_links;
mod patch;
mod rungs;
mod stack;
mod stub;
mod trial;
mod verify;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::lock::LockMode;
use fastlayer_fs::publish::temporary_name;
use fastlayer_fs::{Directory, FileLock, remove_tree, write_atomic};
use sha2::{Digest as _, Sha256};

use crate::digest::DiffId;
use crate::error::{Error, Result};
use crate::overlay::OverlayNamespace;
use crate::store::Store;

use stack::Stack;

pub use ladder::{Ladder, Trial};
pub(crate) use layer::attributes;
pub(crate) use linked::Linked;

/// Where the layer's files are, in a checkout.
pub(crate) const TREE: &[u8] = b"fs";
/// Which layers a checkout depends on, one a line.
const LAYERS: &[u8] = b"layers";
/// The checkouts that a chain is mounted from, the topmost first, one a line.
const LOWERS: &[u8] = b"lowers";
/// The directory of stubs below them, where there is one.
const STUBS: &[u8] = b"stubs";
/// The checkout of a chain that holds nothing.
const EMPTY: &str = "empty";
const PRIVATE: u32 = 0o700;

/// What an overlay mount of a chain is stacked from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lowers {
    /// Lower directories, the topmost first; at least one.
    pub directories: Vec<PathBuf>,
    /// Data-only directories, in the order in which they are to be searched; none where no file
    /// needs them.
    pub data: Vec<PathBuf>,
}

impl Store {
    /// Lays the layers of a chain out for an overlay mount.
    ///
    /// # Errors
    /// [`Error::NotFound`] of a layer that is not stored, [`Error::Raw`] of one without a tree; those
    /// of writing.
    pub fn checkout(&self, chain: &[DiffId], cancel: &AtomicBool) -> Result<Lowers> {
        let area = Area::open(self)?;
        for diff_id in chain {
            self.require_layer(diff_id)?;
        }
        if let Some(known) = area.known_list(chain)? {
            return Ok(area.lowers(self, &known));
        }
        let _writing = self.writing()?;
        let view = self.tree_view(chain)?;
        let list = Stack::new(self, &area, &view, cancel)?.build()?;
        area.ensure(self, &list_key(chain), chain, |staging| list.write(staging))?;
        Ok(area.lowers(self, &list))
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

    /// Calls `visit` with the place and name of each checkout, and the layers it depends on: the
    /// lists of chains first, then what was made of layers' checkouts, then these. So whoever is
    /// killed while removing them leaves nothing that relies on what is gone.
    pub(crate) fn each_checkout(&self, visit: &mut VisitCheckout<'_>) -> Result<()> {
        for namespace in [OverlayNamespace::Trusted, OverlayNamespace::User] {
            let area = Area::of(self, namespace)?;
            let entries = area.directory.entries()?;
            let mut names: Vec<&[u8]> = entries.iter().map(|entry| entry.name).collect();
            names.sort_by_key(|name| removal_rank(name));
            for name in names {
                let layers = area.layers_of(name)?;
                visit(&area.directory, name, &layers)?;
            }
        }
        Ok(())
    }
}

/// Is given a checkout's place and name, and the layers it depends on.
pub(crate) type VisitCheckout<'a> = dyn FnMut(&Directory, &[u8], &[DiffId]) -> Result<()> + 'a;

impl Stack<'_> {
    /// The key of the checkout of one layer. The kernel refuses one directory twice in a mount, so a
    /// layer that comes again has one for its place in the chain.
    fn layer_key(&self, number: usize) -> Result<String> {
        layer_key(self.store, &self.prefix(number + 1))
    }

    /// Lays one layer out, unless it is; gives its key.
    fn lay_out_layer(&self, number: usize) -> Result<String> {
        let key = self.layer_key(number)?;
        let chain = self.prefix(number + 1);
        let needed = dependencies(&key, &chain);
        self.area.ensure(self.store, &key, needed, |staging| {
            let tree = staging.ensure_child(TREE, PRIVATE)?;
            let laid_out =
                layer::lay_out(self.store, self.view, number, self.rungs, tree, self.cancel)?;
            laid_out.deferred.write(staging)?;
            laid_out.linked.write(staging)
        })?;
        Ok(key)
    }
}

/// The key of the checkout of the topmost layer of `chain` in a mount of it.
fn layer_key(store: &Store, chain: &[DiffId]) -> Result<String> {
    match chain {
        [below @ .., top] if below.contains(top) => Ok(chain_key(chain)),
        _ => store.checkout_key(chain),
    }
}

/// The layers that the checkout of the topmost layer of `chain` depends on: itself, unless the
/// checkout is the chain's own.
pub(crate) fn dependencies<'chain>(key: &str, chain: &'chain [DiffId]) -> &'chain [DiffId] {
    match chain {
        [.., top] if *key == top.hex() => std::slice::from_ref(top),
        _ => chain,
    }
}

fn removal_rank(name: &[u8]) -> u8 {
    if name.starts_with(b"list-") {
        0
    } else {
        u8::from(!(name.starts_with(b"fix-") || name.starts_with(b"stubs-"))) + 1
    }
}

/// What a chain is mounted from.
struct List {
    /// Keys of checkouts, the topmost first.
    lowers: Vec<String>,
    /// Key of the stubs below them.
    stubs: Option<String>,
}

impl List {
    fn write(&self, directory: &Directory) -> Result<()> {
        if let Some(stubs) = &self.stubs {
            write_file(directory, STUBS, stubs.as_bytes())?;
        }
        write_file(directory, LOWERS, self.lowers.join("\n").as_bytes())
    }
}

fn list_key(chain: &[DiffId]) -> String {
    format!("list-{}", chain_name(chain))
}

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

/// The checkouts made under the store's present token with one kind of marks.
pub(crate) struct Area {
    directory: Directory,
    path: PathBuf,
}

impl Area {
    /// Those that this process can mount.
    pub(crate) fn open(store: &Store) -> Result<Self> {
        Self::of(store, OverlayNamespace::of_process())
    }

    fn of(store: &Store, namespace: OverlayNamespace) -> Result<Self> {
        let checkouts = store.checkouts();
        let token = store.token().as_bytes();
        if checkouts.find_child(token)?.is_none() {
            drop_stale(store)?;
        }
        let directory = checkouts
            .ensure_child(token, PRIVATE)?
            .ensure_child(namespace.word().as_bytes(), PRIVATE)?;
        let path = store.path().join("checkouts").join(store.token());
        let path = path.join(namespace.word());
        Ok(Self { directory, path })
    }

    /// The directories of a list. A sync moves objects from the unsynced area to the lasting one,
    /// so whoever searches in this order finds them at any time.
    fn lowers(&self, store: &Store, list: &List) -> Lowers {
        let keys = list.lowers.iter().chain(&list.stubs);
        let mut data = Vec::new();
        if list.stubs.is_some() {
            data.push(store.path().join("unsynced").join(store.token()));
            data.push(store.path().to_owned());
        }
        Lowers {
            directories: keys.map(|key| self.path.join(key).join("fs")).collect(),
            data: data.iter().map(|area| area.join("objects")).collect(),
        }
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

    fn known_list(&self, chain: &[DiffId]) -> Result<Option<List>> {
        let directory = match self.directory.open_child(list_key(chain).as_bytes()) {
            Err(error) if error.is_not_found() => return Ok(None),
            directory => directory?,
        };
        let mut stubs = Vec::new();
        if directory.find_child(STUBS)?.is_some() {
            stubs = read_lines(&directory, STUBS)?;
        }
        Ok(Some(List {
            lowers: read_lines(&directory, LOWERS)?,
            stubs: stubs.pop(),
        }))
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
    write_file(directory, LAYERS, lines.join("\n").as_bytes())
}

fn write_file(directory: &Directory, name: &[u8], bytes: &[u8]) -> Result<()> {
    Ok(write_atomic(directory, name, 0o600, bytes, false)?)
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
