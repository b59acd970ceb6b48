//! Garbage collection: what no root and no lease needs is removed.
//!
//! It goes by steps, each of which leaves a store that is whole:
//!
//! 1. Recipes and documents that nothing names are set aside. Then the roots and the leases are
//!    read once more, and what they name by now comes back. Leases name a layer before they look
//!    for it, so after this nobody can come to need what was set aside: it is removed. A crash
//!    before that is made good when the store is opened next.
//! 2. Checkouts and tree indexes of layers that are gone are removed.
//! 3. Objects and segments that no recipe lists are removed, while nobody is making a layer:
//!    such a one relies on contents that no recipe names yet. Writers that wait have their turn
//!    after an instant, and what they made is spared. When those that are at work do not come to
//!    an end, the rest of this step is left to the next collection.

use std::collections::HashSet;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastlayer_fs::lock::LockMode;
use fastlayer_fs::publish::TEMPORARY_PREFIX;
use fastlayer_fs::{Directory, FileLock, remove_tree};

use crate::area::{Area, file_name, remove};
use crate::digest::{BlobDigest, DiffId};
use crate::error::{Error, Result, check_cancelled};
use crate::frame_cache::{FrameCache, layer_of};
use crate::store::{SET_ASIDE, Store};
use crate::sync::SYNC;
use crate::tally::Tally;

use contents::{Doomed, Marked, Victim, unmarked};

mod contents;

/// Age at which somebody's work in progress is taken for left behind.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long contents wait for the writers that are at work.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long contents are removed before writers that wait have their turn.
const TURN: Duration = Duration::from_millis(50);
/// One collection at a time.
pub(crate) const COLLECTOR: &[u8] = b"collect";
/// Held by a collection from when it sets layers aside until it is known which of them go.
const DECIDING: &[u8] = b"decide";

/// What stays in the store.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// Layers. One that is not stored is ignored.
    pub layers: HashSet<DiffId>,
    /// Documents and blobs.
    pub blobs: HashSet<BlobDigest>,
    /// Whether what exports have left goes even for layers that stay.
    pub forget_exports: bool,
}

/// What a collection removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Bytes of disk given back.
    pub freed: u64,
    /// Layers.
    pub layers: Vec<DiffId>,
    /// Documents and blobs.
    pub blobs: Vec<BlobDigest>,
    /// Number of objects.
    pub objects: u64,
    /// Number of segments.
    pub segments: u64,
    /// Contents were left to the next collection, since layers were being made all the time.
    pub postponed: bool,
}

impl Collected {
    fn finished(mut self, tally: &Tally) -> Self {
        self.freed = tally.freed();
        self.layers.sort_unstable();
        self.layers.dedup();
        self.blobs.sort_unstable();
        self
    }
}

impl Store {
    /// Removes every layer and blob but those that `roots` or a lease names, and all that only the
    /// removed ones needed. `roots` is asked twice: what it names the second time stays, too.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the recipe of a kept layer is damaged: nothing is removed then.
    /// [`Error::Conflict`] when a lease of this open store could not be written down.
    pub fn collect(
        &self,
        mut roots: impl FnMut() -> Result<Keep>,
        cancel: &AtomicBool,
    ) -> Result<Collected> {
        if self.keeps_collection_away() {
            let detail = "the disk is too full to write down what this operation needs";
            return Err(Error::conflict("collection", detail));
        }
        let _collector =
            FileLock::acquire_unless(self.locks(), COLLECTOR, LockMode::Exclusive, cancel)?;
        let _collecting = Collecting::begin(self);
        self.bring_back(|_| true)?;
        // Listed before anything is asked for: what appears later is not looked at, and what is
        // there already was named before it appeared.
        let mut listed = Vec::new();
        for (place, _) in self.set_aside()? {
            listed.push(unnamed(place, |_| false)?);
        }
        let keep = self.named(&mut roots)?;
        // What a damaged recipe needs is not known: that must be found before anything goes.
        Marked::new(self, &keep.layers)?;
        check_cancelled(cancel)?;
        let mut work = Collection {
            store: self,
            tally: Tally::default(),
            collected: Collected::default(),
        };
        let keep = work.layers(&listed, &keep, &mut roots)?;
        work.derived(&keep)?;
        work.contents(cancel)?;
        Ok(work.collected.finished(&work.tally))
    }

