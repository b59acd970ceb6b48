//! Laying paths out below a directory: what checkouts and the local exporter share.
//!
//! Paths come in the order of trees, a directory before what it holds. Every step goes by
//! directory handle, one name at a time and never through a link. A directory gets its attributes
//! when all below it is written: its time would change again, and it may forbid writing. Two names
//! of one directory that the file system takes for one (it folds case, say) are an error: the
//! second would replace the first.

mod fidelity;

use std::collections::HashSet;
use std::fs::File;

use fastlayer_fs::apply::set_child_metadata;
use fastlayer_fs::{Directory, Kind as FileKind, Metadata, set_metadata, xattr};
use fastlayer_tar::Timestamp;

use crate::error::{Error, Result, display_path};
use crate::index::Kind;

pub(crate) use fidelity::Fidelity;

/// Directories that are kept open on the way down. Deeper down the outer ones are opened again by
/// their path when they are needed: a tree may be deeper than a process may have files open.
const KEPT_OPEN: usize = 64;

/// What a path is to bear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathAttributes {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Timestamp,
    pub(crate) xattrs: xattr::Attributes,
}

impl PathAttributes {
    /// Whether a file bears just this, given that it has no extended attributes.
    pub(crate) fn agree_with(&self, found: &Metadata) -> bool {
        self.xattrs.is_empty()
            && (self.mode, self.uid, self.gid) == (found.mode, found.uid, found.gid)
            && self.mtime.seconds == found.mtime.seconds
            && self.mtime.nanoseconds == found.mtime.nanoseconds
    }
}

/// Writes a tree below a directory.
pub(crate) struct TreeWriter {
    fidelity: Fidelity,
    /// The open directories on the way to the last path; the first is the destination.
    open: Vec<OpenDirectory>,
    /// Path of the innermost open directory.
    path: Vec<u8>,
}

struct OpenDirectory {
    /// `None` while it is far above; never so for the root and the innermost.
    directory: Option<Directory>,
    /// Length of the path of the directory above it.
    parent_length: usize,
    attributes: Option<PathAttributes>,
    /// What was in it when something was first in the way.
    found: Option<HashSet<Vec<u8>>>,
}

impl OpenDirectory {
    fn new(directory: Directory, parent_length: usize, bears: Option<PathAttributes>) -> Self {
        Self {
            directory: Some(directory),
            parent_length,
            attributes: bears,
            found: None,
        }
    }

    fn directory(&self) -> Result<&Directory> {
        self.directory.as_ref().ok_or(Error::Interrupted)
    }

    /// Removes what stands where something else is to be; a directory may stay for a directory.
    fn clear_way(&mut self, name: &[u8], for_directory: bool) -> Result<()> {
        let Some(found) = self.directory()?.find_child(name)? else {
            return Ok(());
        };
        if !self.had(name)? {
            return Err(folded(self.directory()?, name));
        }
        let directory = self.directory()?;
        match (found.kind, for_directory) {
            (FileKind::Directory, true) => Ok(()),
            (FileKind::Directory, false) => Err(Error::conflict(
                directory.path_to(name).display(),
                "is a directory where a file is to be written",
            )),
            _ => Ok(directory.unlink(name)?),
        }
    }

    /// Whether just this name was there before: else it is another that was written here, and the
    /// file system takes the two for one.
    fn had(&mut self, name: &[u8]) -> Result<bool> {
        if self.found.is_none() {
            let names = self.directory()?.entries()?;
            self.found = Some(names.iter().map(|entry| entry.name.to_vec()).collect());
        }
        Ok(self
            .found
            .as_ref()
            .is_some_and(|found| found.contains(name)))
    }
}

fn folded(directory: &Directory, name: &[u8]) -> Error {
    Error::conflict(
        directory.path_to(name).display(),
        "two names of the tree are one name on this file system",
    )
}

impl TreeWriter {
    /// A writer below `root`.
    pub(crate) fn new(root: Directory, fidelity: Fidelity) -> Self {
        Self {
            fidelity,
            open: vec![OpenDirectory::new(root, 0, None)],
            path: Vec::new(),
        }
    }

    /// Makes a directory, or takes one that exists; `attributes` is set when it is complete.
    pub(crate) fn directory(&mut self, path: &[u8], attributes: PathAttributes) -> Result<()> {
        if path.is_empty() {
            if let Some(root) = self.open.first_mut() {
                root.attributes = Some(attributes);
            }
            return Ok(());
        }
        let name = self.enter(path)?.to_vec();
        let fidelity = self.fidelity;
        let parent = self.innermost()?;
        let directory = if fidelity == Fidelity::Possible {
            parent.clear_way(&name, true)?;
            parent.directory()?.ensure_child(&name, 0o700)?
        } else {
            match parent.directory()?.mkdir_at(&name, 0o700) {
                // A plain tree that becomes another one keeps its directories.
                Err(error) if error.is_exists() => {
                    if !parent.had(&name)? {
                        return Err(folded(parent.directory()?, &name));
                    }
                }
                made => made?,
            }
            parent.directory()?.open_child(&name)?
        };
        let opened = OpenDirectory::new(directory, self.path.len(), Some(attributes));
        self.path = path.to_vec();
        self.open.push(opened);
        if let Some(far) = self
            .open
            .len()
            .checked_sub(KEPT_OPEN + 1)
            .filter(|far| *far > 0)
        {
            self.open[far].directory = None;
        }
        Ok(())
    }

