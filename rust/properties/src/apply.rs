//! Any chain of layers is taken in and laid out without a touch of anything outside; what comes
//! out of the store is what went in.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use fastlayer_fs::{Directory, remove_tree};
use fastlayer_store::digest::checksum;
use fastlayer_store::tree::TreeView;
use fastlayer_store::tree_id::tree_id;
use fastlayer_store::{DiffId, Durability, Error, IngestOptions, Progress, Store, WriterOptions};
use fastlayer_tar::BLOCK_SIZE;

use crate::Property;
use crate::archive::mend_checksums;
use crate::scratch::Scratch;
use crate::take::Take;

/// Most layers of one chain.
const LAYERS: usize = 4;
/// Largest tree that is laid out: a few bytes can claim a sparse file of any size.
const LAID_OUT: u64 = 4 << 20;
/// One of so many stores is checked whole: that takes longer than all the rest.
const CHECKED_SHARE: u8 = 16;
/// Stands for the absolute path of the canary in inputs, which cannot know it.
const PLACEHOLDER: &str = "/canary-canary-canary-canary-canary-canary-canary-canary-canary-";

/// Ingest, checkout and export. The input is a chain of layers, each with its number of blocks in
/// two bytes before it.
pub struct Apply {
    canary: Canary,
}

impl Apply {
    /// A place with a canary in it.
    pub fn new() -> Self {
        Self {
            canary: Canary::new(),
        }
    }
}

impl Default for Apply {
    fn default() -> Self {
        Self::new()
    }
}

impl Property for Apply {
    fn check(&mut self, bytes: &[u8]) {
        let root = self.canary.root();
        let store = self.canary.store();
        let mut input = Take(bytes);
        let (mut chain, mut size) = (Vec::new(), 0_u64);
        for _ in 0..LAYERS {
            if input.is_empty() {
                break;
            }
            let blocks = usize::from(input.short());
            let mut tar = input.bytes(blocks * BLOCK_SIZE).to_vec();
            self.canary.fill_in(&mut tar);
            mend_checksums(&mut tar);
            if let Some((diff_id, length)) = take_in(&store, &tar) {
                chain.push(diff_id);
                size = size.saturating_add(length);
            }
        }
        if size <= LAID_OUT {
            lay_out(&store, &chain, &root);
        }
        if checksum(bytes)[0].is_multiple_of(CHECKED_SHARE) {
            let problems = store.fsck(&AtomicBool::new(false), &mut |_| {});
            assert_eq!(problems.expect("a check"), []);
        }
        self.canary.check();
    }
}

/// Nothing here needs to survive.
fn options() -> IngestOptions {
    IngestOptions {
        writer: WriterOptions {
            durability: Durability::Deferred,
            workers: 1,
            ..WriterOptions::default()
        },
        ..IngestOptions::default()
    }
}

/// Takes a layer in, which must come out again; gives its size when it has a tree.
fn take_in(store: &Store, tar: &[u8]) -> Option<(DiffId, u64)> {
    let info = match store.ingest(tar, options(), &mut |_| {}) {
        Ok(info) => info,
        Err(error) => {
            assert!(!matches!(error, Error::Io { .. }), "{error}");
            return None;
        }
    };
    assert_eq!(info.diff_id, DiffId::of(tar));
    let mut again = Vec::new();
    store
        .write_tar(&info.diff_id, &mut again, &AtomicBool::new(false))
        .expect("a layer that was taken in");
    assert_eq!(again, tar);
    info.raw_reason
        .is_none()
        .then_some((info.diff_id, info.content_size))
}

