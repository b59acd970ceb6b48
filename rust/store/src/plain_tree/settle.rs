//! Bringing a plain tree to what an index says: after a step, and to another chain.

use std::io::Seek;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::apply::{set_child_metadata, set_mtime};
use fastlayer_fs::copy::clone_or_copy;
use fastlayer_fs::publish::temporary_name;
use fastlayer_fs::{
    Attributes, Directory, Kind as FileKind, Metadata, Timestamp, Trail, remove_tree, set_metadata,
    xattr,
};

use super::Snapshot;
use crate::checkout::attributes;
use crate::compare::{ChangeKind, Reason, compare};
use crate::contents::Contents;
use crate::error::{Error, Result, check_cancelled};
use crate::index::Kind;
use crate::overlay::is_portable;
use crate::store::Store;
use crate::tree::{Node, TreeView, components, join};
use crate::tree_writer::{Fidelity, TreeWriter};
use crate::write_tree::write_node;

/// Takes from a tree what its layer, the last of `view`, does not keep of it: sockets, parts of
/// seconds, and that two names are one file.
pub(super) fn settle(
    view: &TreeView,
    root: &Directory,
    snapshot: &Snapshot,
    cancel: &AtomicBool,
) -> Result<()> {
    let settling = Settling {
        view,
        snapshot,
        cancel,
    };
    let mut trail = Trail::new(root.open_descendant(b"")?);
    settling.directory(&mut trail, view.root()?.as_ref(), b"")
}

struct Settling<'a> {
    view: &'a TreeView,
    snapshot: &'a Snapshot,
    cancel: &'a AtomicBool,
}

impl Settling<'_> {
    fn directory(&self, trail: &mut Trail, node: Option<&Node<'_>>, path: &[u8]) -> Result<()> {
        check_cancelled(self.cancel)?;
        let before = trail.here().metadata()?;
        for entry in trail.here().entries()?.iter() {
            let child_path = join(path, entry.name);
            let found = trail.here().stat_child(entry.name)?;
            let child = match node {
                Some(node) => self.view.child(node, entry.name)?,
                None => None,
            };
            match child {
                None => remove_tree(trail.here(), entry.name)?,
                Some(child) if found.kind == FileKind::Directory => {
                    trail.enter(entry.name)?;
                    self.directory(trail, Some(&child), &child_path)?;
                    trail.leave()?;
                }
                Some(_) if self.snapshot.is_untouched(&child_path, &found) => {}
                Some(child) => leaf(trail.here(), entry.name, &found, &child)?,
            }
        }
        let now = trail.here().metadata()?;
        if now.mtime != before.mtime || !self.snapshot.is_untouched(path, &now) {
            let wanted = node.map_or(before.mtime, time);
            set_mtime(trail.here(), wanted)
                .map_err(|source| Error::io(trail.here().path().display(), source))?;
        }
        Ok(())
    }
}

fn time(node: &Node<'_>) -> Timestamp {
    Timestamp::new(node.mtime().seconds, node.mtime().nanoseconds)
}

fn leaf(directory: &Directory, name: &[u8], found: &Metadata, node: &Node<'_>) -> Result<()> {
    if found.nlink > 1 && found.kind == FileKind::File {
        return part(directory, name, found, node);
    }
    set_time(directory, name, found, node)
}

fn set_time(directory: &Directory, name: &[u8], found: &Metadata, node: &Node<'_>) -> Result<()> {
    if found.mtime == time(node) {
        return Ok(());
    }
    let none = xattr::Attributes::new();
    let wanted = Attributes {
        mode: found.mode,
        uid: found.uid,
        gid: found.gid,
        mtime: Some(time(node)),
        xattrs: &none,
    };
    Ok(set_child_metadata(directory, name, &wanted, found)?)
}

/// Makes one of the names of a file a file of its own.
fn part(directory: &Directory, name: &[u8], found: &Metadata, node: &Node<'_>) -> Result<()> {
    let failed = |source: std::io::Error| Error::io(directory.path_to(name).display(), source);
    let mut source = directory.open_file(name)?;
    let temporary = temporary_name();
    let copy = directory.create_file(&temporary, 0o600)?;
    source.rewind().map_err(failed)?;
    clone_or_copy(&source, &copy).map_err(failed)?;
    let xattrs = xattr::all(source.as_fd()).map_err(|errno| failed(errno.into()))?;
    let wanted = Attributes {
        mode: found.mode,
        uid: found.uid,
        gid: found.gid,
        mtime: Some(time(node)),
        xattrs: &xattrs,
    };
    set_metadata(&copy, &wanted, None, &directory.path_to(name))?;
    Ok(directory.rename_to(&temporary, directory, name)?)
}

/// Makes the tree of `before` below `root` the tree of `after`.
pub(super) fn change(
    store: &Store,
    before: &TreeView,
    after: &TreeView,
    root: &Directory,
    cancel: &AtomicBool,
) -> Result<()> {
    let contents = Contents::new(store, after);
    let mut writer = TreeWriter::new(root.open_descendant(b"")?, Fidelity::of_process());
    if let Some(node) = after.root()? {
        writer.directory(b"", attributes(&node)?)?;
    }
    for change in compare(before, after)? {
        check_cancelled(cancel)?;
        open_parents(&mut writer, after, &change.path)?;
        let node = match change.kind {
            ChangeKind::Deleted => None,
            ChangeKind::Added | ChangeKind::Changed => after.get(&change.path)?,
        };
        let stays = node
            .as_ref()
            .is_some_and(|node| node.kind() == Kind::Directory);
        remove(root, &change.path, stays)?;
        if stays && change.reasons.contains(&Reason::Xattr) {
            strip(root, &change.path)?;
        }
        if let Some(node) = node
            && !change.path.is_empty()
        {
            write_node(&contents, &mut writer, &node)?;
        }
    }
    writer.finish()
}

/// Goes into the directories above `path`, which get what they bear in `view` in the end.
fn open_parents(writer: &mut TreeWriter, view: &TreeView, path: &[u8]) -> Result<()> {
    let mut directory = Vec::new();
    let mut names: Vec<&[u8]> = components(path).collect();
    names.pop();
    for name in names {
        directory = join(&directory, name);
        if !writer.is_in(&directory)
            && let Some(node) = view.get(&directory)?
        {
            writer.directory(&directory, attributes(&node)?)?;
        }
    }
    Ok(())
}

/// Removes what is at a path; a directory stays where it is `wanted`, and the root always.
fn remove(root: &Directory, path: &[u8], wanted: bool) -> Result<()> {
    let Some((parent, name)) = fastlayer_tar::path::split(path) else {
        if !wanted {
            for entry in root.entries()?.iter() {
                remove_tree(root, entry.name)?;
            }
        }
        return Ok(());
    };
    let parent = root.open_descendant(parent)?;
    let is_directory = parent
        .find_child(name)?
        .is_some_and(|found| found.kind == FileKind::Directory);
    if !(wanted && is_directory) {
        remove_tree(&parent, name)?;
    }
    Ok(())
}

/// Removes the attributes of a directory that layers keep.
fn strip(root: &Directory, path: &[u8]) -> Result<()> {
    let directory = root.open_descendant(path)?;
    let failed = |errno| Error::io(directory.path().display(), std::io::Error::from(errno));
    for name in xattr::all(&directory).map_err(failed)?.keys() {
        if is_portable(name) {
            xattr::remove(&directory, name).map_err(failed)?;
        }
    }
    Ok(())
}
