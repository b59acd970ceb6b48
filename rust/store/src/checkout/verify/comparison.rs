//! A walk of a checkout that compares each path with what is to be there.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;

use fastlayer_fs::{Directory, Kind as FileKind, Metadata, Trail, xattr};

use super::super::stub;
use super::expected::{Expected, Wanted};
use crate::digest::ContentId;
use crate::error::{Error, Result, check_cancelled, display_path};
use crate::index::Kind;
use crate::object::verify_object;
use crate::overlay::{OverlayNamespace, portable};
use crate::store::Store;
use crate::tree::join;
use crate::tree_writer::{Fidelity, PathAttributes};

/// A file as the tree index names it: its layer and its first row.
type File = (usize, u32);

pub(super) struct Comparison<'a> {
    store: &'a Store,
    expected: &'a dyn Expected,
    cancel: &'a AtomicBool,
    namespace: OverlayNamespace,
    fidelity: Fidelity,
    /// The paths that are there.
    seen: HashSet<Vec<u8>>,
    /// Which file an inode is, and the other way round.
    files: HashMap<(u64, u64), File>,
    inodes: HashMap<File, (u64, u64)>,
    first: Option<String>,
    count: u64,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(
        store: &'a Store,
        expected: &'a dyn Expected,
        namespace: OverlayNamespace,
        cancel: &'a AtomicBool,
    ) -> Self {
        Self {
            store,
            expected,
            cancel,
            namespace,
            fidelity: match namespace {
                OverlayNamespace::Trusted => Fidelity::Exact,
                OverlayNamespace::User => Fidelity::Possible,
            },
            seen: HashSet::new(),
            files: HashMap::new(),
            inodes: HashMap::new(),
            first: None,
            count: 0,
        }
    }

    /// Compares all that is below `tree`, and looks for what is not.
    pub(super) fn run(&mut self, tree: Directory) -> Result<()> {
        let metadata = tree.metadata()?;
        let attributes =
            xattr::all(&tree).map_err(|errno| Error::io(tree.path().display(), errno))?;
        self.path(b"", &metadata, &attributes, &tree, b"")?;
        self.directory(&mut Trail::new(tree), b"")?;
        let mut missing = Vec::new();
        let devices_matter = self.fidelity == Fidelity::Exact;
        let seen = &self.seen;
        self.expected.each(&mut |path, kind| {
            let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
            if !seen.contains(path) && (devices_matter || !is_device) {
                missing.push(path.to_vec());
            }
        })?;
        for path in missing {
            self.differs(&path, "is missing");
        }
        Ok(())
    }

    /// The first difference and the number of all.
    pub(super) fn finish(self, checkout: &str) -> Result<()> {
        match (self.first, self.count) {
            (None, _) => Ok(()),
            (Some(first), 1) => Err(Error::corrupt(checkout, first)),
            (Some(first), count) => {
                let detail = format!("{first}, and {} more differences", count - 1);
                Err(Error::corrupt(checkout, detail))
            }
        }
    }

    fn differs(&mut self, path: &[u8], detail: impl std::fmt::Display) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Some(format!("/{} {detail}", display_path(path)));
        }
    }

    fn directory(&mut self, trail: &mut Trail, path: &[u8]) -> Result<()> {
        for entry in trail.here().entries()?.iter() {
            check_cancelled(self.cancel)?;
            let child_path = join(path, entry.name);
            let metadata = trail.here().stat_child(entry.name)?;
            let attributes = trail.here().xattrs(entry.name)?;
            self.path(
                &child_path,
                &metadata,
                &attributes,
                trail.here(),
                entry.name,
            )?;
            if metadata.kind == FileKind::Directory {
                trail.enter(entry.name)?;
                self.directory(trail, &child_path)?;
                trail.leave()?;
            }
        }
        Ok(())
    }

    /// Compares one path: `name` in `parent`.
    fn path(
        &mut self,
        path: &[u8],
        metadata: &Metadata,
        attributes: &xattr::Attributes,
        parent: &Directory,
        name: &[u8],
    ) -> Result<()> {
        let Some(wanted) = self.expected.at(path)? else {
            self.differs(path, "should not be there");
            return Ok(());
        };
        self.seen.insert(path.to_vec());
        let found = self.kind_of(metadata, attributes);
        if found != Some(wanted.kind) {
            self.differs(path, "is of another type");
            return Ok(());
        }
        let Some(bears) = &wanted.attributes else {
            return Ok(());
        };
        self.metadata(path, metadata, bears, wanted.kind);
        let stub = self.marks(path, attributes, bears, &wanted);
        if let Some(file) = wanted.inode {
            self.links(path, metadata, file);
        }
        if let Some(target) = stub {
            return self.stub(path, metadata, &wanted, &target);
        }
        self.content(path, metadata, &wanted, parent, name)
    }

    fn kind_of(&self, metadata: &Metadata, attributes: &xattr::Attributes) -> Option<Kind> {
        let is_marked = self.namespace.mark(attributes, b"whiteout").is_some();
        Some(match metadata.kind {
            FileKind::File if is_marked && metadata.size == 0 => Kind::Whiteout,
            FileKind::File => Kind::File,
            FileKind::Directory => Kind::Directory,
            FileKind::Symlink => Kind::Symlink,
            FileKind::CharDevice if metadata.is_whiteout_device() => Kind::Whiteout,
            FileKind::CharDevice => Kind::CharDevice,
            FileKind::BlockDevice => Kind::BlockDevice,
            FileKind::Fifo => Kind::Fifo,
            FileKind::Socket => return None,
        })
    }

    fn metadata(&mut self, path: &[u8], found: &Metadata, wanted: &PathAttributes, kind: Kind) {
        if kind != Kind::Symlink && found.mode != wanted.mode {
            let detail = format!("has mode {:04o}, not {:04o}", found.mode, wanted.mode);
            self.differs(path, detail);
        }
        let owner = (found.uid, found.gid);
        if self.fidelity == Fidelity::Exact && owner != (wanted.uid, wanted.gid) {
            let (uid, gid) = (wanted.uid, wanted.gid);
            let detail = format!("belongs to {}:{}, not to {uid}:{gid}", owner.0, owner.1);
            self.differs(path, detail);
        }
        let time = (found.mtime.seconds, found.mtime.nanoseconds);
        if time != (wanted.mtime.seconds, wanted.mtime.nanoseconds) {
            let detail = format!("has the time {}, not {}", time.0, wanted.mtime.seconds);
            self.differs(path, detail);
        }
    }

    /// Compares extended attributes, overlay's own ones too; gives what a stub leads to.
    fn marks(
        &mut self,
        path: &[u8],
        found: &xattr::Attributes,
        bears: &PathAttributes,
        wanted: &Wanted,
    ) -> Option<Vec<u8>> {
        let opaque = wanted.opaque;
        if (self.namespace.mark(found, b"opaque") == Some(b"y")) != opaque {
            let detail = if opaque { "is not opaque" } else { "is opaque" };
            self.differs(path, detail);
        }
        let metacopy = self.namespace.mark(found, b"metacopy").is_some();
        let redirect = self.namespace.mark(found, b"redirect").map(<[u8]>::to_vec);
        let is_stub = metacopy && redirect.is_some() && wanted.stub;
        if !is_stub && (metacopy || redirect.is_some()) {
            self.differs(path, "has overlay's marks of a stub");
        }
        // No file system has user attributes of links, devices and pipes (xattr(7)): they stay in
        // the layer (trap E4).
        let may_bear_user = matches!(wanted.kind, Kind::File | Kind::Directory);
        let bears = bears
            .xattrs
            .iter()
            .filter(|(name, _)| may_bear_user || !name.starts_with(b"user."));
        if self.fidelity == Fidelity::Exact && portable(found.clone()).iter().ne(bears) {
            self.differs(path, "has other extended attributes");
        }
        redirect.filter(|_| is_stub)
    }

    /// A stub must have the size of its file, and lead to its object, which must be there.
    fn stub(&mut self, path: &[u8], found: &Metadata, wanted: &Wanted, leads: &[u8]) -> Result<()> {
        if found.size != wanted.size {
            let detail = format!("has {} bytes, not {}", found.size, wanted.size);
            self.differs(path, detail);
        }
        match &wanted.content {
            Some(id) if stub::target(id) == leads => {
                if !self.store.has_object(id)? {
                    self.differs(path, format!("leads to object {id}, which is missing"));
                }
            }
            _ => self.differs(path, "leads to another object"),
        }
        Ok(())
    }

    /// Two paths must be one inode just when they are one file.
    fn links(&mut self, path: &[u8], metadata: &Metadata, file: File) {
        let inode = (metadata.dev, metadata.ino);
        if *self.files.entry(inode).or_insert(file) != file {
            self.differs(path, "is a hard link of another file");
        }
        if *self.inodes.entry(file).or_insert(inode) != inode {
            self.differs(path, "is no hard link of its file");
        }
    }

    fn content(
        &mut self,
        path: &[u8],
        metadata: &Metadata,
        wanted: &Wanted,
        parent: &Directory,
        name: &[u8],
    ) -> Result<()> {
        match wanted.kind {
            Kind::File if metadata.size != wanted.size => {
                let detail = format!("has {} bytes, not {}", metadata.size, wanted.size);
                self.differs(path, detail);
            }
            Kind::File => {
                if let Some(id) = &wanted.content
                    && !self.has_content(metadata, id, parent, name)?
                {
                    self.differs(path, "has another content");
                }
            }
            Kind::Symlink if parent.read_link(name)? != wanted.target => {
                self.differs(path, "leads elsewhere");
            }
            Kind::CharDevice | Kind::BlockDevice if metadata.rdev != wanted.device => {
                self.differs(path, "is another device");
            }
            _ => {}
        }
        Ok(())
    }

    fn has_content(
        &self,
        metadata: &Metadata,
        id: &ContentId,
        parent: &Directory,
        name: &[u8],
    ) -> Result<bool> {
        let object = self.store.object_metadata(id)?;
        if object.is_some_and(|object| (object.dev, object.ino) == (metadata.dev, metadata.ino)) {
            return Ok(true);
        }
        match verify_object(id, parent.open_file(name)?) {
            Ok(()) => Ok(true),
            Err(Error::Corrupt { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
