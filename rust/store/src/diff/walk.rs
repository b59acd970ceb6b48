//! Walking an upper directory beside the tree below it.

use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::xattr::{Attributes, all_of_child, child_has_any};
use fastlayer_fs::{Directory, Kind as FileKind, Metadata, xattr};

use crate::copy::check_name;
use crate::error::{Error, Result, check_cancelled, display_path};
use crate::index::Kind;
use crate::overlay::OverlayNamespace;
use crate::owners::Owners;
use crate::tree::{LinkedFiles, Node, TreeView, join};

/// A directory of the upper.
pub(super) struct UpperDirectory<'a, 'view> {
    pub(super) path: &'a [u8],
    pub(super) metadata: &'a Metadata,
    /// User and group, where those on disk are not the true ones too.
    pub(super) owner: (u32, u32),
    /// All attributes, overlay's too.
    pub(super) xattrs: &'a Attributes,
    /// The directory below, if there is one.
    pub(super) lower: Option<&'a Node<'view>>,
    /// Children of the directory below that an opaque mark hides; empty without such a mark.
    pub(super) hidden: &'a [Node<'view>],
}

/// Anything else in the upper.
pub(super) struct UpperLeaf<'a, 'view> {
    pub(super) path: &'a [u8],
    pub(super) directory: &'a Directory,
    pub(super) name: &'a [u8],
    pub(super) metadata: &'a Metadata,
    /// User and group, where those on disk are not the true ones too.
    pub(super) owner: (u32, u32),
    pub(super) xattrs: Attributes,
    /// What is below at this path.
    pub(super) lower: Option<&'a Node<'view>>,
    /// Which files below have several names.
    pub(super) linked: &'a LinkedFiles<'view>,
}

/// Is told of an upper in the order of layers: a directory, the deletions in it, its children.
pub(super) trait UpperSink {
    /// A directory begins.
    fn enter(&mut self, directory: &UpperDirectory<'_, '_>) -> Result<()>;
    /// A path of the tree below is deleted.
    fn whiteout(&mut self, path: &[u8]) -> Result<()>;
    /// Anything but a directory.
    fn leaf(&mut self, leaf: UpperLeaf<'_, '_>) -> Result<()>;
    /// Something that means nothing: a socket, a deletion of what is not there.
    fn ignored(&mut self, path: &[u8]);
    /// The directory that was entered last is complete.
    fn leave(&mut self, path: &[u8]) -> Result<()>;
}

/// A walk over an upper.
pub(super) struct UpperWalk<'a, S> {
    view: &'a TreeView,
    linked: LinkedFiles<'a>,
    namespace: OverlayNamespace,
    owners: Owners,
    cancel: &'a AtomicBool,
    sink: &'a mut S,
}

struct Child {
    name: Vec<u8>,
    metadata: Metadata,
}

impl<'a, S: UpperSink> UpperWalk<'a, S> {
    pub(super) fn new(
        view: &'a TreeView,
        namespace: OverlayNamespace,
        cancel: &'a AtomicBool,
        sink: &'a mut S,
    ) -> Self {
        Self {
            view,
            linked: LinkedFiles::new(view),
            namespace,
            owners: Owners::of_process(),
            cancel,
            sink,
        }
    }

    /// Walks the upper at `root`.
    pub(super) fn run(&mut self, root: &Directory) -> Result<()> {
        let metadata = root.metadata()?;
        self.directory(root, b"", &metadata, self.view.root()?)
    }

