//! What the kernel knows of one file: a plain copy of `statx`, without access times.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, statx};
use rustix::io;

/// What is asked of the kernel.
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket; it has no meaning outside the machine and is never stored.
    Socket,
}

impl Kind {
    pub(crate) fn from_file_type(file_type: FileType) -> Option<Self> {
        Some(match file_type {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::CharacterDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::Unknown => return None,
        })
    }

    pub(crate) fn file_type(self) -> FileType {
        match self {
            Self::File => FileType::RegularFile,
            Self::Directory => FileType::Directory,
            Self::Symlink => FileType::Symlink,
            Self::CharDevice => FileType::CharacterDevice,
            Self::BlockDevice => FileType::BlockDevice,
            Self::Fifo => FileType::Fifo,
            Self::Socket => FileType::Socket,
        }
    }
}

/// A point in time: whole seconds since 1970, rounded down, and the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970; negative before it.
    pub seconds: i64,
    /// Nanoseconds after `seconds`, below 1,000,000,000.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// The time `seconds` and `nanoseconds` after 1970.
    pub const fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self {
            seconds,
            nanoseconds,
        }
    }
}

/// What the kernel knows of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The type of the file.
    pub kind: Kind,
    /// Permission bits with set-user-id, set-group-id and sticky: `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes; of a symbolic link, the length of its target.
    pub size: u64,
    /// Time of the last change of content.
    pub mtime: Timestamp,
    /// Time of the last change of content or metadata; user space cannot set it.
    pub ctime: Timestamp,
    /// Time at which the inode was made, on file systems that keep it: with its number, what tells
    /// a file from a later one that got the same number.
    pub birth: Option<Timestamp>,
    /// The file system it is on, as `st_dev` numbers it.
    pub dev: u64,
    /// Inode number, unique in its file system.
    pub ino: u64,
    /// Number of names.
    pub nlink: u32,
    /// Major and minor number of a device, else zeros.
    pub rdev: (u32, u32),
    /// Storage in use, in units of 512 bytes; less than `size` says where holes may be.
    pub blocks: u64,
}

impl Metadata {
    /// Metadata of an open descriptor (`O_PATH` ones too).
    pub fn of(fd: impl AsFd) -> io::Result<Self> {
        statx(fd, c"", AtFlags::EMPTY_PATH, WANTED).map(|found| found.into())
    }

    /// Metadata of `name` in the directory `fd`; a symbolic link is not followed.
    pub fn of_child(fd: impl AsFd, name: &[u8]) -> io::Result<Self> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statx(fd, name, flags, WANTED).map(|found| found.into())
    }

    /// True for an overlay whiteout: a character device 0/0.
    pub fn is_whiteout_device(&self) -> bool {
        self.kind == Kind::CharDevice && self.rdev == (0, 0)
    }

    /// True when both are the same file, and nothing of it changed in between.
    pub fn is_unchanged_since(&self, earlier: &Self) -> bool {
        self.dev == earlier.dev
            && self.ino == earlier.ino
            && self.ctime == earlier.ctime
            && self.mtime == earlier.mtime
            && self.size == earlier.size
            && self.mode == earlier.mode
            && self.kind == earlier.kind
    }
}

impl From<Statx> for Metadata {
    fn from(found: Statx) -> Self {
        let mode = u32::from(found.stx_mode);
        let file_type = FileType::from_raw_mode(mode);
        Self {
            // The kernel has no other types; an unknown one is as unusable to us as a socket.
            kind: Kind::from_file_type(file_type).unwrap_or(Kind::Socket),
            mode: mode & 0o7777,
            uid: found.stx_uid,
            gid: found.stx_gid,
            size: found.stx_size,
            mtime: Timestamp::new(found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
            ctime: Timestamp::new(found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec),
            birth: (found.stx_mask & StatxFlags::BTIME.bits() != 0)
                .then(|| Timestamp::new(found.stx_btime.tv_sec, found.stx_btime.tv_nsec)),
            dev: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
            ino: found.stx_ino,
            nlink: found.stx_nlink,
            rdev: (found.stx_rdev_major, found.stx_rdev_minor),
            blocks: found.stx_blocks,
        }
    }
}
