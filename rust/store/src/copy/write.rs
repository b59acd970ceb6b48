//! A plan of entries becomes a layer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use fastlayer_context::Context;
use fastlayer_fs::Directory;
use fastlayer_tar::{BLOCK_SIZE, EntryKind, padding};

use super::awaited::Awaited;
use super::item::{Body, Item};
use super::place::{PathKey, Planned};
use crate::error::{Error, Result};
use crate::file_source::{Adoption, FileSource, PathSource, Report};
use crate::index::Kind;
use crate::layer_info::LayerInfo;
use crate::layer_writer::{LayerWriter, WriterOptions};
use crate::store::Store;

/// Writes the entries in the order of paths. The first name of a file is the file, its others are
/// hard links to it.
pub(super) fn write_layer(
    store: &Store,
    plan: BTreeMap<PathKey, Planned>,
    awaited: &mut Awaited,
    options: &WriterOptions,
) -> Result<LayerInfo> {
    options.progress.expect(tar_bytes(&plan));
    let mut writer = LayerWriter::new(store, options.clone())?;
    let mut first_names: HashMap<(usize, u64, u64), Vec<u8>> = HashMap::new();
    let mut roots = ContextRoots::default();
    for (PathKey(path), planned) in plan {
        if planned.implicit {
            continue;
        }
        check_name(&path)?;
        let mut entry = planned.item.to_entry(path);
        if let Some(group) = planned.group {
            if let Some(first) = first_names.get(&group) {
                entry.kind = EntryKind::Hardlink;
                entry.size = 0;
                entry.device = (0, 0);
                entry.link.clone_from(first);
                entry.xattrs.clear();
                writer.other(&entry)?;
                continue;
            }
            first_names.insert(group, entry.path.clone());
        }
        if planned.item.kind == Kind::File {
            let report = planned.item.awaited.map(|number| awaited.report(number));
            let source = roots.source(&planned.item, report)?;
            writer.file(&entry, source)?;
        } else {
            writer.other(&entry)?;
        }
    }
    writer.finish_canonical()
}

/// About how long the layer's tar will be, for whoever watches: headers of several blocks are taken
/// for one.
fn tar_bytes(plan: &BTreeMap<PathKey, Planned>) -> u64 {
    let mut counted = HashSet::new();
    plan.values()
        .filter(|planned| !planned.implicit)
        .map(|planned| {
            let item = &planned.item;
            let again = planned.group.is_some_and(|group| !counted.insert(group));
            let content = match item.kind {
                Kind::File if !again => item.size + padding(item.size) as u64,
                _ => 0,
            };
            BLOCK_SIZE as u64 + content
        })
        .sum()
}

/// A name that means a whiteout in a layer cannot be a file's.
pub(crate) fn check_name(path: &[u8]) -> Result<()> {
    let name = fastlayer_tar::path::split(path).map_or(path, |(_, name)| name);
    if name.starts_with(fastlayer_tar::whiteout::PREFIX) {
        return Err(Error::unsafe_path(
            path,
            "a name beginning with .wh. cannot be in a layer, where it means a deletion",
        ));
    }
    Ok(())
}

/// The root directories of contexts, each opened once.
#[derive(Default)]
struct ContextRoots {
    known: Vec<(Arc<Context>, Arc<Directory>)>,
}

impl ContextRoots {
    fn source(&mut self, item: &Item, report: Option<Report>) -> Result<FileSource> {
        let content = item.content;
        let (directory, path, expected) = match &item.body {
            Body::None => return Ok(FileSource::Bytes(Vec::new())),
            Body::Bytes(bytes) => return Ok(FileSource::Bytes(bytes.to_vec())),
            Body::Stored(source) => return Ok(source.clone()),
            Body::Local { path } => {
                let failed = || Error::source(path.as_os_str().as_bytes(), "is not a file");
                let name = path.file_name().ok_or_else(failed)?.as_bytes().to_vec();
                let parent = path
                    .parent()
                    .filter(|parent| !parent.as_os_str().is_empty());
                let directory = Directory::open(parent.unwrap_or(Path::new(".")))?;
                let expected = directory.stat_child(&name)?;
                (Arc::new(directory), name, expected)
            }
            Body::Context {
                context,
                top,
                metadata,
            } => (self.root(context)?, item.path_below(top), *metadata),
        };
        Ok(FileSource::Path(PathSource {
            directory,
            path,
            expected,
            content,
            adoption: Adoption::Copy,
            report,
        }))
    }

    fn root(&mut self, context: &Arc<Context>) -> Result<Arc<Directory>> {
        let known = self
            .known
            .iter()
            .find(|(known, _)| Arc::ptr_eq(known, context));
        if let Some((_, root)) = known {
            return Ok(Arc::clone(root));
        }
        let root = Arc::new(context.root().directory().try_clone()?);
        self.known.push((Arc::clone(context), Arc::clone(&root)));
        Ok(root)
    }
}
