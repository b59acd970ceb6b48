//! Mount points that a tree lacks: made for the time of a step, and gone before its diff.
//!
//! Each directory keeps its time, so that nothing of this shows. What is taken away again is known
//! by its inode: what a step put in its place is the step's.

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

/// A path that was made.
#[derive(Debug)]
pub(super) struct Placed {
    parent: Vec<u8>,
    name: Vec<u8>,
    made: Metadata,
}

impl PlainTree {
    /// Makes mount points that are missing, and the directories on the way to them.
    ///
    /// # Errors
    /// Where a path leads through something that is no directory; those of writing.
    pub fn place(&mut self, points: &[MountPoint]) -> Result<()> {
        for point in points {
            let mut parent = Vec::new();
            let mut directory = self.root.open_descendant(b"")?;
            let names: Vec<&[u8]> = components(&point.path).collect();
            for (number, name) in names.iter().enumerate() {
                let is_last = number + 1 == names.len();
                if directory.find_child(name)?.is_none() {
                    let made = make(&directory, name, point.is_directory || !is_last)?;
                    self.placed.push(Placed {
                        parent: parent.clone(),
                        name: name.to_vec(),
                        made,
                    });
                }
                if !is_last {
                    directory = directory.open_child(name)?;
                    parent = join(&parent, name);
                }
            }
        }
        Ok(())
    }

    /// Removes what [`PlainTree::place`] made, unless the step made it its own.
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
            take_away(&parent, &placed)?;
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

fn take_away(parent: &Directory, placed: &Placed) -> Result<()> {
    let (name, made) = (&placed.name, &placed.made);
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
