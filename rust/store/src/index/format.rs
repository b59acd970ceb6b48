//! Byte layout of a stored tree index: a header, fixed-width rows, a heap of bytes.
//!
//! All numbers are little-endian and unaligned, so that a mapped file can be read where it lies.
//! The layout is specified in `docs/formats/tree-index.md`; a change here is a new version.

use zerocopy::little_endian::{I64, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First bytes of every tree index.
pub(super) const MAGIC: [u8; 8] = *b"fl-tree\0";
/// The version this release writes, and the only one it reads.
pub(super) const VERSION: u32 = 2;
/// "No row" in a row number, "nothing" in an offset.
pub(super) const NO_ROW: u32 = u32::MAX;

/// The layer has directories without an entry of their own.
pub(super) const LAYER_IMPLICIT_PARENTS: u32 = 1;
/// The layer has hard links whose target is in a lower layer.
pub(super) const LAYER_LOWER_LINKS: u32 = 2;

/// The directory is opaque.
pub(super) const ROW_OPAQUE: u8 = 1;
/// The directory has no entry of its own.
pub(super) const ROW_IMPLICIT: u8 = 2;
/// The path is whited out besides.
pub(super) const ROW_REPLACES: u8 = 4;
/// The content id is set.
pub(super) const ROW_CONTENT: u8 = 8;

/// What the file begins with.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub magic: [u8; 8],
    pub version: U32,
    pub row_size: U32,
    pub flags: U32,
    pub rows: U32,
    pub heap_size: U64,
    pub reserved: [u8; 32],
}

/// One path.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Row {
    /// The last component of the path; the root has none.
    pub name_offset: U32,
    pub name_length: U16,
    pub kind: u8,
    pub flags: u8,
    /// The row of the directory that holds this one; the root's own.
    pub parent: U32,
    /// Of a directory, the row after the last one below it; of anything else, the first row of the
    /// hardlink group, `NO_ROW` where there is none or it is this one.
    pub end_or_first: U32,
    pub mode: U16,
    pub uid: U32,
    pub gid: U32,
    pub mtime_seconds: I64,
    pub mtime_nanoseconds: U32,
    pub size: U64,
    pub data_offset: U64,
    /// `NO_ROW` for none.
    pub xattrs_offset: U32,
    /// Of a regular file, the content id; of what has a target or a device number, a [`Pair`].
    pub value: [u8; 32],
}

/// What the value of a row without content begins with: offset and length of a target in the heap,
/// or major and minor number of a device.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Pair {
    pub first: U32,
    pub second: U32,
    pub reserved: [u8; 24],
}

pub(super) const HEADER_SIZE: usize = size_of::<Header>();
pub(super) const ROW_SIZE: usize = size_of::<Row>();
const _: () = assert!(HEADER_SIZE == 64 && ROW_SIZE == 90);
