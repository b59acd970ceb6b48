//! The directories on the way to a place in a tree, of which only the nearest stay open.
//!
//! A walk that holds a descriptor for every level runs out of them in a deep tree. Outer directories
//! are closed on the way down and opened again by `..` on the way up, where they must be the same
//! directories still: a tree that is moved meanwhile leads nowhere else.

use std::collections::VecDeque;

use rustix::fs::{Mode, openat};
use rustix::io::Errno;

use crate::directory::{DIRECTORY_FLAGS, Directory};
use crate::error::{Error, Result};

/// Directories that stay open besides the innermost.
const OPEN: usize = 32;

/// A directory, and those on the way to it.
#[derive(Debug)]
pub struct Trail {
    here: Directory,
    /// The nearest ones above, the outermost first.
    above: VecDeque<Directory>,
    /// Device and inode of those further above, the outermost first.
    closed: Vec<(u64, u64)>,
}

impl Trail {
    /// A trail that begins at `root`.
    pub fn new(root: Directory) -> Self {
        Self {
            here: root,
            above: VecDeque::new(),
            closed: Vec::new(),
        }
    }

    /// The innermost directory.
    pub fn here(&self) -> &Directory {
        &self.here
    }

    /// The number of directories above the innermost.
    pub fn depth(&self) -> usize {
        self.closed.len() + self.above.len()
    }

    /// Goes into the directory `name`; a symbolic link is an error.
    pub fn enter(&mut self, name: &[u8]) -> Result<()> {
        let inner = self.here.open_child(name)?;
        self.descend(inner)
    }

    /// Goes into `inner`, which is open already and lies in the innermost directory.
    pub fn descend(&mut self, inner: Directory) -> Result<()> {
        if self.above.len() >= OPEN
            && let Some(outermost) = self.above.pop_front()
        {
            let found = outermost.metadata()?;
            self.closed.push((found.dev, found.ino));
        }
        let outer = std::mem::replace(&mut self.here, inner);
        self.above.push_back(outer);
        Ok(())
    }

    /// Goes one directory up; gives the one that was left. There must be one above.
    pub fn leave(&mut self) -> Result<Directory> {
        let outer = match (self.above.pop_back(), self.closed.pop()) {
            (Some(open), closed) => {
                self.closed.extend(closed);
                open
            }
            (None, Some(identity)) => reopen(&self.here, identity)?,
            (None, None) => {
                return Err(Error::new("leave", self.here.path(), Errno::INVAL));
            }
        };
        Ok(std::mem::replace(&mut self.here, outer))
    }
}

fn reopen(inner: &Directory, identity: (u64, u64)) -> Result<Directory> {
    let path = inner.path().parent().unwrap_or(inner.path());
    let fd = openat(inner, c"..", DIRECTORY_FLAGS, Mode::empty())
        .map_err(|errno| Error::new("open directory", path, errno))?;
    let outer = Directory::from_fd(fd, path);
    let found = outer.metadata()?;
    if (found.dev, found.ino) != identity {
        return Err(Error::new("find again", path, Errno::STALE));
    }
    Ok(outer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTH: usize = 200;

    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn a_deep_trail_holds_few_descriptors() {
        let top = tempfile::tempdir().unwrap();
        let mut trail = Trail::new(Directory::open(top.path()).unwrap());
        let mut inodes = Vec::new();
        let before = descriptors();
        for _ in 0..DEPTH {
            inodes.push(trail.here().metadata().unwrap().ino);
            trail.here().mkdir_at(b"d", 0o755).unwrap();
            trail.enter(b"d").unwrap();
        }
        assert_eq!(trail.depth(), DEPTH);
        // Other tests of this process open some too.
        assert!(descriptors() < before + DEPTH / 2);
        for ino in inodes.into_iter().rev() {
            trail.leave().unwrap();
            assert_eq!(trail.here().metadata().unwrap().ino, ino);
            assert!(trail.here().path_to(b"d").is_dir());
        }
        assert_eq!(trail.depth(), 0);
        assert!(trail.leave().is_err());
    }

    #[test]
    fn a_directory_that_was_moved_leads_nowhere_else() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join("elsewhere")).unwrap();
        let mut trail = Trail::new(Directory::open(top.path()).unwrap());
        for _ in 0..2 * OPEN {
            trail.here().mkdir_at(b"d", 0o755).unwrap();
            trail.enter(b"d").unwrap();
        }
        // The directory from which the first one that is closed is found again.
        let level = 2 * OPEN - OPEN;
        let moved = top.path().join(vec!["d"; level].join("/"));
        std::fs::rename(moved, top.path().join("elsewhere/d")).unwrap();
        for _ in 0..OPEN {
            trail.leave().unwrap();
        }
        assert_eq!(trail.leave().unwrap_err().errno(), Some(Errno::STALE));
    }
}
