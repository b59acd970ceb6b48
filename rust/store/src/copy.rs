//! COPY and ADD: files from a context, another tree or memory become a layer, without a mount.
//!
//! It runs in two halves that know nothing of each other: *select* finds what the source words
//! stand for, *place* decides where that goes in the tree that is copied onto. The key of an
//! operation covers what is selected, so it can be known before anything is stored.
//!
//! Directories that have to be made bear the newest time of what is copied, so that the same
//! sources give the same layer at any hour.

mod archive;
mod awaited;
mod context_source;
mod directory;
mod item;
mod key;
mod mode;
mod pattern;
mod place;
mod select;
mod tree_source;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastlayer_context::{Context, IgnoreMatcher};
use fastlayer_tar::Timestamp;

use crate::digest::{ContentId, DiffId};
use crate::error::{Error, Result, check_cancelled};
use crate::index::Kind;
use crate::layer_info::LayerInfo;
use crate::layer_writer::WriterOptions;
use crate::store::Store;
use item::{Body, Item, Match};
use key::Draft;
use place::Placement;
use select::Selector;

pub use directory::NewDirectory;
pub(crate) use item::entry_kind;
pub use mode::ModeChange;
pub(crate) use write::check_name;

/// One source of a COPY or ADD.
#[derive(Clone, Debug)]
pub enum CopySource {
    /// A path or wildcard in a build context.
    Context {
        /// The context.
        context: Arc<Context>,
        /// Relative to its root; heads `/` and `../` are dropped.
        pattern: Vec<u8>,
    },
    /// A path or wildcard in a stored tree.
    Tree {
        /// The layers of the tree, the base first.
        chain: Vec<DiffId>,
        /// Relative to the tree's root.
        pattern: Vec<u8>,
    },
    /// A file whose content is given (a heredoc); it is of the year 1970.
    Inline {
        /// Its name below a destination that is a directory.
        name: Vec<u8>,
        /// Its content.
        content: Arc<[u8]>,
        /// Its permission bits.
        mode: u32,
    },
    /// A file that was fetched for this operation.
    File {
        /// Where it lies.
        path: PathBuf,
        /// Its name below a destination that is a directory.
        name: Vec<u8>,
        /// Its permission bits.
        mode: u32,
        /// Its time, in seconds since 1970.
        mtime: i64,
        /// Whether it is unpacked where the operation unpacks archives.
        unpack: bool,
    },
}

/// A whole COPY or ADD instruction, all words expanded and owners numeric.
#[derive(Clone, Debug)]
pub struct CopyOperation {
    /// What is copied, in order.
    pub sources: Vec<CopySource>,
    /// Absolute path in the tree; a slash at its end says that it is a directory.
    pub destination: Vec<u8>,
    /// User and group of all that is copied or made; `None` keeps what sources of trees have.
    pub owner: Option<(u32, u32)>,
    /// Change of the permission bits of all that is copied or made.
    pub mode: Option<ModeChange>,
    /// Patterns, as in an ignore file, of paths relative to each source that are left out.
    pub exclude: Vec<Vec<u8>>,
    /// Whether directories on the way to a source are repeated below the destination.
    pub parents: bool,
    /// Whether archives, known by their content, are unpacked.
    pub unpack: bool,
    /// Whether the layer does not depend on the tree below: links in the destination are not
    /// followed.
    pub link: bool,
}

impl Store {
    /// The layer that the operation makes over the tree of `base`.
    ///
    /// # Errors
    /// [`Error::Source`] naming a source that is missing or changes meanwhile, [`Error::Conflict`]
    /// where a file would replace a directory or the other way round.
    pub fn copy_layer(
        &self,
        base: &[DiffId],
        operation: &CopyOperation,
        options: &WriterOptions,
    ) -> Result<LayerInfo> {
        Ok(self.copy_layer_keyed(base, operation, options)?.0)
    }

