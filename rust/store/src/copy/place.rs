//! Where the matches of a COPY go: a plan of entries over the tree that is copied onto.
//!
//! Links in the destination are resolved inside that tree. Directories on the way that exist are
//! entries with the attributes they have, as in Docker's layers; missing ones are made 0755 with
//! the owner and mode that the operation gives. Later matches win over earlier ones.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use fastlayer_tar::Timestamp;

use super::item::{Item, Match};
use super::mode::ModeChange;
use super::select::shown;
use crate::error::{Error, Result};
use crate::index::Kind;
use crate::tree::{Node, TreeView, components, join};

/// A path in the order of layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathKey(pub(super) Vec<u8>);

impl Ord for PathKey {
    fn cmp(&self, other: &Self) -> Ordering {
        fastlayer_tar::path::compare(&self.0, &other.0)
    }
}

impl PartialOrd for PathKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// An entry of the layer to be.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) item: Item,
    /// All names of one file share it.
    pub(super) group: Option<(usize, u64, u64)>,
    /// No entry is written for it: whatever the layers below have is right.
    pub(super) implicit: bool,
}

/// Places matches over a base tree.
pub(super) struct Placement<'a> {
    base: &'a TreeView,
    plan: BTreeMap<PathKey, Planned>,
    owner: Option<(u32, u32)>,
    mode: Option<&'a ModeChange>,
    /// `--link`: the result does not depend on the base.
    link: bool,
    /// Time of the directories that are made.
    made_at: Timestamp,
    /// The directory that was planned last, or was found to be: entries come directory by
    /// directory.
    last: Option<LastDirectory>,
}

struct LastDirectory {
    path: Vec<u8>,
    /// Whether the base has something there; else it has nothing below it either.
    in_base: bool,
}

impl<'a> Placement<'a> {
    pub(super) fn new(
        base: &'a TreeView,
        owner: Option<(u32, u32)>,
        mode: Option<&'a ModeChange>,
        link: bool,
        made_at: Timestamp,
    ) -> Self {
        Self {
            base,
            plan: BTreeMap::new(),
            owner,
            mode,
            link,
            made_at,
            last: None,
        }
    }

    /// The plan in the order of paths.
    pub(super) fn finish(self) -> BTreeMap<PathKey, Planned> {
        self.plan
    }

    /// Whether the destination is a directory already.
    pub(super) fn is_directory(&self, destination: &[u8]) -> Result<bool> {
        let path = self.resolve(destination)?;
        Ok(self.kind_at(&path)? == Some(Kind::Directory))
    }

    /// Plans the directory at `path` and those above it; false where it exists.
    pub(super) fn make_directory(&mut self, path: &[u8]) -> Result<bool> {
        let path = self.resolve(path)?;
        if self.kind_at(&path)? == Some(Kind::Directory) {
            return Ok(false);
        }
        self.ensure_directory(&path, true)?;
        Ok(true)
    }

    /// Places one match at `destination`; a slash at its end says that it is a directory.
    pub(super) fn place(&mut self, found: Match, destination: &[u8]) -> Result<()> {
        let target = self.resolve(destination)?;
        let kind = self.kind_at(&target)?;
        let is_directory = found.is_directory();
        let below = !found.parents.is_empty()
            || !is_directory && (destination.ends_with(b"/") || kind == Some(Kind::Directory));
        if is_directory && !below && kind.is_some_and(|kind| kind != Kind::Directory) {
            return Err(Error::conflict(
                shown(&target),
                "a directory cannot be copied over something that is none",
            ));
        }
        if below || is_directory {
            self.ensure_directory(&target, true)?;
        } else {
            self.ensure_parents(&target)?;
        }
        let top = match found.parents.last() {
            Some(last) => join(&target, &last.relative),
            None if below => join(&target, &found.name),
            None => target.clone(),
        };
        let directories = found.parents.len().saturating_sub(1);
        for item in &found.parents[..directories] {
            let path = join(&target, &item.relative);
            self.put(path, item.clone(), found.source, false)?;
        }
        let keeps_top = is_directory && found.parents.is_empty();
        for item in found.items {
            if item.relative.is_empty() {
                if !keeps_top {
                    self.put(top.clone(), item, found.source, found.replaces)?;
                }
                continue;
            }
            let path = join(&top, &item.relative);
            self.put(path, item, found.source, found.replaces)?;
        }
        Ok(())
    }

    fn put(&mut self, path: Vec<u8>, mut item: Item, source: usize, replaces: bool) -> Result<()> {
        let path = if replaces {
            self.through_links(&path)?
        } else {
            path
        };
        let existing = self.kind_at(&path)?;
        if !replaces && let Some(kind) = existing {
            let detail = match (item.is_directory(), kind == Kind::Directory) {
                (true, false) => "a directory cannot be copied over something that is none",
                (false, true) => "a file cannot be copied over a directory",
                _ => "",
            };
            if !detail.is_empty() {
                return Err(Error::conflict(shown(&path), detail));
            }
        }
        self.ensure_parents(&path)?;
        if existing == Some(Kind::Directory) && !item.is_directory() {
            self.forget_below(&path);
        }
        self.adjust(&mut item);
        let group = item.inode.map(|(device, inode)| (source, device, inode));
        self.plan.insert(
            PathKey(path),
            Planned {
                item,
                group,
                implicit: false,
            },
        );
        Ok(())
    }

