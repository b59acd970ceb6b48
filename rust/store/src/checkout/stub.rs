//! Stubs: files whose content overlayfs takes from an object.
//!
//! A stub has the size and all attributes of its file, no blocks, and two of overlay's marks:
//! `metacopy` says that there is no content here, `redirect` where it is in the data-only
//! directories of the mount, which are the store's `objects` (kernel documentation of overlayfs,
//! "Data-only lower layers"). Outside of such a mount it reads as zeros.

use std::fs::File;
use std::io;

use fastlayer_fs::xattr;

use crate::area::path_of;
use crate::digest::ContentId;
use crate::overlay::OverlayNamespace;

/// Smaller files are copied: a stub needs a block for its marks on most file systems, and each
/// opening of one costs a second lookup (`docs/decisions/stubs-from-32-kib.md`).
pub(super) const FLOOR: u64 = 32 << 10;

/// Makes a stub for `size` bytes of an object of an empty file.
pub(super) fn write(
    file: &File,
    namespace: OverlayNamespace,
    id: &ContentId,
    size: u64,
) -> io::Result<()> {
    file.set_len(size)?;
    xattr::set(file, &namespace.name(b"redirect"), &target(id))?;
    xattr::set(file, &namespace.name(b"metacopy"), b"")?;
    Ok(())
}

/// Where a stub for an object leads to.
pub(super) fn target(id: &ContentId) -> Vec<u8> {
    [b"/", path_of(id.as_bytes()).as_slice()].concat()
}