/// Writes the tree of a chain in every form; as a tar it is the same tree again.
fn lay_out(store: &Store, chain: &[DiffId], root: &Path) {
    let stop = AtomicBool::new(false);
    let Ok(view) = store.tree_view(chain) else {
        return;
    };
    let _ = store.write_tree(chain, root, &stop, &Progress::default());
    let _ = store.checkout(chain, &stop);
    let mut tar = Vec::new();
    if store
        .write_tree_tar(chain, &mut tar, &stop, &Progress::default())
        .is_ok()
    {
        let info = store.ingest(tar.as_slice(), options(), &mut |_| {});
        let info = info.expect("a tar of ours");
        assert_eq!(info.raw_reason, None, "a tree of ours");
        let again = store.tree_view(&[info.diff_id]).expect("its tree");
        // The root itself is not part of such a tar: it belongs to whoever unpacks it.
        if is_plain_root(&view) {
            assert_eq!(
                tree_id(&again).expect("its id"),
                tree_id(&view).expect("a tree that was written")
            );
        }
    }
}

fn is_plain_root(view: &TreeView) -> bool {
    let root = view.root().expect("a tree that was written");
    root.is_none_or(|root| {
        (root.mode(), root.uid(), root.gid()) == (0o755, 0, 0) && !root.has_xattrs()
    })
}

/// Files outside of where a tree goes. Nobody may touch them.
pub(crate) struct Canary {
    scratch: Scratch,
    before: BTreeMap<PathBuf, Seen>,
}

/// All that a touch would change: type and mode, owner, links, size, times and content.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    links: u64,
    changed: (i64, i64),
    content: Vec<u8>,
}

impl Canary {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        plant(&scratch.join("canary"));
        fs::create_dir(scratch.join("cage")).expect("a directory");
        let mut canary = Self {
            before: BTreeMap::new(),
            scratch,
        };
        canary.before = canary.seen();
        canary
    }

    /// An empty directory for a tree, with nothing but the canary around it.
    pub(crate) fn root(&self) -> PathBuf {
        let root = self.scratch.join("cage").join("root");
        self.empty();
        fs::create_dir(&root).expect("a directory");
        root
    }

    /// Puts the canary's path where an archive has the placeholder.
    fn fill_in(&self, tar: &mut [u8]) {
        // Further slashes mean nothing.
        let path = self.scratch.join("canary").display().to_string();
        let path = format!("{path:/>width$}", width = PLACEHOLDER.len());
        assert_eq!(path.len(), PLACEHOLDER.len(), "a shorter TMPDIR is needed");
        let length = PLACEHOLDER.len();
        for at in 0..(tar.len() + 1).saturating_sub(length) {
            if tar[at..].starts_with(PLACEHOLDER.as_bytes()) {
                tar[at..at + length].copy_from_slice(path.as_bytes());
            }
        }
    }

    /// A new store.
    fn store(&self) -> Store {
        self.scratch.store("cage/store")
    }

    /// Panics where anything outside has changed.
    pub(crate) fn check(&self) {
        assert_eq!(self.seen(), self.before, "something outside was touched");
        let names = fs::read_dir(self.scratch.join("cage")).expect("the cage");
        for name in names.flatten() {
            let name = name.file_name();
            assert!(
                name == "root" || name == "store",
                "{name:?} beside the root"
            );
        }
        self.empty();
    }

    fn empty(&self) {
        let cage = Directory::open(self.scratch.join("cage")).expect("the cage");
        for name in [b"root".as_slice(), b"store"] {
            if cage.find_child(name).expect("a look").is_some() {
                remove_tree(&cage, name).expect("a tree that is removed");
            }
        }
    }

    fn seen(&self) -> BTreeMap<PathBuf, Seen> {
        let mut seen = BTreeMap::new();
        let place = self.scratch.join("canary");
        let inside = fs::read_dir(&place).expect("the canary").flatten();
        let paths = inside.map(|entry| entry.path()).chain([place.clone()]);
        for path in paths {
            let metadata = fs::symlink_metadata(&path).expect("its metadata");
            let content = match metadata.is_file() {
                true => fs::read(&path).expect("its content"),
                false => Vec::new(),
            };
            let seen_here = Seen {
                mode: metadata.permissions().mode(),
                owner: (metadata.uid(), metadata.gid()),
                links: metadata.nlink(),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
                content,
            };
            seen.insert(path, seen_here);
        }
        seen
    }
}

fn plant(place: &Path) {
    fs::create_dir_all(place.join("directory")).expect("a directory");
    fs::write(place.join("file"), "untouched").expect("a file");
}
