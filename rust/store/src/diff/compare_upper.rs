//! Whether a path of an upper says the same as the tree below it.

use fastlayer_fs::xattr::Attributes;
use fastlayer_fs::{Kind as FileKind, Metadata};
use fastlayer_tar::Timestamp;

use super::walk::UpperLeaf;
use crate::compare::Reason;
use crate::digest::ContentHasher;
use crate::error::{Error, Result, display_path};
use crate::index::Kind;
use crate::overlay::portable;
use crate::read::read_some;
use crate::tree::Node;

/// How type and attributes of a path differ from those of `lower`.
pub(super) fn metadata_reasons(
    metadata: &Metadata,
    owner: (u32, u32),
    xattrs: &Attributes,
    lower: &Node<'_>,
) -> Result<Vec<Reason>> {
    let mut reasons = Vec::new();
    let kind = kind(metadata.kind);
    if kind != Some(lower.kind()) {
        reasons.push(Reason::Type);
        return Ok(reasons);
    }
    let is_device = matches!(lower.kind(), Kind::CharDevice | Kind::BlockDevice);
    let other_size = lower.kind() == Kind::File && metadata.size != lower.size();
    if other_size || is_device && metadata.rdev != lower.device() {
        reasons.push(Reason::Content);
    }
    if lower.kind() != Kind::Symlink && metadata.mode != lower.mode() {
        reasons.push(Reason::Mode);
    }
    if owner != (lower.uid(), lower.gid()) {
        reasons.push(Reason::Owner);
    }
    let below = if lower.has_xattrs() {
        portable(lower.xattrs()?)
    } else {
        Attributes::new()
    };
    if portable(xattrs.clone()) != below {
        reasons.push(Reason::Xattr);
    }
    if !same_time(metadata.mtime, lower.mtime()) {
        reasons.push(Reason::Time);
    }
    Ok(reasons)
}

/// How a leaf differs from `lower`, content, link target and other names included. A content is
/// read only where all else agrees.
pub(super) fn leaf_reasons(leaf: &UpperLeaf<'_, '_>, lower: &Node<'_>) -> Result<Vec<Reason>> {
    let mut reasons = metadata_reasons(leaf.metadata, leaf.owner, &leaf.xattrs, lower)?;
    if reasons.contains(&Reason::Type) {
        return Ok(reasons);
    }
    match lower.kind() {
        Kind::Symlink if leaf.directory.read_link(leaf.name)? != lower.link_target()? => {
            reasons.push(Reason::Link);
        }
        Kind::File if !reasons.contains(&Reason::Content) && !same_content(leaf, lower)? => {
            reasons.push(Reason::Content);
        }
        _ => {}
    }
    // What is copied up is a file of its own, whatever names it had below.
    if reasons.is_empty() && leaf.linked.contains(lower)? {
        reasons.push(Reason::Link);
    }
    reasons.sort();
    Ok(reasons)
}

/// What our own tars keep of a time are its seconds, so a lower time on a whole second agrees
/// with all times of that second.
fn same_time(upper: fastlayer_fs::Timestamp, lower: Timestamp) -> bool {
    upper.seconds == lower.seconds
        && (lower.nanoseconds == 0 || lower.nanoseconds == upper.nanoseconds)
}

fn same_content(leaf: &UpperLeaf<'_, '_>, lower: &Node<'_>) -> Result<bool> {
    let failed = |source| Error::io(display_path(leaf.path), source);
    let mut file = leaf.directory.open_file(leaf.name)?;
    let mut hasher = ContentHasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match read_some(&mut file, &mut buffer).map_err(failed)? {
            0 => return Ok(Some(hasher.finish()) == lower.content()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// The kind of a file; a socket has none in a layer.
pub(super) fn kind(kind: FileKind) -> Option<Kind> {
    Some(match kind {
        FileKind::File => Kind::File,
        FileKind::Directory => Kind::Directory,
        FileKind::Symlink => Kind::Symlink,
        FileKind::CharDevice => Kind::CharDevice,
        FileKind::BlockDevice => Kind::BlockDevice,
        FileKind::Fifo => Kind::Fifo,
        FileKind::Socket => return None,
    })
}
