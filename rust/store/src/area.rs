//! A set of places for objects, segments, recipes and trees; a store has two of them.
//!
//! Objects and segments lie in 256 directories named by the first byte of their id. These are made
//! when first needed and never removed, so their handles can be kept: as many as the process's limit
//! of descriptors leaves room for.

use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicIsize, Ordering};

use fastlayer_fs::{Directory, Metadata};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::error::{Error, Result};

const PRIVATE: u32 = 0o700;

/// The part of the descriptors that handles of directories may take.
const SHARE: u64 = 4;

/// How many handles may still be kept, in all stores of the process.
fn room() -> &'static AtomicIsize {
    static ROOM: OnceLock<AtomicIsize> = OnceLock::new();
    ROOM.get_or_init(|| {
        let limit = getrlimit(Resource::Nofile).current;
        let kept = limit.map_or(isize::MAX, |limit| {
            isize::try_from(limit / SHARE).unwrap_or(isize::MAX)
        });
        AtomicIsize::new(kept)
    })
}

/// One root below which contents and recipes lie.
#[derive(Debug)]
pub(crate) struct Area {
    pub(crate) objects: Fanout,
    pub(crate) segments: Fanout,
    pub(crate) recipes: Directory,
    pub(crate) trees: Directory,
    /// What is on its way out of here.
    pub(crate) trash: Directory,
}

impl Area {
    pub(crate) fn open(root: &Directory) -> Result<Self> {
        Ok(Self {
            objects: Fanout::open(root, b"objects")?,
            segments: Fanout::open(root, b"segments")?,
            recipes: root.ensure_child(b"recipes", PRIVATE)?,
            trees: root.ensure_child(b"trees", PRIVATE)?,
            trash: root.ensure_child(b"trash", PRIVATE)?,
        })
    }
}

/// Files by their id, in directories by its first byte.
#[derive(Debug)]
pub(crate) struct Fanout {
    directory: Directory,
    children: Box<[OnceLock<Directory>]>,
}

/// An open directory of a [`Fanout`].
#[derive(Debug)]
pub(crate) enum Shard<'a> {
    /// It stays open.
    Kept(&'a Directory),
    /// There is no room to keep it.
    Own(Directory),
}

impl Deref for Shard<'_> {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        match self {
            Self::Kept(directory) => directory,
            Self::Own(directory) => directory,
        }
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        let kept = self.children.iter().filter(|slot| slot.get().is_some());
        let kept = isize::try_from(kept.count()).unwrap_or(0);
        room().fetch_add(kept, Ordering::Relaxed);
    }
}

impl Fanout {
    pub(crate) fn open(root: &Directory, name: &[u8]) -> Result<Self> {
        Ok(Self {
            directory: root.ensure_child(name, PRIVATE)?,
            children: (0..256).map(|_| OnceLock::new()).collect(),
        })
    }

    /// The directory in which the files whose ids begin with `first` lie, if there is one.
    pub(crate) fn existing(&self, first: u8) -> Result<Option<Shard<'_>>> {
        if let Some(directory) = self.children[usize::from(first)].get() {
            return Ok(Some(Shard::Kept(directory)));
        }
        match self.directory.open_child(&shard_name(first)) {
            Ok(directory) => Ok(Some(self.keep(first, directory))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The directory for files whose ids begin with `first`, made where it is missing.
    pub(crate) fn ensured(&self, first: u8) -> Result<Shard<'_>> {
        if let Some(directory) = self.existing(first)? {
            return Ok(directory);
        }
        let directory = self.directory.ensure_child(&shard_name(first), PRIVATE)?;
        Ok(self.keep(first, directory))
    }

    fn keep(&self, first: u8, directory: Directory) -> Shard<'_> {
        if room().fetch_sub(1, Ordering::Relaxed) <= 0 {
            room().fetch_add(1, Ordering::Relaxed);
            return Shard::Own(directory);
        }
        let mut is_first = false;
        let kept = self.children[usize::from(first)].get_or_init(|| {
            is_first = true;
            directory
        });
        if !is_first {
            room().fetch_add(1, Ordering::Relaxed);
        }
        Shard::Kept(kept)
    }

