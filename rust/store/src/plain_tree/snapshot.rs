//! What every path of a plain tree was before a step worked in it.
//!
//! A path is as it was when device, inode, size, mode and both times are, the last of which nobody
//! can set. Two changes within one tick of the clock look alike, so a snapshot is complete only
//! when the clock has moved on.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fastlayer_fs::filesystem::FileSystem;
use fastlayer_fs::{Directory, Kind, Metadata, Trail};
use rustix::time::{ClockId, clock_gettime};

use crate::error::{Error, Result, check_cancelled};
use crate::tree::join;

/// How long the clock is waited for at a time.
const PAUSE: Duration = Duration::from_millis(1);

/// Path by path, what was there.
#[derive(Debug)]
pub(crate) struct Snapshot {
    paths: HashMap<Vec<u8>, Metadata>,
    /// Whether the file system's times tell every change.
    trusted: bool,
}

impl Snapshot {
    /// Looks at everything below `root`, which nobody changes.
    pub(super) fn take(root: &Directory, cancel: &AtomicBool) -> Result<Self> {
        let found = FileSystem::of(root).map_err(|source| Error::io(root.path().display(), source));
        let known = !matches!(found?, FileSystem::Other(_));
        let mut paths = HashMap::new();
        let metadata = root.metadata()?;
        paths.insert(Vec::new(), metadata);
        let mut trail = Trail::new(root.open_descendant(b"")?);
        look(&mut trail, b"", &mut paths, cancel)?;
        // File systems with small inodes keep whole seconds.
        let fine = |seen: &Metadata| seen.ctime.nanoseconds != 0;
        let trusted = known && paths.values().any(fine);
        if trusted {
            wait_for_the_clock();
        }
        Ok(Self { paths, trusted })
    }

    /// Whether there was something at the path.
    pub(crate) fn has(&self, path: &[u8]) -> bool {
        self.paths.contains_key(path)
    }

    /// Whether what is at a path is what was there, and nothing of it changed.
    pub(crate) fn is_untouched(&self, path: &[u8], metadata: &Metadata) -> bool {
        self.trusted
            && self.paths.get(path).is_some_and(|seen| {
                metadata.is_unchanged_since(seen) && metadata.nlink == seen.nlink
            })
    }

    /// Whether a directory is another one than the directory that was there. Without a time of
    /// birth one that took the number of the old one counts as the same: its layer is right too.
    pub(crate) fn is_another(&self, path: &[u8], metadata: &Metadata) -> bool {
        self.paths.get(path).is_some_and(|seen| {
            seen.kind == Kind::Directory
                && (seen.dev, seen.ino, seen.birth) != (metadata.dev, metadata.ino, metadata.birth)
        })
    }
}

fn look(
    trail: &mut Trail,
    path: &[u8],
    paths: &mut HashMap<Vec<u8>, Metadata>,
    cancel: &AtomicBool,
) -> Result<()> {
    check_cancelled(cancel)?;
    for entry in trail.here().entries()?.iter() {
        let metadata = trail.here().stat_child(entry.name)?;
        let child_path = join(path, entry.name);
        if metadata.kind == Kind::Directory {
            trail.enter(entry.name)?;
            look(trail, &child_path, paths, cancel)?;
            trail.leave()?;
        }
        paths.insert(child_path, metadata);
    }
    Ok(())
}

/// Returns when what changes from now on bears another time than what changed before.
fn wait_for_the_clock() {
    let tick = || clock_gettime(ClockId::RealtimeCoarse);
    let before = tick();
    while tick() == before {
        std::thread::sleep(PAUSE);
    }
}