    /// Gives an item the owner and mode of the operation.
    fn adjust(&self, item: &mut Item) {
        if let Some((uid, gid)) = self.owner {
            (item.uid, item.gid) = (uid, gid);
        }
        if let Some(mode) = self.mode
            && item.kind != Kind::Symlink
        {
            item.mode = mode.apply(item.mode, item.is_directory());
        }
    }

    fn forget_below(&mut self, path: &[u8]) {
        let below: Vec<PathKey> = self
            .plan
            .range(PathKey(path.to_vec())..)
            .map(|(key, _)| key)
            .skip_while(|key| key.0 == path)
            .take_while(|key| key.0.starts_with(path) && key.0.get(path.len()) == Some(&b'/'))
            .cloned()
            .collect();
        for key in below {
            self.plan.remove(&key);
        }
        self.last = None;
    }

    fn ensure_parents(&mut self, path: &[u8]) -> Result<()> {
        match fastlayer_tar::path::split(path) {
            Some((parent, _)) if !parent.is_empty() && !self.is_last(parent) => {
                self.ensure_directory(parent, false)?;
                let in_base = self.base_node(parent)?.is_some();
                let path = parent.to_vec();
                self.last = Some(LastDirectory { path, in_base });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn is_last(&self, directory: &[u8]) -> bool {
        self.last
            .as_ref()
            .is_some_and(|last| last.path == directory)
    }

    /// Plans the directory and those above it; one that exists keeps what it has.
    fn ensure_directory(&mut self, path: &[u8], is_destination: bool) -> Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        if let Some(planned) = self.plan.get(&PathKey(path.to_vec())) {
            if planned.item.is_directory() {
                return Ok(());
            }
            return Err(Error::conflict(shown(path), "is not a directory"));
        }
        self.ensure_parents(path)?;
        let (item, implicit) = match self.base_node(path)? {
            Some(node) if node.kind() == Kind::Directory => (directory_item(&node)?, false),
            Some(_) => return Err(Error::conflict(shown(path), "is not a directory")),
            None => {
                let mut item = Item::new(Kind::Directory, 0o755);
                item.mtime = self.made_at;
                self.adjust(&mut item);
                let owned = self.owner.is_some() || self.mode.is_some();
                (item, self.link && !(is_destination && owned))
            }
        };
        self.plan.insert(
            PathKey(path.to_vec()),
            Planned {
                item,
                group: None,
                implicit,
            },
        );
        Ok(())
    }

    /// The destination without links, where links count.
    fn resolve(&self, destination: &[u8]) -> Result<Vec<u8>> {
        if !self.link {
            return Ok(self.base.resolve(destination, true)?.path);
        }
        let mut path: Vec<&[u8]> = Vec::new();
        for name in components(destination) {
            match name {
                b".." => drop(path.pop()),
                name => path.push(name),
            }
        }
        Ok(path.join(&b'/'))
    }

    /// As an archive is unpacked: links on the way to a path are followed, the path itself is not.
    fn through_links(&self, path: &[u8]) -> Result<Vec<u8>> {
        let planned_parent = fastlayer_tar::path::split(path).is_some_and(|(parent, _)| {
            self.plan
                .get(&PathKey(parent.to_vec()))
                .is_some_and(|known| known.item.is_directory())
        });
        if planned_parent || self.link {
            return Ok(path.to_vec());
        }
        Ok(self.base.resolve(path, false)?.path)
    }

    /// What is at a path without links: what is planned, else what the base has.
    fn kind_at(&self, path: &[u8]) -> Result<Option<Kind>> {
        if path.is_empty() {
            return Ok(Some(Kind::Directory));
        }
        if let Some(planned) = self.plan.get(&PathKey(path.to_vec())) {
            return Ok(Some(planned.item.kind));
        }
        Ok(self.base_node(path)?.map(|node| node.kind()))
    }

    fn base_node(&self, path: &[u8]) -> Result<Option<Node<'a>>> {
        let parent = fastlayer_tar::path::split(path).map_or(&b""[..], |(parent, _)| parent);
        let last = self.last.as_ref().filter(|last| last.path == parent);
        if self.link || last.is_some_and(|last| !last.in_base) {
            Ok(None)
        } else {
            self.base.get(path)
        }
    }
}

/// The item of a directory that the base has, with what it has.
pub(super) fn directory_item(node: &Node<'_>) -> Result<Item> {
    let mut item = Item::new(Kind::Directory, node.mode());
    (item.uid, item.gid, item.mtime) = (node.uid(), node.gid(), node.mtime());
    item.xattrs = node.xattrs()?;
    Ok(item)
}
