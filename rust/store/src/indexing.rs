//! What a tar's member is in the tree index.

use fastlayer_tar::whiteout::{Marker, classify_path};
use fastlayer_tar::{Entry, EntryKind, path};

use crate::digest::ContentId;
use crate::index::{IndexBuilder, IndexEntry, Kind};
use crate::sparse_content::{SPARSE_LIMIT, SPARSE_TOTAL};

/// As an entry's `data_offset`: the content is not in the tar as it is, only in its object.
pub const NO_OFFSET: u64 = u64::MAX;

/// Pushes `entry` to the index. What the index can not take makes the layer raw: the error is the
/// reason, as text.
pub(crate) fn push(
    index: &mut IndexBuilder,
    entry: &Entry,
    content: Option<ContentId>,
    data_offset: u64,
) -> Result<(), String> {
    let normal = path::normalise(&entry.path).map_err(|error| error.to_string())?;
    let marker = classify_path(&normal).map_err(|error| error.to_string())?;
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
    pushed.map_err(|error| error.to_string())
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
) -> Result<IndexEntry, String> {
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
            let target = path::normalise(&entry.link).map_err(|error| error.to_string())?;
            result.hardlink = Some(target);
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

/// Why a member can not be understood, where that shows before its content is read. `expanded` is
/// what the sparse files before it expand to together.
pub(crate) fn refusal(entry: &Entry, expanded: &mut u64) -> Option<String> {
    entry.sparse.as_ref()?;
    let size = entry.content_size();
    *expanded = expanded.saturating_add(size);
    let path = crate::error::display_path(&entry.path);
    if size > SPARSE_LIMIT {
        return Some(format!(
            "{path}: a sparse file of more than {SPARSE_LIMIT} bytes"
        ));
    }
    (*expanded > SPARSE_TOTAL)
        .then(|| format!("{path}: sparse files of more than {SPARSE_TOTAL} bytes together"))
}