    /// Metadata of the file of `id`, if it is here.
    pub(crate) fn find(&self, id: &[u8; 32]) -> Result<Option<Metadata>> {
        // One call by the whole path, since most looks are for what is not there, and the shard
        // may not be there either. Nobody but us can put links into a store.
        let path = path_of(id);
        match Metadata::of_child(&self.directory, &path) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => {
                let path = self
                    .directory
                    .path()
                    .join(String::from_utf8_lossy(&path).as_ref());
                Err(Error::io(format!("cannot stat {}", path.display()), errno))
            }
        }
    }

    /// The open file of `id`, if it is here.
    pub(crate) fn open_file(&self, id: &[u8; 32]) -> Result<Option<std::fs::File>> {
        let Some(directory) = self.existing(id[0])? else {
            return Ok(None);
        };
        match directory.open_file(&file_name(id)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All ids that have a file here, in order. What is no id is left out.
    pub(crate) fn ids(&self) -> Result<Vec<[u8; 32]>> {
        let mut ids = Vec::new();
        // Most directories of what is not synced yet do not exist: one look tells.
        let shards = self.directory.entries()?;
        let mut shards: Vec<u8> = shards
            .iter()
            .filter_map(|entry| parse_shard(entry.name))
            .collect();
        shards.sort_unstable();
        for first in shards {
            let Some(directory) = self.existing(first)? else {
                continue;
            };
            let entries = directory.entries()?;
            ids.extend(entries.iter().filter_map(|entry| parse(first, entry.name)));
        }
        Ok(ids)
    }

    /// The names here that are neither ids nor unfinished files, as paths to show.
    pub(crate) fn strangers(&self) -> Result<Vec<String>> {
        let mut strangers = Vec::new();
        for entry in self.directory.entries()?.iter() {
            let Some(first) = parse_shard(entry.name) else {
                strangers.push(self.directory.path_to(entry.name).display().to_string());
                continue;
            };
            let Some(directory) = self.existing(first)? else {
                continue;
            };
            for entry in directory.entries()?.iter() {
                let unfinished = fastlayer_fs::publish::TEMPORARY_PREFIX.as_bytes();
                if parse(first, entry.name).is_none() && !entry.name.starts_with(unfinished) {
                    strangers.push(directory.path_to(entry.name).display().to_string());
                }
            }
        }
        Ok(strangers)
    }

    /// Moves the file of `id` to the same place in `into`; where that is taken, it is removed.
    pub(crate) fn move_to(&self, into: &Self, id: &[u8; 32]) -> Result<()> {
        let Some(from) = self.existing(id[0])? else {
            return Ok(());
        };
        let name = file_name(id);
        match from.rename_noreplace(&name, &*into.ensured(id[0])?, &name) {
            Ok(()) => Ok(()),
            Err(error) if error.is_exists() => remove(&from, &name),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Removes `name`; nothing there is no error.
pub(crate) fn remove(directory: &Directory, name: &[u8]) -> Result<()> {
    match directory.unlink(name) {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// The path of the file of `id` below the directory of all.
pub(crate) fn path_of(id: &[u8; 32]) -> [u8; 65] {
    let mut path = [0; 65];
    path[..2].copy_from_slice(&shard_name(id[0]));
    path[2] = b'/';
    path[3..].copy_from_slice(&file_name(id));
    path
}

/// The name of the file of `id` inside its directory: all digits after the first two.
pub(crate) fn file_name(id: &[u8; 32]) -> [u8; 62] {
    let mut name = [0; 62];
    for (pair, byte) in name.chunks_exact_mut(2).zip(&id[1..]) {
        pair[0] = digit(byte >> 4);
        pair[1] = digit(byte & 15);
    }
    name
}

fn shard_name(first: u8) -> [u8; 2] {
    [digit(first >> 4), digit(first & 15)]
}

fn digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' + value - 10,
    }
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn parse_shard(name: &[u8]) -> Option<u8> {
    match name {
        [high, low] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    }
}

/// The id of the file `name` in the directory of ids that begin with `first`.
pub(crate) fn parse(first: u8, name: &[u8]) -> Option<[u8; 32]> {
    if name.len() != 62 {
        return None;
    }
    let mut id = [first; 32];
    for (byte, pair) in id[1..].iter_mut().zip(name.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(id)
}

impl From<fastlayer_fs::Error> for Error {
    fn from(error: fastlayer_fs::Error) -> Self {
        if error.errno() == Some(rustix::io::Errno::INTR) {
            return Self::Interrupted;
        }
        let (operation, path, source) = error.into_parts();
        Self::io(format!("cannot {operation} {}", path.display()), source)
    }
}
