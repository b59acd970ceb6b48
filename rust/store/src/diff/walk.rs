//! Walking an upper directory, or a plain tree, beside the tree below it.
//!
//! A plain tree is walked as if it were an upper: what is gone from it counts as a deletion, a
//! directory that was made anew as an opaque one. So both give the same layers.

use std::os::fd::AsFd;
use std::sync::atomic::AtomicBool;

use fastlayer_fs::xattr::{Attributes, all_of_child, child_has_any};
use fastlayer_fs::{Directory, Kind as FileKind, Metadata, Trail, xattr};

use super::compare_upper::kind;
use crate::copy::check_name;
use crate::error::{Error, Result, check_cancelled, display_path};
use crate::index::Kind;
use crate::overlay::OverlayNamespace;
use crate::owners::Owners;
use crate::plain_tree::Snapshot;
use crate::tree::{LinkedFiles, Node, TreeView, join};

/// How what is on disk tells what became of the tree below.
pub(super) enum Form<'a> {
    /// An upper, which has what changed and marks what is gone.
    Upper(OverlayNamespace),
    /// The whole tree as plain files, and what it was when it was laid out.
    Plain(&'a Snapshot),
}

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
    /// Whether it is known to bear what it bore before, whatever it looks like.
    pub(super) untouched: bool,
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
    form: Form<'a>,
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
        form: Form<'a>,
        cancel: &'a AtomicBool,
        sink: &'a mut S,
    ) -> Self {
        Self {
            view,
            linked: LinkedFiles::new(view),
            form,
            owners: Owners::of_process(),
            cancel,
            sink,
        }
    }

    /// Walks what is at `root`.
    pub(super) fn run(&mut self, root: &Directory) -> Result<()> {
        let metadata = root.metadata()?;
        let mut trail = Trail::new(root.open_descendant(b"")?);
        self.directory(&mut trail, b"", &metadata, self.view.root()?)
    }

    /// The depth of the recursion is that of paths, which is limited.
    fn directory(
        &mut self,
        trail: &mut Trail,
        path: &[u8],
        metadata: &Metadata,
        lower: Option<Node<'a>>,
    ) -> Result<()> {
        check_cancelled(self.cancel)?;
        let directory = trail.here();
        let mut xattrs = xattr::all(directory.as_fd())
            .map_err(|errno| Error::io(directory.path().display(), errno))?;
        self.refuse_foreign(&xattrs, path)?;
        let lower = lower.filter(|node| node.kind() == Kind::Directory);
        let opaque = self.is_opaque(path, metadata, &xattrs);
        // Else it was made anew, and what was there before says nothing of it.
        let same = lower.as_ref().filter(|_| !opaque);
        self.owners.add_recorded(&mut xattrs, same)?;
        let hidden = match &lower {
            Some(lower) if opaque => self.view.children(lower)?,
            _ => Vec::new(),
        };
        let seen = UpperDirectory {
            path,
            metadata,
            owner: self.owners.recorded(metadata, same),
            xattrs: &xattrs,
            lower: lower.as_ref(),
            hidden: &hidden,
            untouched: lower.is_some() && self.is_untouched(path, metadata),
        };
        self.sink.enter(&seen)?;
        let below = lower.filter(|_| !opaque);
        for child in self.list(directory, path, below.as_ref())? {
            let child_path = join(path, &child.name);
            let lower = self.lower_child(below.as_ref(), &child.name)?;
            if child.metadata.kind == FileKind::Directory {
                trail.enter(&child.name)?;
                self.directory(trail, &child_path, &child.metadata, lower)?;
                trail.leave()?;
            } else {
                self.leaf(trail.here(), &child_path, &child, lower.as_ref())?;
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
        let mut gone = Vec::new();
        for entry in names.iter() {
            let child_path = join(path, entry.name);
            check_name(&child_path)?;
            let metadata = directory.stat_child(entry.name)?;
            let means_nothing = metadata.kind == FileKind::Socket;
            if means_nothing || self.is_whiteout(directory, entry.name, &metadata)? {
                let below = self.lower_child(lower, entry.name)?.is_some();
                // A socket has taken the place of what was there.
                if means_nothing || !below {
                    self.sink.ignored(&child_path);
                }
                if below {
                    gone.push(child_path);
                }
            } else {
                children.push(Child {
                    name: entry.name.to_vec(),
                    metadata,
                });
            }
        }
        if let (Form::Plain(snapshot), Some(lower)) = (&self.form, lower) {
            for node in self.view.children(lower)? {
                // What could not be laid out is not gone.
                if snapshot.has(node.path()) && !names.contains(node.name()) {
                    gone.push(node.path().to_vec());
                }
            }
            gone.sort();
        }
        for path in gone {
            self.sink.whiteout(&path)?;
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
        if lower.is_some() && self.is_untouched(path, &child.metadata) {
            return Ok(());
        }
        let mut xattrs = directory.xattrs(&child.name)?;
        self.refuse_foreign(&xattrs, path)?;
        let same = lower.filter(|node| kind(child.metadata.kind) == Some(node.kind()));
        self.owners.add_recorded(&mut xattrs, same)?;
        self.sink.leaf(UpperLeaf {
            path,
            directory,
            name: &child.name,
            metadata: &child.metadata,
            owner: self.owners.recorded(&child.metadata, same),
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

    /// Whether nothing of the directory below shows through.
    fn is_opaque(&self, path: &[u8], metadata: &Metadata, xattrs: &Attributes) -> bool {
        match &self.form {
            Form::Upper(namespace) => namespace.mark(xattrs, b"opaque") == Some(b"y"),
            Form::Plain(snapshot) => snapshot.is_another(path, metadata),
        }
    }

    fn is_untouched(&self, path: &[u8], metadata: &Metadata) -> bool {
        match &self.form {
            Form::Upper(_) => false,
            Form::Plain(snapshot) => snapshot.is_untouched(path, metadata),
        }
    }

    /// A device 0/0, or an empty file with a mark where devices cannot be made.
    fn is_whiteout(&self, directory: &Directory, name: &[u8], metadata: &Metadata) -> Result<bool> {
        let is_device = metadata.is_whiteout_device();
        let Form::Upper(namespace) = &self.form else {
            if is_device {
                return Err(Error::conflict(
                    directory.path_to(name).display(),
                    "a device with the numbers 0 and 0 cannot be in a layer, where it means a \
                     deletion",
                ));
            }
            return Ok(false);
        };
        if is_device {
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
        Ok(namespace.mark(&xattrs, b"whiteout").is_some())
    }

    /// Marks that say that the file is not all here.
    fn refuse_foreign(&self, xattrs: &Attributes, path: &[u8]) -> Result<()> {
        let Form::Upper(namespace) = &self.form else {
            return Ok(());
        };
        for mark in [&b"redirect"[..], b"metacopy"] {
            if namespace.mark(xattrs, mark).is_some() {
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