    /// What [`Self::collect`] would remove now; nothing is changed.
    ///
    /// # Errors
    /// As there.
    pub fn collectable(
        &self,
        mut roots: impl FnMut() -> Result<Keep>,
        cancel: &AtomicBool,
    ) -> Result<Collected> {
        let keep = self.named(&mut roots)?;
        let marked = Marked::new(self, &keep.layers)?;
        let mut tally = Tally::default();
        let mut found = Collected::default();
        for area in [self.unsynced(), self.durable()] {
            for name in unnamed(&area.recipes, |name| keeps_layer(&keep, name))? {
                found.layers.extend(DiffId::from_hex(&name).ok());
                tally.add(area.recipes.find_child(name.as_bytes())?);
            }
            for name in unnamed(&area.trees, |name| keeps_layer(&keep, name))? {
                tally.add(area.trees.find_child(name.as_bytes())?);
            }
            for (fanout, marks, count) in [
                (&area.segments, &marked.segments, &mut found.segments),
                (&area.objects, &marked.objects, &mut found.objects),
            ] {
                check_cancelled(cancel)?;
                for id in unmarked(fanout, marks)? {
                    *count += 1;
                    tally.add(fanout.find(&id)?);
                }
            }
        }
        for name in unnamed(self.blobs(), |name| keeps_blob(&keep, name))? {
            found.blobs.extend(BlobDigest::from_hex(&name).ok());
            tally.add(self.blobs().find_child(name.as_bytes())?);
        }
        self.checkouts_except(&keep.layers, &mut |directory, name| {
            tally.walk(directory, name).map(drop)
        })?;
        let cache = FrameCache::open(self)?;
        let unneeded = cache.unneeded(|name| is_export_kept(&keep, name))?;
        cache.each(&unneeded, &mut |directory, name| {
            tally.add(directory.find_child(name)?);
            Ok(())
        })?;
        let mut left = |directory: &Directory, name: &[u8]| tally.walk(directory, name).map(drop);
        each_discarded(self, &mut left)?;
        // Who makes a layer now has its unfinished files: they would be left, too.
        if self.no_writers()? {
            each_unfinished(self, &mut left)?;
        }
        Ok(found.finished(&tally))
    }

    /// What the leases and the roots name, read in this order: an operation ends its lease once a
    /// root names its result, so whoever is missed here has ended before the roots are asked.
    fn named(&self, roots: &mut impl FnMut() -> Result<Keep>) -> Result<Keep> {
        let mut leased = Keep::default();
        self.add_leased(&mut leased)?;
        let mut keep = roots()?;
        keep.layers.extend(leased.layers);
        keep.blobs.extend(leased.blobs);
        Ok(keep)
    }

    /// Moves what was set aside back to its place, as far as `wanted` says.
    fn bring_back(&self, wanted: impl Fn(&[u8]) -> bool) -> Result<()> {
        for (place, aside) in self.set_aside()? {
            for entry in aside.entries()?.iter().filter(|entry| wanted(entry.name)) {
                match aside.rename_noreplace(entry.name, place, entry.name) {
                    Err(error) if error.is_exists() => remove(&aside, entry.name)?,
                    result => result?,
                }
            }
        }
        Ok(())
    }

    /// Makes good what a collection that was killed has left undone.
    pub(crate) fn recover_set_aside(&self) -> Result<()> {
        for (_, aside) in self.set_aside()? {
            if aside.entries()?.is_empty() {
                continue;
            }
            if let Some(_collector) =
                FileLock::try_acquire(self.locks(), COLLECTOR, LockMode::Exclusive)?
            {
                return self.bring_back(|_| true);
            }
        }
        Ok(())
    }

    /// Opens something by `open`. Where it is not in its place but set aside, a collection has not
    /// decided yet: it is waited for. The collection's own roots read what it has set aside.
    pub(crate) fn open_settled(
        &self,
        name: &[u8],
        open: impl Fn() -> Result<Option<File>>,
    ) -> Result<Option<File>> {
        if let Some(file) = open()? {
            return Ok(Some(file));
        }
        for (_, aside) in self.set_aside()? {
            match aside.open_file(name) {
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
                Ok(file) if self.collecting().load(Ordering::Acquire) => return Ok(Some(file)),
                Ok(_) => FileLock::acquire(self.locks(), DECIDING, LockMode::Shared)?,
            };
            break;
        }
        // It may also have come back between the two looks.
        open()
    }

    /// The places that things are set aside from, each with the directory beside it.
    fn set_aside(&self) -> Result<[(&Directory, Directory); 3]> {
        let aside = |area: &Area| area.trash.ensure_child(b"recipes", 0o700);
        Ok([
            (&self.durable().recipes, aside(self.durable())?),
            (&self.unsynced().recipes, aside(self.unsynced())?),
            (
                self.blobs(),
                self.durable().trash.ensure_child(b"blobs", 0o700)?,
            ),
        ])
    }
}