    /// Whether the next paths may lie in this directory.
    pub(crate) fn is_in(&self, directory: &[u8]) -> bool {
        directory.is_empty()
            || self
                .path
                .strip_prefix(directory)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// Makes a regular file: `fill` writes its content.
    pub(crate) fn file(
        &mut self,
        path: &[u8],
        attributes: &PathAttributes,
        fill: impl FnOnce(&mut File) -> Result<()>,
    ) -> Result<()> {
        let (parent, name) = self.place(path)?;
        let mut file = parent.create_file(name, 0o600)?;
        fill(&mut file)?;
        self.finish_file(&file, path, attributes)
    }

    /// Makes a symbolic link.
    pub(crate) fn symlink(
        &mut self,
        path: &[u8],
        attributes: &PathAttributes,
        target: &[u8],
    ) -> Result<()> {
        let (parent, name) = self.place(path)?;
        parent.symlink_at(target, name)?;
        self.finish_name(path, attributes)
    }

    /// Makes a device, a pipe or, as a device 0/0, an overlay whiteout.
    pub(crate) fn node(
        &mut self,
        path: &[u8],
        kind: Kind,
        device: (u32, u32),
        attributes: &PathAttributes,
    ) -> Result<()> {
        let kind = match kind {
            Kind::BlockDevice => FileKind::BlockDevice,
            Kind::Fifo => FileKind::Fifo,
            _ => FileKind::CharDevice,
        };
        let (parent, name) = self.place(path)?;
        match parent.mknod_at(name, kind, 0o600, device) {
            // Without privilege there are no devices; an export is as good without them.
            Err(error)
                if self.fidelity == Fidelity::Possible
                    && kind != FileKind::Fifo
                    && error.errno() == Some(rustix::io::Errno::PERM) =>
            {
                return Ok(());
            }
            made => made?,
        }
        self.finish_name(path, attributes)
    }

    /// Makes an overlay whiteout.
    pub(crate) fn whiteout(&mut self, path: &[u8]) -> Result<()> {
        let (parent, name) = self.place(path)?;
        Ok(parent.mknod_at(name, FileKind::CharDevice, 0, (0, 0))?)
    }

    /// Gives the file at `first`, which was written before, a further name.
    pub(crate) fn hardlink(&mut self, path: &[u8], first: &[u8]) -> Result<()> {
        let (first_parent, first_name) = split(first);
        let from = self.root()?.open_descendant(first_parent)?;
        let (parent, name) = self.place(path)?;
        Ok(from.link_child_at(first_name, parent, name)?)
    }

    /// Gives the file `from` of the directory `elsewhere` a name here; false where the file system
    /// or its number of links forbids that.
    pub(crate) fn link_from(
        &mut self,
        path: &[u8],
        elsewhere: &Directory,
        from: &[u8],
    ) -> Result<bool> {
        use rustix::io::Errno;
        let (parent, name) = self.place(path)?;
        match elsewhere.link_child_at(from, parent, name) {
            Ok(()) => Ok(true),
            Err(error) => match error.errno() {
                Some(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::NOENT) => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    /// Completes all directories.
    pub(crate) fn finish(mut self) -> Result<()> {
        while !self.open.is_empty() {
            self.leave()?;
        }
        Ok(())
    }

    /// The directory that is to hold `path`, and the name.
    fn place<'path>(&mut self, path: &'path [u8]) -> Result<(&Directory, &'path [u8])> {
        let name = self.enter(path)?;
        let fidelity = self.fidelity;
        let parent = self.innermost()?;
        if fidelity == Fidelity::Possible {
            parent.clear_way(name, false)?;
        }
        Ok((parent.directory()?, name))
    }

    /// Leaves directories until the innermost is the parent of `path`; gives the name.
    fn enter<'path>(&mut self, path: &'path [u8]) -> Result<&'path [u8]> {
        let (parent, name) = split(path);
        while self.path != parent {
            if self.open.len() <= 1 {
                return Err(Error::corrupt(
                    display_path(path),
                    "its directory is not in the tree",
                ));
            }
            self.leave()?;
        }
        Ok(name)
    }

    fn leave(&mut self) -> Result<()> {
        let Some(done) = self.open.pop() else {
            return Ok(());
        };
        let directory = done.directory()?;
        if let Some(attributes) = &done.attributes {
            apply(directory, directory.path(), attributes, self.fidelity)?;
        }
        self.path.truncate(done.parent_length);
        if self
            .open
            .last()
            .is_some_and(|above| above.directory.is_none())
        {
            let above = self.root()?.open_descendant(&self.path)?;
            self.innermost()?.directory = Some(above);
        }
        Ok(())
    }

    fn root(&self) -> Result<&Directory> {
        self.open.first().ok_or(Error::Interrupted)?.directory()
    }

    fn current(&self) -> Result<&Directory> {
        self.open.last().ok_or(Error::Interrupted)?.directory()
    }

    fn innermost(&mut self) -> Result<&mut OpenDirectory> {
        self.open.last_mut().ok_or(Error::Interrupted)
    }

    fn finish_file(&self, file: &File, path: &[u8], attributes: &PathAttributes) -> Result<()> {
        let shown = self.current()?.path_to(split(path).1);
        apply(file, &shown, attributes, self.fidelity)
    }

    fn finish_name(&self, path: &[u8], attributes: &PathAttributes) -> Result<()> {
        let (parent, name) = (self.current()?, split(path).1);
        let current = parent.stat_child(name)?;
        self.fidelity.apply(attributes, |attributes| {
            set_child_metadata(parent, name, attributes, &current)
        })
    }
}

fn apply(
    fd: impl std::os::fd::AsFd,
    path: &std::path::Path,
    attributes: &PathAttributes,
    fidelity: Fidelity,
) -> Result<()> {
    let fd = fd.as_fd();
    fidelity.apply(attributes, |attributes| {
        set_metadata(fd, attributes, None, path)
    })
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    fastlayer_tar::path::split(path).unwrap_or_default()
}
