//! What is known of the file system that an open file is on.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::fstatfs;

/// Kinds of file systems that behave differently enough to matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileSystem {
    /// ext2, ext3 or ext4.
    Ext,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
    /// tmpfs.
    Tmpfs,
    /// overlayfs.
    Overlay,
    /// Any other, by its magic number.
    Other(u64),
}

impl FileSystem {
    /// The file system that `fd` is on.
    pub fn of(fd: impl AsFd) -> io::Result<Self> {
        let found = fstatfs(fd)?;
        // The kernel's type is signed on some machines; magic numbers have 32 bits.
        #[expect(clippy::cast_sign_loss, reason = "a magic number is a bit pattern")]
        let magic = (found.f_type as u64) & 0xffff_ffff;
        Ok(match magic {
            0xef53 => Self::Ext,
            0x5846_5342 => Self::Xfs,
            0x9123_683e => Self::Btrfs,
            0x0102_1994 => Self::Tmpfs,
            0x794c_7630 => Self::Overlay,
            other => Self::Other(other),
        })
    }
}