/// Says that this open store collects, for as long as it lives.
struct Collecting<'a>(&'a Store);

impl<'a> Collecting<'a> {
    fn begin(store: &'a Store) -> Self {
        store.collecting().store(true, Ordering::Release);
        Self(store)
    }
}

impl Drop for Collecting<'_> {
    fn drop(&mut self) {
        self.0.collecting().store(false, Ordering::Release);
    }
}

/// A collection at work.
struct Collection<'a> {
    store: &'a Store,
    tally: Tally,
    collected: Collected,
}

impl Collection<'_> {
    /// Removes the layers and documents among the `listed` that nothing names; gives what the
    /// roots and leases name after that.
    fn layers(
        &mut self,
        listed: &[Vec<String>],
        keep: &Keep,
        roots: &mut impl FnMut() -> Result<Keep>,
    ) -> Result<Keep> {
        let store = self.store;
        // A sync at this moment would leave out a recipe that is about to come back.
        let _sync = FileLock::acquire(store.locks(), SYNC, LockMode::Exclusive)?;
        let _deciding = FileLock::acquire(store.locks(), DECIDING, LockMode::Exclusive)?;
        let places = store.set_aside()?;
        for ((place, aside), names) in places.iter().zip(listed) {
            let named = |name: &&String| keeps_layer(keep, name) || keeps_blob(keep, name);
            for name in names.iter().filter(|name| !named(name)) {
                let moved = place.rename_to(name.as_bytes(), aside, name.as_bytes());
                if let Err(error) = moved
                    && !error.is_not_found()
                {
                    store.bring_back(|_| true)?;
                    return Err(error.into());
                }
            }
        }
        let again = match store.named(roots) {
            Ok(again) => again,
            Err(error) => {
                store.bring_back(|_| true)?;
                return Err(error);
            }
        };
        store.bring_back(|name| {
            std::str::from_utf8(name)
                .is_ok_and(|name| keeps_layer(&again, name) || keeps_blob(&again, name))
        })?;
        for (place, aside) in &places {
            let of_blobs = std::ptr::eq(*place, store.blobs());
            for entry in aside.entries()?.iter() {
                let name = String::from_utf8_lossy(entry.name);
                if of_blobs {
                    self.collected
                        .blobs
                        .extend(BlobDigest::from_hex(&name).ok());
                } else {
                    self.collected.layers.extend(DiffId::from_hex(&name).ok());
                }
                self.remove(aside, entry.name)?;
            }
        }
        Ok(again)
    }

    /// Removes what was made of layers that are gone, and what is in the trash.
    fn derived(&mut self, keep: &Keep) -> Result<()> {
        let tally = &mut self.tally;
        self.store
            .checkouts_except(&keep.layers, &mut |directory, name| {
                tally.walk(directory, name).map(drop)
            })?;
        self.store.remove_checkouts_except(&keep.layers)?;
        for area in [self.store.unsynced(), self.store.durable()] {
            for name in unnamed(&area.trees, |name| keeps_layer(keep, name))? {
                self.remove(&area.trees, name.as_bytes())?;
            }
        }
        let cache = FrameCache::open(self.store)?;
        let unneeded = cache.unneeded(|name| is_export_kept(keep, name))?;
        cache.each(&unneeded, &mut |directory, name| {
            self.remove(directory, name)
        })?;
        each_discarded(self.store, &mut |directory, name| {
            self.remove_tree(directory, name)
        })
    }

    /// Removes the objects and segments that no recipe lists. Writers are locked out for a turn at
    /// a time (docs/decisions/writers-are-locked-out-by-turns.md).
    fn contents(&mut self, cancel: &AtomicBool) -> Result<()> {
        let store = self.store;
        let known: HashSet<DiffId> = store.layers()?.into_iter().collect();
        let marked = Marked::new(store, &known)?;
        // Looked for while writers may go on, so that they are locked out for less time.
        let mut doomed = Doomed::new(store, known, marked)?;
        loop {
            let Some(lock) = store.lock_out_writers(PATIENCE, cancel)? else {
                self.collected.postponed = !doomed.is_empty();
                return Ok(());
            };
            doomed.spare_new(store)?;
            let mut turn = Instant::now();
            while let Some(victim) = doomed.next() {
                check_cancelled(cancel)?;
                self.remove_content(victim)?;
                if turn.elapsed() >= TURN {
                    if store.writers_wait()? {
                        break;
                    }
                    turn = Instant::now();
                }
            }
            if doomed.is_empty() {
                return self.unfinished();
            }
            drop(lock);
            store.let_writers_in(TURN)?;
        }
    }

    /// Removes a content; from the area that a sync takes it from first.
    fn remove_content(&mut self, victim: Victim) -> Result<()> {
        let id = match victim {
            Victim::Object(id) => id,
            Victim::Segment(id) => id,
        };
        for area in [self.store.unsynced(), self.store.durable()] {
            let place = match victim {
                Victim::Object(_) => &area.objects,
                Victim::Segment(_) => &area.segments,
            };
            if let Some(shard) = place.existing(id[0])? {
                self.remove(&shard, &file_name(&id))?;
            }
        }
        match victim {
            Victim::Object(_) => self.collected.objects += 1,
            Victim::Segment(_) => self.collected.segments += 1,
        }
        Ok(())
    }

    fn remove(&mut self, directory: &Directory, name: &[u8]) -> Result<()> {
        self.tally.add(directory.find_child(name)?);
        remove(directory, name)
    }

    /// Removes what crashes have left behind.
    fn unfinished(&mut self) -> Result<()> {
        each_unfinished(self.store, &mut |directory, name| {
            self.remove_tree(directory, name)
        })
    }

    fn remove_tree(&mut self, directory: &Directory, name: &[u8]) -> Result<()> {
        self.tally.walk(directory, name)?;
        Ok(remove_tree(directory, name)?)
    }
}

