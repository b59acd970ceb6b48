//! The directories that a chain is mounted from, beyond those of its layers.
//!
//! Directly above a layer lies its *fix-up* where one is needed: with files of the layer that are
//! links to objects which a layer below links as well (seen through one mount they would be one
//! inode at two paths, and `tar` or `cp -a` would make hard links of them), and with files that are
//! to be stubs but would not be seen below. It depends on the layers below, and not on those above.
//!
//! Below all layers lie the stubs: the kernel follows them only from there without letting uppers
//! hold stubs, too. They are made anew only for a chain whose topmost layer adds some.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use super::deferred::Deferred;
use super::depth::Depth;
use super::patch::{self, Names};
use super::rungs::Rungs;
use super::{Area, EMPTY, Linked, List, PRIVATE, TREE, chain_name, stub};
use crate::contents::Contents;
use crate::digest::{ContentId, DiffId};
use crate::error::{Error, Result, display_path};
use crate::file_source::FileSource;
use crate::overlay::OverlayNamespace;
use crate::store::Store;
use crate::tree::TreeView;

/// A file of a chain: its layer and its row there.
type Place = (usize, u32);

/// A chain's directories in the making.
pub(super) struct Stack<'a> {
    pub(super) store: &'a Store,
    pub(super) area: &'a Area,
    pub(super) view: &'a TreeView,
    pub(super) rungs: Rungs,
    pub(super) cancel: &'a AtomicBool,
    /// Keys of checkouts, the topmost last.
    lowers: Vec<String>,
    /// The directory of stubs below them.
    stubs: Option<String>,
}

impl<'a> Stack<'a> {
    pub(super) fn new(
        store: &'a Store,
        area: &'a Area,
        view: &'a TreeView,
        cancel: &'a AtomicBool,
    ) -> Result<Self> {
        Ok(Self {
            store,
            area,
            view,
            rungs: Rungs::of(store)?,
            cancel,
            lowers: Vec::new(),
            stubs: None,
        })
    }

    /// Makes everything; gives what is to be mounted.
    pub(super) fn build(mut self) -> Result<List> {
        let mut next = self.view.layers().len();
        // A chain is often one more layer on a chain that was mounted before.
        while next > 0 {
            next -= 1;
            if let Some(known) = self.area.known_list(&self.prefix(next))? {
                let keys = known.lowers.into_iter().filter(|key| key != EMPTY);
                self.lowers = keys.rev().collect();
                self.stubs = known.stubs;
                break;
            }
        }
        for number in next..self.view.layers().len() {
            // A layer that changes nothing hides nothing either.
            if !self.view.layers()[number].index.is_empty() {
                self.push(number)?;
            }
        }
        if self.lowers.is_empty() {
            self.area.ensure(self.store, EMPTY, &[], |staging| {
                staging.ensure_child(TREE, 0o755)?;
                Linked::default().write(staging)
            })?;
            self.lowers.push(EMPTY.to_owned());
        }
        self.lowers.reverse();
        Ok(List {
            lowers: self.lowers,
            stubs: self.stubs,
        })
    }

    /// The DiffIDs of the lowest `count` layers.
    pub(super) fn prefix(&self, count: usize) -> Vec<DiffId> {
        let layers = self.view.layers()[..count].iter();
        layers.map(|layer| layer.diff_id).collect()
    }

    fn push(&mut self, number: usize) -> Result<()> {
        let key = self.lay_out_layer(number)?;
        let checkout = self.area.open_checkout(&key)?;
        self.lowers.push(key);
        let below = self.view.below(number + 1);
        let mut names = Names::new(&below);
        let mut above = self.repeated(number, &Linked::read(&checkout)?, &mut names)?;
        let deferred = Deferred::read(&checkout)?;
        let (open, covered) = sort_out(&below, number, &deferred, &mut names)?;
        above.extend(covered);
        if !above.is_empty() {
            self.fix_up(&below, above)?;
        }
        if !open.is_empty() {
            self.lay_out_stubs(&below)?;
        }
        Ok(())
    }

