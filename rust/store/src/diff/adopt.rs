//! An upper that nobody writes again becomes its layer's checkout.
//!
//! It has the right format already. What the layer has no entry for is removed, overlay's own
//! marks too (but for deletions), times lose what the layer does not keep, and the directory is
//! renamed into place.

use std::path::Path;

use fastlayer_fs::apply::{set_child_metadata, set_mtime};
use fastlayer_fs::publish::temporary_name;
use fastlayer_fs::{
    Attributes, Directory, Kind as FileKind, Metadata, Timestamp, Trail, remove_tree, xattr,
};

use super::layer::Leftovers;
use crate::checkout::{Area, Linked, TREE, dependencies};
use crate::digest::DiffId;
use crate::error::{Error, Result};
use crate::index::{Kind, TreeIndex};
use crate::layer_info::LayerInfo;
use crate::object::INLINE_LIMIT;
use crate::overlay::OverlayNamespace;
use crate::store::Store;
use crate::tree::join;

/// Makes `upper` the checkout of its layer; it is gone afterwards, whatever became of it.
pub(super) fn take_over(
    store: &Store,
    base: &[DiffId],
    upper: &Path,
    info: &LayerInfo,
    leftovers: &Leftovers,
    namespace: OverlayNamespace,
) -> Result<()> {
    let (parent, name) = locate(upper)?;
    let chain: Vec<DiffId> = base.iter().copied().chain([info.diff_id]).collect();
    let key = store.checkout_key(&chain)?;
    let index = store.tree_index(&info.diff_id)?;
    let area = Area::open(store)?;
    let adopted = area.ensure(store, &key, dependencies(&key, &chain), |staging| {
        let mut tidying = Tidying {
            store,
            index: &index,
            leftovers,
            namespace,
            linked: Linked::default(),
        };
        tidying.directory(&mut Trail::new(parent.open_child(&name)?), b"")?;
        parent.rename_to(&name, staging, TREE)?;
        tidying.linked.write(staging)
    });
    match adopted {
        Ok(()) => {}
        // On another file system: the layer is stored and its checkout can be made from that.
        Err(error) if is_cross_device(&error) => {}
        Err(error) => return Err(error),
    }
    if parent.find_child(&name)?.is_some() {
        let doomed = temporary_name();
        match parent.rename_to(&name, store.trash(), &doomed) {
            Ok(()) => remove_tree(store.trash(), &doomed)?,
            Err(_) => remove_tree(&parent, &name)?,
        }
    }
    Ok(())
}

fn locate(upper: &Path) -> Result<(Directory, Vec<u8>)> {
    use std::os::unix::ffi::OsStrExt;
    let name = upper.file_name().ok_or_else(|| {
        Error::conflict(
            upper.display(),
            "an upper directory must have a name of its own",
        )
    })?;
    let parent = upper
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    Ok((
        Directory::open(parent.unwrap_or(Path::new(".")))?,
        name.as_bytes().to_vec(),
    ))
}

fn is_cross_device(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::CrossesDevices)
}

struct Tidying<'a> {
    store: &'a Store,
    index: &'a TreeIndex,
    leftovers: &'a Leftovers,
    namespace: OverlayNamespace,
    linked: Linked,
}

impl Tidying<'_> {
    fn directory(&mut self, trail: &mut Trail, path: &[u8]) -> Result<()> {
        let metadata = trail.here().metadata()?;
        for entry in trail.here().entries()?.iter() {
            let child_path = join(path, entry.name);
            let child = trail.here().stat_child(entry.name)?;
            if child.kind == FileKind::Directory {
                trail.enter(entry.name)?;
                self.directory(trail, &child_path)?;
                trail.leave()?;
            }
            let directory = trail.here();
            if child.kind == FileKind::Directory {
                if self.leftovers.directories.contains(&child_path) {
                    directory.rmdir(entry.name)?;
                }
            } else if self.leftovers.leaves.contains(&child_path) {
                directory.unlink(entry.name)?;
                let row = self.index.get(&child_path)?;
                if row.is_some_and(|row| row.kind() == Kind::Whiteout) {
                    directory.mknod_at(entry.name, FileKind::CharDevice, 0, (0, 0))?;
                }
            } else if !child.is_whiteout_device() {
                self.leaf(directory, entry.name, &child_path, &child)?;
            }
        }
        let directory = trail.here();
        let failed = |source: std::io::Error| Error::io(directory.path().display(), source);
        for (name, value) in &xattr::all(directory).map_err(|errno| failed(errno.into()))? {
            if self.is_surplus(name, value, path) {
                xattr::remove(directory, name).map_err(|errno| failed(errno.into()))?;
            }
        }
        set_mtime(directory, Timestamp::new(metadata.mtime.seconds, 0)).map_err(failed)
    }

    fn leaf(
        &mut self,
        directory: &Directory,
        name: &[u8],
        path: &[u8],
        metadata: &Metadata,
    ) -> Result<()> {
        let failed = |errno| Error::io(directory.path_to(name).display(), errno);
        for (attribute, value) in &directory.xattrs(name)? {
            if self.is_surplus(attribute, value, path) {
                xattr::remove_of_child(directory, name, attribute).map_err(failed)?;
            }
        }
        if metadata.mtime.nanoseconds != 0 {
            let none = xattr::Attributes::new();
            let wanted = Attributes {
                mode: metadata.mode,
                uid: metadata.uid,
                gid: metadata.gid,
                mtime: Some(Timestamp::new(metadata.mtime.seconds, 0)),
                xattrs: &none,
            };
            set_child_metadata(directory, name, &wanted, metadata)?;
        }
        self.note_link(path, metadata)
    }

    /// Notes a file that is its object too.
    fn note_link(&mut self, path: &[u8], metadata: &Metadata) -> Result<()> {
        if metadata.kind != FileKind::File || metadata.nlink < 2 || metadata.size <= INLINE_LIMIT {
            return Ok(());
        }
        let Some(row) = self.index.get(path)? else {
            return Ok(());
        };
        if row.hardlink()?.is_some() {
            return Ok(());
        }
        let Some(id) = row.content() else {
            return Ok(());
        };
        let object = self.store.object_metadata(&id)?;
        if object.is_some_and(|object| (object.dev, object.ino) == (metadata.dev, metadata.ino)) {
            self.linked.rows.push((id, row.number()));
        }
        Ok(())
    }

    /// Whether an attribute is overlay's and means nothing in a lower directory.
    fn is_surplus(&self, name: &[u8], value: &[u8], path: &[u8]) -> bool {
        if name == self.namespace.name(b"opaque") {
            // "x" does not hide: it says that there are deletions in the form of marked files.
            return value != b"x" && !self.leftovers.opaque.contains(path);
        }
        let kept = name == self.namespace.name(b"whiteout");
        !kept && name.starts_with(&self.namespace.name(b""))
    }
}
