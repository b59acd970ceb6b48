//! Listing a context in parallel, one directory a job, left-out directories not opened.
//!
//! Each job lists one directory into a slot of its own; the slots are put together in the order
//! of path components at the end, so the result does not depend on who came first. Directories
//! are opened below the one above them, which is kept open while they wait; deep down, where that
//! would take too many descriptors, by their whole path below the root, in which no link is
//! followed. So depth has no limit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastlayer_fs::filesystem::FileSystem;
use fastlayer_fs::{Directory, EntryList, EntryName, Kind, Metadata, RootDir, xattr};
use rustix::io::Errno;

use crate::entry::{Entry, join_path, split_path};
use crate::error::{Error, Result};
use crate::hashing::{in_threads, keep_first};
use crate::ignore::{IgnoreMatcher, MatchState};
use crate::queue::WorkQueue;
use crate::stat_cache::StatCache;

/// Attributes that describe this machine, not the file.
const LOCAL_XATTRS: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"security.evm"];

/// Attributes that only the kernel of this machine understands.
const LOCAL_XATTR_PREFIX: &[u8] = b"trusted.";

/// Directories down to this depth are kept open while others below them wait. A thread works
/// depth first, so it keeps one open for each level at most.
const KEPT_OPEN: usize = 24;

/// What a walk leaves out, and how it looks at what is left.
pub(crate) struct Walker<'a> {
    pub(crate) root: &'a RootDir,
    pub(crate) ignore: &'a IgnoreMatcher,
    /// More to leave out, by paths relative to where the walk starts.
    pub(crate) exclude: Option<&'a IgnoreMatcher>,
    /// If given, only what matches, by paths relative to where the walk starts.
    pub(crate) include: Option<&'a IgnoreMatcher>,
    /// Length of the start's path with its slash.
    pub(crate) start_length: usize,
    pub(crate) cache: &'a StatCache,
    pub(crate) trust: &'a Trust,
    pub(crate) cancel: &'a AtomicBool,
}

/// The state of the three matchers in one directory.
#[derive(Clone, Default)]
pub(crate) struct FilterState {
    pub(crate) ignore: MatchState,
    pub(crate) exclude: MatchState,
    pub(crate) include: MatchState,
}

/// What the three matchers say of one path.
struct Verdict {
    ignored: bool,
    excluded: bool,
    included: bool,
}

impl Verdict {
    fn leaves_out(&self) -> bool {
        self.ignored || self.excluded || !self.included
    }
}

struct Job {
    path: Vec<u8>,
    /// The directory above it, if that is kept open, and how deep it is.
    parent: Option<Arc<Directory>>,
    depth: usize,
    /// The device that its parent's listing found it on.
    dev: u64,
    state: FilterState,
    /// The directory itself is left out: being refused to read it is no error.
    left_out: bool,
    slot: usize,
}

struct Found {
    entry: Entry,
    left_out: bool,
    slot: Option<usize>,
}