    /// As [`Store::copy_layer`], with the key (see [`Store::copy_key`]) of just what was copied:
    /// each file is read once for both.
    ///
    /// # Errors
    /// As [`Store::copy_layer`].
    pub fn copy_layer_keyed(
        &self,
        base: &[DiffId],
        operation: &CopyOperation,
        options: &WriterOptions,
    ) -> Result<(LayerInfo, ContentId)> {
        let cancel = &*options.cancel;
        let view = self.tree_view(base)?;
        let mut selection = Selection::of(self, operation, Purpose::Copy, options)?;
        let mut key = Draft::new(operation, &mut selection.matches, cancel)?;
        let made_at = selection.newest();
        let mode = operation.mode.as_ref();
        let mut placement = Placement::new(&view, operation.owner, mode, operation.link, made_at);
        let several = selection.matches.len() > 1;
        if several && !operation.parents {
            check_destination(&placement, &operation.destination)?;
        }
        for found in selection.matches {
            check_cancelled(cancel)?;
            placement.place(found, &operation.destination)?;
        }
        let layer = write::write_layer(self, placement.finish(), key.awaited(), options)?;
        Ok((layer, key.finish(cancel)?))
    }

    /// The key of all that the operation would copy: names below each source, types, modes,
    /// owners of trees, link targets, extended attributes and contents; no times.
    ///
    /// # Errors
    /// As [`Store::copy_layer`], for sources.
    pub fn copy_key(
        &self,
        operation: &CopyOperation,
        options: &WriterOptions,
    ) -> Result<ContentId> {
        let mut selection = Selection::of(self, operation, Purpose::Key, options)?;
        Draft::new(operation, &mut selection.matches, &options.cancel)?.finish(&options.cancel)
    }
}

fn check_destination(placement: &Placement<'_>, destination: &[u8]) -> Result<()> {
    if destination.ends_with(b"/") || placement.is_directory(destination)? {
        return Ok(());
    }
    Err(Error::conflict(
        String::from_utf8_lossy(destination),
        "several sources are copied to it, so it must be a directory and end with a slash",
    ))
}

/// What a selection is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Contents are read when they are copied.
    Copy,
    /// All contents must have an id.
    Key,
}

/// All that an operation's sources stand for.
struct Selection {
    matches: Vec<Match>,
}

impl Selection {
    fn of(
        store: &Store,
        operation: &CopyOperation,
        purpose: Purpose,
        options: &WriterOptions,
    ) -> Result<Self> {
        let cancel = &*options.cancel;
        let matcher = match operation.exclude.as_slice() {
            [] => None,
            patterns => Some(IgnoreMatcher::new(patterns)?),
        };
        let mut matches = Vec::new();
        for (number, source) in operation.sources.iter().enumerate() {
            check_cancelled(cancel)?;
            let select = |tree: &dyn select::SourceTree, tree_name, pattern: &[u8]| {
                let parents = operation.parents;
                let exclude = matcher.as_ref();
                Selector {
                    tree,
                    tree_name,
                    source: number,
                    parents,
                    exclude,
                }
                .select(pattern)
            };
            let found = match source {
                CopySource::Context { context, pattern } => {
                    let tree = context_source::ContextSource::new(context, purpose, cancel);
                    select(&tree, "the build context", pattern)?
                }
                CopySource::Tree { chain, pattern } => {
                    let view = store.tree_view(chain)?;
                    let tree = tree_source::TreeSource::new(store, &view);
                    select(&tree, "the image or stage", pattern)?
                }
                CopySource::Inline {
                    name,
                    content,
                    mode,
                } => {
                    vec![single(number, name, Item::inline(content, *mode))]
                }
                CopySource::File {
                    path,
                    name,
                    mode,
                    mtime,
                    ..
                } => {
                    vec![single(number, name, local_item(path, *mode, *mtime)?)]
                }
            };
            matches.extend(found);
        }
        if operation.unpack {
            archive::unpack_all(store, &operation.sources, &mut matches, options)?;
        }
        Ok(Self { matches })
    }

    /// The newest time of all that is selected, on a whole second.
    fn newest(&self) -> Timestamp {
        let items = self.matches.iter().flat_map(|found| &found.items);
        let seconds = items.map(|item| item.mtime.seconds).max().unwrap_or(0);
        Timestamp::from_seconds(seconds)
    }
}

fn single(source: usize, name: &[u8], item: Item) -> Match {
    Match {
        name: name.to_vec(),
        source,
        parents: Vec::new(),
        items: vec![item],
        replaces: false,
    }
}

fn local_item(path: &Path, mode: u32, mtime: i64) -> Result<Item> {
    let failed = |source| Error::io(path.display(), source);
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let mut item = Item::new(Kind::File, mode & 0o7777);
    item.size = metadata.len();
    item.mtime = Timestamp::from_seconds(mtime);
    item.body = Body::Local { path: path.into() };
    Ok(item)
}
