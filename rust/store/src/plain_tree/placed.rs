//! What is in a tree for the time of a step, and gone before its diff: mount points that it lacks,
//! and, where nothing can be mounted, what would be mounted there.
//!
//! Each directory keeps its time, so that nothing of this shows. A mount point that is taken away
//! again is known by its inode: what a step put in its place is the step's. What stands for a mount
//! goes back to where it came from, with what the step made of it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fastlayer_fs::apply::set_mtime;
use fastlayer_fs::{Attributes, Directory, Kind, Metadata, Timestamp, set_metadata, xattr};

use super::PlainTree;
use crate::error::{Error, Result, display_path};
use crate::tree::{components, join};

const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// Where something will be mounted: a path without links in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// The path.
    pub path: Vec<u8>,
    /// Whether it is a directory; else a file.
    pub is_directory: bool,
}

/// A path that is not the tree's own.
#[derive(Debug)]
pub(super) struct Placed {
    parent: Vec<u8>,
    name: Vec<u8>,
    what: What,
}

#[derive(Debug)]
enum What {
    /// It was made, and bears this.
    Made(Metadata),
    /// It comes from elsewhere, and what was there waits elsewhere.
    Put {
        source: PathBuf,
        aside: Option<PathBuf>,
    },
}

impl PlainTree {
    /// Makes mount points that are missing, and the directories on the way to them.
    ///
    /// # Errors
    /// Where a path leads through something that is no directory; those of writing.
    pub fn place(&mut self, points: &[MountPoint]) -> Result<()> {
        for point in points {
            let (directory, parent, name) = self.open_parent(&point.path)?;
            if directory.find_child(&name)?.is_none() {
                let made = make(&directory, &name, point.is_directory)?;
                self.note(&parent, &name, What::Made(made));
            }
        }
        Ok(())
    }

    /// Moves the file or directory `source` to `path`, and what is there to `aside`, where nothing
    /// is. All three are on one file system.
    ///
    /// # Errors
    /// As of [`PlainTree::place`].
    pub fn put(&mut self, path: &[u8], source: &Path, aside: &Path) -> Result<()> {
        let (directory, parent, name) = self.open_parent(path)?;
        keeping_time(&directory, || {
            let mut kept = None;
            if directory.find_child(&name)?.is_some() {
                move_out(&directory, &name, aside)?;
                kept = Some(aside.to_owned());
            }
            let put = What::Put {
                source: source.to_owned(),
                aside: kept,
            };
            self.note(&parent, &name, put);
            move_in(source, &directory, &name)
        })
    }

    fn note(&mut self, parent: &[u8], name: &[u8], what: What) {
        self.placed.push(Placed {
            parent: parent.to_vec(),
            name: name.to_vec(),
            what,
        });
    }

    /// Opens the directory that holds the last name of a path, made where it is missing; gives its
    /// path and the name too.
    fn open_parent(&mut self, path: &[u8]) -> Result<(Directory, Vec<u8>, Vec<u8>)> {
        let mut names: Vec<&[u8]> = components(path).collect();
        let Some(last) = names.pop() else {
            return Err(Error::unsafe_path(path, "the root cannot be a mount point"));
        };
        let mut parent = Vec::new();
        let mut directory = self.root.open_descendant(b"")?;
        for name in names {
            if directory.find_child(name)?.is_none() {
                let made = make(&directory, name, true)?;
                self.note(&parent, name, What::Made(made));
            }
            directory = directory.open_child(name)?;
            parent = join(&parent, name);
        }
        Ok((directory, parent, last.to_vec()))
    }

    /// Removes what [`PlainTree::place`] made, unless the step made it its own, and moves back what
    /// [`PlainTree::put`] moved.
    ///
    /// # Errors
    /// [`Error::Conflict`] where the step has moved a directory of such a path: what is left of
    /// ours cannot be told from what is the step's.
    pub fn remove_placed(&mut self) -> Result<()> {
        while let Some(placed) = self.placed.pop() {
            let parent = self.root.open_descendant(&placed.parent).map_err(|error| {
                let path = join(&placed.parent, &placed.name);
                Error::conflict(
                    display_path(&path),
                    format!("the step has moved what something was mounted on: {error}"),
                )
            })?;
            match &placed.what {
                What::Made(made) => take_away(&parent, &placed.name, made)?,
                What::Put { source, aside } => keeping_time(&parent, || {
                    if parent.find_child(&placed.name)?.is_some() {
                        move_out(&parent, &placed.name, source)?;
                    }
                    match aside {
                        Some(aside) => move_in(aside, &parent, &placed.name),
                        None => Ok(()),
                    }
                })?,
            }
        }
        Ok(())
    }
}

fn make(directory: &Directory, name: &[u8], is_directory: bool) -> Result<Metadata> {
    let none = xattr::Attributes::new();
    let mut wanted = Attributes {
        mode: FILE_MODE,
        uid: 0,
        gid: 0,
        mtime: Some(Timestamp::new(0, 0)),
        xattrs: &none,
    };
    let path = directory.path_to(name);
    let metadata = keeping_time(directory, || {
        if is_directory {
            directory.mkdir_at(name, DIRECTORY_MODE)?;
            wanted.mode = DIRECTORY_MODE;
            set_metadata(directory.open_child(name)?, &wanted, None, &path)?;
        } else {
            set_metadata(
                directory.create_file(name, FILE_MODE)?,
                &wanted,
                None,
                &path,
            )?;
        }
        Ok(directory.stat_child(name)?)
    })?;
    Ok(metadata)
}

/// Moves a name of a directory to a path.
fn move_out(directory: &Directory, name: &[u8], path: &Path) -> Result<()> {
    let (outside, new) = outside(path)?;
    Ok(directory.rename_noreplace(name, &outside, new)?)
}

/// Moves what is at a path into a directory.
fn move_in(path: &Path, directory: &Directory, name: &[u8]) -> Result<()> {
    let (outside, old) = outside(path)?;
    Ok(outside.rename_noreplace(old, directory, name)?)
}

fn outside(path: &Path) -> Result<(Directory, &[u8])> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((Directory::open(parent)?, name.as_bytes())),
        _ => Err(Error::conflict(path.display(), "it has no name of its own")),
    }
}

fn take_away(parent: &Directory, name: &[u8], made: &Metadata) -> Result<()> {
    let Some(found) = parent.find_child(name)? else {
        return Ok(());
    };
    let bears = |it: &Metadata| (it.dev, it.ino, it.birth, it.mode, it.uid, it.gid, it.mtime);
    if bears(&found) != bears(made) {
        return Ok(());
    }
    if made.kind != Kind::Directory {
        return keeping_time(parent, || Ok(parent.unlink(name)?));
    }
    if parent.open_child(name)?.entries()?.is_empty() {
        keeping_time(parent, || Ok(parent.rmdir(name)?))?;
    }
    Ok(())
}

/// Does something to the names in a directory without a trace of it in its time.
fn keeping_time<T>(directory: &Directory, change: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = directory.metadata()?.mtime;
    let result = change()?;
    set_mtime(directory, before).map_err(|source| Error::io(directory.path().display(), source))?;
    Ok(result)
}
