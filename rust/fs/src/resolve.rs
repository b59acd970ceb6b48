//! Resolving a path in a root one component at a time: what `openat2(RESOLVE_IN_ROOT)` does.
//!
//! Every component is opened without following it (`O_PATH`), then looked at. The directories
//! passed stay open, so `..` goes back to the one we came from, wherever it has been moved.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, PROC_SUPER_MAGIC, fstatfs, openat, readlinkat};
use rustix::io::{self, Errno};

use crate::metadata::{Kind, Metadata};

/// Links followed on one path; the kernel's limit (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// Tries again when a component changed between the look and the opening.
const RACE_TRIES: usize = 32;

/// Opens `path` in `root` with `flags`.
pub(crate) fn open(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    for _ in 0..RACE_TRIES {
        match open_once(root, path, flags) {
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

fn open_once(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let mut passed: Vec<OwnedFd> = Vec::new();
    let mut left: VecDeque<Vec<u8>> = components(path);
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        // A trailing slash leaves an empty last component, which means: this is a directory.
        if name.is_empty() || name == b"." {
            continue;
        }
        if name == b".." {
            passed.pop();
            continue;
        }
        let at = passed.last().map_or(root, |fd| fd.as_fd());
        let node = openat(
            at,
            name.as_slice(),
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let found = Metadata::of(&node)?;
        let is_last = left.is_empty();
        match found.kind {
            Kind::Symlink if !is_last || !flags.contains(OFlags::NOFOLLOW) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                follow(&node, &mut passed, &mut left)?;
            }
            _ if is_last => return open_last(at, &name, &node, &found, flags),
            Kind::Directory => passed.push(node),
            _ => return Err(Errno::NOTDIR),
        }
    }
    let at = passed.last().map_or(root, |fd| fd.as_fd());
    openat(at, c".", flags, Mode::empty())
}

fn follow(
    link: &OwnedFd,
    passed: &mut Vec<OwnedFd>,
    left: &mut VecDeque<Vec<u8>>,
) -> io::Result<()> {
    if fstatfs(link)?.f_type == PROC_SUPER_MAGIC {
        return Err(Errno::LOOP);
    }
    let target = readlinkat(link, c"", Vec::new())?.into_bytes();
    if target.first() == Some(&b'/') {
        passed.clear();
    }
    for name in components(&target).into_iter().rev() {
        left.push_front(name);
    }
    Ok(())
}

fn open_last(
    at: BorrowedFd<'_>,
    name: &[u8],
    node: &OwnedFd,
    found: &Metadata,
    flags: OFlags,
) -> io::Result<OwnedFd> {
    let opened = match openat(at, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
        // It was no link when we looked, or the caller asked for no links at all.
        Err(Errno::LOOP) if found.kind != Kind::Symlink => return Err(Errno::AGAIN),
        result => result?,
    };
    let now = Metadata::of(&opened)?;
    let was = Metadata::of(node)?;
    if (now.dev, now.ino) != (was.dev, was.ino) {
        return Err(Errno::AGAIN);
    }
    Ok(opened)
}

/// The components of a path. A trailing slash gives an empty one at the end, as does `.`: either
/// says that what comes before is a directory and is followed.
fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    let mut names: VecDeque<Vec<u8>> = path
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    if path.last() == Some(&b'/') {
        names.push_back(Vec::new());
    }
    names
}