impl Walker<'_> {
    /// All entries below the directory `start`, sorted by components; `state` is what the
    /// matchers know of it.
    pub(crate) fn walk(
        &self,
        start: &Entry,
        state: FilterState,
        left_out: bool,
        threads: usize,
    ) -> Result<Vec<Entry>> {
        let first = Job {
            path: start.path.clone(),
            parent: None,
            depth: 0,
            dev: start.metadata.dev,
            state,
            left_out,
            slot: 0,
        };
        let queue = WorkQueue::new(first, threads);
        let slots = AtomicUsize::new(1);
        let failure = Mutex::new(None);
        let listed = in_threads(threads, &|| self.work(&queue, &slots, &failure));
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut in_slots = Vec::new();
        in_slots.resize_with(slots.into_inner(), Vec::new);
        for (slot, found) in listed.into_iter().flatten() {
            in_slots[slot] = found;
        }
        Ok(assemble(in_slots))
    }

    /// Lists directories until none is left; gives what was found, with the slots it is for.
    fn work(
        &self,
        queue: &WorkQueue<Job>,
        slots: &AtomicUsize,
        failure: &Mutex<Option<Error>>,
    ) -> Vec<(usize, Vec<Found>)> {
        let (mut own, mut listed) = (Vec::new(), Vec::new());
        while let Some(job) = own.pop().or_else(|| queue.take()) {
            if self.cancel.load(Ordering::Relaxed) {
                keep_first(failure, Error::Interrupted);
            }
            if lock(failure).is_some() {
                own.clear();
                continue;
            }
            match self.list(&job, slots) {
                Ok((found, jobs)) => {
                    listed.push((job.slot, found));
                    // The last is taken first: keep the order of names, which is that on disk
                    // as often as not.
                    own.extend(jobs.into_iter().rev());
                    queue.share(&mut own);
                }
                Err(error) => keep_first(failure, error),
            }
        }
        listed
    }

    /// The entries of one directory, and a job with a slot of its own for each directory among
    /// them.
    fn list(&self, job: &Job, slots: &AtomicUsize) -> Result<(Vec<Found>, Vec<Job>)> {
        let opened = match &job.parent {
            Some(parent) => parent.open_child(split_path(&job.path).1),
            None => self.root.directory().open_descendant(&job.path),
        };
        let directory = match opened {
            Err(error) if job.left_out && error.errno() == Some(Errno::ACCESS) => {
                return Ok((Vec::new(), Vec::new()));
            }
            // Removed or replaced since its parent was listed.
            Err(error) if is_gone(&error) && job.slot != 0 => {
                return Ok((Vec::new(), Vec::new()));
            }
            result => Arc::new(result?),
        };
        let names = EntryList::read(&*directory)
            .map_err(|errno| fastlayer_fs::Error::new("list", directory.path(), errno))?;
        let trusted = self.trust.of(job.dev, || FileSystem::of(&*directory));
        let (mut found, mut jobs) = (Vec::with_capacity(names.len()), Vec::new());
        let mut state = FilterState::default();
        for name in names.iter() {
            let Some(mut one) = self.look(job, &directory, trusted, &name, &mut state)? else {
                continue;
            };
            if one.entry.metadata.kind == Kind::Directory {
                let slot = slots.fetch_add(1, Ordering::Relaxed);
                one.slot = Some(slot);
                jobs.push(Job {
                    path: one.entry.path.clone(),
                    parent: (job.depth < KEPT_OPEN).then(|| Arc::clone(&directory)),
                    depth: job.depth + 1,
                    dev: one.entry.metadata.dev,
                    state: state.clone(),
                    left_out: one.left_out,
                    slot,
                });
            }
            found.push(one);
        }
        Ok((found, jobs))
    }

    /// One name of a directory, unless it is left out and nothing below it can be put back.
    fn look(
        &self,
        job: &Job,
        directory: &Directory,
        trusted: bool,
        name: &EntryName<'_>,
        state: &mut FilterState,
    ) -> Result<Option<Found>> {
        if name.kind == Some(Kind::Socket) {
            return Ok(None);
        }
        let path = join_path(&job.path, name.name);
        let verdict = self.evaluate(&path, &job.state, state);
        let left_out = verdict.leaves_out();
        let may_be_directory = matches!(name.kind, None | Some(Kind::Directory));
        if left_out && !(may_be_directory && self.could_keep_below(&path, &verdict)) {
            return Ok(None);
        }
        // Gone since the names were read: as if it had never been.
        let Some(metadata) = directory.find_child(name.name)? else {
            return Ok(None);
        };
        let is_directory = metadata.kind == Kind::Directory;
        if metadata.kind == Kind::Socket || (left_out && !is_directory) {
            return Ok(None);
        }
        let trusted = if metadata.dev == job.dev {
            trusted
        } else {
            let open = || directory.open_path(name.name).map_err(into_io);
            self.trust.of(metadata.dev, || FileSystem::of(open()?))
        };
        Ok(Some(Found {
            entry: self.entry(directory, trusted, path, name.name, metadata)?,
            left_out,
            slot: None,
        }))
    }

    /// What the three matchers say of `path`; puts into `own` what they know for below it.
    fn evaluate(&self, path: &[u8], above: &FilterState, own: &mut FilterState) -> Verdict {
        let below_start = path.get(self.start_length..).unwrap_or_default();
        Verdict {
            ignored: !self.ignore.is_empty()
                && self.ignore.evaluate(path, &above.ignore, &mut own.ignore),
            excluded: self.exclude.is_some_and(|matcher| {
                matcher.evaluate(below_start, &above.exclude, &mut own.exclude)
            }),
            included: self.include.is_none_or(|matcher| {
                matcher.evaluate(below_start, &above.include, &mut own.include)
            }),
        }
    }

    /// True when something below a directory that is left out may not be.
    fn could_keep_below(&self, path: &[u8], verdict: &Verdict) -> bool {
        let below_start = path.get(self.start_length..).unwrap_or_default();
        let put_back = |matcher: &IgnoreMatcher| matcher.could_put_back_below(below_start);
        let matched = |matcher: &IgnoreMatcher| matcher.could_match_below(below_start);
        (!verdict.ignored || self.ignore.could_put_back_below(path))
            && (!verdict.excluded || self.exclude.is_none_or(put_back))
            && (verdict.included || self.include.is_none_or(matched))
    }

    fn entry(
        &self,
        directory: &Directory,
        trusted: bool,
        path: Vec<u8>,
        name: &[u8],
        metadata: Metadata,
    ) -> Result<Entry> {
        let known = if trusted {
            self.cache.lookup(&metadata)
        } else {
            None
        };
        let link = match metadata.kind {
            Kind::Symlink => directory.read_link(name)?,
            _ => Vec::new(),
        };
        let xattrs = match known {
            Some(known) if !known.has_xattrs => xattr::Attributes::new(),
            _ => portable_xattrs(directory, name)?,
        };
        Ok(Entry {
            path,
            metadata,
            link,
            xattrs,
            content: known.and_then(|known| known.content),
            is_cached: known.is_some() || !trusted,
        })
    }
}

