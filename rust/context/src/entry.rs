//! One path of a context.

use fastlayer_fs::{Kind, Metadata, xattr};

use crate::content::ContentHash;

/// One path of a context, with all that a copy of it needs but the bytes.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Relative to the context's root, without a leading or trailing slash; empty for the root.
    pub path: Vec<u8>,
    /// What the kernel knew when it was looked at.
    pub metadata: Metadata,
    /// Target of a symbolic link, else empty.
    pub link: Vec<u8>,
    /// Extended attributes that mean something on another machine.
    pub xattrs: xattr::Attributes,
    /// The content of a regular file, once it is known; `None` for others.
    pub content: Option<ContentHash>,
    /// True when there is nothing for the stat cache to learn: it knows all of this, or the file
    /// system is one that it does not believe.
    pub is_cached: bool,
}

impl Entry {
    /// True for a regular file whose content is not known yet.
    pub fn lacks_content(&self) -> bool {
        self.metadata.kind == Kind::File && self.content.is_none()
    }

    /// The last component of the path.
    pub fn name(&self) -> &[u8] {
        split_path(&self.path).1
    }
}

/// A path's directory and its last component.
pub(crate) fn split_path(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(cut) => (&path[..cut], &path[cut + 1..]),
        None => (b"", path),
    }
}

/// `directory/name`, where the directory may be the root.
pub(crate) fn join_path(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.to_vec();
    }
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}
