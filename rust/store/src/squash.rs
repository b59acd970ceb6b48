//! Several layers as one: what they change together, over the tree below them.
//!
//! What one of them adds and a later one removes is in it no more. It follows from the two trees
//! alone: names, whiteouts and members are in the order of paths.

use std::collections::{BTreeMap, HashSet};

use fastlayer_tar::{Entry, EntryKind, path, whiteout};

use crate::compare::{ChangeKind, compare};
use crate::contents::Contents;
use crate::digest::DiffId;
use crate::error::{Error, Result, check_cancelled};
use crate::file_source::FileSource;
use crate::index::Kind;
use crate::layer_info::LayerInfo;
use crate::layer_writer::{LayerWriter, WriterOptions};
use crate::store::Store;
use crate::tree::{TreeView, Visit, join};
use crate::write_tree::tar_entry;

impl Store {
    /// The one layer that makes the tree of `chain` out of the tree of `base`.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Raw`] as for every tree.
    pub fn squash(
        &self,
        base: &[DiffId],
        chain: &[DiffId],
        options: &WriterOptions,
    ) -> Result<LayerInfo> {
        let after = self.tree_view(chain)?;
        let wanted = Wanted::new(&self.tree_view(base)?, &after)?;
        let contents = Contents::new(self, &after);
        let mut writer = LayerWriter::new(self, options.clone())?;
        // Directories on the way that have no entry yet: only what holds a change is written.
        let mut open: Vec<Entry> = Vec::new();
        for visit in after.walk()? {
            check_cancelled(&options.cancel)?;
            let visit = visit?;
            let name = visit.node.path();
            open.retain(|directory| is_below(name, &directory.path));
            let gone = wanted.gone.get(name);
            let needed = gone.is_some() || wanted.takes(&visit);
            if needed {
                for directory in open.drain(..) {
                    writer.other(&directory)?;
                }
            }
            let is_directory = visit.node.kind() == Kind::Directory;
            if !needed && is_directory && !name.is_empty() {
                open.push(tar_entry(&visit)?);
            }
            if !needed {
                continue;
            }
            if !name.is_empty() {
                write(&mut writer, &contents, &visit)?;
            }
            for child in gone.into_iter().flatten() {
                let marker = whiteout::encode(child)
                    .map_err(|error| Error::unsafe_path(&join(name, child), error))?;
                let entry = Entry::new(join(name, &marker), EntryKind::File);
                writer.file(&entry, FileSource::Bytes(Vec::new()))?;
            }
        }
        writer.finish_canonical()
    }
}

fn write(writer: &mut LayerWriter, contents: &Contents<'_>, visit: &Visit<'_>) -> Result<()> {
    let entry = tar_entry(visit)?;
    if entry.kind == EntryKind::File {
        let source = contents.source(&visit.node)?;
        return writer.file(&entry, source);
    }
    writer.other(&entry)
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// What goes into the layer.
struct Wanted {
    paths: HashSet<Vec<u8>>,
    /// First paths of files of which one name changed: the other names must come along.
    groups: HashSet<Vec<u8>>,
    /// Names that went, by directory.
    gone: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
}

impl Wanted {
    fn new(before: &TreeView, after: &TreeView) -> Result<Self> {
        let mut wanted = Self {
            paths: HashSet::new(),
            groups: HashSet::new(),
            gone: BTreeMap::new(),
        };
        for change in compare(before, after)? {
            if change.kind == ChangeKind::Deleted {
                let (parent, name) = path::split(&change.path).unwrap_or_default();
                let names = wanted.gone.entry(parent.to_vec()).or_default();
                names.push(name.to_vec());
            } else {
                wanted.paths.insert(change.path);
            }
        }
        for visit in after.walk()? {
            let visit = visit?;
            if let Some(first) = visit.hardlink
                && (wanted.paths.contains(visit.node.path()) || wanted.paths.contains(&first))
            {
                wanted.groups.insert(first);
            }
        }
        Ok(wanted)
    }

    fn takes(&self, visit: &Visit<'_>) -> bool {
        let path = visit.node.path();
        let first = visit.hardlink.as_deref().unwrap_or(path);
        !path.is_empty() && (self.paths.contains(path) || self.groups.contains(first))
    }
}
