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

/// Where a path led: the directories passed, with the names they have in the one before, and the
/// last component unless that is one of them.
struct Resolved {
    passed: Vec<(Vec<u8>, OwnedFd)>,
    last: Option<(Vec<u8>, OwnedFd, Metadata)>,
}

impl Resolved {
    fn at<'a>(&'a self, root: BorrowedFd<'a>) -> BorrowedFd<'a> {
        self.passed.last().map_or(root, |(_, fd)| fd.as_fd())
    }
}

/// The path of the same file, relative to the root, without links or dots. With `follow` false, a
/// link as the last component stays.
pub(crate) fn real_path(root: BorrowedFd<'_>, path: &[u8], follow: bool) -> io::Result<Vec<u8>> {
    let resolved = resolve(root, path, follow)?;
    let last = resolved.last.into_iter().map(|(name, ..)| name);
    let names = resolved.passed.into_iter().map(|(name, _)| name);
    Ok(names.chain(last).collect::<Vec<_>>().join(&b'/'))
}

fn open_once(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let resolved = resolve(root, path, !flags.contains(OFlags::NOFOLLOW))?;
    let at = resolved.at(root);
    match &resolved.last {
        Some((name, node, found)) => open_last(at, name, node, found, flags),
        None => openat(at, c".", flags, Mode::empty()),
    }
}

fn resolve(root: BorrowedFd<'_>, path: &[u8], follow_last: bool) -> io::Result<Resolved> {
    let mut resolved = Resolved {
        passed: Vec::new(),
        last: None,
    };
    let mut left: VecDeque<Vec<u8>> = components(path);
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        // A trailing slash leaves an empty last component, which means: this is a directory.
        if name.is_empty() || name == b"." {
            continue;
        }
        if name == b".." {
            resolved.passed.pop();
            continue;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node = openat(resolved.at(root), name.as_slice(), flags, Mode::empty())?;
        let found = Metadata::of(&node)?;
        let is_last = left.is_empty();
        match found.kind {
            Kind::Symlink if !is_last || follow_last => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                follow(&node, &mut resolved.passed, &mut left)?;
            }
            _ if is_last => resolved.last = Some((name, node, found)),
            Kind::Directory => resolved.passed.push((name, node)),
            _ => return Err(Errno::NOTDIR),
        }
    }
    Ok(resolved)
}

fn follow(
    link: &OwnedFd,
    passed: &mut Vec<(Vec<u8>, OwnedFd)>,
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