    /// The paths of the layer's files that are one with a visible file of the layers below.
    fn repeated(
        &self,
        number: usize,
        linked: &Linked,
        names: &mut Names<'_>,
    ) -> Result<Vec<Vec<u8>>> {
        let mut paths = Vec::new();
        if linked.rows.is_empty() {
            return Ok(paths);
        }
        let mut places: HashMap<ContentId, Vec<Place>> = HashMap::new();
        for layer in 0..number {
            if self.view.layers()[layer].index.is_empty() {
                continue;
            }
            let checkout = self.area.open_checkout(&self.layer_key(layer)?)?;
            for (id, row) in Linked::read(&checkout)?.rows {
                places.entry(id).or_default().push((layer, row));
            }
        }
        for (id, row) in &linked.rows {
            for (layer, other) in places.get(id).into_iter().flatten() {
                if !names.visible(*layer, *other)?.is_empty() {
                    paths.extend(names.visible(number, *row)?);
                    break;
                }
            }
        }
        Ok(paths)
    }

    /// Makes the fix-up of the topmost layer of `below`.
    fn fix_up(&mut self, below: &TreeView, paths: Vec<Vec<u8>>) -> Result<()> {
        let chain = self.prefix(below.layers().len());
        let key = format!("fix-{}", chain_name(&chain));
        self.area.ensure(self.store, &key, &chain, |staging| {
            let tree = staging.ensure_child(TREE, PRIVATE)?;
            let contents = Contents::new(self.store, below);
            patch::write(below, tree, paths, self.cancel, |node, file| {
                let source = contents.source(node)?;
                self.rungs
                    .fill(self.store, &contents, (node, &source), file)
            })
        })?;
        self.lowers.push(key);
        Ok(())
    }

    /// Makes the stubs of all layers of `below`, the topmost of which has some.
    fn lay_out_stubs(&mut self, below: &TreeView) -> Result<()> {
        let chain = self.prefix(below.layers().len());
        let key = format!("stubs-{}", chain_name(&chain));
        self.area.ensure(self.store, &key, &chain, |staging| {
            let mut names = Names::new(below);
            let mut paths = Vec::new();
            for number in 0..below.layers().len() {
                if below.layers()[number].index.is_empty() {
                    continue;
                }
                let checkout = self.area.open_checkout(&self.layer_key(number)?)?;
                let deferred = Deferred::read(&checkout)?;
                let (open, _) = sort_out(below, number, &deferred, &mut names)?;
                for row in open {
                    paths.extend(names.visible(number, row)?);
                }
            }
            let tree = staging.ensure_child(TREE, PRIVATE)?;
            let contents = Contents::new(self.store, below);
            let namespace = OverlayNamespace::of_process();
            patch::write(below, tree, paths, self.cancel, |node, file| match contents
                .source(node)?
            {
                FileSource::Object(id) if self.store.has_object(&id)? => {
                    stub::write(file, namespace, &id, node.size())
                        .map_err(|source| Error::io(display_path(node.path()), source))
                }
                FileSource::Object(id) => Err(Error::not_found(format!("object {id}"))),
                source => contents.fill(node, &source, file),
            })
        })?;
        self.stubs = Some(key);
        Ok(())
    }
}

/// Parts the files that a layer leaves to its chain: the rows of those that are seen when they lie
/// below all layers with each of their names, and the paths of the others.
fn sort_out(
    view: &TreeView,
    number: usize,
    deferred: &Deferred,
    names: &mut Names<'_>,
) -> Result<(Vec<u32>, Vec<Vec<u8>>)> {
    let mut depth = Depth::new(view, number);
    let (mut open, mut covered) = (Vec::new(), Vec::new());
    'rows: for row in &deferred.rows {
        let paths = names.of(number, *row)?;
        for path in &paths {
            if !depth.is_open(path)? {
                covered.extend(paths);
                continue 'rows;
            }
        }
        open.push(*row);
    }
    Ok((open, covered))
}