type VisitName<'a> = dyn FnMut(&Directory, &[u8]) -> Result<()> + 'a;

/// Calls `visit` with what is in the trash, but for what is only set aside.
fn each_discarded(store: &Store, visit: &mut VisitName<'_>) -> Result<()> {
    for entry in store.trash().entries()?.iter() {
        if !SET_ASIDE.contains(&entry.name) {
            visit(store.trash(), entry.name)?;
        }
    }
    Ok(())
}

/// Calls `visit` with what crashes have left behind. Unfinished files are those of writers, of
/// which there must be none; what the store's users keep here may belong to a build that is
/// running.
fn each_unfinished(store: &Store, visit: &mut VisitName<'_>) -> Result<()> {
    let staging = store.staging();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let limit = now.unwrap_or_default().saturating_sub(STALE).as_secs();
    for entry in staging.entries()?.iter() {
        let stale = staging
            .find_child(entry.name)?
            .is_some_and(|found| u64::try_from(found.ctime.seconds).is_ok_and(|time| time < limit));
        if stale || is_unfinished(entry.name) {
            visit(staging, entry.name)?;
        }
    }
    each_unfinished_in(store.blobs(), visit)?;
    for area in [store.unsynced(), store.durable()] {
        each_unfinished_in(&area.recipes, visit)?;
        each_unfinished_in(&area.trees, visit)?;
        for first in 0..=255 {
            for fanout in [&area.objects, &area.segments] {
                if let Some(shard) = fanout.existing(first)? {
                    each_unfinished_in(&shard, visit)?;
                }
            }
        }
    }
    Ok(())
}

fn each_unfinished_in(place: &Directory, visit: &mut VisitName<'_>) -> Result<()> {
    for entry in place.entries()?.iter() {
        if is_unfinished(entry.name) {
            visit(place, entry.name)?;
        }
    }
    Ok(())
}

fn is_unfinished(name: &[u8]) -> bool {
    name.starts_with(TEMPORARY_PREFIX.as_bytes())
}

fn is_export_kept(keep: &Keep, name: &[u8]) -> bool {
    !keep.forget_exports && layer_of(name).is_some_and(|diff_id| keep.layers.contains(&diff_id))
}

fn keeps_layer(keep: &Keep, name: &str) -> bool {
    DiffId::from_hex(name).is_ok_and(|diff_id| keep.layers.contains(&diff_id))
}

fn keeps_blob(keep: &Keep, name: &str) -> bool {
    BlobDigest::from_hex(name).is_ok_and(|digest| keep.blobs.contains(&digest))
}

/// The names of layers or blobs in `directory` that `keeps` does not want. What is no such name
/// is not ours to remove: fsck tells of it.
fn unnamed(directory: &Directory, keeps: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in directory.entries()?.iter() {
        if let Ok(name) = std::str::from_utf8(entry.name)
            && DiffId::from_hex(name).is_ok()
            && !keeps(name)
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
