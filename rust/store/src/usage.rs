//! Who needs how much of the disk: exact bytes, as `du` counts them.
//!
//! A *group* is a set of layers and blobs that belong together, such as an image. Each object,
//! segment, recipe, tree, blob and checkout, and what exports of its layers left, is needed by some
//! of the groups, or by none.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::AtomicBool;

use crate::area::Area;
use crate::digest::{BlobDigest, DiffId};
use crate::error::{Error, Result, check_cancelled};
use crate::frame_cache::{FrameCache, LeftBehind};
use crate::layer_reader::read_recipe;
use crate::store::Store;
use crate::tally::Tally;

/// Places whose files may have links elsewhere in the store: counted before the others.
const FIRST: [&[u8]; 2] = [b"objects", b"unsynced"];

/// Layers and blobs whose use of the disk is asked for together.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Layers. One that is not stored uses nothing.
    pub layers: Vec<DiffId>,
    /// Documents and blobs.
    pub blobs: Vec<BlobDigest>,
}

/// The disk that one group uses, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupUsage {
    /// Needed by this group alone.
    pub unique: u64,
    /// Needed by this group and by others.
    pub shared: u64,
    /// Needed by no group before this one.
    pub added: u64,
    /// The part of `unique` and `shared` that is made of the rest, and made again when it is
    /// needed: tree indexes, checkouts, and `exports`.
    pub derived: u64,
    /// The part of `derived` that exports have left.
    pub exports: u64,
}

/// The disk that a store uses, in bytes.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// All of it.
    pub total: u64,
    /// By the directories of the store. A file with links in several counts as an object first.
    pub places: BTreeMap<String, u64>,
    /// Contents, layers and blobs that no group needs.
    pub unused: u64,
    /// By the groups, in their order.
    pub groups: Vec<GroupUsage>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Item {
    Object([u8; 32]),
    Segment([u8; 32]),
    Recipe(DiffId),
    Tree(DiffId),
    Blob(BlobDigest),
    Checkout(Vec<u8>),
    LeftBehind(LeftBehind),
}

/// Which groups need an item.
struct Need {
    first: usize,
    last: usize,
    several: bool,
    bytes: u64,
}

impl Store {
    /// Measures the store. What other processes change meanwhile may be counted or not.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a layer's recipe is damaged.
    pub fn usage(&self, groups: &[Group], cancel: &AtomicBool) -> Result<Usage> {
        let needs = Needs::new(self, groups, cancel)?;
        let mut usage = self.measure()?;
        needs.spread(self, groups.len(), &mut usage, cancel)?;
        Ok(usage)
    }

    fn measure(&self) -> Result<Usage> {
        let mut tally = Tally::default();
        let mut usage = Usage::default();
        let entries = self.root().entries()?;
        let rest = entries.iter().map(|entry| entry.name);
        let rest = rest.filter(|name| !FIRST.contains(name));
        for name in FIRST.into_iter().chain(rest) {
            let bytes = tally.walk(self.root(), name)?;
            let name = String::from_utf8_lossy(name).into_owned();
            usage.places.insert(name, bytes);
            usage.total += bytes;
        }
        usage.total += tally.add(Some(self.root().metadata()?));
        Ok(usage)
    }
}

struct Needs {
    items: HashMap<Item, Need>,
    /// The items of each group, each once.
    lists: Vec<Vec<Item>>,
}

impl Needs {
    fn new(store: &Store, groups: &[Group], cancel: &AtomicBool) -> Result<Self> {
        let mut needs = Self {
            items: HashMap::new(),
            lists: Vec::with_capacity(groups.len()),
        };
        let mut checkouts: Vec<(Vec<u8>, Vec<DiffId>)> = Vec::new();
        store.each_checkout(&mut |_, name, layers| {
            checkouts.push((name.to_vec(), layers.to_vec()));
            Ok(())
        })?;
        let left = FrameCache::open(store)?.by_layer()?;
        let mut known: HashMap<DiffId, Vec<Item>> = HashMap::new();
        for (number, group) in groups.iter().enumerate() {
            check_cancelled(cancel)?;
            needs.lists.push(Vec::new());
            let layers: HashSet<DiffId> = group.layers.iter().copied().collect();
            for diff_id in &layers {
                if !known.contains_key(diff_id) {
                    let mut items = items_of(store, diff_id)?;
                    let left = left.get(diff_id).into_iter().flatten();
                    items.extend(left.cloned().map(Item::LeftBehind));
                    known.insert(*diff_id, items);
                }
                for item in known.get(diff_id).into_iter().flatten() {
                    needs.note(number, item.clone());
                }
            }
            for digest in &group.blobs {
                needs.note(number, Item::Blob(*digest));
            }
            for (name, of) in &checkouts {
                if !of.is_empty() && of.iter().all(|diff_id| layers.contains(diff_id)) {
                    needs.note(number, Item::Checkout(name.clone()));
                }
            }
        }
        Ok(needs)
    }