    /// The depth of the recursion is that of paths, which is limited.
    fn directory(
        &mut self,
        directory: &Directory,
        path: &[u8],
        metadata: &Metadata,
        lower: Option<Node<'a>>,
    ) -> Result<()> {
        check_cancelled(self.cancel)?;
        let xattrs = xattr::all(directory.as_fd())
            .map_err(|errno| Error::io(directory.path().display(), errno))?;
        self.refuse_foreign(&xattrs, path)?;
        let lower = lower.filter(|node| node.kind() == Kind::Directory);
        let opaque = self.namespace.mark(&xattrs, b"opaque") == Some(b"y");
        let hidden = match &lower {
            Some(lower) if opaque => self.view.children(lower)?,
            _ => Vec::new(),
        };
        let seen = UpperDirectory {
            path,
            metadata,
            owner: self.owners.recorded(metadata, lower.as_ref()),
            xattrs: &xattrs,
            lower: lower.as_ref(),
            hidden: &hidden,
        };
        self.sink.enter(&seen)?;
        let below = lower.filter(|_| !opaque);
        let children = self.list(directory, path, below.as_ref())?;
        for child in children {
            let child_path = join(path, &child.name);
            let lower = self.lower_child(below.as_ref(), &child.name)?;
            if child.metadata.kind == FileKind::Directory {
                let inner = directory.open_child(&child.name)?;
                self.directory(&inner, &child_path, &child.metadata, lower)?;
            } else {
                self.leaf(directory, &child_path, &child, lower.as_ref())?;
            }
        }
        self.sink.leave(path)
    }

    /// Reports the deletions of a directory; gives what else is in it, sorted.
    fn list(
        &mut self,
        directory: &Directory,
        path: &[u8],
        lower: Option<&Node<'a>>,
    ) -> Result<Vec<Child>> {
        let names = directory.entries()?;
        let mut children = Vec::with_capacity(names.len());
        for entry in names.iter() {
            let child_path = join(path, entry.name);
            check_name(&child_path)?;
            let metadata = directory.stat_child(entry.name)?;
            if self.is_whiteout(directory, entry.name, &metadata)? {
                match self.lower_child(lower, entry.name)? {
                    Some(_) => self.sink.whiteout(&child_path)?,
                    None => self.sink.ignored(&child_path),
                }
            } else if metadata.kind == FileKind::Socket {
                self.sink.ignored(&child_path);
            } else {
                children.push(Child {
                    name: entry.name.to_vec(),
                    metadata,
                });
            }
        }
        Ok(children)
    }

    fn leaf(
        &mut self,
        directory: &Directory,
        path: &[u8],
        child: &Child,
        lower: Option<&Node<'a>>,
    ) -> Result<()> {
        check_cancelled(self.cancel)?;
        let xattrs = directory.xattrs(&child.name)?;
        self.refuse_foreign(&xattrs, path)?;
        self.sink.leaf(UpperLeaf {
            path,
            directory,
            name: &child.name,
            metadata: &child.metadata,
            owner: self.owners.recorded(&child.metadata, lower),
            xattrs,
            lower,
            linked: &self.linked,
        })
    }

    fn lower_child(&self, lower: Option<&Node<'a>>, name: &[u8]) -> Result<Option<Node<'a>>> {
        match lower {
            Some(lower) => self.view.child(lower, name),
            None => Ok(None),
        }
    }

    /// A device 0/0, or an empty file with a mark where devices cannot be made.
    fn is_whiteout(&self, directory: &Directory, name: &[u8], metadata: &Metadata) -> Result<bool> {
        if metadata.is_whiteout_device() {
            return Ok(true);
        }
        if metadata.kind != FileKind::File || metadata.size != 0 {
            return Ok(false);
        }
        let failed = |errno| Error::io(directory.path_to(name).display(), errno);
        if !child_has_any(directory, name).map_err(failed)? {
            return Ok(false);
        }
        let xattrs = all_of_child(directory, name).map_err(failed)?;
        Ok(self.namespace.mark(&xattrs, b"whiteout").is_some())
    }

    /// Marks that say that the file is not all here.
    fn refuse_foreign(&self, xattrs: &Attributes, path: &[u8]) -> Result<()> {
        for mark in [&b"redirect"[..], b"metacopy"] {
            if self.namespace.mark(xattrs, mark).is_some() {
                let mark = String::from_utf8_lossy(mark);
                return Err(Error::conflict(
                    display_path(path),
                    format!("the upper directory comes from a mount with overlay's {mark} feature"),
                ));
            }
        }
        Ok(())
    }
}