/// The extended attributes of `name` that mean something on another machine.
pub(crate) fn portable_xattrs(directory: &Directory, name: &[u8]) -> Result<xattr::Attributes> {
    match directory.xattrs(name) {
        Ok(mut xattrs) => {
            xattrs.retain(|name, _| {
                !LOCAL_XATTRS.contains(&name.as_slice()) && !name.starts_with(LOCAL_XATTR_PREFIX)
            });
            Ok(xattrs)
        }
        // Gone since it was looked at; whoever reads it will say so.
        Err(error) if error.is_not_found() => Ok(xattr::Attributes::new()),
        Err(error) => Err(error.into()),
    }
}

/// Which file systems keep times well enough to be believed: by device number.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    devices: Mutex<HashMap<u64, bool>>,
}

impl Trust {
    /// Whether the times of files on the device are believed; `look` finds out what it is.
    pub(crate) fn of(&self, dev: u64, look: impl FnOnce() -> std::io::Result<FileSystem>) -> bool {
        let mut devices = lock(&self.devices);
        *devices.entry(dev).or_insert_with(|| {
            // Overlay shows the times of what it lies on; where that is a network file system,
            // its mount options are the user's.
            matches!(
                look(),
                Ok(FileSystem::Ext
                    | FileSystem::Xfs
                    | FileSystem::Btrfs
                    | FileSystem::Tmpfs
                    | FileSystem::Overlay)
            )
        })
    }
}

/// Puts the slots together: each directory is followed by what is below it. A directory that is
/// left out stays only where something below it does not.
fn assemble(mut slots: Vec<Vec<Found>>) -> Vec<Entry> {
    let total = slots.iter().map(Vec::len).sum();
    let mut entries: Vec<Entry> = Vec::with_capacity(total);
    let mut open = vec![(std::mem::take(&mut slots[0]).into_iter(), None)];
    while let Some((level, only_as_parent)) = open.last_mut() {
        let Some(found) = level.next() else {
            let only_as_parent = only_as_parent.take();
            open.pop();
            if only_as_parent.is_some_and(|index: usize| index + 1 == entries.len()) {
                entries.pop();
            }
            continue;
        };
        let index = entries.len();
        entries.push(found.entry);
        if let Some(slot) = found.slot {
            let below = std::mem::take(&mut slots[slot]).into_iter();
            open.push((below, found.left_out.then_some(index)));
        }
    }
    entries
}

fn is_gone(error: &fastlayer_fs::Error) -> bool {
    matches!(
        error.errno(),
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
    )
}

fn into_io(error: fastlayer_fs::Error) -> std::io::Error {
    error.into_parts().2
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
