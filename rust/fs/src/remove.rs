//! Removing a directory tree, however deep and whatever is in it.
//!
//! Only by descriptor and name, never through a link. Depth costs neither stack nor descriptors:
//! a directory that lies too deep is moved up to the tree's root first, which is harmless in a
//! tree that is going away.

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;

use crate::directory::Directory;
use crate::entries::EntryList;
use crate::error::{Error, Result};
use crate::metadata::Kind;
use crate::publish::temporary_name;

/// Directories open at a time.
const DEPTH: usize = 64;

/// How often a directory that fills up again is cleared: somebody writes there, or the file system
/// keeps a removed file by another name as long as it is open (FUSE).
const ROUNDS: usize = 16;

struct Level {
    directory: Directory,
    name: Vec<u8>,
    entries: EntryList,
    next: usize,
}

/// Removes `name` in `parent`: a file, link or node, or a directory with everything in it.
/// Nothing there is no error.
pub fn remove_tree(parent: &Directory, name: &[u8]) -> Result<()> {
    match parent.unlink(name) {
        Ok(()) => return Ok(()),
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) if matches!(error.errno(), Some(Errno::ISDIR | Errno::PERM)) => {}
        Err(error) => return Err(error),
    }
    let mut rounds = 0;
    loop {
        if !clear(parent, name)? {
            rounds += 1;
        }
        match parent.rmdir(name) {
            Err(error) if error.errno() == Some(Errno::NOTEMPTY) && rounds < ROUNDS => {}
            Err(error) if error.is_not_found() => return Ok(()),
            result => return result,
        }
    }
}

/// Removes everything in the directory `name` that lies less than [`DEPTH`] deep, and moves what
/// lies deeper up; gives whether there was such.
fn clear(parent: &Directory, name: &[u8]) -> Result<bool> {
    let mut lifted = false;
    let mut levels = vec![enter(parent, name)?];
    while let Some(level) = levels.last_mut() {
        let index = level.next;
        level.next += 1;
        let Some(entry) = level.entries.get(index) else {
            let done = levels.pop();
            if let (Some(done), Some(above)) = (done, levels.last()) {
                leave(&above.directory, &done.name)?;
            }
            continue;
        };
        let is_directory = match entry.kind {
            Some(kind) => kind == Kind::Directory,
            None => level.directory.stat_child(entry.name)?.kind == Kind::Directory,
        };
        if !is_directory {
            ignore_missing(level.directory.unlink(entry.name))?;
            continue;
        }
        let child = entry.name.to_vec();
        if levels.len() < DEPTH {
            let last = levels.len() - 1;
            let deeper = enter(&levels[last].directory, &child)?;
            levels.push(deeper);
        } else {
            lift(&levels, &child)?;
            lifted = true;
        }
    }
    Ok(lifted)
}

fn enter(parent: &Directory, name: &[u8]) -> Result<Level> {
    let directory = match parent.open_child(name) {
        // A directory that its owner may not read: a build's user left it so.
        Err(error) if error.errno() == Some(Errno::ACCESS) => {
            make_accessible(parent, name)?;
            parent.open_child(name)?
        }
        result => result?,
    };
    let entries = directory.entries()?;
    if !entries.is_empty() {
        // Without write permission nothing can be taken out. Root needs no permission, and
        // somebody else's directory refuses this too: the removal then tells why.
        let mode = directory.metadata()?.mode;
        if mode & 0o700 != 0o700 {
            let _ = fchmod(&directory, Mode::from_raw_mode(mode | 0o700));
        }
    }
    Ok(Level {
        directory,
        name: name.to_vec(),
        entries,
        next: 0,
    })
}

fn leave(above: &Directory, name: &[u8]) -> Result<()> {
    match above.rmdir(name) {
        // Something was put in meanwhile: the next round finds it.
        Err(error) if error.errno() == Some(Errno::NOTEMPTY) => Ok(()),
        result => ignore_missing(result),
    }
}

fn lift(levels: &[Level], child: &[u8]) -> Result<()> {
    let (Some(top), Some(deepest)) = (levels.first(), levels.last()) else {
        return Ok(());
    };
    deepest
        .directory
        .rename_to(child, &top.directory, &temporary_name())
}

fn make_accessible(parent: &Directory, name: &[u8]) -> Result<()> {
    use rustix::fs::{AtFlags, CWD, chmodat};
    use std::os::fd::AsRawFd;

    let node = parent.open_path(name)?;
    let magic = format!("/proc/self/fd/{}", node.as_raw_fd());
    chmodat(CWD, magic.as_str(), Mode::RWXU, AtFlags::empty())
        .map_err(|errno| Error::new("change the mode of", parent.path_to(name), errno))
}

fn ignore_missing(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        result => result,
    }
}
