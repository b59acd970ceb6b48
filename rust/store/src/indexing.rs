//! What a tar's member is in the tree index.

use fastlayer_tar::whiteout::{Marker, classify_path};
use fastlayer_tar::{Entry, EntryKind, PathError, path};

use crate::digest::ContentId;
use crate::error::{Error, Result, display_path};
use crate::index::{IndexBuilder, IndexEntry, IndexError, Kind};
use crate::sparse_content::{SPARSE_LIMIT, SPARSE_TOTAL};

/// As an entry's `data_offset`: the content is not in the tar as it is, only in its object.
pub const NO_OFFSET: u64 = u64::MAX;

/// Why a member has no place in the index.
pub(crate) enum Refusal {
    /// The layer contradicts itself or leads out of its root, and is kept raw: the reason.
    Contradiction(String),
    /// It goes beyond a limit, and none of it is kept.
    Limit(Error),
}

impl From<IndexError> for Refusal {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Limit { .. } => Self::Limit(error.into()),
            other => Self::Contradiction(other.to_string()),
        }
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        Self::Contradiction(error.to_string())
    }
}

/// Pushes `entry` to the index.
pub(crate) fn push(
    index: &mut IndexBuilder,
    entry: &Entry,
    content: Option<ContentId>,
    data_offset: u64,
) -> Result<(), Refusal> {
    let normal = path::normalise(&entry.path)?;
    let marker =
        classify_path(&normal).map_err(|error| Refusal::Contradiction(error.to_string()))?;
    let pushed = match marker {
        Marker::None => {
            let entry = index_entry(normal, entry, content, data_offset)?;
            index.push(entry)
        }
        Marker::Metadata => return Ok(()),
        Marker::Opaque => index.push_opaque(parent(&normal)),
        Marker::Whiteout(name) => {
            let hidden = [&normal[..normal.len() - name.len() - PREFIX_LENGTH], name].concat();
            index.push(IndexEntry::new(hidden, Kind::Whiteout))
        }
    };
    Ok(pushed?)
}

const PREFIX_LENGTH: usize = fastlayer_tar::whiteout::PREFIX.len();

fn parent(normal: &[u8]) -> &[u8] {
    path::split(normal).map_or(b"", |(parent, _)| parent)
}

fn index_entry(
    normal: Vec<u8>,
    entry: &Entry,
    content: Option<ContentId>,
    data_offset: u64,
) -> Result<IndexEntry, Refusal> {
    let kind = match entry.kind {
        // A hard link bears what its target has; the index looks that up.
        EntryKind::File | EntryKind::Hardlink => Kind::File,
        EntryKind::Directory => Kind::Directory,
        EntryKind::Symlink => Kind::Symlink,
        EntryKind::CharDevice => Kind::CharDevice,
        EntryKind::BlockDevice => Kind::BlockDevice,
        EntryKind::Fifo => Kind::Fifo,
    };
    let mut result = IndexEntry::new(normal, kind);
    result.mode = entry.mode;
    result.uid = entry.uid;
    result.gid = entry.gid;
    result.mtime = entry.mtime;
    result.device = entry.device;
    result.xattrs.clone_from(&entry.xattrs);
    match entry.kind {
        EntryKind::Hardlink => {
            result.hardlink = Some(path::normalise(&entry.link)?);
        }
        EntryKind::Symlink => result.link_target.clone_from(&entry.link),
        EntryKind::File => {
            result.size = entry.content_size();
            result.content = content;
            result.data_offset = if entry.sparse.is_some() {
                NO_OFFSET
            } else {
                data_offset
            };
        }
        _ => {}
    }
    Ok(result)
}

/// Bounds what a member's holes make of it, before its content is read. `expanded` is what the
/// sparse files before it expand to together.
pub(crate) fn check_sparse(entry: &Entry, expanded: &mut u64) -> Result<()> {
    if entry.sparse.is_none() {
        return Ok(());
    }
    let size = entry.content_size();
    *expanded = expanded.saturating_add(size);
    if size > SPARSE_LIMIT {
        let path = display_path(&entry.path);
        return Err(Error::limit(
            format!("the size of the sparse file {path}"),
            SPARSE_LIMIT,
        ));
    }
    if *expanded > SPARSE_TOTAL {
        return Err(Error::limit(
            "the size of a layer's sparse files together",
            SPARSE_TOTAL,
        ));
    }
    Ok(())
}