    fn note(&mut self, number: usize, item: Item) {
        let need = self.items.entry(item.clone()).or_insert(Need {
            first: number,
            last: usize::MAX,
            several: false,
            bytes: 0,
        });
        if need.last != number {
            need.several = need.first != number;
            need.last = number;
            self.lists[number].push(item);
        }
    }

    /// Measures every item, and spreads the bytes over the groups.
    fn spread(
        mut self,
        store: &Store,
        groups: usize,
        usage: &mut Usage,
        cancel: &AtomicBool,
    ) -> Result<()> {
        usage.groups = vec![GroupUsage::default(); groups];
        let mut tally = Tally::default();
        for area in [store.durable(), store.unsynced()] {
            for id in area.objects.ids()? {
                check_cancelled(cancel)?;
                let bytes = tally.add(area.objects.find(&id)?);
                self.add(usage, &Item::Object(id), bytes);
            }
            for id in area.segments.ids()? {
                let bytes = tally.add(area.segments.find(&id)?);
                self.add(usage, &Item::Segment(id), bytes);
            }
            self.layers(area, &mut tally, usage)?;
        }
        for entry in store.blobs().entries()?.iter() {
            let name = String::from_utf8_lossy(entry.name);
            if let Ok(digest) = BlobDigest::from_hex(&name) {
                let bytes = tally.add(store.blobs().find_child(entry.name)?);
                self.add(usage, &Item::Blob(digest), bytes);
            }
        }
        store.each_checkout(&mut |directory, name, _| {
            let bytes = tally.walk(directory, name)?;
            self.add(usage, &Item::Checkout(name.to_vec()), bytes);
            Ok(())
        })?;
        FrameCache::open(store)?.each_left_behind(&mut |left, metadata| {
            let bytes = tally.add(metadata);
            self.add(usage, &Item::LeftBehind(left), bytes);
        })?;
        for (number, list) in self.lists.iter().enumerate() {
            let group = &mut usage.groups[number];
            let mut all = 0;
            for item in list {
                let bytes = self.items.get(item).map_or(0, |need| need.bytes);
                all += bytes;
                match item {
                    Item::LeftBehind(_) => group.exports += bytes,
                    Item::Checkout(_) | Item::Tree(_) => group.derived += bytes,
                    Item::Object(_) | Item::Segment(_) | Item::Recipe(_) | Item::Blob(_) => {}
                }
            }
            group.shared = all - group.unique;
            group.derived += group.exports;
        }
        Ok(())
    }

    fn layers(&mut self, area: &Area, tally: &mut Tally, usage: &mut Usage) -> Result<()> {
        for (directory, item) in [
            (&area.recipes, Item::Recipe as fn(DiffId) -> Item),
            (&area.trees, Item::Tree),
        ] {
            for entry in directory.entries()?.iter() {
                if let Ok(diff_id) = DiffId::from_hex(&String::from_utf8_lossy(entry.name)) {
                    let bytes = tally.add(directory.find_child(entry.name)?);
                    self.add(usage, &item(diff_id), bytes);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, usage: &mut Usage, item: &Item, bytes: u64) {
        let Some(need) = self.items.get_mut(item) else {
            usage.unused += bytes;
            return;
        };
        need.bytes += bytes;
        let first = &mut usage.groups[need.first];
        first.added += bytes;
        if !need.several {
            first.unique += bytes;
        }
    }
}

fn items_of(store: &Store, diff_id: &DiffId) -> Result<Vec<Item>> {
    let recipe = match read_recipe(store, diff_id) {
        Ok(recipe) => recipe,
        Err(Error::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut items = vec![Item::Recipe(*diff_id), Item::Tree(*diff_id)];
    items.extend(recipe.objects.iter().map(|id| Item::Object(*id.as_bytes())));
    let segments = recipe.segments.iter();
    items.extend(segments.map(|id| Item::Segment(*id.as_bytes())));
    Ok(items)
}
