//! Opening a relative path in which no component may be a symbolic link or `..`.
//!
//! One `openat2` call where the kernel (and its seccomp filter) allows it, else one `openat` a
//! component. Paths longer than `PATH_MAX` are opened piece by piece, so depth has no limit.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{self, Errno};

/// Bytes of path given to the kernel at a time; `PATH_MAX` is 4096 with the final NUL.
const PIECE: usize = 4000;

/// Set once the kernel has said that it has no `openat2`.
static MISSING: AtomicBool = AtomicBool::new(false);

/// `openat2`, or `None` where it cannot be used and the caller must go component by component.
pub(crate) fn try_openat2(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> Option<io::Result<OwnedFd>> {
    if MISSING.load(Ordering::Relaxed) {
        return None;
    }
    match openat2(root, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS) => {
            MISSING.store(true, Ordering::Relaxed);
            None
        }
        // A seccomp filter that predates openat2; or a real refusal, which then comes up again.
        Err(Errno::PERM) => None,
        result => Some(result),
    }
}

/// Opens the directory at `path` below `root`.
pub(crate) fn open_beneath(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
) -> io::Result<OwnedFd> {
    if path.is_empty() {
        return openat(root, c".", flags, Mode::empty());
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let mut at: Option<OwnedFd> = None;
    for piece in pieces(path) {
        let from = at.as_ref().map_or(root, |fd| fd.as_fd());
        let next = match try_openat2(from, piece, flags, resolve) {
            Some(result) => result?,
            None => open_by_component(from, piece, flags)?,
        };
        at = Some(next);
    }
    at.ok_or(Errno::INVAL)
}

/// The same, without `openat2`.
pub(crate) fn open_by_component(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
) -> io::Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    for name in path
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
    {
        if name == b".." {
            return Err(Errno::XDEV);
        }
        let from = at.as_ref().map_or(root, |fd| fd.as_fd());
        at = Some(openat(from, name, flags | OFlags::NOFOLLOW, Mode::empty())?);
    }
    at.ok_or(Errno::INVAL)
}

/// Cuts a path at slashes into pieces that the kernel accepts.
fn pieces(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = path;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if rest.len() <= PIECE {
            return Some(std::mem::take(&mut rest));
        }
        // No name is longer than 255 bytes; where one is, the kernel says so.
        let end = rest[..PIECE]
            .iter()
            .rposition(|&byte| byte == b'/')
            .unwrap_or(PIECE);
        let (piece, after) = rest.split_at(end.max(1));
        rest = after.strip_prefix(b"/").unwrap_or(after);
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_are_cut_at_slashes() {
        let path = vec![&b"0123456789"[..]; 1000].join(&b'/');
        let pieces: Vec<_> = pieces(&path).collect();
        assert!(pieces.len() > 2);
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
        assert_eq!(pieces.join(&b'/'), path);
    }
}
